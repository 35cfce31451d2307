"""Bytes of a ROS message -> its fields. Arrays of structures become columns, without a loop."""

import struct
from typing import Any, NamedTuple

import numpy as np

from evdet.events.bags.definitions import TIME, MessageType

__all__ = ["WireError", "read_message"]

_CODES = {
    "bool": "u1", "byte": "u1", "char": "u1", "uint8": "u1", "int8": "i1", "uint16": "u2",
    "int16": "i2", "uint32": "u4", "int32": "i4", "uint64": "u8", "int64": "i8",
    "float32": "f4", "float64": "f8",
}  # fmt: skip
_MAX_DEPTH = 8
# Alignment in CDR is at most 8, so the places of structures in an array repeat after so many.
_MAX_PERIOD = 8
_ZSTD = b"\x28\xb5\x2f\xfd"


class WireError(ValueError):
    """A message's bytes do not hold the fields of its type."""


class _Leaf(NamedTuple):
    """A number within a structure."""

    name: str
    """With the names of the structures around it, such as ts.sec."""
    code: str
    """NumPy's code of its type."""


def read_message(data: bytes, message_type: MessageType, *, is_ros1: bool) -> dict[str, Any]:
    """Read the fields of a message up to `events`.

    Args:
        data: the message as it lies in the bag.
        message_type: its type.
        is_ros1: serialized by ROS 1, packed; otherwise CDR, as in ROS 2.

    Returns:
        Numbers and texts by name; of a structure a dictionary, of an array of numbers an array, of
        an array of structures a dictionary of arrays.

    Raises:
        WireError: the message is truncated, or not laid out like its type.
    """
    cursor = _Cursor(data, is_ros1=is_ros1)
    fields: dict[str, Any] = {}
    for name, description in message_type.types[message_type.name][1]:
        fields[name] = _read_value(cursor, description, message_type.types, 0)
        if name == "events":
            break
    return fields


class _Cursor:
    """A place in a message.

    Args:
        data: the message.
        is_ros1: whether it is packed, without a header of its own.
    """

    def __init__(self, data: bytes, *, is_ros1: bool) -> None:
        self.data = data
        self.is_ros1 = is_ros1
        self.at = 0
        self.origin = 0
        self.order = "<"
        if is_ros1:
            return
        if data[:4] == _ZSTD:
            raise WireError(
                "it is compressed: open the folder of the bag, whose metadata.yaml says how"
            )
        if len(data) < 4 or data[0] != 0 or data[1] > 1:
            raise WireError(f"it starts with {bytes(data[:4])!r}, not with a header of CDR")
        self.order = "<" if data[1] else ">"
        self.at = self.origin = 4

    def align(self, num_bytes: int) -> None:
        """Go to the next place of a number of so many bytes."""
        if not self.is_ros1:
            self.at += (self.origin - self.at) % num_bytes

    def take(self, num_bytes: int) -> int:
        """Go past so many bytes, and return the place before."""
        at = self.at
        if num_bytes > len(self.data) - at:
            raise WireError(f"it ends at byte {len(self.data)}, and needs {at + num_bytes}")
        self.at += num_bytes
        return at

    def number(self, code: str) -> Any:
        """Read one number."""
        dtype = np.dtype(self.order + code)
        self.align(dtype.itemsize)
        return np.frombuffer(self.data, dtype, 1, self.take(dtype.itemsize))[0].item()

    def length(self) -> int:
        """Read the length of an array or a text."""
        self.align(4)
        value: int = struct.unpack_from(f"{self.order}I", self.data, self.take(4))[0]
        return value


def _read_value(cursor: _Cursor, description: Any, types: dict[str, Any], depth: int) -> Any:
    from rosbags.interfaces import Nodetype

    kind, what = description
    if kind is Nodetype.BASE:
        return _read_base(cursor, what[0])
    if kind is Nodetype.NAME:
        if depth > _MAX_DEPTH or (what != TIME and what not in types):
            raise WireError(f"its type {what} is not defined")
        if what == TIME:
            return {leaf.name: cursor.number(leaf.code) for leaf in _leaves_of_time(cursor)}
        return {
            name: _read_value(cursor, inner, types, depth + 1) for name, inner in types[what][1]
        }
    element, size = what
    num = cursor.length() if kind is Nodetype.SEQUENCE else size
    if element[0] is Nodetype.BASE:
        return _read_numbers(cursor, element[1][0], num)
    return _read_structures(cursor, _leaves(cursor, element[1], types, "", 0), num)


