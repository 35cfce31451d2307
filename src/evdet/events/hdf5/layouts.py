"""Where the events lie in an HDF5 file: four columns (DSEC), or one table (Metavision).

A layout describes a file without holding it open, so that it can be sent to other processes:
`datasets`, by name, are an argument.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Num

from evdet.events.dtypes import EVENT_DTYPE, Events, SensorSize
from evdet.events.hdf5.ecf import MAX_CHUNK_EVENTS, chunk_start, decode_chunk

__all__ = ["ECF_FILTER", "ColumnLayout", "Datasets", "TableLayout", "find_columns", "find_table"]

ECF_FILTER = 36559
"""HDF5 id of the filter of Metavision files; HDF5 cannot run it, evdet can."""

_COLUMN_NAMES = {
    "t": ("t", "ts", "timestamp", "timestamps"),
    "x": ("x", "xs"),
    "y": ("y", "ys"),
    "p": ("p", "ps", "pol", "polarity", "polarities"),
}
_MIN_UNIT, _MAX_UNIT = 1 << 16, 1 << 21
_MAX_CHUNK_BYTES = 64 << 20
_MAX_ECF_BYTES = 32 * MAX_CHUNK_EVENTS  # an event takes at most 26 bytes
_MAX_TIME = 1 << 62

Column = Num[np.ndarray, " E"]
Datasets = Mapping[str, Any]


@dataclass(frozen=True)
class ColumnLayout:
    """Datasets t, x, y, p of one length, as in DSEC.

    Args:
        columns: their names.
        num_events: events in all: the length of the shortest.
        missing: what is wrong after the last event, if anything.
        unit: events that are read at a time; only the last unit has fewer.
        t_offset: microseconds to add to every time.
        stated_size: the sensor's size where the file states it.
        index: the dataset ms_to_idx, and the millisecond of its first entry.
        format: name of the layout, for display.
    """

    columns: tuple[str, str, str, str]
    num_events: int
    missing: str | None
    unit: int
    t_offset: int
    stated_size: SensorSize | None
    index: tuple[str, int] | None
    format: str = "HDF5 (columns, as in DSEC)"

    @property
    def names(self) -> tuple[str, ...]:
        """The datasets that are read."""
        return self.columns if self.index is None else (*self.columns, self.index[0])

    def read(
        self, datasets: Datasets, first: int, stop: int, times: Column | None = None
    ) -> Events:
        """The events first to stop - 1; `times` are theirs if known."""
        events = np.empty(stop - first, EVENT_DTYPE)
        events["t"] = self.times(datasets, first, stop) if times is None else times
        for field, name in zip("xyp", self.columns[1:], strict=True):
            column = datasets[name]
            _check_is_stored(column, first)
            values = column[first:stop]
            if field == "p":
                events["p"] = values > 0
            else:
                _check_range(values, name, 0, 0xFFFF)
                events[field] = values
        return events

    def times(self, datasets: Datasets, first: int, stop: int) -> Column:
        """The times of the events first to stop - 1."""
        name = self.columns[0]
        _check_is_stored(datasets[name], first)
        values = datasets[name][first:stop]
        _check_range(values, name, -_MAX_TIME, _MAX_TIME)
        times: Column = np.add(values, self.t_offset, dtype=np.int64, casting="unsafe")
        return times

    def first_time(self, datasets: Datasets, index: int) -> int:
        """Time of the event at `index`."""
        _check_is_stored(datasets[self.columns[0]], index)
        return int(datasets[self.columns[0]][index]) + self.t_offset

    def guess_index(self, datasets: Datasets, time: int) -> int | None:
        """The index that ms_to_idx gives."""
        if self.index is None:
            return None
        name, first_ms = self.index
        at = (time - self.t_offset) // 1000 - first_ms
        return int(datasets[name][at]) if 0 <= at < len(datasets[name]) else None


@dataclass(frozen=True)
class TableLayout:
    """One dataset with fields t, x, y, p, as in Metavision's files.

    Args:
        table: its name.
        num_events: events in all.
        unit: events that are read at a time; with ECF one chunk.
        is_ecf: whether they are ECF-coded.
        stated_size: the sensor's size where the file states it.
        format: name of the layout, for display.
        missing: what is wrong after the last event, if anything.
    """

    table: str
    num_events: int
    unit: int
    is_ecf: bool
    stated_size: SensorSize | None
    format: str
    missing: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The datasets that are read."""
        return (self.table,)

    def read(
        self, datasets: Datasets, first: int, stop: int, times: Column | None = None
    ) -> Events:
        """The events first to stop - 1; with ECF one chunk."""
        table = datasets[self.table]
        if self.is_ecf:
            chunk, is_coded = self._chunk(table, first)
            if is_coded:
                events = decode_chunk(chunk, self.unit)
                if len(events) < stop - first:
                    raise ValueError(f"their chunk holds {len(events)} events")
                return events[: stop - first]
            rows = np.frombuffer(chunk, table.dtype)[: stop - first]
        else:
            _check_is_stored(table, first)
            rows = table[first:stop]
        events = np.empty(len(rows), EVENT_DTYPE)
        for field, low, high in (("t", -_MAX_TIME, _MAX_TIME), ("x", 0, 0xFFFF), ("y", 0, 0xFFFF)):
            _check_range(rows[field], field, low, high)
            events[field] = rows[field]
        events["p"] = rows["p"] > 0
        return events

    def times(self, datasets: Datasets, first: int, stop: int) -> None:
        """None: a table has no column of times."""

    def first_time(self, datasets: Datasets, index: int) -> int:
        """Time of the event at `index`, the first of a chunk."""
        table = datasets[self.table]
        if self.is_ecf:
            chunk, is_coded = self._chunk(table, index)
            if is_coded:
                return chunk_start(chunk)
            return int(np.frombuffer(chunk, table.dtype, count=1)["t"][0])
        _check_is_stored(table, index)
        return int(table[index]["t"])

    def guess_index(self, datasets: Datasets, time: int) -> int | None:
        """None: chunks state their first time, so CD/indexes could only contradict them."""
        return None

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


