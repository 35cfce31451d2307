"""COCO ground truth: images with a time, a frame number or a name, and their boxes."""

from evdet.labels.coco.records import (
    Record,
    box_of,
    category_names,
    confidence_of,
    image_times,
    load_json,
    number_tracks,
    records_of,
    whole_of,
)
from evdet.labels.coco.results import read_results
from evdet.labels.flags import count_dropped, why_ignored
from evdet.labels.source import BoxRows, LabelSource, number

__all__ = ["read_coco"]


def read_coco(source: LabelSource) -> BoxRows:
    """Read COCO JSON.

    An image has a time in microseconds (`t` or `timestamp`), a `frame_id` from 0, or a frame number
    in its `file_name`. An image without annotations is a time without objects. Categories are
    matched to the label map by name, not by id. Of several videos, the one with the file's name is
    read. Annotations with `iscrowd`, `difficult`, `ignore` or `isGroupOf` do not count. Boxes that
    CVAT has rotated are dropped and counted.

    Args:
        source: the file, with the recording where images have no times.

    Returns:
        The boxes and the empty times; ids as on disk.

    Raises:
        LabelError: the file is not such JSON, or a value is invalid.
    """
    content = load_json(source)
    if isinstance(content, list):
        return read_results(source, content)
    names = category_names(source, content)
    times, notes = image_times(source, content)
    annotations = records_of(source, content, "annotations")
    images = [
        whole_of(source, one, "image_id", f"annotation {i}") for i, one in enumerate(annotations)
    ]
    has_times = any(image.get("t") is not None for image in records_of(source, content, "images"))
    # In files with times, which evdet writes, 0 says that a box has no track.
    tracks = number_tracks(annotations, images, zero_is_none=has_times)
    used: set[int] = set()
    rows = BoxRows(notes=list(notes))
    class_ids: dict[int, int] = {}
    for i, annotation in enumerate(annotations):
        where, image = f"annotation {i}", images[i]
        if image not in times:
            raise source.error(f"the image {image} does not exist", where)
        t = times[image]
        if t is None:  # of another video
            continue
        if (number(_attributes(annotation).get("rotation")) or 0) % 360:
            count_dropped(rows, "rotated boxes")
            continue
        used.add(image)
        category = whole_of(source, annotation, "category_id", where)
        if category not in names:
            raise source.error(f"the category {category} does not exist", where)
        if category not in class_ids:
            class_ids[category] = source.class_id_of(names[category], where)
        rows.add(
            t,
            box_of(source, annotation, where),
            class_ids[category],
            track_id=tracks[i],
            confidence=confidence_of(annotation),
            ignored=_why_ignored(annotation),
        )
    rows.empty_times = [t for image, t in times.items() if image not in used and t is not None]
    return rows


def _why_ignored(annotation: Record) -> str:
    return why_ignored({**_attributes(annotation), **annotation})


def _attributes(annotation: Record) -> Record:
    """What CVAT and Datumaro keep beside the fields of COCO."""
    attributes = annotation.get("attributes")
    return attributes if isinstance(attributes, dict) else {}
