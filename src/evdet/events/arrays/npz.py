"""A .npz file: arrays t, x, y, p, or one array of events, decompressed as they are read."""

import contextlib
import logging
import math
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evdet.events.arrays.npy_header import (
    MAX_NPY_HEADER,
    REMEDY,
    Column,
    NpyHeader,
    Slot,
    array_layout,
    as_floats,
    choose_columns,
    parse_npy_header,
)
from evdet.events.dtypes import Events, RecordingError, SensorSize
from evdet.events.files import (
    AS_STATED,
    NUMBER_KINDS,
    SAMPLE_ROWS,
    ForwardFile,
    NumberColumns,
    OrderCount,
    ReadOptions,
    TimeScale,
    check_blocks,
    choose_stream,
    choose_time_scale,
    find_roles,
    group_columns,
    looks_like_events,
    precision_note,
    read_column_name,
    to_events,
)

__all__ = ["NpzFile", "open_npz"]

_log = logging.getLogger(__name__)

_BLOCK = 1 << 14  # rows
_MAX_ROW = 1 << 12  # bytes
_ENDING = ".npy"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # all that NumPy writes
_ZIP_ERRORS = (
    zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError,
    ValueError,
)  # fmt: skip


class _Place(NamedTuple):
    """A column: an array of the archive, and where its numbers lie in it."""

    member: str
    slot: Slot


@dataclass
class NpzFile(ForwardFile):
    """The events of a .npz file; memory does not grow with its arrays.

    Args:
        path: the file.
        places: where t, x, y and p lie.
        scale: the unit of t.
        num_rows: rows that the arrays state.
        stated_size: the sensor's size, from arrays width and height.
    """

    path: Path
    places: tuple[_Place, ...]
    scale: TimeScale
    num_rows: int
    stated_size: SensorSize | None = None
    format: str = "npz"

    def _read(self) -> Iterator[Events]:
        return check_blocks(
            self._converted(), OrderCount(), name=str(self.path), size=self.stated_size
        )

    def _converted(self) -> Iterator[Events]:
        row = 0
        for columns in _blocks(self.path, self.places, self.num_rows):
            events, problem = to_events(NumberColumns(*columns), self.scale)
            if len(events):
                yield events
            if problem is not None:
                raise RecordingError(
                    f"{self.path}: row {row + len(events)} has {problem}. The file is damaged, or "
                    "its columns are scaled or in another order (--columns)."
                )
            row += len(events)


def open_npz(path: Path, options: ReadOptions = AS_STATED) -> NpzFile:
    """Open an archive of arrays saved by NumPy; reads only their beginnings.

    It has four arrays named t, x, y, p (also ts, polarity, ..., or events_t and so on), or one
    array as `open_npy` takes it. Several are streams, of which `options.stream` chooses one.

    Raises:
        RecordingError: the file cannot be read, has no events, or can be read in several ways.
    """
    with _opened(path) as archive:
        headers = _headers(path, archive)
        names = archive.namelist()
        size = _stated_size(archive, headers)
    groups = group_columns(name for name, header in headers.items() if _length(header) is not None)
    tables = [name for name, header in headers.items() if _can_be_table(header, options)]
    if len(groups) + len(tables) > 1:
        # Boxes and poses have four columns, too.
        tables = [name for name in tables if _is_table(path, headers[name], name, options)]
    if not groups and not tables:
        shown = [f"{name[:60]} {header.dtype} {header.shape}" for name, header in headers.items()]
        others = [name[:60] for name in names if name.removesuffix(_ENDING) not in headers]
        listed = ", ".join([*shown, *others][:6]) or "nothing"
        raise RecordingError(
            f"{path} has no events: it has {listed}; arrays of Python objects are not loaded. "
            f"{REMEDY}"
        )
    streams = {group or "events": group for group in groups}
    chosen = choose_stream(path, [*streams, *tables], options.stream)
    if chosen in streams:
        names = [groups[streams[chosen]][role] for role in range(4)]
        file = _from_columns(path, {name: headers[name] for name in names}, options)
    else:
        file = _from_table(path, headers[chosen], chosen, options)
    return replace(file, stated_size=size)


