"""Label files of any format -> box events, and back.

On disk ids are those of the label map, from 0; box events have ids from 1, as 0 is the background.
Only this module converts them.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from evdet.input_files import check_is_file
from evdet.labels.annotation_tools import find_tool_reader
from evdet.labels.binning import LabeledTimes, to_disk_ids
from evdet.labels.coco import read_coco, save_coco
from evdet.labels.frame_files import read_voc, read_yolo
from evdet.labels.label_map import LABEL_SUFFIXES
from evdet.labels.mot import read_mot
from evdet.labels.npy import read_npy, save_npy
from evdet.labels.source import BoxRows, LabelError, LabelSource, RecordingFacts
from evdet.labels.table import read_csv
from evdet.shapes import BoxEvents

__all__ = ["LabelError", "read_boxes", "write_boxes_coco", "write_boxes_npy"]

# Few boxes may be as small, or as far beyond the sensor, as this.
_FEW = 8


def read_boxes(
    path: Path,
    label_map: Mapping[int, str],
    *,
    recording: RecordingFacts | None = None,
    frame_period: int | None = None,
    truth: Path | None = None,
) -> LabeledTimes:
    """Read a label file.

    NumPy (`_bbox.npy`), COCO JSON, MOT text, YOLO text, PASCAL VOC XML or a table (CSV);
    YOLO and VOC also as a folder with one file per frame.

    Exports of CVAT, Label Studio, Datumaro and supervision are recognised by their content.

    Args:
        path: the file or folder.
        label_map: names of the ids on disk; formats with class names are matched by name.
        recording: the labelled recording. Required where the file lacks the sensor's size (YOLO)
            or times.
        frame_period: microseconds between frames, for files with frame indices: frame k is the
            k-th bin of `recording.slices(frame_period)`, labelled at its end.
        truth: the ground truth whose ids COCO results refer to.

    Returns:
        The boxes in order of time, ids from 1, the times without objects, and the boxes that the
        file marks as not to be counted.

    Raises:
        LabelError: the file is invalid.
        FileNotFoundError: the file does not exist.
    """
    source = LabelSource(path, label_map, recording, frame_period, truth)
    read = _reader_of(source)
    rows = BoxRows() if read is None else read(source)
    if read is None:
        boxes, ignored, rows.counts = read_npy(source)
    else:
        boxes, ignored = rows.boxes(), rows.ignored()
    _check_pixels(source, boxes)
    _check_sizes(source, boxes)
    boxes, ignored = _in_memory(source, boxes), _in_memory(source, ignored)
    only_ignored = np.setdiff1d(ignored["t"], boxes["t"])
    empty = np.concatenate([np.array(rows.empty_times, np.int64), only_ignored])
    return LabeledTimes(boxes, np.unique(empty), rows.counts, ignored, tuple(rows.notes))


def write_boxes_npy(path: Path, boxes: BoxEvents) -> None:
    """Write box events as Prophesee's `_bbox.npy`.

    Args:
        path: the file to write.
        boxes: box events with ids from 1; all fields are written, `still_us` too.

    Raises:
        ValueError: a box is background.
    """
    save_npy(path, to_disk_ids(boxes))


def write_boxes_coco(path: Path, labeled: LabeledTimes, label_map: Mapping[int, str]) -> None:
    """Write labels as COCO-video JSON; unlike `_bbox.npy` it keeps the times without objects.

    Args:
        path: the file to write.
        labeled: the labels; ids from 1.
        label_map: names of the ids on disk.

    Raises:
        ValueError: a box is background, or its class is not in the label map.
    """
    save_coco(path, labeled, label_map)


def _check_pixels(source: LabelSource, boxes: BoxEvents) -> None:
    """Refuse boxes that all lie in the first pixel: they are shares of the picture."""
    sides = np.stack([boxes[name] for name in "xywh"])
    # One pixel less where pixels count from 1.
    if len(boxes) < _FEW or not (np.abs(sides) <= 1.001).all() or not (sides[2:] > 0).all():
        return
    if (sides == np.round(sides)).all():
        return
    shown = ", ".join(f"{value:g}" for value in sides[:, 0])
    raise source.error(
        f"all boxes are smaller than a pixel (the first is x, y, w, h = {shown}): they seem to be "
        "shares of the picture's width and height; multiply them by the size of the sensor"
    )


def _check_sizes(source: LabelSource, boxes: BoxEvents) -> None:
    """Refuse boxes whose width and height are the second corner: they reach beyond the sensor."""
    if source.recording is None or len(boxes) < _FEW:
        return
    size = source.recording.size
    x, y, w, h = (boxes[name].astype(np.float64) for name in "xywh")
    is_beyond = (x + w > 1.05 * size.width) | (y + h > 1.05 * size.height)
    in_picture = (w <= size.width + 1) & (h <= size.height + 1) & (x >= 0) & (y >= 0)
    if (in_picture & (w > x) & (h > y)).all() and 2 * is_beyond.sum() > len(boxes):
        raise source.error(
            f"{int(is_beyond.sum()):,} of {len(boxes):,} boxes reach beyond the sensor, {size}, "
            "and all could be two corners, x1 y1 x2 y2, in place of x, y, width and height: write "
            "width and height, or a table with the columns x1, y1, x2, y2"
        )


def _in_memory(source: LabelSource, boxes: BoxEvents) -> BoxEvents:
    """Boxes in order of time with ids from 1."""
    if len(boxes) and boxes["class_id"].max() == np.iinfo(np.uint32).max:
        raise source.error(f"the class id {boxes['class_id'].max()} is too large")
    boxes = boxes[np.argsort(boxes["t"], kind="stable")]
    boxes["class_id"] += 1
    return boxes


def _reader_of(source: LabelSource) -> Callable[[LabelSource], BoxRows] | None:
    """The reader of a format; None is NumPy's, which needs no rows."""
    path = source.path
    if path.is_dir():
        return _reader_of_folder(source)
    if not path.exists():
        raise FileNotFoundError(f"the label file {path} does not exist")
    check_is_file(path)
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz"):
        return None
    if suffix == ".txt":
        return _reader_of_text(source)
    of_tool = find_tool_reader(source)
    if of_tool is not None:
        return of_tool
    readers = {".json": read_coco, ".xml": read_voc, ".csv": read_csv, ".tsv": read_csv}
    if suffix not in readers:
        raise source.error(
            f"unsupported format {suffix!r} (supported: {', '.join(LABEL_SUFFIXES)}, and folders "
            "of .txt or .xml files)"
        )
    return readers[suffix]


