"""The notebooks run from first cell to last; the first prints what the seed tutorial prints."""

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

TUTORIALS = Path(__file__).parents[1] / "tutorials"
NOTEBOOK = TUTORIALS / "training_detection.ipynb"
TRACKS = TUTORIALS / "raw_to_tracks.ipynb"
TINY = """
max_epochs = 1
max_frames_per_epoch = 200
val_frames = 40
test_frames = 40
"""
WANTED = [
    "['background', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']",
    *(
        f"batch {number}: (20, 4, 3, 128, 128), mask [{keep}, {keep}, {keep}, {keep}]"
        for number, keep in enumerate([0.0, 1.0, 1.0, 1.0, 0.0, 1.0])
    ),
    *(
        f"feature {level}: (30, 256, {side}, {side})"
        for level, side in enumerate([16, 8, 4, 2, 1])
    ),
    "341 cells x 6 anchors = 2046 anchors",
    "(36, 4)",
    "Conv2d(256, 24, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))",
    "deltas: (30, 2046, 4)",
    "dict_keys(['loc', 'cls'])",
    "class target:        (80, 2046)",
    "localisation target: (80, 2046, 4)",
    "dict_keys(['loc_loss', 'cls_loss'])",
    "toy_problem_experiment/checkpoints/epoch=",
]  # fmt: skip


def outputs_of(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def text_of(notebook):
    parts = [
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for output in outputs_of(notebook)
    ]
    return "\n".join(parts)


def check_numbers(notebook):
    text = text_of(notebook)
    assert [line for line in WANTED if line not in text] == []
    cls_loss = float(re.search(r"cls_loss (\d+\.\d+)", text)[1])
    assert cls_loss == pytest.approx(6.89, abs=0.05)  # the seed prints 6.8745


def test_the_committed_outputs_hold_the_seeds_numbers_and_nothing_of_the_machine():
    notebook = nbformat.read(NOTEBOOK, as_version=4)

    check_numbers(notebook)
    assert {output.get("name", "stdout") for output in outputs_of(notebook)} == {"stdout"}
    assert not re.search(r"(?<![\w.:/])/\w+/", text_of(notebook)), "an absolute path"
    assert NOTEBOOK.stat().st_size < 1.5e6


@pytest.mark.parametrize("path", [NOTEBOOK, TRACKS], ids=lambda path: path.stem)
def test_the_committed_notebook_was_run_from_top_to_bottom(path):
    notebook = nbformat.read(path, as_version=4)

    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


@pytest.mark.slow
def test_the_notebook_runs_at_a_tiny_size(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (sizes,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    sizes.source = TINY
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []

    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    # One thread, as in the whole suite: several would wait for each other on a busy machine.
    client.execute(env={**os.environ, "OMP_NUM_THREADS": "1"})

    check_numbers(notebook)
    assert {output.output_type for output in outputs_of(notebook)} == {
        "display_data",
        "execute_result",
        "stream",
    }


def numbers_of(text):
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text.replace(",", ""))]


def kinds_of(notebook):
    """The kinds of content of each output, in order."""
    return [sorted(output.get("data", {"text": ""})) for output in outputs_of(notebook)]


def test_the_committed_tracks_hold_nothing_of_the_machine_and_little():
    notebook = nbformat.read(TRACKS, as_version=4)

    assert {output.get("name", "stdout") for output in outputs_of(notebook)} == {"stdout"}
    assert not re.search(r"(?<![\w.:/])/\w+/", text_of(notebook)), "an absolute path"
    assert TRACKS.stat().st_size < 1e6


@pytest.mark.slow
def test_a_raw_file_becomes_tracks_as_committed(tmp_path):
    pytest.importorskip("trackers")
    wanted = nbformat.read(TRACKS, as_version=4)
    notebook = nbformat.read(TRACKS, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []

    place = {"metadata": {"path": str(tmp_path)}}
    client = NotebookClient(notebook, timeout=600, resources=place, coalesce_streams=True)
    client.execute(env={**os.environ, "OMP_NUM_THREADS": "1"})

    assert kinds_of(notebook) == kinds_of(wanted)
    found, expected = numbers_of(text_of(notebook)), numbers_of(text_of(wanted))
    assert found == pytest.approx(expected, rel=0.1, abs=2), "processors round differently"
