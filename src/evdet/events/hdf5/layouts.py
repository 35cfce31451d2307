"""Where the events lie in an HDF5 file: four columns, or one table.

A layout describes a file without holding it open, so that it can be sent to other processes:
`datasets`, by name, are an argument.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Num, Shaped

from evdet.events.dtypes import Events, SensorSize
from evdet.events.files import NumberColumns, TimeScale, to_events
from evdet.events.hdf5.ecf import MAX_CHUNK_EVENTS, chunk_start, decode_chunk

__all__ = ["ColumnLayout", "Datasets", "Reading", "TableLayout", "check_is_stored"]

_MAX_ECF_BYTES = 32 * MAX_CHUNK_EVENTS  # an event takes at most 26 bytes

Column = Num[np.ndarray, " E"]
Datasets = Mapping[str, Any]
Reading = tuple[Events, str | None]
"""Events, and what is wrong with the one after them; None if they are all."""


@dataclass(frozen=True)
class ColumnLayout:
    """Four datasets of one length, as in DSEC.

    Args:
        columns: their names, for t, x, y, p.
        num_events: events in all: the length of the shortest.
        missing: what is wrong after the last event, if anything.
        unit: events that are read at a time; only the last unit has fewer.
        scale: the unit of t.
        t_offset: microseconds to add to every time.
        stated_size: the sensor's size where the file states it.
        index: the dataset ms_to_idx, and the millisecond of its first entry.
        format: name of the layout, for display.
        axes: the axis along which the events of each column lie: MATLAB writes (1, N) or (N, 1).
    """

    columns: tuple[str, str, str, str]
    num_events: int
    missing: str | None
    unit: int
    scale: TimeScale
    t_offset: int
    stated_size: SensorSize | None
    index: tuple[str, int] | None
    format: str = "HDF5 (columns, as in DSEC)"
    axes: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def names(self) -> tuple[str, ...]:
        """The datasets that are read."""
        return self.columns if self.index is None else (*self.columns, self.index[0])

    def read(
        self, datasets: Datasets, first: int, stop: int, times: Column | None = None
    ) -> Reading:
        """The events first to stop - 1; `times` are theirs if known."""
        wanted = range(1 if times is not None else 0, 4)
        columns = [self._part(datasets, number, first, stop) for number in wanted]
        if times is None:
            return to_events(NumberColumns(*columns), self.scale, offset=self.t_offset)
        return to_events(NumberColumns(times, *columns), TimeScale("us"))

    def times(self, datasets: Datasets, first: int, stop: int) -> Column:
        """The times of the events first to stop - 1."""
        return self._in_microseconds(self._part(datasets, 0, first, stop))

    def first_time(self, datasets: Datasets, index: int) -> int:
        """Time of the event at `index`."""
        return int(self.times(datasets, index, index + 1)[0])

    def guess_index(self, datasets: Datasets, time: int) -> int | None:
        """The index that ms_to_idx gives."""
        if self.index is None:
            return None
        name, first_ms = self.index
        at = (time - self.t_offset) // 1000 - first_ms
        return int(datasets[name][at]) if 0 <= at < len(datasets[name]) else None

    def _part(
        self, datasets: Datasets, number: int, first: int, stop: int
    ) -> Shaped[np.ndarray, " E"]:
        """The numbers first to stop - 1 of a column."""
        dataset, axis = datasets[self.columns[number]], self.axes[number]
        check_is_stored(dataset, first, axis=axis)
        part = dataset[:, first:stop] if axis else dataset[first:stop]
        return np.asarray(part).reshape(-1)

    def _in_microseconds(self, values: Column) -> Column:
        zeros = np.broadcast_to(np.uint8(0), values.shape)
        columns = NumberColumns(values, zeros, zeros, zeros)
        events, problem = to_events(columns, self.scale, offset=self.t_offset)
        if problem is not None:
            raise ValueError(problem)
        times: Column = np.ascontiguousarray(events["t"])
        return times


@dataclass(frozen=True)
class TableLayout:
    """One dataset: with fields t, x, y, p, as in Metavision's files, or with four columns.

    Args:
        table: its name.
        fields: where t, x, y and p are: names of fields, or indices of columns.
        num_events: events in all.
        unit: events that are read at a time; with ECF one chunk.
        is_ecf: whether they are ECF-coded.
        scale: the unit of t.
        t_offset: microseconds to add to every time; none with ECF.
        stated_size: the sensor's size where the file states it.
        format: name of the layout, for display.
        missing: what is wrong after the last event, if anything.
        is_wide: whether the events lie along the second axis.
    """

    table: str
    fields: tuple[str | int, ...]
    num_events: int
    unit: int
    is_ecf: bool
    scale: TimeScale
    t_offset: int
    stated_size: SensorSize | None
    format: str
    missing: str | None = None
    is_wide: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The datasets that are read."""
        return (self.table,)

    def read(
        self, datasets: Datasets, first: int, stop: int, times: Column | None = None
    ) -> Reading:
        """The events first to stop - 1; with ECF one chunk."""
        table = datasets[self.table]
        if self.is_ecf:
            chunk, is_coded = self._chunk(table, first)
            if is_coded:
                events = decode_chunk(chunk, self.unit)
                if len(events) < stop - first:
                    raise ValueError(f"their chunk holds {len(events)} events")
                return events[: stop - first], None
            rows = np.frombuffer(chunk, table.dtype)[: stop - first]
        else:
            check_is_stored(table, first, axis=int(self.is_wide))
            rows = table[:, first:stop].T if self.is_wide else table[first:stop]
        return to_events(self._columns(rows), self.scale, offset=self.t_offset)

    def times(self, datasets: Datasets, first: int, stop: int) -> None:
        """None: a table has no column of times."""

    def first_time(self, datasets: Datasets, index: int) -> int:
        """Time of the event at `index`, the first of a chunk."""
        table = datasets[self.table]
        if self.is_ecf:
            chunk, is_coded = self._chunk(table, index)
            if is_coded:
                return chunk_start(chunk)
        events, problem = self.read(datasets, index, index + 1)
        if not len(events):
            raise ValueError(problem or "there is no event")
        return int(events["t"][0])

    def guess_index(self, datasets: Datasets, time: int) -> int | None:
        """None: chunks state their first time, so CD/indexes could only contradict them."""
        return None

    def _columns(self, rows: Any) -> NumberColumns:
        by_name = isinstance(self.fields[0], str)
        return NumberColumns(*(rows[field] if by_name else rows[:, field] for field in self.fields))

    def _chunk(self, table: Any, first: int) -> tuple[bytes, bool]:
        """The bytes of the chunk that begins with event `first`, and whether they are ECF-coded."""
        stored = table.id.get_chunk_info_by_coord((first,))
        if stored.byte_offset is None:
            raise ValueError("their chunk is missing")
        if stored.size > _MAX_ECF_BYTES:
            raise ValueError(f"their chunk would have {stored.size} bytes")
        skipped, chunk = table.id.read_direct_chunk((first,))
        # HDF5 stores for each chunk which filters were skipped.
        is_coded = not skipped & 1
        if not is_coded and len(chunk) != self.unit * table.dtype.itemsize:
            raise ValueError(f"their chunk has {len(chunk)} bytes and is not coded")
        return chunk, is_coded


def check_is_stored(dataset: Any, first: int, *, axis: int = 0) -> None:
    """Refuse data that was not written: HDF5 returns zeros for it, at any damaged length.

    Args:
        dataset: of events along `axis`.
        first: index of an event.
        axis: along which events lie.

    Raises:
        ValueError: the chunk of that event is missing.
    """
    if dataset.chunks is None:
        return
    place = [0] * dataset.ndim
    place[axis] = first - first % dataset.chunks[axis]
    if dataset.id.get_chunk_info_by_coord(tuple(place)).byte_offset is None:
        raise ValueError(f"{dataset.name} was not written there")
