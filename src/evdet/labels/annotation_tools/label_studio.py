"""Label Studio's JSON and JSON-MIN: objects in a video, or boxes on pictures."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from evdet.events import SensorSize
from evdet.labels.annotation_tools.json_file import read_json, records_of, value_of, whole_of
from evdet.labels.annotation_tools.keyframes import (
    Keyframe,
    add_empty_frames,
    fill_frames,
    last_frame,
)
from evdet.labels.annotation_tools.picture_names import frames_of_names
from evdet.labels.flags import count_dropped
from evdet.labels.label_map import key_of
from evdet.labels.source import BoxRows, LabelSource, number

__all__ = ["read_label_studio"]

_log = logging.getLogger(__name__)

# Results that are no regions of a picture.
_NO_SHAPES = (
    "choices", "textarea", "rating", "number", "datetime", "taxonomy", "pairwise", "ranker",
    "relation", "labels", "timelinelabels",
)  # fmt: skip
# Types of an object in a video; JSON-MIN has none, old files keep the labels apart.
_OBJECTS = ("", "videorectangle", "labels")
# Label Studio puts eight characters before the name of an uploaded file.
_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")
_VIDEO = re.compile(r"\.(mp4|webm|ogv|ogg|mov|avi|mkv|m4v)\b", re.IGNORECASE)
# Fields of JSON-MIN that are not the data of the task.
_MIN_FIELDS = ("annotator", "annotation_id", "created_at", "updated_at", "lead_time")


def read_label_studio(source: LabelSource) -> BoxRows:
    """Read an export of Label Studio.

    Video: frames count from 1, boxes are percents of the picture, which has the sensor's size.
    Between two keyframes a box moves linearly. A keyframe with `enabled` false is the last on which
    the object is visible, until the next keyframe. After the last keyframe the box stays up to the
    end of the video. Pictures: the number at the end of a picture's name is its frame. Every frame
    of the video, and every annotated picture, without a box is a time without objects. Of several
    annotations of a task the first that was not cancelled is read, with a warning. Shapes other
    than boxes and rotated boxes are dropped and counted.

    Returns:
        The boxes and the empty times; ids as on disk.

    Raises:
        LabelError: the file is not such JSON, or a value is invalid.

    Source:
        "Label Studio JSON format" on https://labelstud.io/guide/export.
    """
    content = read_json(source)
    records = records_of(source, content if isinstance(content, list) else [content], "tasks")
    tasks = [task for task in _tasks(source, records) if task.results is not None]
    if not tasks:
        raise source.error(
            f"none of its {len(records)} tasks has an annotation (predictions and cancelled "
            "annotations are not labels): annotate it, or export the annotated tasks"
        )
    rows = BoxRows()
    videos = [task for task in tasks if _is_video(task)]
    if videos:
        _read_video(source, videos[0] if len(videos) == 1 else _of_name(source, videos), rows)
    else:
        _read_pictures(source, tasks, rows)
    return rows


class _Task(NamedTuple):
    """A video or a picture."""

    names: list[str]
    """Its file, in the words of the task's data."""
    results: list[dict[str, Any]] | None
    """The regions; None if it is not annotated."""
    where: str


def _tasks(source: LabelSource, records: list[dict[str, Any]]) -> Iterator[_Task]:
    """The tasks of an export; in JSON-MIN a task has a record for each annotation."""
    seen: set[str] = set()
    for i, record in enumerate(records):
        where = f"task {record.get('id', i)}"
        if "annotations" in record or "data" in record:
            data = record.get("data")
            named = data.values() if isinstance(data, dict) else ()
            names = [record.get("file_upload"), *named]
            yield _Task(_texts(names), _annotation_of(source, record, where), where)
            continue
        if "id" in record and str(record["id"]) in seen:
            _log.warning("%s, %s: annotated several times; the first is read", source.path, where)
            continue
        seen.add(str(record.get("id")))
        lists = [value for key, value in record.items() if isinstance(value, list)]
        regions = [one for values in lists for one in values if isinstance(one, dict)]
        names = [value for key, value in record.items() if key not in _MIN_FIELDS]
        results = [{"id": f"{where}, region {k}", "value": one} for k, one in enumerate(regions)]
        yield _Task(_texts(names), results, where)


