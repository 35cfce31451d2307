"""Datumaro's JSON, which CVAT exports as well."""

from typing import Any

from evdet.labels.annotation_tools.json_file import read_json, records_of, value_of, whole_of
from evdet.labels.annotation_tools.keyframes import TrackIds
from evdet.labels.annotation_tools.picture_names import check_distinct, frames_of_names
from evdet.labels.flags import count_dropped, note_occluded, why_ignored
from evdet.labels.source import BoxRows, LabelSource, number

__all__ = ["read_datumaro"]

_TRUE = (True, 1, "1", "true", "True")


def read_datumaro(source: LabelSource) -> BoxRows:
    """Read Datumaro's JSON.

    A number at the end of an item's id is its frame, or else its attribute `frame`, from 0. Pixels
    count from 0. An item without a box is a time without objects. Classes are matched by name.
    Annotations that are not boxes, and rotated boxes, are dropped and counted.

    Returns:
        The boxes and the empty times; ids as on disk.

    Raises:
        LabelError: the file is not such JSON, or a value is invalid.

    Source:
        "Datumaro Format" on https://openvinotoolkit.github.io/datumaro/latest/docs/data-formats/.
    """
    content = read_json(source)
    if not isinstance(content, dict) or not {"items", "categories"} <= set(content):
        raise source.error("Datumaro's JSON is an object with `categories` and `items`")
    names = _class_names(source, content)
    items = records_of(source, content["items"], "items")
    frames = _frames(source, items)
    annotations = [
        records_of(source, item.get("annotations", []), "annotations", f"item {item.get('id')}")
        for item in items
    ]
    ids = TrackIds([track for of_item in annotations for one in of_item if (track := _track(one))])
    rows, class_ids = BoxRows(), dict[int, int]()
    for item, frame, of_item in zip(items, frames, annotations, strict=True):
        where = f"item {item.get('id')}"
        _check_size(source, item, where)
        t = source.frame_time(frame, where)
        num_before = len(rows.rows)
        for one in of_item:
            if not _is_box(one, rows):
                continue
            label = whole_of(source, one, "label_id", where)
            if not 0 <= label < len(names):
                raise source.error(f"the label {label} does not exist", where)
            if label not in class_ids:
                class_ids[label] = source.class_id_of(names[label], where)
            track = _track(one)
            box = _box(source, one, where)
            track_id = ids[track] if track else 0
            why = why_ignored(_attributes(one))
            rows.add(t, box, class_ids[label], track_id=track_id, ignored=why)
        if len(rows.rows) == num_before:
            rows.empty_times.append(t)
    every = [one for of_item in annotations for one in of_item if one.get("type") == "bbox"]
    note_occluded(rows, sum(_attributes(one).get("occluded") in _TRUE for one in every))
    return rows


def _class_names(source: LabelSource, content: dict[str, Any]) -> list[str]:
    categories = content["categories"]
    label = categories.get("label") if isinstance(categories, dict) else None
    if not isinstance(label, dict):
        raise source.error("`categories` has no `label`, which names the classes")
    return [str(record.get("name")) for record in records_of(source, label.get("labels"), "labels")]


def _frames(source: LabelSource, items: list[dict[str, Any]]) -> list[int]:
    frames = frames_of_names(source, [str(item.get("id", "")) for item in items])
    if frames is not None:
        return frames
    found = []
    for item in items:
        where, attributes = f"item {item.get('id')}", item.get("attr")
        if not isinstance(attributes, dict) or "frame" not in attributes:
            raise source.error(
                "neither does the id end in a number of its own, as in frame_000012, nor has the "
                "item the attribute `frame`",
                where,
            )
        found.append(whole_of(source, attributes, "frame", where))
    check_distinct(source, found, [str(item.get("id", "")) for item in items])
    return found


def _is_box(annotation: dict[str, Any], rows: BoxRows) -> bool:
    """An upright box that is visible; others are counted."""
    attributes, kind = _attributes(annotation), annotation.get("type")
    if attributes.get("outside") in _TRUE or kind == "label":
        return False
    if kind != "bbox":
        count_dropped(rows, f"shapes that are not boxes ({kind!s:.20})")
        return False
    if (number(attributes.get("rotation")) or 0) % 360:
        count_dropped(rows, "rotated boxes")
        return False
    return True


def _box(source: LabelSource, annotation: dict[str, Any], where: str) -> list[float]:
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        raise source.error(f"`bbox` is {box!r:.60}, not [x, y, width, height]", where)
    sides = dict(zip(("x", "y", "width", "height"), box, strict=True))
    return [value_of(source, sides, name, where) for name in sides]


def _track(annotation: dict[str, Any]) -> str:
    track = _attributes(annotation).get("track_id")
    is_given = isinstance(track, int | str) and not isinstance(track, bool)
    return str(track) if is_given and annotation.get("type") == "bbox" else ""


def _attributes(annotation: dict[str, Any]) -> dict[str, Any]:
    attributes = annotation.get("attributes")
    return attributes if isinstance(attributes, dict) else {}


def _check_size(source: LabelSource, item: dict[str, Any], where: str) -> None:
    """Check that the labelled picture has the sensor's size, so that boxes are in its pixels."""
    for name in ("image", "media", "video_frame"):
        picture = item.get(name)
        size = picture.get("size") if isinstance(picture, dict) else None
        if isinstance(size, list) and len(size) == 2:
            source.check_picture(size[1], size[0], where)
