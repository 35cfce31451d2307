import dataclasses
import io
import os
import shlex
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from evdet.events.dat.reader import write_dat
from evdet.events.dtypes import EVENT_DTYPE, RecordingError, SensorSize
from evdet.events.live import Pipe
from evdet.events.raw.writer import write_evt3
from evdet.frame_spec import FrameSpec
from evdet.sources.live import open_live
from evdet.sources.opening import FrameStream, open_frames

SIZE = SensorSize(24, 32)
SPEC = FrameSpec(preprocess="histogram", delta_t=1000, height=12, width=16, in_channels=2)
ALL = {"max_backlog": None, "max_delay": None}


@pytest.fixture(params=["a.dat", "a.raw", "a.csv"])
def path(request, tmp_path):
    rng = np.random.default_rng(0)
    events = np.zeros(500, EVENT_DTYPE)
    events["t"] = 7_000 + np.sort(rng.integers(0, 20_000, 500))
    events["x"], events["y"] = rng.integers(0, 32, 500), rng.integers(0, 24, 500)
    path = tmp_path / request.param
    if path.suffix == ".csv":
        rows = "".join(f"{t},{x},{y},{p}\n" for t, x, y, p in events.tolist())
        path.write_text("32 24\n" + rows)
    else:
        (write_dat if path.suffix == ".dat" else write_evt3)(path, [events], SIZE)
    return path


def same(found, expected):
    assert [frame.t for frame in found] == [frame.t for frame in expected]
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine.frame, theirs.frame)
        np.testing.assert_array_equal(mine.events, theirs.events)
        assert mine.delta_t == theirs.delta_t
        assert mine.picture is None


def test_a_source_without_events_has_no_frames(tmp_path):
    write_dat(tmp_path / "a.dat", [], SIZE)
    stream = open_live(tmp_path / "a.dat", SPEC, **ALL)
    assert isinstance(stream, FrameStream)
    assert list(stream) == []
    assert (stream.size, stream.frame_size) == (SIZE, SensorSize(12, 16))
    assert (stream.name, stream.num_frames, stream.delta_t) == ("a", None, 1000)
    assert (stream.num_skipped, stream.num_late) == (0, 0)


def test_frames_are_those_of_the_recording(path):
    expected = list(open_frames(path, SPEC))
    same(list(open_live(path, SPEC, **ALL)), expected)
    same(list(open_live(io.BytesIO(path.read_bytes()), SPEC, **ALL)), expected)
    with path.open("rb") as file:
        same(list(open_live(file, SPEC, **ALL)), expected)
    stream = open_live(str(path), SPEC, follow=True, idle_timeout=0, **ALL)
    same(list(stream), expected)


def test_each_frame_says_when_its_window_was_complete(path):
    before = time.monotonic()
    arrivals = [frame.arrived for frame in open_live(path, SPEC, **ALL)]
    assert before < arrivals[0]
    assert arrivals == sorted(arrivals)
    assert arrivals[-1] <= time.monotonic()


def test_waiting_time_bins_become_one_frame_with_every_event(path):
    stream = open_live(path, SPEC, max_age=50_000, max_delay=None)
    assert stream.merges
    frames = []
    for frame in stream:
        frames.append(frame)
        time.sleep(0.005)
    expected = list(open_frames(path, SPEC))
    assert (stream.num_skipped, stream.num_late) == (0, 0)
    assert len(frames) < len(expected)
    assert sum(frame.delta_t for frame in frames) == 1000 * len(expected)
    assert frames[0].t - frames[0].delta_t == expected[0].t - 1000
    assert frames[-1].t == expected[-1].t
    np.testing.assert_array_equal(
        np.concatenate([frame.events for frame in frames]),
        np.concatenate([frame.events for frame in expected]),
    )
    assert not open_live(path, SPEC, max_age=50_000, waiting="skip").merges
    assert not open_live(path, SPEC).merges


