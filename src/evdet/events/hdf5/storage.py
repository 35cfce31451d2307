"""What is really stored of an HDF5 dataset: its length, its chunks, its first numbers."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from evdet.events.files import SAMPLE_ROWS
from evdet.events.hdf5.filters import needs_plugin
from evdet.events.hdf5.inflation import CheckedDataset
from evdet.events.hdf5.layouts import check_is_stored

__all__ = ["DAMAGE", "check_chunks", "missing_events", "num_stored", "read_sample"]

DAMAGE = (
    OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, OverflowError,
    MemoryError,
)  # fmt: skip
"""The exceptions that h5py raises for damaged bytes."""

_MAX_CHUNK_BYTES = 64 << 20


def check_chunks(dataset: Any) -> None:
    """Refuse chunks that are too large: HDF5 reads a chunk in one piece.

    Raises:
        ValueError: they are.
    """
    num_bytes = int(np.prod(dataset.chunks or (1,), dtype=float)) * dataset.dtype.itemsize
    if num_bytes > _MAX_CHUNK_BYTES:
        raise ValueError(
            f"{dataset.name} has chunks of {num_bytes} bytes, more than {_MAX_CHUNK_BYTES}. "
            "Rewrite it with smaller chunks (h5repack)."
        )


def num_stored(dataset: Any, *, axis: int = 0) -> int:
    """Its length along an axis, or less where a damaged length exceeds the stored data."""
    others = [side for k, side in enumerate(dataset.shape) if k != axis]
    if dataset.chunks is None:
        row_bytes = dataset.dtype.itemsize * max(1, int(np.prod(others)))
        stored = dataset.id.get_storage_size() // row_bytes
    else:
        widths = [chunk for k, chunk in enumerate(dataset.chunks) if k != axis]
        per_row = [-(-side // chunk) for side, chunk in zip(others, widths, strict=True)]
        num_rows = dataset.id.get_num_chunks() // max(1, int(np.prod(per_row)))
        stored = num_rows * dataset.chunks[axis]
    return int(min(dataset.shape[axis], stored))


def missing_events(file: Any, names: tuple[str, ...], num_events: int) -> str | None:
    """The problem after `num_events` events, if there should be more."""
    lengths = {name: max(file[name].shape) for name in names}
    if max(lengths.values()) == num_events:
        return None
    said = ", ".join(f"{name} {length}" for name, length in lengths.items())
    return f"it holds {num_events} complete events but states more: {said}"


def read_sample(
    path: Path,
    dataset: Any,
    *,
    field: str | int | None = None,
    is_wide: bool = False,
    is_last: bool = False,
) -> Shaped[np.ndarray, "..."]:
    """The first or last rows; none where they cannot be read, as reading the events says again.

    Args:
        path: the file, for messages.
        dataset: of the file, open.
        field: the field or column to give, where a row has several.
        is_wide: rows lie along the second axis.
        is_last: read the last rows.

    Raises:
        RecordingError: reading takes a plug-in that is not installed.
    """
    needs_plugin(dataset, path)
    kind = dataset.dtype[field] if isinstance(field, str) else dataset.dtype
    is_column = field is not None or dataset.ndim == 1
    shape = (0,) if is_column else (0, dataset.shape[0 if is_wide else 1])
    with contextlib.suppress(*DAMAGE):
        check_chunks(dataset)
        dataset = CheckedDataset(dataset)
        length = num_stored(dataset, axis=int(is_wide))
        first = max(0, length - SAMPLE_ROWS) if is_last else 0
        stop = min(length, first + SAMPLE_ROWS)
        if first == stop:
            return np.empty(shape, kind)
        check_is_stored(dataset, first, axis=int(is_wide))
        rows = dataset[:, first:stop].T if is_wide else dataset[first:stop]
        if isinstance(field, str):
            return np.asarray(rows[field])
        return np.asarray(rows if field is None else rows[:, field])
    return np.empty(shape, kind)
