"""AEDAT 3.1 files as cAER and DV write them."""

import contextlib
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.events import (
    EVENT_DTYPE,
    ReadOptions,
    RecordingError,
    SensorSize,
    StreamChoiceError,
    open_recording,
)

HEADER = (
    b"#!AER-DAT3.1\r\n#Format: RAW\r\n%s"
    b"#Start-Time: 2018-03-02 11:17:31 (TZ+0100)\r\n#-Source 0: DVS128\r\n#!END-HEADER\r\n"
)
ONE = HEADER % b"#Source 1: DAVIS240C\r\n"
TWO = HEADER % b"#Source 1: DAVIS240C\r\n#Source 2: DAVIS346B\r\n"
TWINS = HEADER % b"#Source 1: DAVIS240C\r\n#Source 2: DAVIS240C\r\n"


def some_events(num=300, *, width=240, height=180, start=0, seed=0):
    rng = np.random.default_rng(seed)
    events = np.zeros(num, EVENT_DTYPE)
    events["t"] = start + np.cumsum(rng.integers(0, 300, num))
    events["x"], events["y"] = rng.integers(0, width, num), rng.integers(0, height, num)
    events["p"] = rng.integers(0, 2, num)
    return events


def head(kind, source, num_bytes, num, *, offset=4, overflow=0, capacity=None, valid=None):
    return struct.pack(
        "<hhiiiiii",
        kind, source, num_bytes, offset, overflow,
        num if capacity is None else capacity, num, num if valid is None else valid,
    )  # fmt: skip


def packet(events, *, source=1, valid=True, capacity=None):
    x, y, p = (events[name].astype(np.int64) for name in "xyp")
    overflows = set((events["t"] >> 31).tolist())
    assert len(overflows) <= 1
    words = np.stack([x << 17 | y << 2 | p << 1 | valid, events["t"] & 0x7FFFFFFF], axis=1)
    overflow = overflows.pop() if overflows else 0
    own = head(1, source, 8, len(events), overflow=overflow, capacity=capacity)
    return own + words.astype("<u4").tobytes()


def file_of(folder, *parts, name="a.aedat"):
    (folder / name).write_bytes(b"".join(parts))
    return folder / name


def read_all(recording):
    return np.concatenate([np.empty(0, EVENT_DTYPE), *recording.blocks()])


def test_a_header_alone_has_no_events(tmp_path):
    recording = open_recording(file_of(tmp_path, ONE))
    assert len(read_all(recording)) == 0
    assert (recording.format, recording.size) == ("AEDAT 3.1", SensorSize(180, 240))


@pytest.mark.parametrize("capacity", [None, 5000])
def test_the_events_of_all_packets_are_read(tmp_path, capacity):
    events = some_events()
    path = file_of(
        tmp_path, ONE, packet(events[:100], capacity=capacity), packet(events[:0]),
        packet(events[100:]),
    )  # fmt: skip
    recording = open_recording(path)
    np.testing.assert_array_equal(read_all(recording), events)
    np.testing.assert_array_equal(read_all(pickle.loads(pickle.dumps(recording))), events)
    assert (recording.size, len(recording)) == (SensorSize(180, 240), 300)


def test_other_packets_and_invalid_events_are_passed_over(tmp_path):
    events = some_events()
    others = [
        head(0, 1, 8, 2) + bytes(16),  # special events
        head(2, 1, 100, 1, offset=12) + bytes(100),  # a picture
        head(3, 1, 36, 3) + bytes(108),  # the inertial sensor
        packet(events[:7], valid=False),
    ]
    path = file_of(tmp_path, ONE, *others, packet(events[:100]), *others, packet(events[100:]))
    np.testing.assert_array_equal(read_all(open_recording(path)), events)


def test_the_clock_goes_on_over_31_bits(tmp_path):
    before, after = some_events(start=(1 << 31) - 300 * 300), some_events(start=1 << 31)
    before = before[before["t"] < 1 << 31]
    path = file_of(tmp_path, ONE, packet(before), packet(after))
    np.testing.assert_array_equal(
        read_all(open_recording(path))["t"], np.concatenate([before["t"], after["t"]])
    )


