"""The records of a COCO file: values, times of images, names of categories, track numbers."""

import json
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evdet.labels.frame_numbers import frame_numbers, note_first_frame
from evdet.labels.source import LabelSource, number, to_time
from evdet.labels.text import read_text

__all__ = [
    "Record",
    "box_of",
    "category_names",
    "confidence_of",
    "image_times",
    "load_json",
    "number_tracks",
    "records_of",
    "time_of",
    "whole_of",
]

Record = Mapping[str, Any]
_TIMES = ("t", "timestamp", "t_us", "time_us", "timestamp_us")
# TAO counts in frame_index, and its pictures are numbered otherwise.
_FRAMES = ("frame_id", "frame_index")
_TRACKS = ("track_id", "instance_id")
_CONFIDENCES = ("score", "confidence", "class_confidence")
_PARTS = {"images", "annotations", "categories"}


def load_json(source: LabelSource) -> dict[str, Any] | list[Any]:
    """Load a COCO file.

    Returns:
        Ground truth with its three parts, or a list of results.

    Raises:
        LabelError: it is neither.
    """
    try:
        content = json.loads(read_text(source))
    except json.JSONDecodeError as error:
        what = f"not valid JSON: {error.msg}"
        raise source.error(what, f"line {error.lineno}") from error
    except RecursionError as error:
        raise source.error("the JSON is nested too deeply for labels") from error
    except ValueError as error:  # a number with thousands of digits
        raise source.error(f"not valid JSON: {error}") from error
    if isinstance(content, list):
        return content
    if not isinstance(content, dict) or not set(content) >= _PARTS:
        there = (
            ", ".join(list(content)[:8]) if isinstance(content, dict) else type(content).__name__
        )
        raise source.error(
            "COCO is an object with `images`, `annotations` and `categories`; this has "
            f"{there or 'nothing'}, as no export of CVAT, Label Studio, Datumaro or supervision "
            "has. Export as COCO, or rename a JSON file that is not labels."
        )
    return content


def records_of(source: LabelSource, content: Record, name: str) -> list[dict[str, Any]]:
    """One of the lists of ground truth.

    Raises:
        LabelError: it is not a list of objects.
    """
    records = content[name]
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise source.error(f"`{name}` must be a list of objects")
    return records


def category_names(source: LabelSource, content: Record) -> dict[int, str]:
    """The name of each category.

    Raises:
        LabelError: an id is not a whole number.
    """
    return {
        whole_of(source, category, "id", f"category {i}"): str(category.get("name")).strip()
        for i, category in enumerate(records_of(source, content, "categories"))
    }


def image_times(
    source: LabelSource, content: Record
) -> tuple[dict[int, int | None], tuple[str, ...]]:
    """The time of each image by its id, None for those of other videos; and notes.

    An image has a time, or a `frame_id` or `frame_index` from 0, or a frame number in its
    `file_name`.

    Raises:
        LabelError: an image has none of them, or two have the same id.
    """
    images = records_of(source, content, "images")
    video = _video(source, content, images)
    times: dict[int, int | None] = {}
    unnumbered: dict[int, str] = {}
    frame_ids: list[int] = []
    for i, image in enumerate(images):
        where = f"image {i}"
        image_id = whole_of(source, image, "id", where)
        if image_id in times:
            raise source.error(f"two images have the id {image_id}", where)
        times[image_id] = None
        if video is not None and image.get("video_id") != video:
            continue
        source.check_picture(image.get("width"), image.get("height"), where)
        times[image_id] = time_of(source, image, where)
        if times[image_id] is None:
            if not isinstance(image.get("file_name"), str):
                raise source.error(
                    "the image has neither `t` (in microseconds) nor `frame_id`, nor a "
                    "`file_name` with a frame number",
                    where,
                )
            unnumbered[image_id] = image["file_name"]
        elif not any(image.get(name) is not None for name in _TIMES):
            frame_ids += [whole_of(source, image, name, where) for name in _frame_name(image)]
    numbers = frame_numbers(source, list(unnumbered.values()), what="image")
    for image_id, frame in zip(unnumbered, numbers, strict=True):
        times[image_id] = source.frame_time(frame, f"the image {unnumbered[image_id]}")
    return times, note_first_frame(numbers or frame_ids)


