"""One stream of events in an open HDF5 file -> its layout: types, lengths, unit, order."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evdet.events.dtypes import RecordingError
from evdet.events.files import (
    NUMBER_KINDS,
    ROLES,
    ReadOptions,
    TimeScale,
    choose_time_scale,
    find_roles,
    order_from_option,
    order_of_columns,
    precision_note,
    read_column_name,
)
from evdet.events.hdf5.attributes import (
    long_axis,
    millisecond_index,
    stated_number,
    stated_size,
)
from evdet.events.hdf5.ecf import MAX_CHUNK_EVENTS
from evdet.events.hdf5.filters import ECF_FILTER, filters_of
from evdet.events.hdf5.layouts import ColumnLayout, TableLayout
from evdet.events.hdf5.storage import check_chunks, missing_events, num_stored, read_sample

__all__ = ["Stream", "build_layout", "is_wide"]

_log = logging.getLogger(__name__)

_MIN_UNIT, _MAX_UNIT = 1 << 16, 1 << 21
_METAVISION = "CD/events"


@dataclass(frozen=True)
class Stream:
    """Events somewhere in a file."""

    place: str
    """The group of its columns, or the dataset."""
    columns: tuple[str, ...] = ()
    """Four datasets; none where it is one table."""


def build_layout(
    path: Path, file: Any, stream: Stream, options: ReadOptions
) -> ColumnLayout | TableLayout:
    """Describe how a stream is read.

    Args:
        path: the file, for messages.
        file: open.
        stream: one of its streams.
        options: unit and order, where the file leaves them open.

    Raises:
        RecordingError: it can be read in several ways.
        ValueError: its datasets are damaged.
    """
    if stream.columns:
        return _column_layout(path, file, stream, options)
    if stream.place == _METAVISION:
        return _metavision_layout(path, file, options)
    return _table_layout(path, file, stream.place, options)


def is_wide(dataset: Any, options: ReadOptions) -> bool:
    """Whether the events of a table without fields lie along its second axis."""
    width = len(options.columns) if options.columns else len(ROLES)
    return bool(dataset.shape[1] != width)


def _column_layout(path: Path, file: Any, stream: Stream, options: ReadOptions) -> ColumnLayout:
    t, x, y, p = stream.columns
    if options.columns is not None:
        raise RecordingError(
            f"{path} has columns with names, {', '.join(stream.columns)}: leave --columns out"
        )
    for name in stream.columns:
        check_chunks(file[name])
    axes = [long_axis(file[name]) or 0 for name in stream.columns]
    lengths = [
        num_stored(file[name], axis=axis) for name, axis in zip(stream.columns, axes, strict=True)
    ]
    chunk = (file[t].chunks or (_MIN_UNIT, _MIN_UNIT))[axes[0]]
    index = millisecond_index(file, stream.place)
    is_known = index is not None and file[t].dtype.kind in "iu"
    named = read_column_name(t.rpartition("/")[2]).unit or ("us" if is_known else None)
    field = None if file[t].ndim == 1 else 0
    scale = _scale(path, file[t], options, named, field=field, wide=axes[0] == 1)
    return ColumnLayout(
        columns=(t, x, y, p),
        axes=(axes[0], axes[1], axes[2], axes[3]),
        num_events=min(lengths),
        missing=missing_events(file, stream.columns, min(lengths)),
        unit=min(chunk * -(-_MIN_UNIT // chunk), _MAX_UNIT),
        scale=scale,
        t_offset=_offset(file, stream.place, scale),
        stated_size=stated_size(file, stream.place),
        index=index,
        format="HDF5 (columns, as in DSEC)" if scale.unit == "us" else "HDF5 (columns)",
    )


def _metavision_layout(path: Path, file: Any, options: ReadOptions) -> TableLayout:
    table = file[_METAVISION]
    filters = list(filters_of(table))
    is_ecf = ECF_FILTER in filters
    if is_ecf and (len(filters) > 1 or table.chunks[0] > MAX_CHUNK_EVENTS):
        raise RecordingError(
            f"cannot read {path}: {_METAVISION} has the filters {filters} on chunks of "
            f"{table.chunks[0]} events (supported: ECF alone, up to {MAX_CHUNK_EVENTS} events). "
            "Convert the file again."
        )
    if options.columns is not None or options.time_unit not in (None, "us"):
        raise RecordingError(
            f"{path} is a file of Metavision, whose columns have names and whose times are "
            "microseconds: leave --columns and --time-unit out"
        )
    check_chunks(table)
    chunk = (table.chunks or (_MIN_UNIT,))[0]
    num_events = num_stored(table)
    return TableLayout(
        table=_METAVISION,
        fields=tuple("txyp"),
        num_events=num_events,
        unit=chunk if is_ecf else min(chunk * -(-_MIN_UNIT // chunk), _MAX_UNIT),
        is_ecf=is_ecf,
        scale=TimeScale("us"),
        t_offset=0,
        stated_size=stated_size(file, ""),
        format="HDF5 (Metavision, ECF)" if is_ecf else "HDF5 (Metavision)",
        missing=missing_events(file, (_METAVISION,), num_events),
    )


def _table_layout(path: Path, file: Any, name: str, options: ReadOptions) -> TableLayout:
    table = file[name]
    check_chunks(table)
    fields: tuple[str | int, ...]
    named, wide = None, False
    if table.dtype.names is not None:
        if options.columns is not None:
            raise RecordingError(f"{path}: the fields of {name} have names: leave --columns out")
        found = find_roles(table.dtype.names) or ()
        roles = [column.role for column in found]
        named = next((column.unit for column in found if column.role == 0), None)
        fields = tuple(table.dtype.names[roles.index(role)] for role in ROLES.values())
        if any(table.dtype[str(field)].kind not in NUMBER_KINDS for field in fields):
            raise RecordingError(f"{path}: {name} is {table.dtype}, not numbers t, x, y and p")
    else:
        wide = is_wide(table, options)
        order = (
            order_from_option(options.columns)
            if options.columns
            else _order(path, table, wide=wide)
        )
        fields = tuple(order.index(role) for role in ROLES.values())
    scale = _scale(path, table, options, named, field=fields[0], wide=wide)
    group = name.rpartition("/")[0]
    num_events = num_stored(table, axis=int(wide))
    chunk = (table.chunks or (_MIN_UNIT, _MIN_UNIT))[int(wide)]
    return TableLayout(
        table=name,
        fields=fields,
        num_events=num_events,
        unit=min(chunk * -(-_MIN_UNIT // chunk), _MAX_UNIT),
        is_ecf=False,
        scale=scale,
        t_offset=_offset(file, group, scale),
        stated_size=stated_size(file, group),
        format="HDF5 (table)",
        missing=None if wide else missing_events(file, (name,), num_events),
        is_wide=wide,
    )


def _order(path: Path, table: Any, *, wide: bool) -> tuple[int, ...]:
    try:
        return order_of_columns(read_sample(path, table, is_wide=wide).astype(np.float64))
    except ValueError as error:
        raise RecordingError(f"{path}: {table.name} is not clear: {error}") from None


def _scale(
    path: Path,
    dataset: Any,
    options: ReadOptions,
    named: str | None,
    *,
    field: str | int | None = None,
    wide: bool = False,
) -> TimeScale:
    """The unit of the times in a dataset, or in one of its fields or columns."""
    first = np.empty(0)
    if options.time_unit is None and named is None:
        first = read_sample(path, dataset, field=field, is_wide=wide).astype(np.float64)
    try:
        scale = choose_time_scale(first, chosen=options.time_unit, named=named)
    except ValueError as error:
        raise RecordingError(f"{path}: {error}") from None
    kind = dataset.dtype[field] if isinstance(field, str) else dataset.dtype
    if kind.kind != "f" or kind.itemsize > 4:
        return scale
    last = read_sample(path, dataset, field=field, is_wide=wide, is_last=True)
    note = precision_note(last, scale)
    if note:
        _log.warning("%s: %s", path, note)
    return scale


def _offset(file: Any, group: str, scale: TimeScale) -> int:
    """What t_offset adds, in microseconds; it has the unit of the times."""
    offset = stated_number(file, "t_offset", group) or 0
    if isinstance(offset, int) and scale.power >= 0:
        return int(offset * 10**scale.power)
    return round(offset * 10.0**scale.power)
