"""HDF5 files of ready-made frames: recognising and opening them."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from evdet.events import RecordingError
from evdet.events.hdf5 import CheckedDataset, is_inside, load_hdf5plugin

__all__ = ["is_metavision_tensors", "opened_frames", "shape_of"]

_KEY = "data"
_MAX_CHUNK_BYTES = 256 << 20
_FIRST_PLUGIN = 256  # HDF5's own filters have smaller ids
# What h5py raises for damaged files.
_H5PY_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)


def is_metavision_tensors(path: Path) -> bool:
    """Whether an HDF5 file holds ready-made frames, and not events; only its structure is read."""
    try:
        with h5py.File(path, "r") as file:
            data = file.get(_KEY)
            return isinstance(data, h5py.Dataset) and data.ndim == 4
    except _H5PY_ERRORS:
        return False


def shape_of(data: Any) -> tuple[int, int, int, int]:
    """Shape (N, C, H, W) of an open data set of frames."""
    frames, channels, height, width = map(int, data.shape)
    return frames, channels, height, width


@contextmanager
def opened_frames(path: Path, what: str) -> Iterator[Any]:
    """Open the frames of a file; every error of reading them is a `RecordingError`.

    Args:
        path: the file.
        what: which of its frames are read, for messages.

    Yields:
        The open data set.

    Raises:
        RecordingError: the file has no frames, or they cannot be read.
    """
    try:
        with h5py.File(path, "r") as file:
            data = file.get(_KEY)
            if isinstance(data, h5py.Dataset) and not is_inside(file, _KEY):
                raise ValueError(f"its {_KEY!r} leads to another file, which evdet does not read")
            if not isinstance(data, h5py.Dataset) or data.ndim != 4:
                raise ValueError(
                    f"the file has no array {_KEY!r} with four dimensions (N, C, H, W)"
                )
            _load_plugins(data, path)
            _check_chunks(data)
            yield CheckedDataset(data)
    except _H5PY_ERRORS as error:
        if isinstance(error, RecordingError):
            raise
        raise RecordingError(
            f"{path}: {what} cannot be read: {error}. Was it copied completely?"
        ) from error


def _check_chunks(data: Any) -> None:
    """Refuse chunks that take much memory: HDF5 reads a chunk in one piece.

    Raises:
        ValueError: it has such chunks.
    """
    num_bytes = math.prod(data.chunks or (0,)) * data.dtype.itemsize
    if num_bytes > _MAX_CHUNK_BYTES:
        raise ValueError(
            f"its chunks have {num_bytes:,} bytes, more than {_MAX_CHUNK_BYTES:,}: rewrite it with "
            "a frame per chunk (h5repack)"
        )


def _load_plugins(data: Any, path: Path) -> None:
    filters = data.id.get_create_plist()
    filter_ids = [filters.get_filter(i)[0] for i in range(filters.get_nfilters())]
    if all(filter_id < _FIRST_PLUGIN for filter_id in filter_ids):
        return
    try:
        load_hdf5plugin()
    except ImportError:
        raise RecordingError(
            f"{path} is compressed with filter {max(filter_ids)}, which h5py does not have. "
            "Install it: pip install hdf5plugin"
        ) from None
