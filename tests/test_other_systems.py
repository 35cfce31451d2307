"""evdet asks for nothing that Windows and macOS lack: it runs where that is taken away."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import evdet

PROGRAM = Path(__file__).with_name("other_system.py")
SOURCE = Path(evdet.__file__).parent
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def run(folder, system, *commands):
    words = [sys.executable, "-X", "warn_default_encoding", str(PROGRAM), system]
    words.append(json.dumps(commands))
    done = subprocess.run(words, cwd=folder, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr[-3000:]


def test_recordings_are_read_drawn_converted_and_detected_in(tmp_path):
    short = ["--start", "1", "--duration", "0.2"]
    outputs = ["a.csv", "a.npy", "a.json", "a.txt", "a.mp4"]
    run(
        tmp_path,
        "win32",
        ["info", "sample"],
        *(["convert", "sample", f"a{ending}", *short] for ending in (".dat", ".raw", ".h5")),
        *(["detect", f"a{ending}", "--output", *outputs] for ending in (".dat", ".raw", ".h5")),
        ["labels", "a.csv", "b.json", "--sensor-size", "128x128"],
        ["view", "a.dat", "--output", "a.png"],
    )
    assert {path.name for path in tmp_path.iterdir() if path.stat().st_size} >= {*outputs, "a.png"}
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("stub", sorted(SOURCE.rglob("*.pyi")), ids=lambda path: path.parent.name)
def test_interfaces_are_ascii_since_lazy_loader_reads_them_in_the_systems_encoding(stub):
    assert stub.read_text(encoding="utf-8").isascii()


TINY = [
    "--feature-base", "2", "--feature-channels-out", "4", "--num-levels", "2",
    "--head-channels", "4", "--num-tbins", "2", "--batch-size", "2", "--max-epochs", "1",
    "--max-frames-per-epoch", "8", "--val-frames", "8", "--test-frames", "8",
    "--demo-every", "1", "--accelerator", "cpu",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("system", "workers"), [("win32", "0"), ("darwin", "1")])
def test_a_detector_is_trained_evaluated_and_measured(tmp_path, system, workers):
    """The workers of a loader are spawned; those of Windows cannot be, here."""
    data = ["--dataset-path", "drives", "--root-dir", "run", "--num-workers", workers]
    run(
        tmp_path,
        system,
        ["simulate", "drives", "--train", "2", "--val", "2", "--test", "2", "--minutes", "0.05"],
        ["check", "drives"],
        ["train", *data, *TINY],
        ["evaluate", "run", "--output-dir", "scores"],
        ["report", "run"],
        ["bench", "run", "--time-bins", "4", "--warm-up", "1", "--variants", "--batches", "1"],
    )
    assert (tmp_path / "run" / "report.html").stat().st_size
