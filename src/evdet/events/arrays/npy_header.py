"""The header of a .npy file -> four mapped columns t x y p, without an incomplete last row."""

import ast
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped

from evdet.events.dtypes import RecordingError

__all__ = ["Column", "NpyColumns", "read_npy_columns"]

Column = Shaped[np.ndarray, " _"]

_MAGIC = b"\x93NUMPY"
_MAX_HEADER = 1 << 16
_NAMES = {
    "t": ("t", "ts", "time", "timestamp", "timestamps"),
    "x": ("x",),
    "y": ("y",),
    "p": ("p", "pol", "polarity"),
}
_NUMBERS = "biuf"
_REMEDY = (
    "Save the events as one array with the fields t, x, y, p, or with the columns t x y p in this "
    "order: np.save(path, np.stack([t, x, y, p], axis=1))."
)


class NpyColumns(NamedTuple):
    """The columns of an array of events."""

    columns: tuple[Column, Column, Column, Column]
    """t, x, y, p, as they are in the file."""
    first_byte: int
    """Offset of the first time."""
    row_bytes: int
    """Offset of the next time from it."""
    num_stated: int
    """Rows that the header states."""


def read_npy_columns(path: Path, content: Any) -> NpyColumns:
    """Read the header and cut the array into columns; nothing is copied.

    Args:
        path: the file, for messages.
        content: its bytes, mapped.

    Returns:
        The columns, shorter than stated where the file is truncated.

    Raises:
        RecordingError: it is not an array of events.
    """
    dtype, shape, is_fortran, at = _parse(path, content)
    if dtype.names is not None and len(shape) == 1:
        names = _field_names(path, dtype)
        num_rows = min(shape[0], (len(content) - at) // dtype.itemsize)
        rows = _from_bytes(content, dtype, num_rows, at)
        t, x, y, p = (rows[name] for name in names)
        first = at + dtype.fields[names[0]][1] if dtype.fields else at
        return NpyColumns((t, x, y, p), first, dtype.itemsize, shape[0])
    if dtype.kind not in _NUMBERS or len(shape) != 2 or shape[1] != 4:
        raise RecordingError(
            f"{path} is not an array of events: shape {shape}, type {dtype}. {_REMEDY}"
        )
    item = dtype.itemsize
    if is_fortran:
        # One column after the other: a row is complete when its last value is there.
        num_rows = min(shape[0], max((len(content) - at) // item - 3 * shape[0], 0))
        starts = (at + k * shape[0] * item for k in range(4))
        t, x, y, p = (_from_bytes(content, dtype, num_rows, start) for start in starts)
        return NpyColumns((t, x, y, p), at, item, shape[0])
    num_rows = min(shape[0], (len(content) - at) // (4 * item))
    t, x, y, p = _from_bytes(content, dtype, 4 * num_rows, at).reshape(-1, 4).T
    return NpyColumns((t, x, y, p), at, 4 * item, shape[0])


def _parse(path: Path, content: Any) -> tuple[np.dtype[Any], tuple[int, ...], bool, int]:
    """Type, shape, whether columns lie one after the other, and the offset of the data."""
    start = bytes(content[:_MAX_HEADER])
    if not start.startswith(_MAGIC):
        raise RecordingError(
            f"{path} is not a .npy file: it starts with {start[:6]!r}, not {_MAGIC!r}. "
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
            f"{path}: the .npy header (from byte 0) is damaged or truncated ({error}). "
            "Copy or save the file again."
        ) from error
    if dtype.hasobject:
        raise RecordingError(
            f"cannot read {path}: the array holds Python objects ({dtype}), and loading them can "
            f"run code. {_REMEDY}"
        )
    return dtype, shape, is_fortran, end


def _field_names(path: Path, dtype: np.dtype[Any]) -> list[str]:
    """The names of t, x, y and p in this array."""
    names = {name.lower(): name for name in dtype.names or ()}
    found = [
        next((names[alias] for alias in aliases if alias in names), "")
        for aliases in _NAMES.values()
    ]
    for field, name in zip(_NAMES, found, strict=True):
        if not name or dtype[name].kind not in _NUMBERS:
            raise RecordingError(
                f"{path} is not an array of events: no numeric field {field} (or "
                f"{', '.join(_NAMES[field])}) among {', '.join(dtype.names or ())}. {_REMEDY}"
            )
    return found


def _from_bytes(content: Any, dtype: np.dtype[Any], count: int, offset: int) -> Column:
    if not count:
        return np.empty(0, dtype)
    return np.frombuffer(content, dtype, count=count, offset=offset)
