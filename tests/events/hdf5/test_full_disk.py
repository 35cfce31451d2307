"""HDF5 files on a disk that becomes full."""

import errno
import io

import h5py
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from evdet import EVENT_DTYPE, open_recording
from evdet.atomic_file import WriteError
from evdet.events import SensorSize
from evdet.events.hdf5 import write_dsec
from evdet.events.hdf5.full_disk import HDF5Sink

SIZE = SensorSize(48, 64)


class SmallDisk(io.BytesIO):
    """A file that holds some bytes, and takes a few at a time."""

    def __init__(self, num_bytes):
        super().__init__()
        self._num_bytes = num_bytes

    def write(self, data):
        free = self._num_bytes - self.tell()
        if free <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data[: min(free, 1000)])


def fill(sink):
    with h5py.File(sink, "w") as file:
        column = file.create_dataset("a", shape=(0,), maxshape=(None,), chunks=(1000,), dtype="u4")
        for k in range(5):
            column.resize(1000 * (k + 1), axis=0)
            column[1000 * k :] = np.arange(1000) + k


def test_an_empty_disk_is_a_failure_that_is_kept():
    sink = HDF5Sink(SmallDisk(0))
    fill(sink)
    assert sink.failure.errno == errno.ENOSPC


def test_a_disk_with_room_holds_the_file():
    disk = SmallDisk(1 << 20)
    sink = HDF5Sink(disk)
    fill(sink)
    assert sink.failure is None
    with h5py.File(io.BytesIO(disk.getvalue())) as file:
        assert file["a"][::1000].tolist() == [0, 1, 2, 3, 4]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 15_000))
def test_hdf5_goes_on_wherever_the_disk_becomes_full(num_bytes):
    sink = HDF5Sink(SmallDisk(num_bytes))
    fill(sink)
    assert sink.failure is not None


def events_at(*times):
    events = np.zeros(len(times), EVENT_DTYPE)
    events["t"] = times
    return events


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError(errno.EIO, "of the source", "a.dat")])
def test_an_error_of_the_source_leaves_no_file(tmp_path, stop):
    def blocks():
        yield events_at(1, 2)
        raise stop

    with pytest.raises(stop if isinstance(stop, type) else OSError):
        write_dsec(tmp_path / "x.h5", blocks(), SIZE)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_file_and_names_it(tmp_path, monkeypatch):
    write_dsec(tmp_path / "x.h5", [events_at(1, 2, 3)], SIZE)
    full = OSError(errno.ENOSPC, "No space left on device")

    def fail(self, data):
        self.failure = full
        return memoryview(data).nbytes

    monkeypatch.setattr(HDF5Sink, "write", fail)
    with pytest.raises(WriteError, match=r"cannot write .*x\.h5: No space left on device"):
        write_dsec(tmp_path / "x.h5", [events_at(1)], SIZE)
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]
    assert len(open_recording(tmp_path / "x.h5")) == 3
