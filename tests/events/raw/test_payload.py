"""RAW words without a header: read as the user says, and never as another format."""

import pickle

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.events import (
    EVENT_DTYPE,
    ReadOptions,
    RecordingError,
    SensorSize,
    open_recording,
)
from evdet.events.raw import PAYLOADS, guess_payload, payload_header, write_evt3

SIZE = SensorSize(height=48, width=64)


def some_events(num=3000, *, seed=0, start=0):
    rng = np.random.default_rng(seed)
    events = np.zeros(num, EVENT_DTYPE)
    events["t"] = start + np.cumsum(rng.integers(0, 40, num))
    events["x"], events["y"] = rng.integers(0, 64, num), rng.integers(0, 48, num)
    events["p"] = rng.integers(0, 2, num)
    return events


def evt2_words(events):
    high = -1
    for t, x, y, p in events.tolist():
        if t >> 6 != high:
            high = t >> 6
            yield 8 << 28 | high
        yield p << 28 | (t & 63) << 22 | x << 11 | y


def evt21_words(events):
    high = -1
    for t, x, y, p in events.tolist():
        if t >> 6 != high:
            high = t >> 6
            yield (8 << 28 | high) << 32
        yield (p << 28 | (t & 63) << 22 | (x & ~31) << 11 | y) << 32 | 1 << (x & 31)


def payload_of(name, events, folder):
    if name == "evt3":
        write_evt3(folder / "made.raw", [events], SIZE)
        return (folder / "made.raw").read_bytes().split(b"% end\n", 1)[1]
    words = evt2_words(events) if name == "evt2" else evt21_words(events)
    return np.array(list(words), "<u4" if name == "evt2" else "<u8").tobytes()


def read_all(recording):
    return np.concatenate([np.empty(0, EVENT_DTYPE), *recording.blocks()])


FORMATS = pytest.mark.parametrize("name", PAYLOADS)


@FORMATS
def test_no_words_are_no_events(tmp_path, name):
    (tmp_path / "a.raw").write_bytes(b"\x00")
    recording = open_recording(tmp_path / "a.raw", options=ReadOptions(format=name))
    assert len(recording) == 0 or name == "evt3"


@FORMATS
@pytest.mark.parametrize("file_name", ["a.raw", "a.bin", "a", "a.dat"])
def test_words_are_read_in_the_format_that_is_named(tmp_path, name, file_name):
    events = some_events()
    (tmp_path / file_name).write_bytes(payload_of(name, events, tmp_path))

    recording = open_recording(tmp_path / file_name, size=SIZE, options=ReadOptions(format=name))

    np.testing.assert_array_equal(read_all(recording), events)
    np.testing.assert_array_equal(recording.slice(20_000, 40_000), events[
        (events["t"] >= 20_000) & (events["t"] < 40_000)
    ])  # fmt: skip
    assert (recording.size, recording.size_source) == (SIZE, "as asked")


@FORMATS
def test_without_a_size_the_events_decide(tmp_path, name):
    (tmp_path / "a.raw").write_bytes(payload_of(name, some_events(), tmp_path))
    recording = open_recording(tmp_path / "a.raw", options=ReadOptions(format=name))
    assert (recording.size, recording.size_source) == (SIZE, "from the events")


@FORMATS
@pytest.mark.parametrize("file_name", ["a.raw", "a.bin", "a"])
def test_without_a_format_the_message_names_it(tmp_path, name, file_name):
    (tmp_path / file_name).write_bytes(payload_of(name, some_events(), tmp_path))
    with pytest.raises(RecordingError, match=f"looks like .*--format {name} --sensor-size WxH"):
        open_recording(tmp_path / file_name)


@FORMATS
@given(seed=st.integers(0, 1000), start=st.sampled_from([0, 900_000_000, 2**33]))
def test_words_are_taken_for_no_other_format(tmp_path_factory, name, seed, start):
    folder = tmp_path_factory.getbasetemp()
    payload = payload_of(name, some_events(2000, seed=seed, start=start), folder)

    assert guess_payload(payload) == name
    for other in set(PAYLOADS) - {name}:
        with pytest.raises(RecordingError, match=f"look like {PAYLOADS[name].name}: --format"):
            payload_header(folder / "a.raw", payload, other)


