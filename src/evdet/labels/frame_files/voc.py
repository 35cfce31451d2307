"""PASCAL VOC XML: one file per labelled frame."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from evdet.labels.flags import why_ignored
from evdet.labels.frame_files.folder import files_of_frames, find_frames
from evdet.labels.source import BoxRows, LabelSource, number
from evdet.labels.text import read_text

__all__ = ["read_voc"]

_SIDES = ("xmin", "ymin", "xmax", "ymax")
# Decimals that a file leaves out.
_TOLERANCE = 1e-5
# What Label Studio writes as <database>.
_LABEL_STUDIO = "MyDatabase"


def read_voc(source: LabelSource) -> BoxRows:
    """Read PASCAL VOC XML.

    Pixels count from 1, and both corners are inside the box, as in the VOC data sets and in
    labelImg. They count from 0, and the second corner is the edge, in files of CVAT and Datumaro
    and of Label Studio, which their `<source>` tells, and where any corner of the folder is 0.

    Args:
        source: a folder of files named by frame number, from 0, or one file, for the end of the
            recording. Classes are matched by name. Objects marked `difficult` do not count.

    Returns:
        The boxes, and the times of files without objects as empty times; ids as on disk.

    Raises:
        LabelError: a file is not XML, or a value is invalid.
    """
    paths = files_of_frames(source, ".xml")
    files = [_read_file(source, path) for path in paths]
    times, notes = find_frames(source, paths)
    rows = BoxRows(notes=list(notes))
    unknown = [objects for objects, first in files if first is None]
    has_zero = any(0 in one.corners[:2] for objects in unknown for one in objects)
    if has_zero:
        rows.notes.append("pixels count from 0: there are corners at 0")
    for (objects, stated), t in zip(files, times, strict=True):
        first = int(not has_zero) if stated is None else stated
        for one in objects:
            x, y, right, bottom = one.corners
            rows.add(
                t,
                (x - first, y - first, max(right - x + first, 0), max(bottom - y + first, 0)),
                one.class_id,
                ignored=one.ignored,
            )
        if not objects:
            rows.empty_times.append(t)
    return rows


class _Object(NamedTuple):
    class_id: int
    corners: tuple[float, ...]
    """xmin ymin xmax ymax as in the file."""
    ignored: str
    """Why it does not count."""


def _read_file(source: LabelSource, path: Path) -> tuple[Sequence[_Object], int | None]:
    """The objects of a file, and the number of the first pixel if its source tells it."""
    try:
        root = ElementTree.fromstring(read_text(source, path))
    except (ElementTree.ParseError, ValueError) as error:
        raise source.error(f"not valid XML: {error}", path=path) from error
    if root.tag != "annotation":
        raise source.error(f"the XML is <{root.tag}>, not <annotation> as in PASCAL VOC", path=path)
    width, height = ((root.findtext(f"size/{name}") or "").strip() for name in ("width", "height"))
    source.check_picture(width, height, "", path)
    objects = []
    for i, node in enumerate(root.findall("object"), start=1):
        where = f"object {i}"
        corners = tuple(_side(source, node, name, where, path) for name in _SIDES)
        # The last pixel of a box without area is the one before its first.
        if min(corners[2] - corners[0], corners[3] - corners[1]) < -1 - _TOLERANCE:
            raise source.error(
                f"<bndbox> ends at {corners[2]:g}, {corners[3]:g}, before it starts at "
                f"{corners[0]:g}, {corners[1]:g}: are these a corner, width and height?",
                where,
                path,
            )
        name = (node.findtext("name") or "").strip()
        ignored = why_ignored({child.tag: (child.text or "").strip() for child in node})
        objects.append(_Object(source.class_id_of(name, where, path), corners, ignored))
    return objects, _first_pixel(root)


def _first_pixel(root: ElementTree.Element) -> int | None:
    texts = [
        (root.findtext(f"source/{name}") or "").strip()
        for name in ("database", "annotation", "image")
    ]
    # CVAT and Datumaro write Unknown three times, labelImg once.
    if texts == ["Unknown"] * 3 or texts[0] == _LABEL_STUDIO:
        return 0
    return 1 if texts[0] == "evdet" else None


def _side(
    source: LabelSource, node: ElementTree.Element, name: str, where: str, path: Path
) -> float:
    text = node.findtext(f"bndbox/{name}")
    value = number(text.strip()) if text else None
    if value is None:
        raise source.error(f"<bndbox> has {text!r} for <{name}>, not a number", where, path)
    return value
