"""COCO results: a list of boxes that refer to the images and categories of a ground truth."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from evdet.labels.coco.records import (
    Record,
    box_of,
    category_names,
    confidence_of,
    image_times,
    load_json,
    number_tracks,
    records_of,
    time_of,
    whole_of,
)
from evdet.labels.source import BoxRows, LabelSource, number, to_time

__all__ = ["read_results"]

_CONVENTION = (
    "without times `t`, `image_id` must be the id of an image of the COCO ground truth, or the "
    "frame number from 0"
)


def read_results(source: LabelSource, results: list[Any]) -> BoxRows:
    """Read a list of results.

    Results with times `t`, as evdet writes them, have category ids one above those of the label
    map. Others refer to the ground truth `source.truth`: images and categories have its ids,
    or images the names of its pictures, which count if both are given.
    Without a COCO ground truth, `image_id` is the frame number from 0.

    Args:
        source: the file, with the recording where results have no times.
        results: the content of the file.

    Raises:
        LabelError: a value is invalid, or ids cannot be matched.
    """
    for i, result in enumerate(results):
        if not isinstance(result, dict):
            what = f"{str(result)[:40]!r} has no `bbox` and `score`"
            raise source.error(what, f"result {i}")
        if "score" in result and number(result["score"]) is None:
            raise source.error(f"`score` is {result['score']!r:.40}, not a number", f"result {i}")
    find_time, find_class = _own_ids(source)
    truth = _truth_of(source)
    if truth is not None and results and not all(_has_time(result) for result in results):
        find_time, find_class = truth
    elif results:
        _check_frames(source, results)
    tracks = number_tracks(results, [str(result.get("image_id")) for result in results])
    rows = BoxRows()
    for i, result in enumerate(results):
        where = f"result {i}"
        t, class_id = find_time(result, where), find_class(result, where)
        if t is None:  # of another video
            continue
        rows.add(
            t,
            box_of(source, result, where),
            class_id,
            track_id=tracks[i],
            confidence=confidence_of(result),
        )
    return rows


_FindTime = Callable[[Record, str], int | None]
_FindClass = Callable[[Record, str], int]


def _has_time(result: Record) -> bool:
    return result.get("t") is not None or result.get("timestamp") is not None


def _own_ids(source: LabelSource) -> tuple[_FindTime, _FindClass]:
    """Images as frames from 0, categories as ids of the label map plus one."""

    def find_time(result: Record, where: str) -> int | None:
        t = time_of(source, {"frame_id": result.get("image_id"), **result}, where)
        if t is None:
            raise source.error("the result has no `image_id`", where)
        return t

    def find_class(result: Record, where: str) -> int:
        category = whole_of(source, result, "category_id", where)
        if category < 1:
            raise source.error(f"`category_id` is {category}: COCO's categories start at 1", where)
        return source.checked_class_id(category - 1, where)

    return find_time, find_class


def _truth_of(source: LabelSource) -> tuple[_FindTime, _FindClass] | None:
    """Images and categories of the ground truth; None if it is not COCO."""
    if source.truth is None or source.truth.suffix.lower() != ".json":
        return None
    truth = replace(source, path=source.truth, truth=None)
    content = load_json(truth)
    if isinstance(content, list):
        return None
    times, _ = image_times(truth, content)
    names = category_names(truth, content)
    image_of = _images_by_name(truth, content)

    def find_time(result: Record, where: str) -> int | None:
        beside, name = _stem_of(result.get("file_name")), _name_in_id(result)
        if name and name not in image_of:
            raise source.error(
                f"`image_id` is {name[:60]!r}, and {truth.path.name} has no `file_name`, or "
                "several, of this name: it must be the id or the name of one of its images",
                where,
            )
        if beside in image_of or name:
            return times[image_of[name or beside]]
        image = whole_of(source, result, "image_id", where)
        if image not in times:
            raise source.error(
                f"`image_id` is {image}, which {truth.path.name} does not have: it must be the id "
                f"of one of its images, {_range(times)}",
                where,
            )
        return times[image]

    def find_class(result: Record, where: str) -> int:
        category = whole_of(source, result, "category_id", where)
        if category not in names:
            raise source.error(
                f"`category_id` is {category}, which {truth.path.name} does not have: it must be "
                f"the id of one of its categories, {_range(names)}",
                where,
            )
        return source.class_id_of(names[category], where)

    return find_time, find_class


def _images_by_name(source: LabelSource, content: dict[str, Any]) -> dict[str, int]:
    """The id of each image by the name of its file, without folder and ending."""
    images = records_of(source, content, "images")
    names = [_stem_of(image.get("file_name")) for image in images]
    counts = Counter(names)
    return {
        name: whole_of(source, image, "id", f"image {i}")
        for i, (image, name) in enumerate(zip(images, names, strict=True))
        if name and counts[name] == 1
    }


def _name_in_id(result: Record) -> str:
    """The name of the picture, which ultralytics writes in place of an id."""
    image = result.get("image_id")
    return _stem_of(image) if isinstance(image, str) and to_time(image) is None else ""


def _stem_of(name: Any) -> str:
    return PurePosixPath(name.replace("\\", "/")).stem if isinstance(name, str) else ""


def _check_frames(source: LabelSource, results: list[Any]) -> None:
    """Refuse ids that need not be frame numbers from 0: those of pictures often start at 1."""
    if any(_has_time(result) or result.get("frame_id") is not None for result in results):
        return
    named = next((i for i, result in enumerate(results) if _name_in_id(result)), None)
    if named is not None:
        raise source.error(
            f"`image_id` is {_name_in_id(results[named])[:60]!r}, the name of a picture, which the "
            f"COCO ground truth must have as a `file_name`; {_CONVENTION}",
            f"result {named}",
        )
    ids = [whole_of(source, result, "image_id", f"result {i}") for i, result in enumerate(results)]
    if ids and min(ids) > 0:
        raise source.error(
            f"`image_id` starts at {min(ids)}, so it may count frames from 0 or from 1, or be the "
            f"id of a picture: {_CONVENTION}; write `t`, in microseconds, into each result"
        )


def _range(ids: Mapping[int, object]) -> str:
    if not ids:
        return "of which it has none"
    return f"{min(ids)} to {max(ids)}" if len(ids) > 4 else ", ".join(map(str, sorted(ids)))
