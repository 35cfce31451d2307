"""OpenCV comes in two builds that share a folder; where the one that needs libGL has won and
there is no libGL, evdet says so in one line."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

CONSTRAINTS = Path(__file__).parent.parent / "constraints.txt"
NO_LIBGL = "libGL.so.1: cannot open shared object file: No such file or directory"
REMEDY = "pip install --force-reinstall --no-deps opencv-python-headless"


@pytest.fixture
def without_libgl(tmp_path):
    """Environment of a process in which OpenCV cannot be loaded, as without libGL."""
    (tmp_path / "cv2.py").write_text(f"raise ImportError({NO_LIBGL!r})\n")
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


def run(script, env):
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)


def test_both_builds_are_pinned_to_one_version():
    pins = dict(line.split("==") for line in CONSTRAINTS.read_text().splitlines() if "==" in line)
    assert pins["opencv-python"] == pins["opencv-python-headless"]


def test_where_opencv_cannot_be_loaded_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.delitem(sys.modules, "evdet.opencv", raising=False)
    with pytest.raises(RuntimeError, match=REMEDY) as info:
        import_module("evdet.opencv")
    assert "\n" not in str(info.value)


@pytest.mark.slow
def test_a_command_without_libgl_says_what_to_install_in_one_line(without_libgl):
    words = ["view", "nothing.dat", "--output", "out.mp4"]
    done = run(f"from evdet.cli import main; raise SystemExit(main({words!r}))", without_libgl)
    assert done.returncode == 2
    assert NO_LIBGL in done.stderr
    assert REMEDY in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "script",
    [
        "import evdet; evdet.draw_box_events",
        "from evdet.tracking import Tracker; Tracker('sort')",
        "from evdet.metrics.track_scores import track_scores; track_scores([], [], delta_t=1)",
    ],
)
def test_python_without_libgl_ends_with_the_same_line(script, without_libgl):
    done = run(script, without_libgl)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("evdet.opencv.OpenCVUnavailableError: cannot load OpenCV")
    assert REMEDY in last