def _annotation_of(
    source: LabelSource, record: dict[str, Any], where: str
) -> list[dict[str, Any]] | None:
    annotations = records_of(source, record.get("annotations", []), "annotations", where)
    finished = [one for one in annotations if not one.get("was_cancelled")]
    if not finished:
        return None
    if len(finished) > 1:
        _log.warning(
            "%s, %s: %d annotations; the first is read, with the id %s",
            source.path, where, len(finished), finished[0].get("id"),
        )  # fmt: skip
    return records_of(source, finished[0].get("result", []), "result", where)


def _texts(values: list[Any]) -> list[str]:
    return [value for value in values if isinstance(value, str)]


def _is_video(task: _Task) -> bool:
    if task.results:
        return any("sequence" in _value(result) for result in task.results)
    return any(_VIDEO.search(name) for name in task.names)


def _of_name(source: LabelSource, videos: list[_Task]) -> _Task:
    wanted = key_of(source.path)
    stems = [
        [_UPLOAD_PREFIX.sub("", Path(name.rpartition("/")[2]).name) for name in task.names]
        for task in videos
    ]
    found = [
        task
        for task, names in zip(videos, stems, strict=True)
        if wanted in {key_of(Path(name)) for name in names if name}
    ]
    if len(found) != 1:
        there = ", ".join(names[0] if names else "without a name" for names in stems[:8])
        raise source.error(
            f"none of its {len(videos)} videos has the name {wanted}, or several have: export one "
            f"video, or give this file the name of its video. The videos are {there}"
        )
    return found[0]


def _read_video(source: LabelSource, task: _Task, rows: BoxRows) -> None:
    labels = _labels_by_id(task)
    num_frames = 0
    numbers: dict[str, int] = {}
    for i, result in enumerate(task.results or []):
        value, where = _value(result), f"{task.where}, region {result.get('id', i)}"
        if "sequence" not in value or _kind(result) not in _OBJECTS:
            _count_shape(result, rows)
            continue
        if _kind(result) == "labels" and "videorectangle" in {
            _kind(other) for other in task.results or [] if other.get("id") == result.get("id")
        }:
            continue  # the labels of another region, which has the boxes
        length = _num_frames(source, value, where)
        num_frames = max(num_frames, length)
        keyframes = _keyframes(source, value["sequence"], where)
        if not keyframes:
            continue
        class_id = _class_of(source, value, labels.get(str(result.get("id")), []), where)
        track_id = numbers.setdefault(str(result.get("id", i)), len(numbers) + 1)
        last = length - 1 if length else last_frame(source)
        end = max(keyframe.frame for keyframe in keyframes) if last is None else last
        for frame, xywh, is_rotated in fill_frames(source, keyframes, last=end, where=where):
            if is_rotated:
                count_dropped(rows, "rotated boxes")
            else:
                t = source.frame_time(frame, where)
                rows.add(t, xywh, class_id, track_id=track_id)
    if not num_frames and not rows.rows:
        num_frames = (last_frame(source) or -1) + 1
    add_empty_frames(source, rows, range(num_frames))


def _num_frames(source: LabelSource, value: dict[str, Any], where: str) -> int:
    """Frames of the video; 0 if the region does not say. Warns of another frame rate."""
    if value.get("framesCount") is None:
        return 0
    count = whole_of(source, value, "framesCount", where)
    if not 0 <= count < 2**40:
        raise source.error(f"`framesCount` is {count}", where)
    duration = number(value.get("duration")) or 0.0
    period = source.frame_period or 0
    if count and duration > 0 and period and abs(duration * 1e6 / count / period - 1) > 0.03:
        _log.warning(
            "%s, %s: %d frames in %g s are frames of %.0f us, and frame_period is %d us: is "
            "`framerate` of the labelling interface that of the video?",
            source.path, where, count, duration, duration * 1e6 / count, period,
        )  # fmt: skip
    return count


def _keyframes(source: LabelSource, sequence: Any, where: str) -> list[Keyframe]:
    size = source.facts(where).size
    keyframes = []
    for record in records_of(source, sequence, "sequence", where):
        frame = whole_of(source, record, "frame", where)
        if not 1 <= frame < 2**40:
            raise source.error(f"the frame is {frame}: Label Studio's frames start at 1", where)
        here = f"{where}, frame {frame}"
        keyframes.append(
            Keyframe(
                frame - 1,
                _to_pixels(_percents(source, record, here), size),
                value_of(source, {"rotation": 0, **record}, "rotation", here),
                continues=record.get("enabled", True) is not False,
            )
        )
    return keyframes


