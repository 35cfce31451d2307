"""What a package index, a citation and a container say of evdet agrees with what it is."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import evdet

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SYSTEMS = {"Linux": "ubuntu", "MacOS X": "macos", "Windows": "windows"}


@pytest.fixture(scope="module")
def setup_file():
    spec = importlib.util.spec_from_file_location("setup_file", ROOT / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_one_place_states_the_version(setup_file):
    assert setup_file.version() == evdet.__version__
    assert "version" in PROJECT["dynamic"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == evdet.__version__


def test_one_place_states_the_addresses_of_the_project():
    address = PROJECT["urls"]["Repository"].rpartition("/")[0]
    words = ["git", "grep", "--files-with-matches", "--fixed-strings", "--untracked", address]
    found = subprocess.run(words, cwd=ROOT, capture_output=True, encoding="utf-8").stdout
    assert found.split() == ["pyproject.toml"]


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("[a](docs/a.md)", "[a](https://x.y/r/blob/v1/docs/a.md)"),
        ("[a](docs/a.md#b)", "[a](https://x.y/r/blob/v1/docs/a.md#b)"),
        ("![a (b)](docs/a.png)", "![a (b)](https://x.y/r/raw/v1/docs/a.png)"),
        ("[a](https://b.c/d)", "[a](https://b.c/d)"),
        ("[a](#part)", "[a](#part)"),
        ("`found[0][0]['boxes']` (T, B)", "`found[0][0]['boxes']` (T, B)"),
        ("[a\nb](c.md)", "[a\nb](https://x.y/r/blob/v1/c.md)"),
    ],
)
def test_links_of_the_description_are_absolute(setup_file, link, expected):
    assert setup_file.described(link, repository="https://x.y/r", tag="v1") == expected


def test_the_readme_keeps_no_relative_link(setup_file):
    text = setup_file.described(
        (ROOT / "README.md").read_text(), repository="https://x.y", tag="v1"
    )
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert links
    assert [link for link in links if not link.startswith(("https://", "#"))] == []


def test_the_classifiers_are_what_the_workflow_tests():
    matrix = yaml.safe_load(WORKFLOWS[0].read_text())["jobs"]["test"]["strategy"]["matrix"]
    lines = [line.split(" :: ") for line in PROJECT["classifiers"]]
    pythons = [line[-1] for line in lines if line[:2] == ["Programming Language", "Python"]]
    systems = {SYSTEMS[line[-1]] for line in lines if line[0] == "Operating System"}
    assert matrix["python"] == pythons
    assert {name.partition("-")[0] for name in matrix["os"]} == systems


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_targets_and_options_that_exist(path):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    used = set(re.findall(r"\bmake ([a-z-]+)", path.read_text()))
    assert used
    assert used <= targets
    assert all("timeout-minutes" in job or "needs" in job for job in jobs_of(path))
    assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}


def jobs_of(path):
    return yaml.safe_load(path.read_text())["jobs"].values()


def test_only_publishing_may_ask_for_an_identity():
    release = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]
    asking = [name for name, job in release.items() if "id-token" in job.get("permissions", {})]
    assert asking == ["publish"]
    assert "secrets." not in "".join(path.read_text() for path in WORKFLOWS)


def test_the_container_gets_what_it_copies_and_runs_as_a_user():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    ignored = (ROOT / ".dockerignore").read_text().split()
    copied = next(line for line in lines if line.startswith("COPY")).split()[1:-1]
    assert [f"!{name}" for name in copied] == [name for name in ignored if name != "*"]
    order = [line.split()[0] for line in lines if re.match(r"[A-Z]+ ", line)]
    assert order.index("USER") < order.index("ENTRYPOINT")
    assert "USER evdet" in lines
    base = next(line for line in lines if line.startswith("FROM"))
    assert re.search(r"python:(3\.\d+)", base)[1] == f"{sys.version_info[0]}.11"


def test_the_container_installs_extras_that_exist():
    (extras,) = re.findall(r'"evdet\[([a-z,]+)\]', (ROOT / "Dockerfile").read_text())
    assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])


def test_the_bounds_are_those_that_the_pins_keep():
    """constraints.txt names every library that evdet requires, in a version that it allows."""
    requirement = pytest.importorskip("packaging.requirements").Requirement
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        name, _, version = line.partition("==")
        pins[canonical(name)] = version
    extras = PROJECT["optional-dependencies"]
    wanted = [requirement(text) for text in [*PROJECT["dependencies"], *extras["dev"]]]
    for found in wanted:
        if found.name != "evdet":
            assert canonical(found.name) in pins, found.name
            assert pins[canonical(found.name)] in found.specifier, found


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", ["MNIST", "N-MNIST"])
def test_licences_of_data_are_in_the_wheel(name):
    files = [ROOT / path for path in PROJECT["license-files"]]
    assert all(path.is_file() for path in files)
    assert any(name in path.read_text(encoding="utf-8") for path in files)
