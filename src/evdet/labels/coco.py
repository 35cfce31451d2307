"""COCO-video JSON: images with a time or frame index and their boxes; and COCO results."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from evdet.atomic_file import replacing
from evdet.labels.source import BoxRows, LabelSource, number, to_time
from evdet.labels.text import read_text
from evdet.shapes import BoxEvents

__all__ = ["read_coco", "save_coco"]

_TIMES = ("t", "timestamp", "t_us", "time_us", "timestamp_us")
_TRACKS = ("track_id", "instance_id")
_CONFIDENCES = ("score", "confidence", "class_confidence")


def read_coco(source: LabelSource) -> BoxRows:
    """Read COCO-video JSON.

    An image has a time in microseconds (`t` or `timestamp`) or a `frame_id` from 0. An image
    without annotations is a time without objects. Categories are matched to the label map by name,
    not by id. Of several videos, the one with the file's name is read.

    Args:
        source: the file, with the recording where images have a `frame_id`.

    Returns:
        The boxes and the empty times; ids as on disk.

    Raises:
        LabelError: the file is not such JSON, or a value is invalid.
    """
    content = _load(source)
    if isinstance(content, list):
        return _read_results(source, content)
    names = {
        _whole(source, category, "id", f"category {i}"): str(category.get("name"))
        for i, category in enumerate(_records(source, content, "categories"))
    }
    times = _image_times(source, content)
    used: set[int] = set()
    rows = BoxRows()
    class_ids: dict[int, int] = {}
    for i, annotation in enumerate(_records(source, content, "annotations")):
        where = f"annotation {i}"
        image = _whole(source, annotation, "image_id", where)
        if image not in times:
            raise source.error(f"the image {image} does not exist", where)
        t = times[image]
        if t is None:  # of another video
            continue
        used.add(image)
        category = _whole(source, annotation, "category_id", where)
        if category not in names:
            raise source.error(f"the category {category} does not exist", where)
        if category not in class_ids:
            class_ids[category] = source.class_id_of(names[category], where)
        rows.add(
            t,
            _box(source, annotation, where),
            class_ids[category],
            track_id=_track(annotation),
            confidence=_confidence(annotation),
        )
    rows.empty_times = [t for image, t in times.items() if image not in used and t is not None]
    return rows


def save_coco(
    path: Path,
    boxes: BoxEvents,
    empty_times: Int64[np.ndarray, " _"],
    label_map: Mapping[int, str],
) -> None:
    """Write labels as COCO-video JSON.

    Args:
        path: the file to write.
        boxes: ids as on disk; category ids are one more, since COCO's start at 1.
        empty_times: times without objects.
        label_map: names of the ids on disk.

    Raises:
        ValueError: the label map lacks a class of the boxes.
    """
    unknown = set(np.unique(boxes["class_id"]).tolist()) - set(label_map)
    if unknown:
        raise ValueError(f"the label map has no class with the id {min(unknown)}")
    times = np.unique(np.concatenate([boxes["t"], empty_times])).tolist()
    image_of = {t: i for i, t in enumerate(times)}
    content = {
        "videos": [{"id": 0, "name": path.stem}],
        "images": [{"id": i, "video_id": 0, "frame_id": i, "t": t} for t, i in image_of.items()],
        "categories": [{"id": i + 1, "name": name} for i, name in label_map.items()],
        "annotations": [
            {
                "id": i,
                "image_id": image_of[int(box["t"])],
                "video_id": 0,
                "category_id": int(box["class_id"]) + 1,
                "bbox": [float(box[name]) for name in ("x", "y", "w", "h")],
                "track_id": int(box["track_id"]),
                "score": float(box["class_confidence"]),
            }
            for i, box in enumerate(boxes)
        ],
    }
    with replacing(path) as part:
        part.write_text(json.dumps(content) + "\n", encoding="utf-8")


def _read_results(source: LabelSource, results: list[Any]) -> BoxRows:
    rows = BoxRows()
    for i, result in enumerate(results):
        where = f"result {i}"
        if not isinstance(result, dict):
            raise source.error(f"{str(result)[:40]!r} has no `bbox` and `score`", where)
        category = _whole(source, result, "category_id", where)
        if category < 1:
            raise source.error(f"`category_id` is {category}: COCO's categories start at 1", where)
        rows.add(
            _time(source, {"frame_id": result.get("image_id"), **result}, where),
            _box(source, result, where),
            source.checked_class_id(category - 1, where),
            track_id=_track(result),
            confidence=_confidence(result),
        )
    return rows


def _load(source: LabelSource) -> dict[str, Any] | list[Any]:
    try:
        content = json.loads(read_text(source))
    except json.JSONDecodeError as error:
        what = f"not valid JSON: {error.msg}"
        raise source.error(what, f"line {error.lineno}") from error
    except RecursionError as error:
        raise source.error("the JSON is nested too deeply for labels") from error
    if isinstance(content, list):
        return content
    if not isinstance(content, dict) or not {"images", "annotations", "categories"} <= set(content):
        there = (
            ", ".join(list(content)[:8]) if isinstance(content, dict) else type(content).__name__
        )
        raise source.error(
            "COCO-video JSON is an object with `images`, `annotations` and `categories`; this has "
            f"{there or 'nothing'}. Rename a JSON file that is not labels."
        )
    return content


def _records(source: LabelSource, content: dict[str, Any], name: str) -> list[dict[str, Any]]:
    records = content[name]
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise source.error(f"`{name}` must be a list of objects")
    return records


def _image_times(source: LabelSource, content: dict[str, Any]) -> dict[int, int | None]:
    """Time of each image; None for those of other videos."""
    images = _records(source, content, "images")
    video = _video(source, content, images)
    times: dict[int, int | None] = {}
    for i, image in enumerate(images):
        where = f"image {i}"
        image_id = _whole(source, image, "id", where)
        if image_id in times:
            raise source.error(f"two images have the id {image_id}", where)
        mine = video is None or image.get("video_id") == video
        times[image_id] = _time(source, image, where) if mine else None
    return times


def _video(source: LabelSource, content: dict[str, Any], images: list[dict[str, Any]]) -> Any:
    """Id of the video to read; None if there is only one."""
    ids = Counter(str(image.get("video_id")) for image in images)
    if len(ids) < 2:
        return None
    videos = content.get("videos", [])
    names = {
        str(video.get("name", video.get("file_name"))): video.get("id")
        for video in (videos if isinstance(videos, list) else [])
        if isinstance(video, dict)
    }
    for name, video_id in names.items():
        stem = Path(name).stem
        if source.path.stem == stem or source.path.stem.rpartition("_")[0] == stem:
            return video_id
    there = ", ".join(names) or "none with a name"
    raise source.error(
        f"none of its {len(ids)} videos has the name {source.path.stem}: write one file per "
        f"recording, or rename its video. The videos are {there}"
    )


def _time(source: LabelSource, image: dict[str, Any], where: str) -> int:
    for name in _TIMES:
        if image.get(name) is not None:
            t = to_time(image[name])
            if t is None:
                raise source.error(
                    f"`{name}` is {image[name]!r}, not a whole number of microseconds", where
                )
            return t
    if image.get("frame_id") is None:
        raise source.error("the image has neither `t` (in microseconds) nor `frame_id`", where)
    return source.frame_time(_whole(source, image, "frame_id", where), where)


def _whole(source: LabelSource, record: dict[str, Any], name: str, where: str) -> int:
    value = to_time(record.get(name))
    if value is None:
        raise source.error(f"`{name}` is {record.get(name)!r}, not a whole number", where)
    return value


def _box(source: LabelSource, annotation: dict[str, Any], where: str) -> list[float]:
    box = annotation.get("bbox")
    values = [number(value) for value in box] if isinstance(box, list) else []
    sides = [value for value in values if value is not None]
    if len(sides) != 4 or len(values) != 4:
        raise source.error(f"`bbox` is {box!r}, not [x, y, width, height]", where)
    return sides


def _track(annotation: dict[str, Any]) -> int:
    for name in _TRACKS:
        track = to_time(annotation.get(name))
        if track is not None and 0 <= track < 2**32:
            return track
    return 0


def _confidence(annotation: dict[str, Any]) -> float:
    values = (number(annotation.get(name)) for name in _CONFIDENCES)
    return next((value for value in values if value is not None), 1.0)