def _read_base(cursor: _Cursor, name: str) -> Any:
    if name == "string":
        num = cursor.length()
        at = cursor.take(num)
        return bytes(cursor.data[at : at + num]).rstrip(b"\0").decode("utf-8", "replace")
    if name not in _CODES:
        raise WireError(f"it has a field of the type {name}")
    return cursor.number(_CODES[name])


def _read_numbers(cursor: _Cursor, name: str, num: int) -> Any:
    if name not in _CODES:
        raise WireError(f"it has an array of the type {name}")
    dtype = np.dtype(cursor.order + _CODES[name])
    if num:
        cursor.align(dtype.itemsize)
    return np.frombuffer(cursor.data, dtype, num, cursor.take(num * dtype.itemsize))


def _leaves(
    cursor: _Cursor, name: str, types: dict[str, Any], prefix: str, depth: int
) -> list[_Leaf]:
    """The numbers of a structure, in their order."""
    from rosbags.interfaces import Nodetype

    if name == TIME:
        return [_Leaf(prefix + leaf.name, leaf.code) for leaf in _leaves_of_time(cursor)]
    if depth > _MAX_DEPTH or name not in types:
        raise WireError(f"its type {name} is not defined")
    leaves = []
    for field, (kind, what) in types[name][1]:
        if kind is Nodetype.NAME:
            leaves += _leaves(cursor, what, types, f"{prefix}{field}.", depth + 1)
        elif kind is Nodetype.BASE and what[0] in _CODES:
            leaves.append(_Leaf(prefix + field, _CODES[what[0]]))
        else:
            raise WireError(f"the field {prefix}{field} of its events is not a number")
    return leaves


def _leaves_of_time(cursor: _Cursor) -> tuple[_Leaf, _Leaf]:
    return _Leaf("sec", "u4" if cursor.is_ros1 else "i4"), _Leaf("nanosec", "u4")


def _read_structures(cursor: _Cursor, leaves: list[_Leaf], num: int) -> dict[str, Any]:
    """Read an array of structures into one array per leaf.

    In CDR a structure is padded to where its first number may lie, so the places of the numbers
    differ from one structure to the next. They repeat after a few, and each of these few is one
    row of a strided view.
    """
    at = cursor.at
    starts, places = [cursor.at], []
    for _ in range(min(num, 2 * _MAX_PERIOD)):
        row = []
        for leaf in leaves:
            size = np.dtype(leaf.code).itemsize
            cursor.align(size)
            row.append(cursor.at)
            cursor.at += size
        places.append(row)
        starts.append(cursor.at)
    cursor.at = at
    if num < 2 * _MAX_PERIOD:
        cursor.take(starts[-1] - at)
        columns = _new_columns(leaves, num)
        for index, row in enumerate(places):
            for leaf, place in zip(leaves, row, strict=True):
                value = np.frombuffer(cursor.data, cursor.order + leaf.code, 1, place)
                columns[leaf.name][index] = value[0]
        return columns
    first, period = _find_period(starts)
    stride = starts[first + period] - starts[first]
    num_periods, rest = divmod(num - first, period)
    end = starts[first + rest] + num_periods * stride
    cursor.take(end - at)
    columns = _new_columns(leaves, num)
    for column, leaf in enumerate(leaves):
        dtype = np.dtype(cursor.order + leaf.code)
        out = columns[leaf.name]
        for index in range(first + period):
            is_single = index < first
            count = 1 if is_single else len(range(index, num, period))
            out[index : index + 1 if is_single else num : period] = np.ndarray(
                count, dtype, cursor.data, places[index][column], (stride,)
            )
    return columns


def _new_columns(leaves: list[_Leaf], num: int) -> dict[str, Any]:
    return {leaf.name: np.empty(num, np.dtype(leaf.code)) for leaf in leaves}


def _find_period(starts: list[int]) -> tuple[int, int]:
    """The first structure from which on the layout repeats, and after how many."""
    seen: dict[int, int] = {}
    for index, start in enumerate(starts):
        if start % _MAX_PERIOD in seen:
            first = seen[start % _MAX_PERIOD]
            return first, index - first
        seen[start % _MAX_PERIOD] = index
    raise WireError("its events have no layout that repeats")
