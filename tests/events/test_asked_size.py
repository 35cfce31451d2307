"""A size that the user gives is the sensor's, whatever the file states: in every format."""

import pickle
import struct

import h5py
import numpy as np
import pytest

from bag_maker import evt3_payload, mono_payload, packet, write_ros1
from evdet.events import EVENT_DTYPE, RecordingError, SensorSize, open_recording
from evdet.events.live.decoder import LiveDecoder

WIDE = SensorSize(height=720, width=1280)
NARROW = SensorSize(height=40, width=50)
ROWS = [(1000, 3, 4, 1), (1010, 1000, 30, 0), (1020, 600, 470, 1), (1030, 60, 45, 1)]
EVENTS = np.array(ROWS, EVENT_DTYPE)
# Every file states a sensor of 64x48, in which the second and the third event do not lie.


def evt2_words(rows):
    words = []
    for t, x, y, p in rows:
        words += [0x8 << 28 | t >> 6, p << 28 | (t & 63) << 22 | x << 11 | y]
    return struct.pack(f"<{len(words)}I", *words)


def dat_records(rows):
    return b"".join(struct.pack("<II", t, p << 28 | y << 14 | x) for t, x, y, p in rows)


def csv_lines(rows):
    return "".join(f"{x},{y},{p},{t}\n" for t, x, y, p in rows).encode()


def aedat2_records(rows):
    return b"".join(struct.pack(">II", y << 22 | x << 12 | p << 11, t) for t, x, y, p in rows)


def aedat3_packet(rows):
    head = struct.pack("<hhiiiiii", 1, 1, 8, 4, 0, len(rows), len(rows), len(rows))
    words = [(x << 17 | y << 2 | p << 1 | 1, t) for t, x, y, p in rows]
    return head + b"".join(struct.pack("<II", *pair) for pair in words)


STREAMED = {
    # The header of expelliarmus, whose system is a camera of 640x480.
    "a.raw": (b"% evt 2.0\n% geometry 64x48\n% system_ID 21\n% end\n", evt2_words),
    "b.raw": (b"% evt 3.0\n% geometry 64x48\n% end\n", evt3_payload),
    "a.dat": (b"% Data file\n% Version 2\n% Width 64\n% Height 48\n\x0c\x08", dat_records),
    "a.csv": (b"%geometry:64,48\n", csv_lines),
}
AEDAT = {
    "a.aedat": (
        b"#!AER-DAT2.0\r\n# AEChip: eu.seebetter.ini.chips.davis.Davis128\r\n",
        aedat2_records,
    ),
    "b.aedat": (b"#!AER-DAT3.1\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n", aedat3_packet),
}
FILES = [*STREAMED, *AEDAT, "a.h5", "a.npz", "evt3.bag", "mono.bag"]


def write(folder, name, rows=ROWS):
    path = folder / name
    if name in STREAMED or name in AEDAT:
        header, encode = {**STREAMED, **AEDAT}[name]
        path.write_bytes(header + encode(rows))
    elif name == "a.h5":
        with h5py.File(path, "w") as file:
            file.attrs["width"], file.attrs["height"] = 64, 48
            for field in "txyp":
                file[f"events/{field}"] = np.array(rows, EVENT_DTYPE)[field]
    elif name == "a.npz":
        columns = {field: np.array(rows, EVENT_DTYPE)[field] for field in "txyp"}
        np.savez(path, **columns, width=64, height=48)
    else:
        encode = evt3_payload if name == "evt3.bag" else mono_payload
        write_ros1(path, {"/events": [packet(encode(rows), encoding=path.stem, size=(48, 64))]})
    return path


def read_all(recording):
    return np.concatenate([np.empty(0, EVENT_DTYPE), *recording.blocks()])


@pytest.mark.parametrize("name", FILES)
def test_without_an_asked_size_an_event_outside_the_stated_one_is_damage(tmp_path, name):
    with pytest.raises(
        RecordingError, match=r"outside[^?]*sensor 64x48|outside[^?]*128x128"
    ) as caught:
        read_all(open_recording(write(tmp_path, name)))
    assert "--sensor-size WxH" in str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_a_larger_asked_size_wins_over_the_stated_one(tmp_path, name):
    path = write(tmp_path, name)
    recording = open_recording(path, size=WIDE)
    assert (recording.size, recording.size_source) == (WIDE, "as asked")
    np.testing.assert_array_equal(read_all(recording), EVENTS)
    np.testing.assert_array_equal(recording.slice(1005, 1025), EVENTS[1:3])
    assert (len(recording), recording.end) == (4, 1030)
    again = pickle.loads(pickle.dumps(recording))
    np.testing.assert_array_equal(read_all(again), EVENTS)


@pytest.mark.parametrize("name", FILES)
def test_events_outside_a_smaller_asked_size_are_refused_and_not_dropped(tmp_path, name):
    path = write(tmp_path, name, [ROWS[0], ROWS[3]])
    with pytest.raises(RecordingError, match=r"outside the sensor 50x40"):
        read_all(open_recording(path, size=NARROW))


def test_an_index_of_the_stated_size_does_not_serve_the_asked_one(tmp_path):
    path = write(tmp_path, "b.raw")
    assert len(open_recording(path)) == 1
    assert len(open_recording(path, size=WIDE)) == 4
    assert len(open_recording(path)) == 1


@pytest.mark.parametrize("name", STREAMED)
def test_the_asked_size_wins_in_a_live_source(tmp_path, name):
    header, encode = STREAMED[name]
    decoder = LiveDecoder("pipe", size=WIDE)
    parts = [decoder.feed(header + encode(ROWS)), decoder.finish()]
    assert (decoder.problem, decoder.size) == (None, WIDE)
    np.testing.assert_array_equal(np.concatenate(parts), EVENTS)