def test_a_growing_file_gives_each_frame_as_its_window_closes(path):
    content = path.read_bytes()
    expected = list(open_frames(path, SPEC))
    growing = path.with_name("growing" + path.suffix)
    growing.write_bytes(content[: len(content) // 2])
    stream = open_live(growing, SPEC, follow=True, **ALL)
    frames = iter(stream)
    found = [next(frames) for _ in range(5)]
    with growing.open("ab") as file:
        for byte in range(len(content) // 2, len(content), 777):
            file.write(content[byte : byte + 777])
            file.flush()
    found += [next(frames) for _ in range(len(expected) - 6)]
    stream.stop()
    same(found + list(frames), expected)


def test_a_growing_file_that_is_written_anew_is_an_error(path):
    stream = open_live(path, SPEC, follow=True, **ALL)
    frames = iter(stream)
    next(frames)
    threading.Timer(0.05, lambda: path.write_bytes(b"%")).start()
    with pytest.raises(RecordingError, match="was truncated"):
        list(frames)


def test_standard_input_is_a_source(path, monkeypatch):
    expected = list(open_frames(path, SPEC))
    with path.open("rb") as file:
        monkeypatch.setattr(Pipe, "read", lambda self: os.read(file.fileno(), 1000))
        stream = open_live("-", SPEC, **ALL)
        assert stream.name == "standard_input"
        same(list(stream), expected)


def test_another_sensor_size_is_warned_of_once(tmp_path, caplog):
    write_dat(tmp_path / "a.dat", [], SensorSize(48, 128))
    stream = open_live(tmp_path / "a.dat", SPEC, **ALL)
    assert stream.frame_size == SensorSize(6, 16)
    assert caplog.text.count("with its proportions") == 1
    stream.stop()


def test_what_does_not_fit_is_refused(path, tmp_path):
    with pytest.raises(ValueError, match=r"standard input is a live source .* on pictures"):
        open_live("-", dataclasses.replace(SPEC, preprocess="none", in_channels=3))
    with pytest.raises(ValueError, match="ready_made"):
        open_live(path, dataclasses.replace(SPEC, preprocess="ready_made"))
    with pytest.raises(ValueError, match="makes frames of 2 channels, and the detector takes 9"):
        open_live(path, dataclasses.replace(SPEC, in_channels=9))
    with pytest.raises(ValueError, match="cannot follow"):
        open_live("-", SPEC, follow=True)
    with pytest.raises(ValueError, match="max_age must be at least 1 microsecond, got 0"):
        open_live(path, SPEC, max_age=0)
    with pytest.raises(ValueError, match="idle_timeout must be 0 or more, got -1"):
        open_live(path, SPEC, follow=True, idle_timeout=-1)
    for follow in (False, True):
        with pytest.raises(RecordingError, match=r"b\.dat: No such file"):
            open_live(tmp_path / "b.dat", SPEC, follow=follow)


SCRIPT = """
import sys
from evdet import FrameSpec, open_live
spec = FrameSpec(preprocess="histogram", delta_t=1000, height=12, width=16, in_channels=2)
stream = open_live("-", spec, max_backlog=None, max_delay=None)
for frame in stream:
    print(frame.t, len(frame.events), flush=True)
print("end", stream.num_skipped, stream.num_late)
"""


@pytest.mark.slow
def test_a_pipe_is_played_to_its_end(path):
    expected = [(frame.t, len(frame.events)) for frame in open_frames(path, SPEC)]
    command = f"cat {shlex.quote(str(path))} | {sys.executable} -W error -c {shlex.quote(SCRIPT)}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    *lines, end = done.stdout.splitlines()
    assert [tuple(map(int, line.split())) for line in lines] == expected
    assert end == "end 0 0"
    assert done.stderr == ""


@pytest.mark.slow
def test_ctrl_c_ends_a_pipe_that_is_silent(path):
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdin.buffer.write(path.read_bytes())
    process.stdin.buffer.flush()
    expected = [f"{frame.t} {len(frame.events)}" for frame in open_frames(path, SPEC)]
    # The last window is still open: nothing has come after it.
    closed = [process.stdout.readline().strip() for _ in expected[:-1]]
    time.sleep(1)
    process.send_signal(2)
    rest, errors = process.communicate(timeout=60)
    assert [*closed, *rest.splitlines()[:-1]] == expected
    assert rest.splitlines()[-1] == "end 0 0"
    assert errors == ""
    assert process.returncode == 0


def test_background_activity_that_training_left_out_is_left_out(path):
    expected = list(open_frames(path, dataclasses.replace(SPEC, background_filter=2500)))
    assert sum(len(frame.events) for frame in expected) < 500
    same(list(open_live(path, dataclasses.replace(SPEC, background_filter=2500), **ALL)), expected)


def test_hot_pixels_stay_in_and_a_warning_says_so(path, caplog):
    stream = open_live(path, dataclasses.replace(SPEC, remove_hot_pixels=True), **ALL)
    assert "hot pixels are not removed" in caplog.text
    same(list(stream), list(open_frames(path, SPEC)))