def _reader_of_folder(source: LabelSource) -> Callable[[LabelSource], BoxRows]:
    suffixes = {path.suffix.lower() for path in source.path.iterdir()}
    if {".txt", ".xml"} <= suffixes:
        raise source.error("the folder has both .txt and .xml files: keep one kind of labels")
    if not suffixes & {".txt", ".xml"}:
        raise source.error("the folder has no .txt (YOLO) or .xml (PASCAL VOC) file of a frame")
    return read_yolo if ".txt" in suffixes else read_voc


def _reader_of_text(source: LabelSource) -> Callable[[LabelSource], BoxRows]:
    """MOT has commas, YOLO has spaces, a table has column names in its first line."""
    with source.path.open("rb") as file:
        start = file.read(4096)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        start = start.decode("utf-16", errors="ignore").encode()
    lines = start.removeprefix(b"\xef\xbb\xbf").splitlines()
    first = next((line for line in lines if line.strip()), b"")
    has_marks = any(mark in first for mark in (b",", b";", b"\t"))
    if has_marks and (first.lstrip(b"#% ")[:1].isalpha() or first[:1] == b'"'):
        return read_csv
    is_mot = b"," in first or first.count(b";") > 4 or _is_mot_with_spaces(first)
    return read_mot if is_mot else read_yolo


def _is_mot_with_spaces(line: bytes) -> bool:
    """Nine or ten numbers, of which one is not a share of the picture as all of YOLO's are."""
    cells = line.split()
    if len(cells) not in (9, 10):
        return False
    try:
        values = [float(cell) for cell in cells]
    except ValueError:
        return False
    return max(map(abs, values[1:])) > 1
