"""YOLO text and PASCAL VOC XML: one file per labelled frame."""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from evdet.labels.source import BoxRows, LabelSource, number
from evdet.labels.text import read_text

__all__ = ["read_voc", "read_yolo"]

# A box may extend beyond the picture; larger values than this are pixels.
_LARGEST_SHARE = 2.0
# Other files that annotation tools write into the folder.
_NO_FRAMES = ("classes", "labels", "obj", "train", "readme", "predefined_classes")


def read_yolo(source: LabelSource) -> BoxRows:
    """Read YOLO text: `class cx cy w h`, in shares of the picture, and optionally a confidence.

    Args:
        source: a folder of files named by frame index, from 0, or one file, for the end of the
            recording. The class is an id of the label map.

    Returns:
        The boxes, and the times of empty files as empty times; ids as on disk.

    Raises:
        LabelError: a line is invalid.
    """
    rows = BoxRows()
    for path, t in _frames(source, ".txt"):
        size = source.facts().size
        scale = (size.width, size.height, size.width, size.height)
        num_before = len(rows.rows)
        for line_number, line in enumerate(read_text(source, path).splitlines(), start=1):
            if line.strip():
                where = f"line {line_number}"
                class_id, shares, confidence = _yolo_line(source, line, where, path)
                cx, cy, w, h = (share * side for share, side in zip(shares, scale, strict=True))
                rows.add(t, (cx - w / 2, cy - h / 2, w, h), class_id, confidence=confidence)
        if len(rows.rows) == num_before:
            rows.empty_times.append(t)
    return rows


def read_voc(source: LabelSource) -> BoxRows:
    """Read PASCAL VOC XML: corners in pixels that count from 1, both inside the box.

    Args:
        source: a folder of files named by frame index, from 0, or one file, for the end of the
            recording. Classes are matched by name.

    Returns:
        The boxes, and the times of files without objects as empty times; ids as on disk.

    Raises:
        LabelError: a file is not XML, or a value is invalid.
    """
    rows = BoxRows()
    for path, t in _frames(source, ".xml"):
        try:
            root = ElementTree.fromstring(read_text(source, path))
        except (ElementTree.ParseError, ValueError) as error:
            raise source.error(f"not valid XML: {error}", path=path) from error
        if root.tag != "annotation":
            raise source.error(
                f"the XML is <{root.tag}>, not <annotation> as in PASCAL VOC", path=path
            )
        _check_size(source, root, path)
        objects = root.findall("object")
        for i, node in enumerate(objects, start=1):
            where = f"object {i}"
            sides = [
                _side(source, node, name, where, path) for name in ("xmin", "ymin", "xmax", "ymax")
            ]
            x, y, right, bottom = sides
            name = (node.findtext("name") or "").strip()
            class_id = source.class_id_of(name, where, path)
            rows.add(t, (x - 1, y - 1, right - x + 1, bottom - y + 1), class_id)
        if not objects:
            rows.empty_times.append(t)
    return rows


def _frames(source: LabelSource, suffix: str) -> Iterator[tuple[Path, int]]:
    """The file of each labelled frame, and its time."""
    if not source.path.is_dir():
        end = source.facts().end
        yield source.path, 0 if end is None else end
        return
    seen: dict[int, Path] = {}
    for path in sorted(source.path.iterdir()):
        if path.suffix.lower() != suffix or path.stem.lower() in _NO_FRAMES:
            continue
        digits = re.search(r"(\d{1,15})$", path.stem)
        if digits is None:
            raise source.error(
                "the name does not end in a frame index, as in frame_000012"
                f"{suffix}; indices start at 0",
                path=path,
            )
        frame = int(digits[1])
        if frame in seen:
            raise source.error(f"{seen[frame].name} is also frame {frame}", path=path)
        seen[frame] = path
        yield path, source.frame_time(frame)


def _yolo_line(
    source: LabelSource, line: str, where: str, path: Path
) -> tuple[int, list[float], float]:
    cells = line.split()
    if len(cells) not in (5, 6):
        raise source.error(
            f"{len(cells)} values instead of `class cx cy w h`"
            + (": are these outlines? Export boxes" if len(cells) > 6 else ""),
            where,
            path,
        )
    if not cells[0].isdecimal() or len(cells[0]) > 9:
        raise source.error(f"the class is {cells[0]!r}, not an id of the label map", where, path)
    values: list[float] = []
    for cell in cells[1:]:
        value = number(cell)
        if value is None:
            raise source.error(f"{cell!r} is not a number", where, path)
        values.append(value)
    largest = max(values[:4], key=abs)
    if abs(largest) > _LARGEST_SHARE:
        raise source.error(
            f"{largest:g} is not a share of the picture's width or height, as YOLO boxes are: "
            "are these pixels?",
            where,
            path,
        )
    return int(cells[0]), values[:4], values[4] if len(values) > 4 else 1.0


def _side(
    source: LabelSource, node: ElementTree.Element, name: str, where: str, path: Path
) -> float:
    text = node.findtext(f"bndbox/{name}")
    value = number(text.strip()) if text else None
    if value is None:
        raise source.error(f"<bndbox> has {text!r} for <{name}>, not a number", where, path)
    return value


def _check_size(source: LabelSource, root: ElementTree.Element, path: Path) -> None:
    """Check that the labelled picture has the sensor's size, so that boxes are in its pixels."""
    width, height = (
        number((root.findtext(f"size/{name}") or "").strip()) for name in ("width", "height")
    )
    if source.recording is None or not width or not height:
        return
    size = source.recording.size
    if (height, width) != tuple(size):
        raise source.error(
            f"the labelled picture is {width:g}x{height:g}, the sensor is {size}: "
            "scale the boxes, or label pictures of the sensor's size",
            path=path,
        )