def time_of(source: LabelSource, record: Record, where: str) -> int | None:
    """The time of an image or a result that states it or its frame; None without.

    Raises:
        LabelError: the value is not a whole number.
    """
    for name in _TIMES:
        if record.get(name) is not None:
            t = to_time(record[name])
            if t is None:
                raise source.error(
                    f"`{name}` is {record[name]!r}, not a whole number of microseconds", where
                )
            return t
    for name in _frame_name(record):
        return source.frame_time(whole_of(source, record, name, where), where)
    return None


def whole_of(source: LabelSource, record: Record, name: str, where: str) -> int:
    """A whole number of a record.

    Raises:
        LabelError: it is missing, or not a whole number.
    """
    value = to_time(record.get(name))
    if value is None:
        raise source.error(f"`{name}` is {repr(record.get(name))[:60]}, not a whole number", where)
    return value


def box_of(source: LabelSource, record: Record, where: str) -> list[float]:
    """The `bbox` of a record: x, y, width, height.

    Raises:
        LabelError: it is not four numbers.
    """
    box = record.get("bbox")
    values = [number(value) for value in box] if isinstance(box, list) else []
    sides = [value for value in values if value is not None]
    if len(sides) != 4 or len(values) != 4:
        raise source.error(f"`bbox` is {str(box)[:80]}, not [x, y, width, height]", where)
    return sides


def confidence_of(record: Record) -> float:
    """The score of a record; 1 without."""
    values = (number(record.get(name)) for name in _CONFIDENCES)
    return next((value for value in values if value is not None), 1.0)


def number_tracks(
    records: Sequence[Record], images: Sequence[Hashable], *, zero_is_none: bool = False
) -> list[int]:
    """Track numbers from 1, and 0 for records without a track.

    Tracks stand beside the box, or in CVAT's `attributes`, where they count from 0. Numbers beyond
    32 bits, and texts, are numbered in the order of their appearance.

    Args:
        records: annotations or results.
        images: the image of each.
        zero_is_none: 0 beside the box says that there is no track; False finds out: it is a track
            if it occurs at most once per image, and there are others.
    """
    own = [_track_in(record) for record in records]
    nested = [_track_in(record.get("attributes")) for record in records]
    values = [b if a is None else a for a, b in zip(own, nested, strict=True)]
    zeros = [image for value, image in zip(own, images, strict=True) if value == 0]
    has_others = any(value not in (None, 0) for value in own)
    is_track = not zero_is_none and has_others and len(zeros) == len(set(zeros)) > 0
    if any(value == 0 for value in nested) or is_track:
        known: dict[Hashable, int] = {}
        shift = 1
    else:
        known, shift = {0: 0}, 0
    largest = 2**32 - 1 - shift
    if all(value is None or (isinstance(value, int) and 0 <= value <= largest) for value in values):
        return [0 if value is None else int(value) + shift for value in values]
    return [0 if value is None else known.setdefault(value, len(known) + shift) for value in values]


def _frame_name(record: Record) -> list[str]:
    """The field that numbers the frame, from 0."""
    return [name for name in _FRAMES if record.get(name) is not None][:1]


def _track_in(record: Any) -> int | str | None:
    if not isinstance(record, Mapping):
        return None
    for name in _TRACKS:
        value = record.get(name)
        whole = to_time(value)
        if whole is not None:
            return None if whole == -1 else whole
        if isinstance(value, str) and value.strip():
            return value
    return None


def _video(source: LabelSource, content: Record, images: list[dict[str, Any]]) -> Any:
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
