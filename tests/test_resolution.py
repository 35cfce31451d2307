"""evdet and each of its extras can be installed from wheels on every system that it is for."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Others' programs, which the tests skip where they are missing, and the tools of a release.
NOT_FOR_USERS = {"bench", "interop", "release"}
EXTRAS = sorted(set(PROJECT["optional-dependencies"]) - NOT_FOR_USERS)
# The names of `uv pip compile --python-platform`: the oldest systems for which wheels are wanted.
SYSTEMS = {
    "Linux, x86-64": "x86_64-manylinux_2_28",
    "Linux, aarch64": "aarch64-manylinux_2_28",
    "macOS 14, Apple silicon": "aarch64-apple-darwin",
    "Windows": "x86_64-pc-windows-msvc",
}
PYTHONS = ("3.11", "3.12", "3.13")


def uv():
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv")


@pytest.fixture(scope="module")
def compile_pins(tmp_path_factory):
    """Resolves what evdet requires: the pins, or why there are none."""
    program = uv()
    if program is None:
        pytest.skip("needs uv")

    def resolve(*options):
        words = [program, "pip", "compile", "--quiet", "--no-header", "--only-binary", ":all:"]
        return subprocess.run(
            [*words, *options, str(ROOT / "pyproject.toml")],
            cwd=tmp_path_factory.mktemp("resolution"),  # where no uv.toml lies
            capture_output=True,
            encoding="utf-8",
        )

    probe = resolve("--python-version", PYTHONS[0])
    unreachable = ("error sending request", "Failed to fetch", "dns error")
    if probe.returncode and any(words in probe.stderr for words in unreachable):
        pytest.skip("needs a package index")
    return resolve


def test_the_classifiers_name_the_pythons_that_are_resolved():
    named = {line.rpartition(" :: ")[2] for line in PROJECT["classifiers"] if "Python ::" in line}
    assert named == set(PYTHONS)
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("extras", [(), EXTRAS], ids=["alone", "with its extras"])
def test_evdet_resolves_to_wheels(compile_pins, system, python, extras):
    options = ["--python-platform", SYSTEMS[system], "--python-version", python]
    found = compile_pins(*options, *(word for name in extras for word in ("--extra", name)))
    assert found.returncode == 0, found.stderr
    assert "numpy==" in found.stdout
