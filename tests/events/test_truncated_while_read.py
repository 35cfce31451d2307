"""Recordings that are truncated while they are read: what was read stays, and one error follows."""

import os
from pathlib import Path

import numpy as np
import pytest

from evdet import EVENT_DTYPE, open_recording
from evdet.events import RecordingError, SensorSize
from evdet.events.convert import WRITERS, convert

SIZE = SensorSize(34, 34)
NUM = 600_000


def random_events():
    rng = np.random.default_rng(0)
    events = np.zeros(NUM, EVENT_DTYPE)
    events["t"] = np.sort(rng.integers(0, 6_000_000, NUM))
    events["x"], events["y"] = rng.integers(0, 34, NUM), rng.integers(0, 34, NUM)
    events["p"] = rng.integers(0, 2, NUM)
    return events


def write(path: Path, events):
    if path.suffix in WRITERS:
        WRITERS[path.suffix](path, [events], SIZE)
    elif path.suffix == ".npy":
        np.save(path, events)
    elif path.suffix == ".bin":
        t = events["t"].astype(np.uint32)
        columns = [events["x"], events["y"], t >> 16 | events["p"].astype(np.uint32) << 7]
        columns += [t >> 8 & 255, t & 255]
        rows = np.stack([column.astype(np.uint8) for column in columns], axis=1)
        path.write_bytes(rows.tobytes())
    else:
        address = (127 - events["x"]) << 1 | events["y"] << 8 | (1 - events["p"])
        rows = np.stack([address, events["t"]], axis=1).astype(">u4")
        head = b"#!AER-DAT2.0\r\n# AEChip: ch.unizh.ini.jaer.chip.retina.DVS128\r\n"
        path.write_bytes(head + rows.tobytes())


@pytest.fixture(params=[".dat", ".raw", ".npy", ".bin", ".aedat"])
def written(request, tmp_path):
    path = tmp_path / f"a{request.param}"
    events = random_events()
    write(path, events)
    return path, events


def half(path):
    os.truncate(path, path.stat().st_size // 2 // 8 * 8)


def test_blocks_before_the_cut_are_delivered(written):
    path, events = written
    recording = open_recording(path)
    blocks = recording.blocks()
    found = [next(blocks)]
    half(path)
    with pytest.raises(RecordingError, match=r"truncated from .* while it was read"):
        found += blocks
    found = np.concatenate(found)
    assert len(found) >= 0.4 * NUM
    np.testing.assert_array_equal(found, events[: len(found)])


def test_time_bins_before_the_cut_are_delivered(written):
    path, events = written
    bins = open_recording(path).slices(20_000)
    found = [next(bins).events]
    half(path)
    with pytest.raises(RecordingError, match="truncated"):
        found += (time_bin.events for time_bin in bins)
    found = np.concatenate(found)
    assert len(found) >= 0.4 * NUM
    np.testing.assert_array_equal(found, events[: len(found)])


def test_an_interval_behind_the_cut_is_refused(written):
    path, _ = written
    recording = open_recording(path)
    assert len(recording.slice(5_900_000, 5_990_000))
    half(path)
    with pytest.raises(RecordingError, match="truncated"):
        recording.slice(5_800_000, 5_850_000)


def test_convert_keeps_what_was_read(written, tmp_path):
    path, _ = written
    halved = []

    def progress(_):
        if not halved:
            halved.append(half(path))

    done = convert(open_recording(path), tmp_path / "x.h5", progress=progress)

    assert "truncated" in done.problem
    assert len(open_recording(tmp_path / "x.h5")) == done.num_written > 0
