"""Events -> an HDF5 file in the DSEC layout: small, with fast access to any interval."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from evdet.atomic_file import replacing
from evdet.events.dtypes import Events, RecordingError, SensorSize
from evdet.events.files import MAX_STEP_BACK, OrderCount, check_blocks, join_events, sort_by_time
from evdet.events.hdf5.filters import load_hdf5plugin
from evdet.events.hdf5.full_disk import RunHDF5, written_hdf5

__all__ = ["write_dsec"]

_CHUNK = 1 << 17  # events
_MAX_OFFSET = (1 << 32) - 1
_COLUMNS = {"t": "u4", "x": "u2", "y": "u2", "p": "u1"}


def write_dsec(path: Path, blocks: Iterable[Events], size: SensorSize) -> int:
    """Write events as `events/t`, `x`, `y`, `p`, with `ms_to_idx` and `t_offset`.

    Times are microseconds after `t_offset`, the time of the earliest event: four bytes each, or
    eight from the first event on that comes over 71 minutes later. Entry m of `ms_to_idx` is the
    first event with t >= 1000 m. The attributes `width` and `height` are the sensor's size. All
    datasets are compressed with Blosc (LZ4 after shuffle). Events that step back in time by up to
    20 ms are sorted.

    Args:
        path: the file; it appears when it is complete, and replaces an existing one.
        blocks: events.
        size: the sensor's size.

    Returns:
        Number of events written.

    Raises:
        RecordingError: an event lies outside the sensor, or over 20 ms before an earlier one;
            or hdf5plugin, which provides Blosc, is not installed.
        OSError: the file cannot be written, as on a full disk.
    """
    compression = _blosc()
    with replacing(path) as part, written_hdf5(part) as (file, run):
        return _write(file, run, _in_order(blocks, path, size), size, compression)


def _blosc() -> Any:
    try:
        hdf5plugin = load_hdf5plugin()
    except ImportError:
        raise RecordingError(
            "cannot write HDF5: hdf5plugin is not installed (pip install hdf5plugin)"
        ) from None
    return hdf5plugin.Blosc(cname="lz4", shuffle=hdf5plugin.Blosc.SHUFFLE)


def _in_order(blocks: Iterable[Events], path: Path, size: SensorSize) -> Iterator[Events]:
    """The events in order of time, in blocks of `_CHUNK` (the last one smaller)."""
    waiting: list[Events] = []
    num_held = 0  # of those waiting, seen before
    for block in check_blocks(blocks, OrderCount(), name=str(path), size=size):
        waiting.append(block)
        # Sorting only when the number has doubled keeps the cost per event constant.
        if sum(map(len, waiting)) < max(2 * num_held, 2 * _CHUNK):
            continue
        events = sort_by_time(join_events(waiting))
        sure = int(np.searchsorted(events["t"], events["t"][-1] - MAX_STEP_BACK, side="right"))
        num_whole = sure // _CHUNK * _CHUNK
        yield from _cut(events[:num_whole])
        waiting = [events[num_whole:]]
        num_held = len(waiting[0])
    yield from _cut(sort_by_time(join_events(waiting)))


def _cut(events: Events) -> Iterator[Events]:
    for first in range(0, len(events), _CHUNK):
        yield events[first : first + _CHUNK]


def _write(
    file: Any, run: RunHDF5, blocks: Iterable[Events], size: SensorSize, compression: Any
) -> int:
    columns = run(_Columns, file, size, compression)
    for block in blocks:
        run(columns.append, block)
    run(columns.finish)
    return columns.num_events


class _Columns:
    """The datasets while they grow."""

    def __init__(self, file: Any, size: SensorSize, compression: Any) -> None:
        self.num_events = 0
        self._file = file
        self._compression = compression
        self._columns = {
            name: _empty_column(file, f"events/{name}", dtype, compression)
            for name, dtype in _COLUMNS.items()
        }
        self._index = _empty_column(file, "ms_to_idx", "u8", compression)
        self._t_offset = 0
        file.attrs["width"], file.attrs["height"] = size.width, size.height

    def append(self, block: Events) -> None:
        if not self.num_events:
            self._t_offset = int(block["t"][0])
        times = block["t"] - self._t_offset
        last = int(times[-1])
        if last > _MAX_OFFSET and self._columns["t"].dtype.itemsize == 4:
            self._columns["t"] = _widened(self._file, self._columns["t"], self._compression)
        _append_index(self._index, times, self.num_events, last // 1000)
        _append(self._columns["t"], times)
        for name in "xyp":
            _append(self._columns[name], block[name])
        self.num_events += len(block)

    def finish(self) -> None:
        if self.num_events:
            # An interval that ends with the last event needs an end, too.
            _append(self._index, np.array([self.num_events]))
        self._file["t_offset"] = np.int64(self._t_offset)


def _empty_column(file: Any, name: str, dtype: str, compression: Any) -> Any:
    return file.create_dataset(
        name, shape=(0,), maxshape=(None,), chunks=(_CHUNK,), dtype=f"<{dtype}", **compression
    )


def _append(column: Any, values: Any) -> None:
    first = len(column)
    column.resize(first + len(values), axis=0)
    column[first:] = values


def _append_index(index: Any, times: Any, num_before: int, last_ms: int) -> None:
    """Append entries up to the last millisecond; a gap of hours makes many of them."""
    while len(index) <= last_ms:
        marks = np.arange(len(index), min(len(index) + 8 * _CHUNK, last_ms + 1)) * 1000
        _append(index, num_before + np.searchsorted(times, marks))


def _widened(file: Any, column: Any, compression: Any) -> Any:
    """The same column with eight bytes per time."""
    wide = _empty_column(file, "events/t_wide", "i8", compression)
    for first in range(0, len(column), _CHUNK):
        _append(wide, column[first : first + _CHUNK].astype(np.int64))
    del file["events/t"]
    file.move("events/t_wide", "events/t")
    return wide
