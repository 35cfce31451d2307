"""Which reader opens a file: by its content, and by `--format` where that can be."""

import struct

import h5py
import numpy as np
import pytest

from evdet.events import ReadOptions, RecordingError, SensorSize, open_recording

ROWS = [(1000 + 9 * k, 7 * k % 60, 5 * k % 40, k % 2) for k in range(50)]
DAT = (
    b"% Data file containing CD events.\n% Version 2\n% Width 64\n% Height 48\n\x0c\x08"
    + b"".join(struct.pack("<II", t, p << 28 | y << 14 | x) for t, x, y, p in ROWS)
)
RAW = b"% evt 3.0\n% geometry 64x48\n% end\n" + struct.pack(
    "<4H", 0x8000, 0x6000 | 1000, 4, 0x2000 | 3
)
TEXT = "".join(f"{t} {x} {y} {p}\n" for t, x, y, p in ROWS).encode()
WITH_MAGIC = ("hdf5", "aedat2", "aedat2-davis", "aedat3", "aedat4", "es", "npy", "npz", "rosbag")


def read(path, **options):
    recording = open_recording(path, options=ReadOptions(**options))
    return recording, np.concatenate(list(recording.blocks()))


def test_a_dat_file_that_is_called_raw_is_read(tmp_path):
    path = tmp_path / "a.raw"
    path.write_bytes(DAT)
    recording, events = read(path)
    assert (recording.format, recording.size, events.tolist()) == ("DAT", SensorSize(48, 64), ROWS)


@pytest.mark.parametrize(
    ("content", "chosen", "stated"), [(RAW, "dat", "RAW"), (DAT, "raw", "DAT")]
)
def test_a_raw_or_dat_file_is_not_read_as_the_other(tmp_path, content, chosen, stated):
    path = tmp_path / "a.bin"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=rf"has the header of a {stated} file. Leave --format"):
        read(path, format=chosen)
    assert read(path)[0].size == SensorSize(48, 64)


@pytest.mark.parametrize("chosen", WITH_MAGIC)
def test_a_format_whose_first_bytes_are_missing_is_refused_without_talk_of_damage(tmp_path, chosen):
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT)
    with pytest.raises(RecordingError, match=rf"starts with b'1000.*Leave --format {chosen} out"):
        read(path, format=chosen)
    assert read(path)[1].tolist() == ROWS


def test_an_hdf5_file_behind_a_block_of_another_program_is_read_with_its_format(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", userblock_size=1024) as file:
        for place, name in enumerate("txyp"):
            file[f"events/{name}"] = np.array(ROWS)[:, place]
    assert read(path, format="hdf5")[1].tolist() == ROWS
