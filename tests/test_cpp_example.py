"""examples/cpp/detect.cpp compiles, runs, and finds Python's boxes."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from evdet.detectors import load_network, load_onnx
from evdet.export import export_onnx
from evdet.samples import sample_recording
from evdet.sources import open_frames

SOURCE = Path(__file__).parents[1] / "examples" / "cpp" / "detect.cpp"
HEADERS = ("/usr/include/onnxruntime", "/usr/local/include/onnxruntime", "/usr/local/include")


@pytest.fixture
def program(tmp_path):
    """The compiled example: the headers of ONNXRUNTIME_INCLUDE, the library of the wheel."""
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        pytest.skip("there is no C++ compiler")
    places = [os.environ.get("ONNXRUNTIME_INCLUDE", ""), *HEADERS]
    found = [place for place in places if (Path(place) / "onnxruntime_cxx_api.h").is_file()]
    if not found:
        pytest.skip("there are no headers of onnxruntime: set ONNXRUNTIME_INCLUDE")
    wheel = Path(onnxruntime.__file__).parent / "capi"
    libraries = sorted(wheel.glob("libonnxruntime.so.*"))
    if not libraries:
        pytest.skip("this wheel of onnxruntime has no shared library")
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (tmp_path / name).symlink_to(libraries[-1])
    words = [compiler, "-std=c++17", "-O1", "-Wall", "-Werror", "-isystem", found[0], str(SOURCE)]
    words += ["-L", str(tmp_path), f"-Wl,-rpath,{tmp_path}", "-lonnxruntime"]
    done = subprocess.run(
        [*words, "-o", str(tmp_path / "detect")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return tmp_path / "detect"


def test_the_example_is_short():
    lines = [line for line in SOURCE.read_text().splitlines() if line and line[:2] != "//"]
    assert len(lines) <= 60


@pytest.mark.slow
def test_the_example_finds_pythons_boxes(program, tmp_path):
    export_onnx(load_network("events-digits"), tmp_path / "a.onnx", fixed_shape=True)
    detector = load_onnx(tmp_path / "a.onnx", num_threads=1)
    stream = open_frames(sample_recording(), detector.frame_spec)
    frames = [streamed.frame.astype("<f4") for streamed, _ in zip(stream, range(40), strict=False)]
    np.stack(frames).tofile(tmp_path / "frames.f32")
    memory, expected = detector.empty_memory(1, *frames[0].shape[1:]), []
    thresholds = detector.frame_spec.thresholds.but(score_thresh=0.3)
    for index, frame in enumerate(frames):
        found, memory = detector.run(frame[None], memory, thresholds=thresholds)
        rows = zip(found.labels, found.scores, found.boxes, strict=True)
        expected += [[index, label, score, *box] for label, score, box in rows]

    words = [str(program), str(tmp_path / "a.onnx"), str(tmp_path / "frames.f32"), "0.3"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    given = [list(map(float, line.split())) for line in done.stdout.splitlines()]
    assert len(expected) > 100
    np.testing.assert_allclose(given, expected, atol=1e-3)
