"""Label files of every format, and what each cannot keep."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evdet.atomic_file import filling_folder
from evdet.boxes import BOX_DTYPE
from evdet.events import SensorSize
from evdet.labels.binning import IGNORED_DTYPE, LabeledTimes, to_disk_ids
from evdet.labels.coco import save_coco
from evdet.labels.conversion.folders import write_voc, write_yolo
from evdet.labels.conversion.frames import label_times, number_frames
from evdet.labels.conversion.lines import write_csv, write_mot
from evdet.labels.conversion.target import Target
from evdet.labels.npy import save_npy
from evdet.shapes import BoxEvents

__all__ = ["LABEL_FORMATS", "find_format", "write_labels"]


@dataclass(frozen=True, kw_only=True)
class _Format:
    """A format of labels."""

    name: str
    """In messages."""
    suffix: str
    """Of the file; empty for a folder."""
    write: Callable[[Target], list[str]]
    """Writes it; gives what was changed, in words."""
    has_times: bool = False
    has_empty_times: bool = True
    has_tracks: bool = True
    has_confidences: bool = True
    flags: str = "crowds and objects"
    """Boxes that do not count: told apart, `objects` alone, or empty for none."""
    needs_size: bool = False


def _write_npy(target: Target) -> list[str]:
    parts = [target.labeled.boxes]
    if len(target.labeled.ignored):
        ignored = np.zeros(len(target.labeled.ignored), target.labeled.boxes.dtype)
        for name in BOX_DTYPE.names or ():
            ignored[name] = target.labeled.ignored[name]
        ignored["class_confidence"] = 0
        parts.append(ignored)
    boxes = np.concatenate(parts)
    save_npy(target.path, to_disk_ids(boxes[np.argsort(boxes["t"], kind="stable")]))
    return []


def _write_coco(target: Target) -> list[str]:
    save_coco(
        target.path,
        target.labeled,
        target.label_map,
        size=target.size,
        frames=target.frames or None,
    )
    return []


_FORMATS = {
    "npy": _Format(
        name="NumPy", suffix=".npy", write=_write_npy, has_times=True, has_empty_times=False,
        flags="objects",
    ),
    "coco": _Format(name="COCO", suffix=".json", write=_write_coco, has_times=True),
    "csv": _Format(name="CSV", suffix=".csv", write=write_csv, has_times=True),
    "mot": _Format(
        name="MOT", suffix=".txt", write=write_mot, has_empty_times=False, flags="objects",

    ),
    "yolo": _Format(
        name="YOLO", suffix="", write=write_yolo, has_tracks=False, has_confidences=False, flags="",
        needs_size=True,
    ),
    "voc": _Format(
        name="VOC", suffix="", write=write_voc, has_tracks=False, has_confidences=False,
        flags="objects", needs_size=True,
    ),
}  # fmt: skip

LABEL_FORMATS = tuple(_FORMATS)
"""Formats of labels that can be written; yolo and voc are folders."""


def find_format(path: Path, name: str | None = None) -> str:
    """The format to write.

    Args:
        path: the file or folder.
        name: one of `LABEL_FORMATS`; None takes the ending of the file.

    Raises:
        ValueError: the ending is of no format, of another, or of a folder, which has two.
    """
    suffix = path.suffix.lower()
    if name is None:
        found = [key for key, one in _FORMATS.items() if one.suffix and one.suffix == suffix]
        if found:
            return found[0]
        endings = ", ".join(one.suffix for one in _FORMATS.values() if one.suffix)
        raise ValueError(
            f"cannot write labels to {path}: the ending {suffix!r} is of no format (supported: "
            f"{endings}); for a folder with one file per frame give --format yolo or --format voc"
        )
    wanted = _FORMATS[name].suffix
    if suffix != wanted and (wanted or suffix in (".npy", ".json", ".csv", ".txt", ".xml")):
        what = f"a file that ends in {wanted}" if wanted else "a folder"
        raise ValueError(f"cannot write labels to {path}: --format {name} is {what}")
    return name


def write_labels(
    path: Path,
    labeled: LabeledTimes,
    label_map: Mapping[int, str],
    *,
    format_name: str,
    size: SensorSize | None = None,
    frame_period: int | None = None,
    start: int = 0,
) -> list[str]:
    """Write labels in a format.

    Args:
        path: the file, or the folder, which is made.
        labeled: the labels.
        label_map: names of the ids on disk.
        format_name: one of `LABEL_FORMATS`; the files of a folder appear when all are written, and
            replace those of the same names.
        size: the sensor's size; YOLO and VOC need it.
        frame_period: microseconds between frames; formats that number frames need it.
        start: time of the recording's first event, for frame numbers.

    Returns:
        What the format cannot keep, a line each.

    Raises:
        ValueError: the format needs the size or the period, two times are in one frame, or the
            format cannot hold a class name or id.
        OSError: a file cannot be written.
    """
    form = _FORMATS[format_name]
    if form.needs_size and size is None:
        raise ValueError(
            f"{form.name} is written for pictures of a size: give --sensor-size WxH, or the "
            "recording with --recording"
        )
    if not form.has_times and frame_period is None:
        raise ValueError(
            f"{form.name} numbers frames: give the duration of a frame in microseconds, "
            "--frame-period"
        )
    frames: Mapping[int, int] = {}
    lost = []
    if frame_period is not None and (not form.has_times or format_name == "coco"):
        frames, moved = number_frames(labeled, frame_period=frame_period, start=start)
        if moved and not form.has_times:
            lost.append(f"{form.name} {moved}")
    labeled, dropped = _sound(labeled)
    if dropped:
        lost.append(f"boxes left out, not finite or of a negative side: {dropped:,}")
    lost += _losses(form, labeled)
    if not form.flags:
        empty = np.union1d(labeled.empty_times, labeled.ignored["t"])
        labeled = replace(labeled, ignored=np.zeros(0, IGNORED_DTYPE), empty_times=empty)
    with contextlib.nullcontext(path) if form.suffix else filling_folder(path) as part:
        changed = form.write(Target(path, part, labeled, label_map, size, frames))
    return [*lost, *(f"{form.name} {what}" for what in changed)]


def _sound(labeled: LabeledTimes) -> tuple[LabeledTimes, int]:
    """Leave out boxes that no format has."""

    def are_sound(boxes: BoxEvents) -> np.ndarray:
        sides = np.stack([boxes[name] for name in ("x", "y", "w", "h")])
        sound: np.ndarray = np.isfinite(sides).all(axis=0) & (boxes["w"] >= 0) & (boxes["h"] >= 0)
        return sound

    good, good_ignored = are_sound(labeled.boxes), are_sound(labeled.ignored)
    dropped = int((~good).sum() + (~good_ignored).sum())
    if not dropped:
        return labeled, 0
    boxes = labeled.boxes[good]
    # A time stays annotated without its boxes.
    empty = np.setdiff1d(np.array(label_times(labeled), np.int64), boxes["t"])
    return replace(
        labeled, boxes=boxes, ignored=labeled.ignored[good_ignored], empty_times=empty
    ), dropped


def _losses(form: _Format, labeled: LabeledTimes) -> list[str]:
    lost = []
    boxes, ignored = labeled.boxes, labeled.ignored

    def lose(what: str, count: int, verb: str = "left out") -> None:
        if count:
            lost.append(f"{form.name} has no {what}: {count:,} {verb}")

    if not form.has_empty_times:
        lose("times without objects", len(np.setdiff1d(labeled.empty_times, ignored["t"])))
    if not form.has_tracks:
        lose("tracks", len(np.setdiff1d(boxes["track_id"], [0])))
    if not form.has_confidences:
        lose("confidences", int((boxes["class_confidence"] != 1).sum()))
    if form.flags == "objects":
        verb = "become single boxes that do not count"
        lose("crowd regions", int(ignored["is_crowd"].sum()), verb)
    elif not form.flags:
        lose("boxes that do not count", len(ignored))
    if form.name != "NumPy":
        for name in set(boxes.dtype.names or ()) - set(BOX_DTYPE.names or ()):
            lose(f"field {name}", len(boxes))
    return lost