def _from_columns(path: Path, headers: dict[str, NpyHeader], options: ReadOptions) -> NpzFile:
    """Four arrays: t, x, y and p."""
    if options.columns is not None:
        raise RecordingError(
            f"{path} has columns with names, {', '.join(headers)}: leave --columns out"
        )
    for name, header in headers.items():
        if header.dtype.kind not in NUMBER_KINDS:
            raise RecordingError(f"{path}: {name} is {header.dtype}, not numbers")
    places = tuple(
        _Place(name, Slot(header.num_bytes, header.dtype.itemsize, 0, header.dtype))
        for name, header in headers.items()
    )
    name = next(iter(headers))
    lengths = {name: _length(header) or 0 for name, header in headers.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise RecordingError(f"{path}: its columns differ in length: {listed}. Save it again.")
    times = _sample(path, places[:1], lengths[name])[0]
    try:
        scale = choose_time_scale(as_floats(times), chosen=options.time_unit, named=_unit_in(name))
    except ValueError as error:
        raise RecordingError(f"{path}: {error}") from None
    _note_precision(path, times, scale)
    return NpzFile(path, places, scale, lengths[name])


def _from_table(path: Path, header: NpyHeader, name: str, options: ReadOptions) -> NpzFile:
    """One array of events."""
    layout = array_layout(header, options.columns)
    if layout is None:
        raise RecordingError(f"{path}: {name} is not an array of events. {REMEDY}")
    every = tuple(_Place(name, slot) for slot in layout.slots)
    sample = _sample(path, every, layout.num_rows)
    indices, scale = choose_columns(path, layout, sample, options)
    _note_precision(path, sample[indices[0]], scale)
    return NpzFile(path, tuple(every[index] for index in indices), scale, layout.num_rows)


def _note_precision(path: Path, times: Column, scale: TimeScale) -> None:
    note = precision_note(times, scale)
    if note:
        _log.warning("%s: %s", path, note)


def _can_be_table(header: NpyHeader, options: ReadOptions) -> bool:
    layout = array_layout(header, options.columns)
    if layout is None or max(slot.row_bytes for slot in layout.slots) > _MAX_ROW:
        return False
    return layout.names is None or bool(options.columns) or find_roles(layout.names) is not None


def _is_table(path: Path, header: NpyHeader, name: str, options: ReadOptions) -> bool:
    layout = array_layout(header, options.columns)
    if layout is None or layout.names is not None or options.columns is not None:
        return layout is not None
    sample = _sample(path, tuple(_Place(name, slot) for slot in layout.slots), layout.num_rows)
    rows = np.stack([as_floats(column[: min(map(len, sample))]) for column in sample], axis=1)
    return looks_like_events(rows) or (not len(rows) and "event" in name.lower())


def _length(header: NpyHeader) -> int | None:
    """Numbers in an array that is one column; None of others."""
    sides = [side for side in header.shape if side != 1]
    if header.dtype.names is not None or not 1 <= len(header.shape) <= 2 or len(sides) > 1:
        return None
    return sides[0] if sides else 1


def _unit_in(name: str) -> str | None:
    last = name.rpartition("/")[2]
    return read_column_name(last).unit or read_column_name(last.partition("_")[2]).unit


def _sample(path: Path, places: tuple[_Place, ...], num_rows: int) -> list[Column]:
    """The first numbers of columns; fewer where the file is damaged."""
    found: list[list[Column]] = [[np.empty(0, place.slot.dtype)] for place in places]
    with contextlib.suppress(RecordingError):
        for columns in _blocks(path, places, min(num_rows, SAMPLE_ROWS)):
            for parts, column in zip(found, columns, strict=True):
                parts.append(column)
    return [np.concatenate(parts) for parts in found]


def _blocks(path: Path, places: tuple[_Place, ...], num_rows: int) -> Iterator[list[Column]]:
    """The columns in blocks, each array read as a stream.

    Raises:
        RecordingError: an array is damaged, or ends before `num_rows`.
    """
    keys = [(place.member, place.slot.begin, place.slot.row_bytes) for place in places]
    with contextlib.ExitStack() as stack, _naming(path):
        archive = stack.enter_context(_opened(path))
        streams = {}
        for member, begin, row_bytes in dict.fromkeys(keys):
            file = stack.enter_context(archive.open(member + _ENDING))
            file.seek(begin)
            streams[member, begin, row_bytes] = file
        row = 0
        while row < num_rows:
            wanted = min(_BLOCK, num_rows - row)
            read = {key: file.read(wanted * key[2]) for key, file in streams.items()}
            num_read = min(len(data) // key[2] for key, data in read.items())
            yield [
                np.ndarray((num_read,), slot.dtype, read[key], slot.shift, (slot.row_bytes,))
                if num_read
                else np.empty(0, slot.dtype)
                for key, (_, slot) in zip(keys, places, strict=True)
            ]
            row += num_read
            if num_read < wanted:
                raise RecordingError(
                    f"{path}: its arrays end at row {row} of {num_rows}. Copy or save it again; "
                    "the rows before can be read."
                )


def _headers(path: Path, archive: zipfile.ZipFile) -> dict[str, NpyHeader]:
    """The header of each array, by its name."""
    headers = {}
    for info in archive.infolist():
        if not info.filename.endswith(_ENDING):
            continue
        if info.compress_type not in _METHODS:
            raise RecordingError(
                f"cannot read {path}: {info.filename} is compressed by another method than NumPy's "
                "(supported: np.savez and np.savez_compressed)"
            )
        with _naming(path), archive.open(info) as file:
            start = file.read(MAX_NPY_HEADER)
        name = info.filename.removesuffix(_ENDING)
        with contextlib.suppress(RecordingError):  # another array may be one of objects
            header = parse_npy_header(f"{path}, {info.filename}", start)
            if header.dtype.itemsize:
                headers[name] = header
    return headers


def _stated_size(archive: zipfile.ZipFile, headers: dict[str, NpyHeader]) -> SensorSize | None:
    sides = []
    for name in ("height", "width"):
        header = headers.get(name)
        if header is None or header.dtype.kind not in "iu" or math.prod(header.shape) != 1:
            return None
        with archive.open(name + _ENDING) as file:
            data = file.read(header.num_bytes + header.dtype.itemsize)[header.num_bytes :]
        sides.append(int.from_bytes(data, "big" if header.dtype.byteorder == ">" else "little"))
    height, width = sides
    return SensorSize(height, width) if min(sides) > 0 and max(sides) <= 1 << 16 else None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    with _naming(path):
        archive = zipfile.ZipFile(path)
    with archive:
        yield archive


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn the exceptions of zipfile into RecordingError."""
    try:
        yield
    except RecordingError:
        raise
    except _ZIP_ERRORS as error:
        reason = str(error)[:120].rstrip(".") or type(error).__name__
        raise RecordingError(
            f"{path} is not a complete .npz file: {reason}. Copy or save it again."
        ) from error