def find_columns(file: Any) -> ColumnLayout | None:
    """The four columns of an open file, in the group `events` or at the root; None without.

    Raises:
        ValueError: they cannot be events.
    """
    for group in ("events/", ""):
        names = {
            field: next((group + n for n in choices if _is_dataset(file, group + n)), None)
            for field, choices in _COLUMN_NAMES.items()
        }
        t, x, y, p = names["t"], names["x"], names["y"], names["p"]
        if t and x and y and p:
            break
    else:
        return None
    for name in (t, x, y, p):
        column = file[name]
        if column.ndim != 1 or column.dtype.kind not in ("iub" if name == p else "iu"):
            raise ValueError(
                f"{name} is {column.dtype} of shape {column.shape}, not whole numbers in one "
                "dimension (t in microseconds). Convert it to the DSEC layout."
            )
        _check_chunks(column)
    lengths = [_num_stored(file[name]) for name in (t, x, y, p)]
    chunk = (file[t].chunks or (_MIN_UNIT,))[0]
    return ColumnLayout(
        columns=(t, x, y, p),
        num_events=min(lengths),
        missing=_missing(file, (t, x, y, p), min(lengths)),
        unit=min(chunk * -(-_MIN_UNIT // chunk), _MAX_UNIT),
        t_offset=_scalar(file, "t_offset") or 0,
        stated_size=_stated_size(file),
        index=_millisecond_index(file),
    )


def find_table(file: Any) -> TableLayout | None:
    """The table `CD/events` of an open Metavision file; None without.

    Raises:
        ValueError: it cannot be read.
    """
    if not _is_dataset(file, "CD/events"):
        return None
    table = file["CD/events"]
    fields = table.dtype.fields or {}
    if table.ndim != 1 or not all(
        name in fields and fields[name][0].kind in "iu" and not fields[name][0].shape
        for name in "txyp"
    ):
        raise ValueError(f"CD/events is {table.dtype}, not a table of t, x, y, p")
    plan = table.id.get_create_plist()
    filters = [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]
    is_ecf = ECF_FILTER in filters
    if is_ecf and (len(filters) > 1 or table.chunks[0] > MAX_CHUNK_EVENTS):
        raise ValueError(
            f"CD/events has the filters {filters} on chunks of {table.chunks[0]} events "
            f"(supported: ECF alone, up to {MAX_CHUNK_EVENTS} events). Convert the file again."
        )
    _check_chunks(table)
    chunk = (table.chunks or (_MIN_UNIT,))[0]
    num_events = _num_stored(table)
    return TableLayout(
        table="CD/events",
        num_events=num_events,
        unit=chunk if is_ecf else min(chunk * -(-_MIN_UNIT // chunk), _MAX_UNIT),
        is_ecf=is_ecf,
        stated_size=_stated_size(file),
        format="HDF5 (Metavision, ECF)" if is_ecf else "HDF5 (Metavision)",
        missing=_missing(file, ("CD/events",), num_events),
    )


def _missing(file: Any, names: tuple[str, ...], num_events: int) -> str | None:
    """The problem after `num_events` events, if there should be more."""
    lengths = {name: len(file[name]) for name in names}
    if max(lengths.values()) == num_events:
        return None
    said = ", ".join(f"{name} {length}" for name, length in lengths.items())
    return f"it holds {num_events} complete events but states more: {said}"


def _is_dataset(file: Any, name: str) -> bool:
    return name in file and hasattr(file[name], "dtype")


def _check_chunks(dataset: Any) -> None:
    """Refuse chunks that are too large: HDF5 reads a chunk in one piece."""
    num_bytes = (dataset.chunks or (1,))[0] * dataset.dtype.itemsize
    if num_bytes > _MAX_CHUNK_BYTES:
        raise ValueError(
            f"{dataset.name} has chunks of {num_bytes} bytes, more than {_MAX_CHUNK_BYTES}. "
            "Rewrite it with smaller chunks (h5repack)."
        )


def _num_stored(dataset: Any) -> int:
    """Its length, or less where a damaged length exceeds the stored data."""
    if dataset.chunks is None:
        num_stored = dataset.id.get_storage_size() // dataset.dtype.itemsize
    else:
        num_stored = dataset.id.get_num_chunks() * dataset.chunks[0]
    return int(min(len(dataset), num_stored))


def _check_is_stored(dataset: Any, first: int) -> None:
    """Refuse data that was not written: HDF5 returns zeros for it, at any damaged length."""
    if dataset.chunks is None:
        return
    start = first - first % dataset.chunks[0]
    if dataset.id.get_chunk_info_by_coord((start,)).byte_offset is None:
        raise ValueError(f"{dataset.name} was not written there")


def _check_range(values: Column, name: str, low: int, high: int) -> None:
    kind = np.iinfo(values.dtype)
    if (kind.min >= low and kind.max <= high) or not len(values):
        return
    smallest, largest = int(values.min()), int(values.max())
    if smallest < low or largest > high:
        worst = smallest if smallest < low else largest
        raise ValueError(f"{name} = {worst} is not between {low} and {high}")


def _millisecond_index(file: Any) -> tuple[str, int] | None:
    for name in ("ms_to_idx", "events/ms_to_idx"):
        if _is_dataset(file, name) and file[name].ndim == 1 and file[name].dtype.kind in "iu":
            # Some writers count milliseconds from the first event.
            return name, _scalar(file, "ms_to_idx_offset") or 0
    return None


def _stated_size(file: Any) -> SensorSize | None:
    width, height = _scalar(file, "width"), _scalar(file, "height")
    if width is None or height is None:
        text = _text(file, "geometry")
        match = re.fullmatch(r"\s*(\d{1,5})x(\d{1,5})\s*", text)
        if match is None:
            return None
        width, height = int(match[1]), int(match[2])
    return SensorSize(height, width) if width > 0 and height > 0 else None


def _text(file: Any, name: str) -> str:
    """A text attribute of the root; empty without."""
    if name not in file.attrs:
        return ""
    # Check the type before the value: HDF5 2.0 can crash on the value of a damaged type.
    kind = file.attrs.get_id(name).dtype
    if kind.kind != "S" and (kind.metadata or {}).get("vlen") not in (str, bytes):
        return ""
    value = file.attrs[name]
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def _scalar(file: Any, name: str) -> int | None:
    """A whole number: an attribute or a dataset, at the root or in the events' group."""
    for group in ("/", "events"):
        if group not in file:
            continue
        if name in file[group].attrs:
            holder = file[group].attrs.get_id(name)
            value = file[group].attrs[name] if _is_number(holder) else None
        elif _is_dataset(file, f"{group}/{name}"):
            holder = file[group][name]
            value = holder[()] if _is_number(holder) else None
        else:
            continue
        if value is not None:
            return int(np.asarray(value).item())
    return None


def _is_number(holder: Any) -> bool:
    return holder.dtype.kind in "iu" and holder.shape in ((), (1,))
