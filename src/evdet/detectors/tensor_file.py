"""The tensors of an untrusted PyTorch file, read without running its code.

A checkpoint is a pickle, and a pickle calls the functions that it names. This reader maps all names
to an inert class, except the few that describe tensors: those become plain records, and their
values are read from the archive. Other objects in the file do no harm and need no library.
"""

import io
import math
import pickle
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evdet.detectors.checkpoint_archive import (
    STORAGE_TYPES,
    StoredBlock,
    StoredTensor,
    check_pickle,
    read_pickle,
)
from evdet.detectors.checkpoints import CheckpointError, check_file

__all__ = ["StoredTensor", "open_state_dict", "read_tensors"]


class _Inert:
    """Stands for every other name in the file: accepts all calls and does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> "_Inert":
        return self

    def __setstate__(self, _: Any) -> None:
        pass

    def __setitem__(self, _: Any, __: Any) -> None:
        pass

    def append(self, _: Any) -> None:
        pass

    def extend(self, _: Any) -> None:
        pass

    def add(self, _: Any) -> None:
        pass


class _PlainDict(dict[Any, Any]):
    """An OrderedDict of the file, without the attributes that it may carry."""

    def __setstate__(self, _: Any) -> None:
        pass


class _Reader(pickle.Unpickler):
    """Unpickles with harmless replacements for all names."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return _PlainDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _record
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _same
        if module == "torch" and name in STORAGE_TYPES:
            return STORAGE_TYPES[name]
        return _Inert

    def persistent_load(self, pid: Any) -> Any:
        kind, dtype, key, _, num_values = pid
        # A tensor of an unknown storage type cannot be used.
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            return _Inert()
        return StoredBlock(dtype, str(key), int(num_values))


def _record(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Any:
    if not isinstance(storage, StoredBlock):
        return _Inert()
    return StoredTensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _same(tensor: Any, *_: Any) -> Any:
    return tensor


def open_state_dict(path: Path) -> dict[str, StoredTensor]:
    """List the tensors in the `state_dict` of a checkpoint, without their values.

    A file of nothing but named tensors is such a `state_dict` itself.

    Returns:
        The position of each in the file, by name.

    Raises:
        CheckpointError: the file does not exist, is damaged, or has no `state_dict`.
    """
    check_file(path)
    try:
        data, _ = read_pickle(path)
        check_pickle(data, allowed=None)
        content = _Reader(io.BytesIO(data)).load()
    # A hostile or broken pickle may raise any exception.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} is not a checkpoint, or is damaged: {reason}") from error
    found = content
    if isinstance(content, Mapping) and not _is_state_dict(content):
        found = content.get("state_dict")
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{path} is not a Lightning checkpoint: it has no state_dict")
    odd = [name for name, value in found.items() if not isinstance(value, StoredTensor)]
    if odd:
        raise CheckpointError(f"{path}: {odd[0]} in its state_dict is not a plain tensor")
    return {str(name): value for name, value in found.items()}


def _is_state_dict(content: Mapping[Any, Any]) -> bool:
    return bool(content) and all(isinstance(value, StoredTensor) for value in content.values())


def read_tensors(path: Path, stored: Mapping[str, StoredTensor]) -> dict[str, Tensor]:
    """Read the values of some tensors.

    Args:
        path: the file.
        stored: the positions that `open_state_dict` returned.

    Returns:
        The tensors by the same names, on the CPU, contiguous.

    Raises:
        CheckpointError: values are missing.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive)
            return {
                name: _tensor(archive.read(members[f"data/{tensor.storage.key}"]), tensor)
                for name, tensor in stored.items()
            }
    except KeyError as error:
        raise CheckpointError(f"{path} is damaged: it has no {error}") from error
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error


def _tensor(data: bytes, stored: StoredTensor) -> Tensor:
    storage = stored.storage
    stored.check(len(data))
    if not math.prod(stored.shape):
        return torch.empty(stored.shape, dtype=storage.dtype)
    values = torch.frombuffer(bytearray(data), dtype=storage.dtype)
    return values.as_strided(stored.shape, stored.strides, stored.offset).clone(
        memory_format=torch.contiguous_format
    )


def _members(archive: zipfile.ZipFile) -> dict[str, str]:
    """The archive's files, by their names below its top folder."""
    return {name.partition("/")[2]: name for name in archive.namelist()}
