"""Bounds of a checkpoint file that are checked before anything in it is loaded.

A checkpoint is a zip file with a pickle, which describes tensors, and one file for the values of
each. Both can state sizes that are far from those of the file: a deflated entry, a pickle that
makes an array of any length, a tensor that repeats one value.
"""

import io
import math
import pickle
import pickletools
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

__all__ = [
    "STORAGE_TYPES",
    "CodeError",
    "DamagedError",
    "StoredBlock",
    "StoredTensor",
    "check_pickle",
    "check_plain_content",
    "read_pickle",
]

STORAGE_TYPES = {
    "BFloat16Storage": torch.bfloat16,
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "ShortStorage": torch.int16,
}
"""Types of values, by torch's name of their storage."""
_PLAIN_NAMES = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    *(f"torch {name}" for name in STORAGE_TYPES),
}
_OTHER_CALLS = {"STACK_GLOBAL", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}
_OTHER_CALLS |= {"BYTEARRAY8", "NEXT_BUFFER", "READONLY_BUFFER", "PERSID"}
_MAX_PICKLE = 16 << 20
_MAX_DEPTH = 50
_MAX_VALUES = 1_000_000
_MAX_ENTRIES = 200_000
_NUMBER = (1 << 63) - 1


class CodeError(ValueError):
    """A pickle would call what a checkpoint does not hold; the message is its name."""


class DamagedError(ValueError):
    """A file is not a sound checkpoint; the message is the reason, without the file's name."""


@dataclass(frozen=True)
class StoredBlock:
    """A block of values, by the name of its file in the archive."""

    dtype: torch.dtype
    key: str
    num_values: int


@dataclass(frozen=True)
class StoredTensor:
    """The position of a tensor's values in a block."""

    storage: StoredBlock
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def check(self, num_bytes: int) -> None:
        """Check that the values are in the block, and that none is repeated.

        Args:
            num_bytes: length of the block's file.

        Raises:
            DamagedError: they are not.
        """
        block, num_values = self.storage, math.prod(self.shape)
        last = sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        is_whole = num_bytes == block.num_values * block.dtype.itemsize
        is_inside = min((self.offset, *self.strides, *self.shape)) >= 0 and (
            not num_values
            or (self.offset + last < block.num_values and num_values <= block.num_values)
        )
        # A tensor without values has a shape, too: (0, 10**12) is not one of a detector.
        is_inside &= math.prod(n for n in self.shape if n) <= max(1, block.num_values, 10**6)
        if not (is_whole and is_inside):
            raise DamagedError(
                f"the {num_bytes} bytes of block {block.key} do not hold {block.num_values} "
                f"values of {block.dtype}, with a tensor of shape {self.shape} from index "
                f"{self.offset} on"
            )


def read_pickle(path: Path) -> tuple[bytes, dict[str, int]]:
    """Read the pickle of a checkpoint, and list its files of values.

    Returns:
        The pickle, and the length of each file by its name below the archive's top folder.

    Raises:
        DamagedError: it is not a zip file as torch writes it: without compression, every entry
            inside the file.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if len(entries) > _MAX_ENTRIES:
            raise DamagedError(f"it has {len(entries):,} files, more than {_MAX_ENTRIES:,}")
        compressed = [entry for entry in entries if entry.compress_type != zipfile.ZIP_STORED]
        total, there = sum(entry.file_size for entry in entries), path.stat().st_size
        if compressed or total > there:
            raise DamagedError(
                f"its files claim {total:,} bytes in {there:,}, or are compressed: torch does not "
                "write such files"
            )
        sizes = {entry.filename.partition("/")[2]: entry for entry in entries}
        if "data.pkl" not in sizes:
            raise DamagedError("it has no data.pkl")
        if sizes["data.pkl"].file_size > _MAX_PICKLE:
            raise DamagedError(
                f"its description has {sizes['data.pkl'].file_size:,} bytes, more than "
                f"{_MAX_PICKLE:,}"
            )
        data = archive.read(sizes["data.pkl"])
    return data, {name: entry.file_size for name, entry in sizes.items()}


def check_pickle(data: bytes, allowed: Collection[str] | None = _PLAIN_NAMES) -> None:
    """Check the instructions of a pickle, without following them.

    Args:
        data: the pickle.
        allowed: names that it may use, as "module name"; None allows all names, for a reader that
            replaces them.

    Raises:
        CodeError: it uses another name.
        DamagedError: an instruction asks for more memory than the pickle has bytes.
    """
    for instruction, argument, _ in pickletools.genops(data):
        name = instruction.name
        if allowed is not None and name in ("GLOBAL", "INST") and argument not in allowed:
            raise CodeError(str(argument).replace(" ", "."))
        if allowed is not None and name in _OTHER_CALLS:
            raise CodeError(name)
        if isinstance(argument, int) and not -_NUMBER <= argument <= _NUMBER:
            raise DamagedError("it holds a number of more than 64 bits")
        if "PUT" in name and int(argument or 0) > len(data):
            raise DamagedError(f"its pickle numbers {argument:,} values in {len(data):,} bytes")


def check_plain_content(data: bytes, sizes: dict[str, int]) -> None:
    """Check that a pickle holds plain values and tensors of the archive, in bounded number.

    Args:
        data: the pickle, checked by `check_pickle`.
        sizes: as `read_pickle` returns them.

    Raises:
        DamagedError: it does not.
    """
    for index, value in enumerate(_values_of(_PlainReader(io.BytesIO(data)).load())):
        if index >= _MAX_VALUES:
            raise DamagedError(f"it holds more than {_MAX_VALUES:,} values")
        if isinstance(value, StoredTensor):
            key = f"data/{value.storage.key}"
            if key not in sizes:
                raise DamagedError(f"it has no {key}")
            value.check(sizes[key])


def _values_of(content: Any, depth: int = 0) -> Iterator[Any]:
    """Every value of a tree, as often as it occurs."""
    if depth > _MAX_DEPTH:
        raise DamagedError(f"its values are nested more than {_MAX_DEPTH} deep")
    yield content
    if isinstance(content, dict):
        odd = [key for key in content if not isinstance(key, (str, int))]
        if odd:
            raise DamagedError(f"a key is a {type(odd[0]).__name__}")
        parts: Any = content.values()
    elif isinstance(content, (list, tuple)):
        parts = content
    elif isinstance(content, (StoredTensor, str, bytes, int, float, type(None))):
        return
    else:
        raise DamagedError(f"it holds a {type(content).__name__}")
    for part in parts:
        yield from _values_of(part, depth + 1)


class _PlainReader(pickle.Unpickler):
    """Unpickles tensors as records of their position."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in STORAGE_TYPES:
            return STORAGE_TYPES[name]
        return _AnyDict if module == "collections" else _position

    def persistent_load(self, pid: Any) -> Any:
        kind, dtype, key, _, num_values = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise DamagedError(f"a block of values is a {kind} of {dtype}")
        return StoredBlock(dtype, str(key), int(num_values))


class _AnyDict(dict[Any, Any]):
    """An OrderedDict; the attributes that it may carry are those of a module's state."""

    def __setstate__(self, _: Any) -> None:
        pass


def _position(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> StoredTensor:
    if not isinstance(storage, StoredBlock):
        raise DamagedError("a tensor has no block of values")
    numbers = [offset, *shape, *strides]
    if not all(type(number) is int for number in numbers) or len(shape) != len(strides):
        raise DamagedError("the shape of a tensor is not one of whole numbers")
    return StoredTensor(storage, offset, tuple(shape), tuple(strides))