@FORMATS
def test_random_bytes_are_refused(tmp_path, name):
    (tmp_path / "a.raw").write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(RecordingError, match=r"a\.raw holds no EVT.* words"):
        open_recording(tmp_path / "a.raw", options=ReadOptions(format=name))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"% evt 2.0\n% geometry 64x48\n% end\n" + bytes(80), "has a header of EVT2, not EVT3"),
        (b"% Version 2\n% Width 64\n% Height 48\n\x0c\x08" + bytes(80), "names no format"),
        (b"\x89HDF\r\n\x1a\n" + bytes(80), "is HDF5, not EVT3 without"),
        (b"#!AER-DAT2.0\r\n" + bytes(80), "is AEDAT 2, not EVT3 without"),
        (b"\x93NUMPY" + bytes(80), "is npy, not EVT3 without"),
    ],
)
def test_a_file_with_another_header_is_refused(tmp_path, content, message):
    (tmp_path / "a.raw").write_bytes(content)
    with pytest.raises(RecordingError, match=message):
        open_recording(tmp_path / "a.raw", options=ReadOptions(format="evt3"))


def test_a_header_of_the_same_format_is_used(tmp_path):
    events = some_events()
    write_evt3(tmp_path / "a.raw", [events], SIZE)
    recording = open_recording(tmp_path / "a.raw", options=ReadOptions(format="evt3"))
    np.testing.assert_array_equal(read_all(recording), events)
    assert recording.size_source == "as stated in the file"


def test_words_that_begin_with_a_percent_sign_are_words(tmp_path):
    words = np.array([0x2025, 0x8001, 0x6002, 3, 0x2007] + [0x2008] * 40, "<u2")
    (tmp_path / "a.raw").write_bytes(words.tobytes())
    recording = open_recording(tmp_path / "a.raw", options=ReadOptions(format="evt3"))
    assert len(read_all(recording)) == 41
    assert recording.num_dropped == 1, "the event before the first time"


def test_rows_beyond_the_asked_sensor_are_dropped_as_with_a_header(tmp_path):
    words = np.array([0x8001, 0x6002, 47, 0x2007, 48, 0x2007], "<u2").tobytes()
    (tmp_path / "a.raw").write_bytes(words)
    recording = open_recording(tmp_path / "a.raw", size=SIZE, options=ReadOptions(format="evt3"))
    assert len(read_all(recording)) == 1
    assert recording.num_dropped == 1


def test_a_column_beyond_the_asked_sensor_names_the_options(tmp_path):
    words = np.array([0x8001, 0x6002, 47, 0x2007, 0x2050], "<u2").tobytes()
    (tmp_path / "a.raw").write_bytes(words)
    recording = open_recording(tmp_path / "a.raw", size=SIZE, options=ReadOptions(format="evt3"))
    with pytest.raises(RecordingError, match=r"x=80.*--sensor-size or --format is wrong"):
        read_all(recording)


def test_the_index_beside_the_file_is_that_of_the_chosen_reading(tmp_path):
    """Rows beyond the sensor are dropped or not: the index counts them."""
    words = np.array([0x8001, 0x6002, 47, 0x2007, 48, 0x2007], "<u2").tobytes()
    path = tmp_path / "a.raw"
    path.write_bytes(words)
    for _ in range(2):
        assert len(open_recording(path, options=ReadOptions(format="evt3"))) == 2
        assert len(open_recording(path, size=SIZE, options=ReadOptions(format="evt3"))) == 1
    header = b"% evt 3.0\n% geometry 64x48\n% end\n"
    path.write_bytes(header + words)
    assert len(open_recording(path)) == 1


def test_a_copy_in_another_process_reads_the_same(tmp_path):
    events = some_events()
    (tmp_path / "a.raw").write_bytes(payload_of("evt2", events, tmp_path))
    recording = open_recording(tmp_path / "a.raw", size=SIZE, options=ReadOptions(format="evt2"))
    np.testing.assert_array_equal(read_all(pickle.loads(pickle.dumps(recording))), events)


REAL = {
    "evt3_sample.raw": "evt3",
    "sparklers_evt2.raw": "evt2",
    "vga_triggers_evt3.raw": "evt3",
}


@pytest.mark.parametrize("file_name", REAL)
def test_real_recordings_without_their_header(event_data, tmp_path, file_name):
    content = (event_data / "raw" / file_name).read_bytes()
    (tmp_path / "whole.raw").write_bytes(content)
    whole = open_recording(tmp_path / "whole.raw")
    at = payload_header(tmp_path / "whole.raw", content[:60_000], REAL[file_name]).num_bytes
    (tmp_path / "a.raw").write_bytes(content[at:])

    options = ReadOptions(format=REAL[file_name])
    recording = open_recording(tmp_path / "a.raw", size=whole.size, options=options)

    np.testing.assert_array_equal(read_all(recording), read_all(whole))
    with pytest.raises(RecordingError, match=f"--format {REAL[file_name]}"):
        open_recording(tmp_path / "a.raw")
