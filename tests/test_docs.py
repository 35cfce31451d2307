"""The pages lead where they say, name options that exist, and their listings run.

A listing whose fence says `run` is run: a page's shell listings in order, in an empty folder, with
every training cut down to seconds; then its Python listings, as one script.
"""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from evdet.cli import COMMANDS, main
from evdet.detectors import CANDIDATES, DETECTIONS, FRAME, THRESHOLDS

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
RUN_FOLDER = ROOT / "docs" / "reference" / "run_folder.md"
PAGES = [*DOCS, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))]
# The configuration of an earlier run is tiny already, and its page may change it.
PRELUDE = """
set -euo pipefail
evdet() {
    if [[ "$1" != train || "$*" == *"--config runs/"* || "$*" == *"--resume"* ]]; then
        command evdet "$@"
    else
        command evdet "$@" --height 64 --width 64 --num-levels 3 --feature-base 2 \
            --feature-channels-out 4 --head-channels 4 --num-tbins 2 --batch-size 2 \
            --max-frames-per-video 4 --max-frames-per-epoch 16 --max-epochs 1 --val-frames 8 \
            --test-frames 16 --num-workers 0 --accelerator cpu
    fi
}
"""


def listings(page, language):
    """A page's listings of one language that are to be run, in order."""
    return re.findall(rf"^```{language} run\n(.*?)^```$", page.read_text(), re.M | re.S)


RUNNABLE = [page for page in DOCS if listings(page, "bash") or listings(page, "python")]


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def pages_in(nav):
    for entry in nav:
        for value in [entry] if isinstance(entry, str) else entry.values():
            yield from [value] if isinstance(value, str) else pages_in(value)


def test_the_contents_name_every_page_once():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    assert sorted(pages_in(nav)) == [page.relative_to(ROOT / "docs").as_posix() for page in DOCS]


# Parts that serve the others, and the command line, which has its own page.
WITHOUT_PAGE = {
    "atomic_file", "cli", "compiled", "input_files", "opencv", "processes", "structured_text",
}  # fmt: skip


def test_the_api_has_a_page_for_every_package_that_others_import():
    folder = ROOT / "docs" / "reference" / "api"
    shown = {
        path.stem: re.findall(r"^::: (\S+)$", path.read_text(), re.M) for path in folder.glob("*")
    }
    source = ROOT / "src" / "evdet"
    units = {path.stem for path in source.iterdir() if path.suffix == ".py" or path.is_dir()}
    expected = {f"evdet.{name}" for name in units - WITHOUT_PAGE if not name.startswith("_")}
    names = sorted(name for found in shown.values() for name in found)
    assert expected - set(names) == set()
    assert len(names) == len(set(names))
    overview = (folder / "index.md").read_text()
    for page, found in shown.items():
        assert (
            page == "index"
            or f"({page}.md) | {', '.join(f'`{name}`' for name in found)} |" in overview
        )


def test_the_map_names_what_there_is():
    text, _, _ = (ROOT / "docs" / "architecture.md").read_text().partition("## Deviations")
    source = ROOT / "src" / "evdet"
    tree = text.split("```text")[1].split("```")[0]
    at_the_root = {
        path.name + "/" * path.is_dir()
        for path in source.iterdir()
        if path.is_dir() or path.suffix == ".py"
    }
    assert {name for name in at_the_root if f"── {name}" not in tree} <= {"__pycache__/"}
    named = set(re.findall(r"`((?:[a-z_]+/)*(?:[a-z0-9_]+\.py|[a-z_]+/))[`*:]", text))
    there = {name for name in named if any((top / name).exists() for top in (source, ROOT))}
    in_training = {name for name in named if (source / "training" / name).exists()}
    assert named - there - in_training == set()


def test_the_page_of_onnx_models_has_every_name():
    text = (ROOT / "docs" / "reference" / "onnx_models.md").read_text()
    assert {*DETECTIONS, *CANDIDATES, *THRESHOLDS, FRAME} <= set(re.findall(r"`(\w+)`", text))


def test_the_command_line_page_has_every_command():
    text = (ROOT / "docs" / "reference" / "cli.md").read_text()
    assert sorted(re.findall(r"^<!-- help of evdet (\w+) -->$", text, re.M)) == sorted(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_to_files(page):
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.fixture(scope="module")
def options_of():
    """The options of each command, as its help names them."""
    options = {}
    for command in COMMANDS:
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
            main([command, "--help"])
        options[command] = {"--debug", *re.findall(r"--[a-z][a-z0-9-]*", text.getvalue())}
        assert "--help" in options[command]
    return options


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_name_options_that_exist(page, options_of):
    text = page.read_text().replace("\\\n", " ")
    for command, rest in re.findall(rf"\bevdet ({'|'.join(COMMANDS)})\b([^\n`]*)", text):
        assert set(re.findall(r"--[\w-]+", rest)) <= options_of[command], f"evdet {command}{rest}"


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNABLE, ids=name_of)
def test_the_listings_of_a_page_run(page, tmp_path):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    surroundings = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    for command, language in (("bash", "bash"), (sys.executable, "python")):
        script = "\n".join([PRELUDE if language == "bash" else "", *listings(page, language)])
        done = subprocess.run(
            [command, "-c", script], cwd=tmp_path, env=surroundings, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    for file in tmp_path.rglob("evaluation.json"):
        explained = set(re.findall(r"`(\w+)`", RUN_FOLDER.read_text()))
        assert set(json.loads(file.read_text())) <= explained, "run_folder.md explains every field"
