"""Labels -> folders with one file per annotated frame: YOLO text and PASCAL VOC XML."""

from xml.etree import ElementTree

import numpy as np

from evdet.atomic_file import write_text
from evdet.events import SensorSize
from evdet.labels.binning import to_disk_ids
from evdet.labels.box_rules import BoxRules, apply_rules
from evdet.labels.conversion.target import Target
from evdet.labels.label_map import check_plain_names

__all__ = ["write_voc", "write_yolo"]

_MAX_UNUSED = 10_000


def write_yolo(target: Target) -> list[str]:
    """Write `class cx cy w h`, in shares of the picture, and the names in classes.txt."""
    check_plain_names(target.label_map.values(), "YOLO")
    last = max(target.label_map, default=-1)
    if last > len(target.label_map) + _MAX_UNUSED:
        raise ValueError(
            f"YOLO numbers classes without gaps, and the label map has the id {last:,}: number its "
            f"{len(target.label_map):,} classes from 0"
        )
    size = _size_of(target)
    changed: dict[str, int] = {}
    for t, boxes in target.by_time():
        # Tools refuse shares beyond the picture.
        inside, counts = apply_rules(boxes, BoxRules(), size)
        for reason, count in counts.items():
            changed[reason] = changed.get(reason, 0) + count
        lines = []
        for box in to_disk_ids(inside):
            x, y, w, h = (float(box[name]) for name in ("x", "y", "w", "h"))
            shares = ((x + w / 2) / size.width, (y + h / 2) / size.height)
            sides = (w / size.width, h / size.height)
            values = " ".join(f"{min(value, 1):.10g}" for value in (*shares, *sides))
            lines.append(f"{box['class_id']} {values}\n")
        write_text(target.part / f"{_stem(target, t)}.txt", "".join(lines))
    names = [target.label_map.get(i, f"unused {i}") for i in range(last + 1)]
    write_text(target.part / "classes.txt", "".join(f"{name}\n" for name in names))
    clipped = changed.pop("clipped", 0)
    return [
        f"has no boxes beyond the picture: {count:,} {what}"
        for count, what in (
            (clipped, "clipped"),
            (changed.get("outside the sensor", 0), "left out"),
        )
        if count
    ] + [
        f"has no boxes without area: {n:,} left out" for n in [changed.get("without area", 0)] if n
    ]


def write_voc(target: Target) -> list[str]:
    """Write corners in pixels from 1, both inside; boxes that do not count are difficult."""
    check_plain_names(target.label_map.values(), "VOC")
    size = _size_of(target)
    for t, boxes in target.by_time():
        root = ElementTree.Element("annotation")
        _add(root, "folder", target.path.name)
        _add(root, "filename", f"{_stem(target, t)}.png")
        # The reader knows by it that pixels count from 1, even if a corner is at 0.
        _add(ElementTree.SubElement(root, "source"), "database", "evdet")
        sides = ElementTree.SubElement(root, "size")
        for name, value in (("width", size.width), ("height", size.height), ("depth", 3)):
            _add(sides, name, str(value))
        _add(root, "segmented", "0")
        for box in to_disk_ids(boxes):
            _add_object(root, box, target.name_of(int(box["class_id"])))
        ElementTree.indent(root)
        text = ElementTree.tostring(root, encoding="unicode")
        write_text(target.part / f"{_stem(target, t)}.xml", text + "\n")
    return []


def _size_of(target: Target) -> SensorSize:
    if target.size is None:
        raise ValueError("the size of the pictures is unknown")
    return target.size


def _stem(target: Target, t: int) -> str:
    return f"frame_{target.frames[t]:06d}"


def _add(parent: ElementTree.Element, name: str, text: str) -> None:
    ElementTree.SubElement(parent, name).text = text


def _add_object(root: ElementTree.Element, box: np.void, name: str) -> None:
    node = ElementTree.SubElement(root, "object")
    is_ignored = "is_ignored" in (box.dtype.names or ()) and bool(box["is_ignored"])
    _add(node, "name", name)
    _add(node, "pose", "Unspecified")
    _add(node, "truncated", "0")
    _add(node, "difficult", str(int(is_ignored)))
    corners = ElementTree.SubElement(node, "bndbox")
    x, y, w, h = (float(box[name]) for name in ("x", "y", "w", "h"))
    for side, value in (("xmin", x + 1), ("ymin", y + 1), ("xmax", x + w), ("ymax", y + h)):
        _add(corners, side, np.format_float_positional(value, trim="-", precision=6))
