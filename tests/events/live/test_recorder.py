import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from camera_stand_in import UNPLUGGED, Lost, StandInCamera, connect, evt3_words, polarity
from evdet.events.dat.reader import write_dat
from evdet.events.dtypes import EVENT_DTYPE, SensorSize
from evdet.events.files import ReadOptions
from evdet.events.live import dv_network, opening
from evdet.events.live.recorder import record
from evdet.events.raw.writer import write_evt3
from evdet.events.recording import open_recording

SIZE = SensorSize(height=24, width=32)
DAY = 86_400_000_000


def events_at(times):
    events = np.zeros(len(times), EVENT_DTYPE)
    events["t"] = times
    events["x"], events["y"] = np.arange(len(times)) % 32, np.arange(len(times)) % 24
    events["p"] = np.arange(len(times)) % 2
    return events


EVENTS = events_at(np.sort(np.random.default_rng(0).integers(0, 300_000, 3000)))


def read(path):
    return np.concatenate([np.zeros(0, EVENT_DTYPE), *open_recording(path).blocks()])


@pytest.fixture
def raw(tmp_path):
    write_evt3(tmp_path / "source.raw", [EVENTS], SIZE)
    return tmp_path / "source.raw"


class Decoded:
    """An `EventSource` of arrays."""

    format = "stand-in"
    size = SIZE

    def __init__(self, *parts):
        self._parts = [*parts, np.zeros(0, EVENT_DTYPE)]

    def read(self):
        return self._parts.pop(0)

    def stop(self):
        pass

    def close(self):
        pass


@pytest.fixture
def network(monkeypatch):
    """Let a network stream give these arrays."""

    def serve(*parts):
        source = Decoded(*parts)
        source.name = "tcp://a:1"
        monkeypatch.setattr(opening, "DvNetwork", lambda host, port: source)

    assert opening.DvNetwork is dv_network.DvNetwork
    return serve


def test_a_source_without_data_writes_nothing(tmp_path):
    done = record(io.BytesIO(b""), tmp_path / "a.raw")
    assert (done.num_events, done.num_bytes) == (0, 0)
    assert done.problem == "stream ended without data: is its sender running?"
    assert not (tmp_path / "a.raw").exists()


def test_a_source_without_data_replaces_nothing(tmp_path):
    (tmp_path / "a.raw").write_bytes(b"precious")
    record(io.BytesIO(b"no events"), tmp_path / "a.raw", overwrite=True)
    assert (tmp_path / "a.raw").read_bytes() == b"precious"


def test_bytes_of_raw_are_copied_as_they_are(tmp_path, raw):
    done = record(io.BytesIO(raw.read_bytes()), tmp_path / "a.raw")
    assert (tmp_path / "a.raw").read_bytes() == raw.read_bytes()
    assert (done.num_events, done.num_bytes) == (3000, raw.stat().st_size)
    assert (done.format, done.size, done.shift, done.problem) == ("EVT3", SIZE, 0, None)
    assert done.duration == EVENTS["t"][-1] - EVENTS["t"][0]


@pytest.mark.parametrize("kind", ["dat", "text", "words"])
def test_other_formats_become_evt3(tmp_path, raw, kind):
    options = ReadOptions(format="evt3") if kind == "words" else ReadOptions()
    if kind == "dat":
        write_dat(tmp_path / "a.dat", [EVENTS], SIZE)
        content = (tmp_path / "a.dat").read_bytes()
    elif kind == "text":
        content = b"32 24\n" + b"".join(b"%d,%d,%d,%d\n" % tuple(one) for one in EVENTS.tolist())
    else:
        content = evt3_words(raw)
    done = record(io.BytesIO(content), tmp_path / "a.raw", size=SIZE, options=options)
    assert done.problem is None
    np.testing.assert_array_equal(read(tmp_path / "a.raw"), EVENTS)
    assert open_recording(tmp_path / "a.raw").size == SIZE


def test_a_size_that_the_header_states_incorrectly_is_corrected(tmp_path, raw):
    larger = SensorSize(48, 64)
    record(io.BytesIO(raw.read_bytes()), tmp_path / "a.raw", size=larger)
    assert open_recording(tmp_path / "a.raw").size == larger
    np.testing.assert_array_equal(read(tmp_path / "a.raw"), EVENTS)


def test_text_without_a_size_needs_one(tmp_path):
    done = record(io.BytesIO(b"1,2,3,1\n" * 100), tmp_path / "a.raw")
    assert "does not state its sensor size: give it" in done.problem
    assert not (tmp_path / "a.raw").exists()


def test_words_of_a_camera_are_recorded_with_a_header(tmp_path, monkeypatch, raw):
    words = evt3_words(raw)
    packets = [words[:100], None, Lost(words[100:]), UNPLUGGED]
    connect(monkeypatch, StandInCamera("Prophesee EVK4", packets, serial="A1", size=SIZE))
    done = record("camera", tmp_path / "a.raw")
    content = (tmp_path / "a.raw").read_bytes()
    assert content.endswith(b"% end\n" + words)
    header = content[: content.index(b"% end\n")].decode()
    assert header.startswith("% date 20")
    for line in ("% evt 3.0", "% format EVT3;height=24;width=32", "% serial_number A1"):
        assert f"{line}\n" in header
    assert (done.name, done.num_events, done.num_overflows) == ("Prophesee EVK4 (A1)", 3000, 1)
    assert done.problem.startswith("Prophesee EVK4 (A1) does not send any more")
    np.testing.assert_array_equal(read(tmp_path / "a.raw"), EVENTS)


