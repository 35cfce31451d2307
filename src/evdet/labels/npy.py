"""Box events in NumPy files: Prophesee's `_bbox.npy`, DSEC-Detection's `tracks.npy`, RVT's npz."""

import io
import math
import warnings
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Shaped

from evdet.atomic_file import replacing
from evdet.boxes import BOX_DTYPE
from evdet.labels.binning import IGNORED_DTYPE
from evdet.labels.source import LabelError, LabelSource
from evdet.shapes import BoxEvents

__all__ = ["is_box_npy", "read_npy", "save_npy"]

_MAX_INFLATED = 128 << 20  # bytes, of an archive's array: some million boxes
# Older files have other names for the same field.
_NAMES = {
    "t": ("t", "ts"),
    "x": ("x",),
    "y": ("y",),
    "w": ("w",),
    "h": ("h",),
    "class_id": ("class_id",),
    "track_id": ("track_id",),
    "class_confidence": ("class_confidence", "confidence"),
    "still_us": ("still_us",),
    "class_score": ("class_score",),
}
_OPTIONAL = {"track_id": 0, "class_confidence": 1}
# Fields that are kept where a file has them.
_FURTHER = {"still_us": "<i8", "class_score": "<f4"}


def read_npy(source: LabelSource) -> tuple[BoxEvents, BoxEvents, dict[str, int]]:
    """Read an array of box events, fields by name, in any order; unknown fields are skipped.

    Boxes of confidence 0 do not count, unless all have it: then the field was not filled in.

    Args:
        source: the file; an npz must have the array `labels`, as in RVT's.

    Returns:
        `BOX_DTYPE` records, with `still_us` and `class_score` where the file has them; the
        `IGNORED_DTYPE` records that do not count; and the number of these. Ids are as on disk.

    Raises:
        LabelError: the file is damaged, or not an array of box events.
    """
    array = _load(source)
    names = array.dtype.names
    if names is None or array.ndim != 1:
        raise source.error(
            f"an array of shape {array.shape} and type {array.dtype} is not box events with the "
            "fields t, x, y, w, h, class_id. Is it the recording?"
        )
    further = [(name, kind) for name, kind in _FURTHER.items() if name in names]
    boxes = np.zeros(len(array), [*BOX_DTYPE.descr, *further] if further else BOX_DTYPE)
    for name in boxes.dtype.names or ():
        there = [known for known in _NAMES[name] if known in names]
        if there:
            boxes[name] = _convert(array[there[0]], boxes.dtype[name], source, there[0])
        elif name in _OPTIONAL:
            boxes[name] = _OPTIONAL[name]
        else:
            raise source.error(
                f"the field {' or '.join(_NAMES[name])} is missing; the array has "
                f"{', '.join(names)}"
            )
    confidences = boxes["class_confidence"]
    is_ignored = (confidences == 0) & (confidences != 0).any()
    ignored = np.zeros(int(is_ignored.sum()), IGNORED_DTYPE)
    for name in BOX_DTYPE.names or ():
        ignored[name] = boxes[is_ignored][name]
    counts = {"boxes of confidence 0": len(ignored)} if len(ignored) else {}
    return boxes[~is_ignored], ignored, counts


def save_npy(path: Path, boxes: BoxEvents) -> None:
    """Write box events, with their ids unchanged, completely or not at all."""
    # Through a buffer: NumPy's own writer hides the system's error when the disk is full.
    content = io.BytesIO()
    np.save(content, boxes)
    with replacing(path) as part:
        part.write_bytes(content.getbuffer())


def is_box_npy(path: Path) -> bool:
    """Whether a .npy file holds boxes, not events, by the fields in its header."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            names = np.load(path, mmap_mode="r", allow_pickle=False).dtype.names
    except Exception:  # opening it as a recording raises the error
        return False
    return names is not None and {"w", "h"} <= set(names)


def _load(source: LabelSource) -> Shaped[np.ndarray, "..."]:
    if not source.path.exists():
        raise FileNotFoundError(f"the label file {source.path} does not exist")
    try:
        # Opened here: NumPy leaves the file of a damaged npz open.
        with source.path.open("rb") as file, warnings.catch_warnings():
            # Old data sets were written by Python 2, of which NumPy warns file by file.
            warnings.simplefilter("ignore", UserWarning)
            _check_length(file)
            start = file.read(6)
            if start[:4] == b"PK\3\4":
                _check_archive(file)
            elif start != b"\x93NUMPY":  # NumPy would take it for a pickle, and advise to run it
                raise ValueError("its first bytes are not those of one")
            file.seek(0)
            loaded = np.load(file, allow_pickle=False)
            return loaded if isinstance(loaded, np.ndarray) else np.asarray(loaded["labels"])
    except Exception as error:  # a damaged file makes NumPy raise nearly anything
        raise source.error(
            f"it is not a NumPy array of labels: {_first_line(error)}. Was it copied completely?"
        ) from error


def _check_archive(file: BinaryIO) -> None:
    """Refuse an archive whose labels would take too much memory, before they are inflated."""
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if info.filename == "labels.npy" and info.file_size > _MAX_INFLATED:
                raise ValueError(
                    f"its array labels has {info.file_size:,} bytes, more than {_MAX_INFLATED:,}: "
                    "save it with np.save, or in parts"
                )


def _check_length(file: BinaryIO) -> None:
    """Refuse an array that is longer than its file, before memory is made for it."""
    magic, length = file.read(8), file.read(4)
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    # Versions after the first state the length of their header in four bytes.
    is_long = magic[:6] == b"\x93NUMPY" and magic[6:7] > b"\1"
    if is_long and int.from_bytes(length, "little") > end:
        raise ValueError(f"its header is longer than the file, which has {end:,} bytes")
    readers = {
        b"\x93NUMPY\1\0": np.lib.format.read_array_header_1_0,
        b"\x93NUMPY\2\0": np.lib.format.read_array_header_2_0,
    }
    if magic not in readers:
        return
    np.lib.format.read_magic(file)
    shape, _, dtype = readers[magic](file)
    num_bytes = math.prod(shape) * dtype.itemsize
    start = file.tell()
    file.seek(0)
    if num_bytes > end - start:
        raise ValueError(f"its header tells of {num_bytes:,} bytes, and {end - start:,} follow")


def _convert(
    column: Shaped[np.ndarray, "_ *_"], dtype: np.dtype, source: LabelSource, name: str
) -> Shaped[np.ndarray, " _"]:
    """A column in its type; integers must be exact, box sides may have any value."""
    if column.dtype.kind not in "biuf" or column.ndim != 1:
        each = f" of shape {column.shape[1:]}" if column.ndim != 1 else ""
        raise source.error(f"the field {name} holds {column.dtype}{each}, not single numbers")
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return column.astype(dtype)
    low, high = _limits(dtype)
    # Two comparisons in the column's own type: a cast would wrap what does not fit.
    bad = ~((column >= low) & (column <= high))
    if column.dtype.kind == "f":
        bad |= column != np.floor(column)
    if bad.any() and name == "track_id":
        # DSEC numbers tracks with 64 bits; only equality matters.
        return np.unique(column, return_inverse=True)[1].astype(dtype)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise LabelError(
            f"{source.path}, row {row}: {name} is {column[row]}, not a whole number from "
            f"{low} to {high}"
        )
    return column.astype(dtype)


def _limits(dtype: np.dtype) -> tuple[int, int]:
    """The range of a type; of 64 bits a part, so that differences of times fit as well."""
    limits = np.iinfo(dtype)
    return (-(2**62), 2**62) if dtype.itemsize == 8 else (int(limits.min), int(limits.max))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