def _read_pictures(source: LabelSource, tasks: list[_Task], rows: BoxRows) -> None:
    names = [_picture_of(source, task) for task in tasks]
    frames = frames_of_names(source, names)
    if frames is None:
        raise source.error(
            "the pictures are not numbered by frame: each name must end in another number, as in "
            f"frame_000012.png. The first is {names[0]}"
        )
    for task, frame in zip(tasks, frames, strict=True):
        t = source.frame_time(frame, task.where)
        labels = _labels_by_id(task)
        num_before = len(rows.rows)
        for result in task.results or []:
            value, where = _value(result), task.where
            if _kind(result) == "labels" or not _is_rectangle(result):
                _count_shape(result, rows)
                continue
            if (number(value.get("rotation")) or 0) % 360:
                count_dropped(rows, "rotated boxes")
                continue
            percents = _percents(source, value, where)
            size = _picture_size(source, {**value, **result}, where)
            class_id = _class_of(source, value, labels.get(str(result.get("id")), []), where)
            rows.add(t, _to_pixels(percents, size), class_id)
        if len(rows.rows) == num_before:
            rows.empty_times.append(t)


def _picture_of(source: LabelSource, task: _Task) -> str:
    pictures = [n for n in task.names if re.search(r"\.(png|jpe?g|bmp|webp|gif|tiff?)\b", n, re.I)]
    if not (pictures or task.names):
        raise source.error("the task does not name its picture", task.where)
    return (pictures or task.names)[-1]


def _picture_size(source: LabelSource, record: dict[str, Any], where: str) -> SensorSize:
    """The size of the labelled picture, which must be that of the sensor."""
    width, height = (number(record.get(f"original_{name}")) for name in ("width", "height"))
    if source.recording is None and width and height:
        return SensorSize(round(height), round(width))
    size = source.facts(where).size
    if width and height and (height, width) != tuple(size):
        raise source.error(
            f"the labelled picture is {width:g}x{height:g}, the sensor is {size}: "
            "label pictures of the sensor's size (`evdet view --frames`)",
            where,
        )
    return size


def _percents(
    source: LabelSource, record: dict[str, Any], where: str
) -> tuple[float, float, float, float]:
    x, y, w, h = (value_of(source, record, name, where) for name in ("x", "y", "width", "height"))
    return x, y, w, h


def _to_pixels(
    percents: tuple[float, float, float, float], size: SensorSize
) -> tuple[float, float, float, float]:
    x, y, w, h = percents
    across, down = size.width / 100, size.height / 100
    return x * across, y * down, w * across, h * down


def _value(result: dict[str, Any]) -> dict[str, Any]:
    value = result.get("value")
    return value if isinstance(value, dict) else {}


def _kind(result: dict[str, Any]) -> str:
    return str(result.get("type", "")).lower()


def _is_rectangle(result: dict[str, Any]) -> bool:
    kind = _kind(result)
    value = _value(result)
    if kind:
        return kind in ("rectangle", "rectanglelabels")
    return "rectanglelabels" in value or ("x" in value and "width" in value)


def _count_shape(result: dict[str, Any], rows: BoxRows) -> None:
    named = [key for key in _value(result) if key.endswith("labels")]
    kind = _kind(result) or (named[0] if named else "")
    if kind and kind not in _NO_SHAPES:
        count_dropped(rows, f"shapes that are not boxes ({kind.removesuffix('labels')})")


def _labels_by_id(task: _Task) -> dict[str, list[Any]]:
    """Labels of regions that have them as a result of their own."""
    found: dict[str, list[Any]] = {}
    for result in task.results or []:
        labels = _value(result).get("labels")
        if isinstance(labels, list):
            found.setdefault(str(result.get("id")), labels)
    return found


def _class_of(source: LabelSource, value: dict[str, Any], apart: list[Any], where: str) -> int:
    for name in ("labels", "rectanglelabels", "videorectanglelabels"):
        labels = value.get(name)
        if isinstance(labels, list) and labels:
            break
    else:
        labels = apart
    if len(labels) != 1 or not isinstance(labels[0], str):
        what = f"the labels {', '.join(map(str, labels))}" if labels else "no label"
        raise source.error(f"the box has {what}: give it one label in Label Studio", where)
    return source.class_id_of(labels[0], where)
