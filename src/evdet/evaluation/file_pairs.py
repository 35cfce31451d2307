"""Matches files of detections with files of boxes."""

import re
from pathlib import Path
from typing import NamedTuple

from evdet.labels import LABEL_MAP_FILE, LABEL_SUFFIXES, is_box_npy, is_frame_folder, key_of

__all__ = ["MatchedFiles", "match_files"]

_DETECTION_TAIL = re.compile(r"_(detections|detected|dets?|dt|predictions|preds?|results?)$", re.I)
_NUM_NAMED = 5
_HEAD = 4096
_NUM_COLUMNS = 4


class MatchedFiles(NamedTuple):
    """The files of one recording."""

    name: str
    boxes: Path
    detections: Path | None
    """None if the recording has no file: it counts as without detections."""


def match_files(detections: Path, boxes: Path) -> tuple[list[MatchedFiles], list[str]]:
    """Match two files, or the files of two folders and all folders below by their names.

    Names are compared without extension and without a tail such as `_bbox` or `_detections`. A
    folder of YOLO or VOC files, one per frame, is one recording: it is matched like a file.

    Args:
        detections: a file or a folder.
        boxes: likewise.

    Returns:
        The matched files, sorted by name, and notes about unmatched files.

    Raises:
        FileNotFoundError: one of the two does not exist.
        ValueError: one is a file and the other a folder, a folder has no file of boxes, two files
            have the same name, or no name is in both.
    """
    for path in (detections, boxes):
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist")
    are_sets = [path.is_dir() and not is_frame_folder(path) for path in (detections, boxes)]
    if are_sets[0] != are_sets[1]:
        one, other = (boxes, detections) if are_sets[0] else (detections, boxes)
        kind = "a folder with a file per frame" if one.is_dir() else "a file"
        raise ValueError(
            f"{one} is {kind} and {other} a folder of recordings: give two files or two folders; a "
            "folder with a YOLO or VOC file per frame, numbered by frame, counts as a file"
        )
    if not are_sets[1]:
        return [MatchedFiles(_key(boxes), boxes, detections)], []
    found, truth = _files_of(detections), _files_of(boxes)
    if not found.keys() & truth.keys():
        raise ValueError(
            f"no file of {detections} has the name of one of {boxes}: the names are "
            f"{_named(list(found))} and {_named(list(truth))}"
        )
    pairs = [MatchedFiles(name, truth[name], found.get(name)) for name in sorted(truth)]
    missing = [pair.name for pair in pairs if pair.detections is None]
    extra = sorted(found.keys() - truth.keys())
    notes = []
    if missing:
        notes.append(
            f"{len(missing)} of {len(pairs)} recordings have no file of detections and count as "
            f"without detections: {_named(missing)}"
        )
    if extra:
        notes.append(
            f"{len(extra)} files of detections have no file of boxes and are left out: "
            f"{_named(extra)}"
        )
    return pairs, notes


def _key(path: Path) -> str:
    stem = _DETECTION_TAIL.sub("", path.stem)
    return key_of(path.with_name(stem + path.suffix))


def _files_of(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    folders = [path for path in sorted(folder.rglob("*")) if is_frame_folder(path)]
    for path in folders:
        files[str(path.relative_to(folder))] = path
    for path in sorted(folder.rglob("*")):
        if path.parent in folders:
            continue
        is_boxes = path.suffix.lower() in LABEL_SUFFIXES and path.name != LABEL_MAP_FILE
        # A folder of a data set has the recordings beside the labels.
        if not is_boxes or not path.is_file() or _is_events(path):
            continue
        name = str(path.relative_to(folder).with_name(_key(path)))
        if name in files:
            raise ValueError(f"{files[name]} and {path} are both of {name}: move one of them away")
        files[name] = path
    if not files:
        raise ValueError(f"{folder} has no file of boxes: those end in {', '.join(LABEL_SUFFIXES)}")
    return files


def _is_events(path: Path) -> bool:
    """Whether a file is a recording by its name and content, and not of its detections."""
    if re.search(r"_(td|cd|events)$", path.stem) is None:
        return False
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return not is_box_npy(path)
    if suffix in (".csv", ".txt", ".tsv"):
        with path.open("rb") as file:
            head = file.read(_HEAD).decode("latin-1")
        lines = [line for line in head.splitlines() if line.strip() and line[0] not in "#%"]
        # An event has t, x, y and p; a box has its sides, too.
        return not lines or len(re.split(r"[,;\s]+", lines[0].strip())) <= _NUM_COLUMNS
    return suffix not in (".json", ".xml")


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _NUM_NAMED} more" if len(names) > _NUM_NAMED else ""
    return ", ".join(names[:_NUM_NAMED]) + more
