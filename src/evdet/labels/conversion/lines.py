"""Labels -> files of lines: tables (CSV) and MOT text."""

import csv
import io

import numpy as np

from evdet.atomic_file import write_text
from evdet.labels.binning import to_disk_ids
from evdet.labels.conversion.target import Target
from evdet.labels.writers import mot_line

__all__ = ["write_csv", "write_mot"]

_COLUMNS = ("t", "x", "y", "w", "h", "class", "class_id", "track_id", "class_confidence")
_FLAGS = ("iscrowd", "difficult")


def write_csv(target: Target) -> list[str]:
    """Write a table with times, class names and flags; a time without objects is a row."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    has_flags = len(target.labeled.ignored) > 0
    table.writerow((*_COLUMNS, *(_FLAGS if has_flags else ())))
    for t, boxes in target.by_time():
        if not len(boxes):
            table.writerow((t, *[""] * (len(_COLUMNS) - 1), *(("", "") if has_flags else ())))
        for box in to_disk_ids(boxes):
            class_id = int(box["class_id"])
            sides = (box[name] for name in ("x", "y", "w", "h"))
            last = (class_id, box["track_id"], box["class_confidence"])
            row = (t, *sides, target.name_of(class_id), *last)
            table.writerow((*row, *(_flags_of(box) if has_flags else ())))
    write_text(target.path, text.getvalue())
    return []


def write_mot(target: Target) -> list[str]:
    """Write MOT text; boxes that do not count have confidence 0."""
    lines = []
    for t, boxes in target.by_time():
        for box in to_disk_ids(boxes):
            is_ignored = sum(_flags_of(box)) > 0
            lines.append(mot_line(box, target.frames[t], is_ignored=is_ignored))
    write_text(target.path, "".join(lines))
    num_untracked = int((target.labeled.boxes["track_id"] == 0).sum())
    if not num_untracked:
        return []
    are = "box has" if num_untracked == 1 else "boxes have"
    return [f"writes the id -1 without a track: {num_untracked:,} {are} none"]


def _flags_of(box: np.void) -> tuple[int, int]:
    """Whether a box is a crowd, and whether it is an object that does not count."""
    if "is_ignored" not in (box.dtype.names or ()):
        return 0, 0
    is_crowd = bool(box["is_crowd"])
    return int(is_crowd), int(bool(box["is_ignored"]) and not is_crowd)