def test_events_of_a_camera_become_evt3(tmp_path, monkeypatch):
    packets = [polarity(EVENTS[:7]), polarity(EVENTS[7:]), UNPLUGGED]
    connect(monkeypatch, StandInCamera("iniVation DAVIS 346", packets, size=SIZE))
    assert record("camera:davis", tmp_path / "a.raw").num_events == 3000
    np.testing.assert_array_equal(read(tmp_path / "a.raw"), EVENTS)


@given(st.integers(0, 2**51), st.lists(st.integers(0, 2_000_000), min_size=1, max_size=9))
def test_times_of_the_network_are_kept_up_to_whole_seconds(tmp_path_factory, start, steps):
    path = tmp_path_factory.mktemp("a") / "a.raw"
    events = events_at(start + np.cumsum(steps))
    with pytest.MonkeyPatch.context() as monkeypatch:
        source = Decoded(*(events[at : at + 3] for at in range(0, len(events), 3)))
        source.name = "tcp://a:1"
        monkeypatch.setattr(opening, "DvNetwork", lambda host, port: source)
        done = record("tcp://a:1", path)
    assert done.problem is None
    assert done.shift % 1_000_000 == 0
    assert done.shift == 0 or events["t"][0] >= DAY
    found = read(path)
    found["t"] += done.shift
    np.testing.assert_array_equal(found, events)


def test_a_sensor_that_evt3_cannot_hold_is_said(tmp_path, network):
    network(events_at([1, 2]))
    done = record("tcp://a:1", tmp_path / "a.raw", size=SensorSize(3000, 4000))
    assert "the sensor is 4000x3000 (width x height), the format holds" in done.problem
    assert not (tmp_path / "a.raw").exists()


def test_a_recording_ends_after_its_duration(tmp_path, network):
    network(events_at(range(0, 1000, 10)), events_at(range(1000, 2000, 10)), events_at([9000]))
    done = record("tcp://a:1", tmp_path / "a.raw", duration=500)
    assert done.num_events == 100
    assert done.problem is None


def test_a_silent_source_ends_after_its_duration_by_the_clock(tmp_path, monkeypatch, raw):
    camera = StandInCamera("Prophesee EVK4", [evt3_words(raw)], size=SIZE)  # and then nothing
    connect(monkeypatch, camera)
    began = time.monotonic()
    done = record("camera", tmp_path / "a.raw", duration=800_000)
    assert 0.3 < time.monotonic() - began < 5
    assert (done.num_events, done.problem) == (3000, None)
    assert camera.is_closed


def test_damage_ends_a_recording_with_the_events_before(tmp_path, raw):
    content = raw.read_bytes() + np.array([0x0001, 0x27FF], "<u2").tobytes()
    done = record(io.BytesIO(content), tmp_path / "a.raw")
    assert "bytes were lost or changed in transit" in done.problem
    assert done.num_events == 3000


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_message(tmp_path, network):
    (tmp_path / "a.raw").symlink_to("/dev/full")
    network(EVENTS)
    done = record("tcp://a:1", tmp_path / "a.raw", overwrite=True)
    assert done.problem == (
        f"cannot write {tmp_path / 'a.raw'}: No space left on device. It has the 0 events before"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.mp4", r"cannot record to .*a.mp4: unsupported format '.mp4' \(supported: .raw\)"),
        ("a", r"unsupported format ''"),
        ("none/a.raw", r"the folder .*none does not exist"),
        ("there.raw", r"there.raw: it exists \(name another file, or .* --force\)"),
        ("folder.raw", r"it is a folder"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_the_source_is_opened(
    tmp_path, name, message
):
    (tmp_path / "there.raw").write_bytes(b"precious")
    (tmp_path / "folder.raw").mkdir()
    with pytest.raises(ValueError, match=message):
        record("camera", tmp_path / name)
    assert (tmp_path / "there.raw").read_bytes() == b"precious"


def test_ctrl_c_ends_a_recording_without_a_problem(tmp_path, monkeypatch, raw):
    camera = StandInCamera("Prophesee EVK4", [evt3_words(raw)], size=SIZE)
    connect(monkeypatch, camera)
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    done = record("camera", tmp_path / "a.raw")
    timer.join()
    assert (done.num_events, done.problem) == (3000, None)
    assert camera.is_closed


def test_a_killed_recording_can_be_read(tmp_path, raw):
    code = (
        "import sys; from pathlib import Path; from evdet.events.live import record\n"
        "record('-', Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.raw")]
    content = raw.read_bytes()
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        process.stdin.write(content[:-51])  # within a word
        process.stdin.flush()
        until = time.monotonic() + 60
        while time.monotonic() < until:
            path = tmp_path / "a.raw"
            if path.exists() and path.stat().st_size == len(content) - 51:
                break
            time.sleep(0.05)
        process.kill()
    found = read(tmp_path / "a.raw")
    assert 2900 < len(found) < 3000
    np.testing.assert_array_equal(found, EVENTS[: len(found)])
