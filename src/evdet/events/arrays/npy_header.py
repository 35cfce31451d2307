"""The header of a .npy file, or of an array in a .npz file -> where its columns lie."""

import ast
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Shaped

from evdet.events.dtypes import RecordingError
from evdet.events.files import (
    NUMBER_KINDS,
    AmbiguousOrderError,
    ReadOptions,
    TimeScale,
    choose_time_scale,
    find_roles,
    missing_roles,
    order_from_option,
    order_of_columns,
)

__all__ = [
    "MAX_NPY_HEADER",
    "REMEDY",
    "ArrayLayout",
    "Column",
    "NpyHeader",
    "Slot",
    "array_layout",
    "as_floats",
    "choose_columns",
    "parse_npy_header",
]

MAX_NPY_HEADER = 1 << 16
"""Bytes within which a header ends."""
REMEDY = (
    "Save the events as one array with the fields t, x, y, p, or with the columns t x y p in this "
    "order: np.save(path, np.stack([t, x, y, p], axis=1))."
)

_MAGIC = b"\x93NUMPY"

Column = Shaped[np.ndarray, " _"]


class NpyHeader(NamedTuple):
    """What a header states."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    is_fortran: bool
    """Whether columns lie one after the other."""
    num_bytes: int
    """Offset of the data."""


class Slot(NamedTuple):
    """Where the numbers of one column lie in the bytes."""

    begin: int
    """Offset of the first row that has this column."""
    row_bytes: int
    """From row to row."""
    shift: int
    """Offset within a row."""
    dtype: np.dtype[Any]


class ArrayLayout(NamedTuple):
    """The columns of an array, in the order of the file."""

    slots: tuple[Slot, ...]
    names: tuple[str, ...] | None
    """Of the fields; None without."""
    num_rows: int
    """Rows that the header states."""


def parse_npy_header(name: str, start: bytes) -> NpyHeader:
    """Read a header.

    Args:
        name: the file, for messages.
        start: its first bytes, up to `MAX_NPY_HEADER` of them.

    Raises:
        RecordingError: it is damaged, or the array holds Python objects.
    """
    if not start.startswith(_MAGIC):
        raise RecordingError(
            f"{name} is not a .npy file: it starts with {start[:6]!r}, not {_MAGIC!r}. "
            "Is the extension wrong?"
        )
    try:
        # Version 1 has two bytes for the length, later ones four.
        num_length_bytes = 2 if start[6] == 1 else 4
        begin = 8 + num_length_bytes
        end = begin + int.from_bytes(start[8:begin], "little")
        header = ast.literal_eval(start[begin:end].decode("utf-8").strip())
        dtype = np.lib.format.descr_to_dtype(header["descr"])
        shape = tuple(int(side) for side in header["shape"])
        is_fortran = bool(header["fortran_order"])
        if not 1 <= start[6] <= 3 or end > len(start) or min(shape, default=0) < 0:
            raise ValueError("invalid version, length or shape")
    except Exception as error:  # a damaged literal may fail in any way, MemoryError included
        raise RecordingError(
            f"{name}: the .npy header (from byte 0) is damaged or truncated ({error}). "
            "Copy or save the file again."
        ) from error
    if dtype.hasobject:
        raise RecordingError(
            f"cannot read {name}: the array holds Python objects ({dtype}), and loading them can "
            f"run code. {REMEDY}"
        )
    return NpyHeader(dtype, shape, is_fortran, end)


def array_layout(header: NpyHeader, columns: str | None = None) -> ArrayLayout | None:
    """Where the columns lie; None where the array cannot be a table of events.

    Args:
        header: of one array.
        columns: the order that the user names; as many columns are needed.
    """
    dtype, shape, is_fortran, at = header
    if dtype.names is not None and dtype.fields is not None and len(shape) == 1:
        fields = [dtype.fields[name] for name in dtype.names]
        slots = (Slot(at, dtype.itemsize, field[1], field[0]) for field in fields)
        return ArrayLayout(tuple(slots), dtype.names, shape[0])
    if dtype.kind not in NUMBER_KINDS or len(shape) != 2:
        return None
    widths = (len(columns),) if columns else (4, 5)
    is_wide = shape[1] not in widths[:1] and shape[0] == widths[0]
    num_rows, num_columns = shape[::-1] if is_wide else shape
    if num_columns not in widths:
        return None
    item = dtype.itemsize
    if is_fortran != is_wide:
        # One column after the other.
        slots = (Slot(at + k * num_rows * item, item, 0, dtype) for k in range(num_columns))
    else:
        slots = (Slot(at, num_columns * item, k * item, dtype) for k in range(num_columns))
    return ArrayLayout(tuple(slots), None, num_rows)


def choose_columns(
    path: Path, layout: ArrayLayout, sample: list[Column], options: ReadOptions
) -> tuple[tuple[int, int, int, int], TimeScale]:
    """Find which of the columns are t, x, y and p, and the unit of t.

    Args:
        path: the file, for messages.
        layout: its columns.
        sample: the first numbers of each.
        options: what the user says of them.

    Raises:
        RecordingError: they are not events, or can be read in several ways.
    """
    try:
        roles, named = _roles(path, layout, sample, options)
    except AmbiguousOrderError as error:
        raise RecordingError(f"{path}: {error}.") from None
    except ValueError as error:
        raise RecordingError(f"{path} is not an array of events: {error}. {REMEDY}") from None
    t, x, y, p = (roles.index(role) for role in range(4))
    for place in (t, x, y, p):
        if layout.slots[place].dtype.kind not in NUMBER_KINDS:
            field = layout.names[place] if layout.names else place
            raise RecordingError(
                f"{path} is not an array of events: no numeric field {'txyp'[roles[place]]}, since "
                f"{field} is {layout.slots[place].dtype}. {REMEDY}"
            )
    try:
        scale = choose_time_scale(as_floats(sample[t]), chosen=options.time_unit, named=named)
    except ValueError as error:
        raise RecordingError(f"{path}: {error}") from None
    return (t, x, y, p), scale


def as_floats(column: Column) -> Float64[np.ndarray, " _"]:
    """Numbers as floats; what overflows becomes infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        return column.astype(np.float64)


def _roles(
    path: Path, layout: ArrayLayout, sample: list[Column], options: ReadOptions
) -> tuple[tuple[int, ...], str | None]:
    """The role of each column, and the unit that the name of t states."""
    if options.columns is not None:
        roles = order_from_option(options.columns)
        if len(roles) != len(layout.slots):
            raise RecordingError(
                f"{path} has {len(layout.slots)} columns, and --columns {options.columns} names "
                f"{len(roles)} (- skips one)"
            )
        return roles, None
    if layout.names is not None:
        found = find_roles(layout.names)
        if found is None:
            raise ValueError(f"it has {missing_roles(layout.names)}")
        unit = next((column.unit for column in found if column.role == 0), None)
        return tuple(column.role for column in found), unit
    num_rows = min(map(len, sample))
    rows = np.stack([as_floats(column[:num_rows]) for column in sample], axis=1)
    roles = order_of_columns(rows)
    return roles, None
