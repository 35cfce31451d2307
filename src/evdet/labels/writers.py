"""Boxes -> files that grow frame by frame: NumPy, CSV, COCO results, MOT."""

import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evdet.boxes import BOX_DTYPE
from evdet.labels.binning import to_disk_ids
from evdet.labels.growing_file import GrowingFile
from evdet.shapes import BoxEvents

__all__ = ["BOX_SUFFIXES", "BoxWriter", "mot_line"]

# Readers of MOT do not count lines with confidence 0.
_LEAST_CONFIDENCE = 1e-6
_LEAST_CORNER = 1e-6
_CSV_COLUMNS = ("t", "x", "y", "w", "h", "class", "class_id", "track_id", "class_confidence")
_AGE = "age_us"
_AGED_DTYPE = np.dtype([*BOX_DTYPE.descr, (_AGE, "<i8")])


class BoxWriter:
    """Appends boxes to a file that is complete at any time.

    The ending of its name determines the format; `read_boxes` reads all of them.

    Args:
        path: a name with an ending of `BOX_SUFFIXES`; an existing file is replaced.
        label_map: names of the ids on disk, which start at 0.
        has_ages: give each box its age, as `age_us`; MOT text has no place for it.

    Raises:
        ValueError: unsupported ending.
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path, label_map: Mapping[int, str], *, has_ages: bool = False) -> None:
        if path.suffix.lower() not in _FORMATS:
            raise ValueError(
                f"cannot write boxes to {path.name}: unsupported format {path.suffix!r} "
                f"(supported: {', '.join(BOX_SUFFIXES)})"
            )
        self._format = _FORMATS[path.suffix.lower()]
        self._label_map = label_map
        self._dtype = _AGED_DTYPE if has_ages else BOX_DTYPE
        self._num_boxes = 0
        self._file = GrowingFile(path, self._format.head(0, self._dtype), self._format.tail)

    def write(self, boxes: BoxEvents, *, frame: int, age: int = 0) -> None:
        """Append the boxes of one frame.

        Args:
            boxes: box events with ids from 1, not before those written so far.
            frame: index of the frame, from 0, for formats with frame indices. In an event
                recording, frame k is the k-th bin of `recording.slices`, as for labels.
            age: of the boxes, in microseconds, for a file with ages.

        Raises:
            ValueError: a box is background, or its class is not in the label map.
            OSError: the disk is full; the boxes written before stay.
        """
        if not len(boxes):
            return
        boxes = to_disk_ids(boxes)
        unknown = set(np.unique(boxes["class_id"]).tolist()) - set(self._label_map)
        if unknown:
            raise ValueError(f"the label map has no class with the id {min(unknown)}")
        rows = np.zeros(len(boxes), self._dtype)
        for name in BOX_DTYPE.names or ():
            rows[name] = boxes[name]
        if self._dtype is _AGED_DTYPE:
            rows[_AGE] = age
        content = self._format.encode(rows, frame, self._label_map)
        if self._num_boxes:
            content = self._format.between + content
        head = self._format.head(self._num_boxes + len(boxes), self._dtype)
        self._file.append(content, head=head)
        self._num_boxes += len(boxes)

    def close(self) -> None:
        """Close the file, which is complete."""
        self._file.close()


def _npy_head(num_boxes: int, dtype: np.dtype) -> bytes:
    """The header of an array, of constant length."""
    text = f"{{'descr': {dtype.descr!r}, 'fortran_order': False, 'shape': ({num_boxes},), }}"
    # Magic, version and length are 10 bytes, and data starts at a multiple of 64.
    length = -(-(len(text) - len(str(num_boxes)) + 20 + 11) // 64) * 64 - 10
    return b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little") + f"{text:{length - 1}}\n".encode()


def _npy_rows(boxes: BoxEvents, frame: int, label_map: Mapping[int, str]) -> bytes:
    return boxes.tobytes()


def _csv_head(num_boxes: int, dtype: np.dtype) -> bytes:
    return (",".join([*_CSV_COLUMNS, *_further(dtype)]) + "\n").encode()


def _csv_rows(boxes: BoxEvents, frame: int, label_map: Mapping[int, str]) -> bytes:
    text = io.StringIO()
    # float32 prints the fewest digits that read back as the same number.
    csv.writer(text, lineterminator="\n").writerows(
        (
            box["t"],
            *(box[name] for name in ("x", "y", "w", "h")),
            label_map[int(box["class_id"])],
            box["class_id"],
            box["track_id"],
            box["class_confidence"],
            *(box[name] for name in _further(boxes.dtype)),
        )
        for box in boxes
    )
    return text.getvalue().encode()


def _coco_rows(boxes: BoxEvents, frame: int, label_map: Mapping[int, str]) -> bytes:
    records = []
    for box in boxes:
        record = {
            "image_id": frame,
            "category_id": int(box["class_id"]) + 1,
            "bbox": [float(str(box[name])) for name in ("x", "y", "w", "h")],
            "score": float(str(box["class_confidence"])),
            "t": int(box["t"]),
        }
        if box["track_id"]:
            record["track_id"] = int(box["track_id"])
        record |= {name: int(box[name]) for name in _further(boxes.dtype)}
        records.append(json.dumps(record))
    return ",\n".join(records).encode()


def _mot_rows(boxes: BoxEvents, frame: int, label_map: Mapping[int, str]) -> bytes:
    return "".join(mot_line(box, frame) for box in boxes).encode()


def _further(dtype: np.dtype) -> list[str]:
    """The fields that not every file has."""
    return [_AGE] if dtype == _AGED_DTYPE else []


def mot_line(box: np.void, frame: int, *, is_ignored: bool = False) -> str:
    """One line of MOT text, with its end.

    Args:
        box: a record with its id on disk.
        frame: index of the frame, from 0.
        is_ignored: the box does not count, which confidence 0 says.
    """
    x, y, w, h, confidence = (
        float(str(box[name])) for name in ("x", "y", "w", "h", "class_confidence")
    )
    # Pixels in MOT start at 1; a corner at 0 would say that they start at 0.
    x, y = (value + 1 or _LEAST_CORNER for value in (x, y))
    confidence = 0.0 if is_ignored else max(confidence, _LEAST_CONFIDENCE)
    # The flag of ground truth is a whole number: TrackEval refuses others.
    flag = int(confidence) if confidence in (0, 1) else confidence
    track_id = int(box["track_id"]) or -1
    cells = (frame + 1, track_id, x, y, w, h, flag, int(box["class_id"]), -1)
    return ",".join(map(repr, cells)) + "\n"


@dataclass(frozen=True)
class _Format:
    head: Callable[[int, np.dtype], bytes]
    """Number of boxes, and type of a record -> the beginning of a file."""
    encode: Callable[[BoxEvents, int, Mapping[int, str]], bytes]
    """Boxes with ids as on disk, number of their frame, label map -> what is appended."""
    between: bytes = b""
    tail: bytes = b""


_FORMATS = {
    ".npy": _Format(_npy_head, _npy_rows),
    ".csv": _Format(_csv_head, _csv_rows),
    ".json": _Format(lambda num_boxes, dtype: b"[\n", _coco_rows, between=b",\n", tail=b"\n]\n"),
    ".txt": _Format(lambda num_boxes, dtype: b"", _mot_rows),
}

BOX_SUFFIXES = tuple(_FORMATS)
"""Endings of box files: NumPy, CSV, COCO results, MOT text."""