def test_more_events_than_a_block_holds(tmp_path, monkeypatch):
    monkeypatch.setattr("evdet.events.aedat.aedat3._MAX_BLOCK", 7)
    events = some_events()
    recording = open_recording(file_of(tmp_path, ONE, packet(events)))
    np.testing.assert_array_equal(read_all(recording), events)


def test_an_unknown_camera_has_the_size_of_its_events(tmp_path):
    header = HEADER % b"#Source 1: MyCam\r\n"
    recording = open_recording(file_of(tmp_path, header, packet(some_events(width=31, height=9))))
    assert (recording.size, recording.size_source) == (SensorSize(9, 31), "from the events")


@pytest.mark.parametrize(
    ("header", "names"), [(TWO, ("DAVIS240C", "DAVIS346B")), (TWINS, ("1", "2"))]
)
def test_several_cameras_are_named_and_chosen(tmp_path, header, names):
    one, two = some_events(), some_events(seed=1)
    path = file_of(tmp_path, header, packet(one[:50]), packet(two, source=2), packet(one[50:]))
    with pytest.raises(StreamChoiceError, match=f"--stream {names[0]}") as error:
        open_recording(path)
    assert error.value.streams == names
    for name, number, events in zip(names, "12", (one, two), strict=True):
        for wanted in (name, number):
            recording = open_recording(path, options=ReadOptions(stream=wanted))
            np.testing.assert_array_equal(read_all(recording), events)
    with pytest.raises(StreamChoiceError, match="no stream 'left'"):
        open_recording(path, options=ReadOptions(stream="left"))


def test_a_camera_without_events_needs_no_choice(tmp_path):
    events = some_events()
    recording = open_recording(file_of(tmp_path, TWO, packet(events)))
    np.testing.assert_array_equal(read_all(recording), events)


@pytest.mark.parametrize("cut", [1, 20, 27, 28, 36, 100])
def test_what_lies_before_the_cut_is_delivered(tmp_path, cut):
    events = some_events()
    whole = ONE + packet(events[:200])
    path = file_of(tmp_path, whole, packet(events[200:])[:cut])
    recording = open_recording(path)
    parts = []
    with pytest.raises(RecordingError, match=r"is truncated in .* byte \d+"):
        parts.extend(recording.blocks())
    num = 200 + max(cut - 28, 0) // 8
    np.testing.assert_array_equal(np.concatenate(parts), events[:num])
    assert len(recording) == num


def test_an_event_outside_the_named_sensor_is_damage(tmp_path):
    events = some_events()
    events["x"][60] = 240
    with pytest.raises(RecordingError, match="x=240"):
        read_all(open_recording(file_of(tmp_path, ONE, packet(events))))


@pytest.mark.parametrize(
    "wrong",
    [
        head(1, 1, 8, -1),
        head(1, 1, 4, 1),
        head(1, -1, 8, 1),
        head(999, 1, 8, 1),
        head(1, 1, 8, 1, offset=0),
        head(1, 1, 8, 1, overflow=-1),
    ],
)
def test_a_head_of_garbage_is_damage(tmp_path, wrong):
    path = file_of(tmp_path, ONE, packet(some_events()), wrong, bytes(100))
    recording = open_recording(path)
    with pytest.raises(RecordingError, match=r"there is no packet"):
        read_all(recording)
    assert len(recording) == 300


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"#!AER-DAT3.0\r\n#Format: RAW\r\n", "an AEDAT 3.0 file"),
        (b"#!AER-DAT1.0\r\n", "an AEDAT 1 file"),
        (b"#!AER-DAT3.1\r\n#Format: SerializedTS\r\n#!END-HEADER\r\n", "compressed"),
    ],
)
def test_other_versions_are_refused_with_what_to_do(tmp_path, header, message):
    with pytest.raises(RecordingError, match=f"{message}.*Convert it to AEDAT4"):
        open_recording(file_of(tmp_path, header, bytes(100)))


@given(junk=st.binary(max_size=200))
def test_any_bytes_behind_a_header_end_well(tmp_path_factory, junk):
    path = file_of(tmp_path_factory.getbasetemp(), ONE, junk, name="junk3.aedat")
    with contextlib.suppress(RecordingError):
        assert len(read_all(open_recording(path))) <= len(junk) // 8
