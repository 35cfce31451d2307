"""CVAT's XML: "CVAT for video 1.1" and "CVAT for images 1.1"."""

from typing import NamedTuple
from xml.etree.ElementTree import Element

from evdet.labels.annotation_tools.keyframes import (
    Keyframe,
    TrackIds,
    add_empty_frames,
    fill_frames,
    last_frame,
)
from evdet.labels.annotation_tools.picture_names import check_distinct, frames_of_names
from evdet.labels.annotation_tools.xml_file import read_xml
from evdet.labels.flags import count_dropped, note_occluded, why_ignored
from evdet.labels.label_map import key_of
from evdet.labels.source import BoxRows, LabelSource, number, to_time

__all__ = ["read_cvat"]

_SHAPES = ("polygon", "polyline", "points", "mask", "skeleton", "ellipse", "cuboid")
_TRUE = ("1", "true", "True")


def read_cvat(source: LabelSource) -> BoxRows:
    """Read an export of CVAT, of a video or of images.

    Video: a box has the index of its frame in the video, from 0, whatever the task's start frame
    and step are. Frames between two boxes of a track are interpolated linearly; after its last box
    an object stays up to the end of the task, unless that box is `outside`. Images: a number at the
    end of the image's name is its frame, or else its id. Pixels count from 0. A frame of the
    task without a box is a time without objects. Shapes other than boxes and rotated boxes are
    dropped and counted.

    Returns:
        The boxes and the empty times; ids as on disk.

    Raises:
        LabelError: the file is not such XML, or a value is invalid.

    Source:
        "XML annotation format" on https://docs.cvat.ai/docs/dataset_management/formats/.
    """
    root = read_xml(source)
    if root.tag != "annotations":
        raise source.error(f"the XML is <{root.tag}>, not <annotations> as CVAT writes")
    task = _task(source, root)
    tracks = [node for node in root.findall("track") if task.has(node)]
    images = [node for node in root.findall("image") if task.has(node)]
    rows = BoxRows()
    if images:
        _read_images(source, images, rows)
    if tracks or not images:
        _read_tracks(source, tracks, task, rows)
    boxes = [box for node in (*tracks, *images) for box in node.findall("box")]
    flags = [b for b in boxes if b.get("occluded") in _TRUE and b.get("outside") not in _TRUE]
    note_occluded(rows, len(flags))
    return rows


class _Task(NamedTuple):
    """What the file says of the task that was annotated."""

    task_id: str | None = None
    """None where the file has one task only."""
    start: int = 0
    """The first frame of the video that was annotated."""
    step: int = 1
    """Frames from one annotated frame to the next."""
    last: int | None = None
    """The last frame of the video that was annotated."""

    def has(self, node: Element) -> bool:
        """A track or an image is of this task."""
        return self.task_id is None or node.get("task_id", self.task_id) == self.task_id


def _task(source: LabelSource, root: Element) -> _Task:
    tasks = [*root.findall("meta/task"), *root.findall("meta/job")]
    tasks += root.findall("meta/project/tasks/task")
    if not tasks:
        return _Task()
    node = tasks[0] if len(tasks) == 1 else _task_of_name(source, tasks)
    _check_size(source, node, "original_size/", "<original_size>")
    start = _whole(source, node, "start_frame", 0)
    step = (node.findtext("frame_filter") or "").strip().removeprefix("step=").strip() or "1"
    if not step.isdecimal() or not 0 < int(step[:9]) < 10**8:
        raise source.error(
            f"<frame_filter> is {node.findtext('frame_filter')!r}, not such as step=5", "<meta>"
        )
    size = _whole(source, node, "size", -1)
    last = start + (size - 1) * int(step) if size >= 0 else None
    stop = _whole(source, node, "stop_frame", -1)
    if last is None and stop >= start:
        last = stop
    return _Task(node.findtext("id") if len(tasks) > 1 else None, start, int(step), last)


def _task_of_name(source: LabelSource, tasks: list[Element]) -> Element:
    names = [(node.findtext("name") or "").strip() for node in tasks]
    wanted = (source.path.stem, key_of(source.path))
    found = [node for node, name in zip(tasks, names, strict=True) if name in wanted]
    if len(found) != 1:
        raise source.error(
            f"the project has {len(tasks)} tasks, and not one is named {source.path.stem}: export "
            f"the task of this recording. The tasks are {', '.join(names)}"
        )
    return found[0]


def _read_images(source: LabelSource, images: list[Element], rows: BoxRows) -> None:
    names = [node.get("name", "") for node in images]
    frames = frames_of_names(source, names)
    if frames is None:
        frames = [_index(source, node, "id", f"image {i}") for i, node in enumerate(images)]
        check_distinct(source, frames, names)
    for node, frame in zip(images, frames, strict=True):
        where = f"image {node.get('name') or node.get('id')}"
        _check_size(source, node, "", where)
        t = source.frame_time(frame, where)
        num_before = len(rows.rows)
        for shape in _boxes_of(node, rows):
            if _is_rotated(source, shape, where):
                count_dropped(rows, "rotated boxes")
                continue
            class_id = source.class_id_of(_label(source, shape, where), where)
            rows.add(t, _xywh(source, shape, where), class_id, ignored=_why_ignored(shape))
        if len(rows.rows) == num_before:
            rows.empty_times.append(t)


def _read_tracks(source: LabelSource, tracks: list[Element], task: _Task, rows: BoxRows) -> None:
    ids = TrackIds([node.get("id", f"unnamed {i}") for i, node in enumerate(tracks)])
    keyframes, ignored = [], []
    for i, track in enumerate(tracks):
        where = f"track {track.get('id', i)}"
        boxes = _boxes_of(track, rows)
        keyframes.append([_keyframe(source, box, where) for box in boxes])
        ignored.append([_why_ignored(box) for box in boxes])
    start = task.start
    every = [keyframe.frame for keys in keyframes for keyframe in keys]
    if any(frame < start or (frame - start) % task.step for frame in every):
        # Not frames of the video, as CVAT writes, but of the task.
        keyframes = [
            [key._replace(frame=start + key.frame * task.step) for key in keys]
            for keys in keyframes
        ]
    last = task.last if task.last is not None else last_frame(source)
    for i, (track, keys) in enumerate(zip(tracks, keyframes, strict=True)):
        if not keys:
            continue
        where = f"track {track.get('id', i)}"
        class_id = source.class_id_of(_label(source, track, where), where)
        track_id = ids[track.get("id", f"unnamed {i}")]
        end = _end_of(track, keys, task, last)
        whys = ignored[i]
        flags = {key.frame: why for key, why in zip(keys, whys, strict=True)} if any(whys) else {}
        for frame, xywh, is_rotated in fill_frames(
            source, keys, last=end, step=task.step, where=where
        ):
            if is_rotated:
                count_dropped(rows, "rotated boxes")
                continue
            # An attribute keeps its value up to the next box of the track.
            why = flags[max(known for known in flags if known <= frame)] if flags else ""
            t = source.frame_time(frame, where)
            rows.add(t, xywh, class_id, track_id=track_id, ignored=why)
    if task.last is not None:
        add_empty_frames(source, rows, range(start, task.last + 1, task.step))


def _end_of(track: Element, keys: list[Keyframe], task: _Task, last: int | None) -> int:
    """The frame up to which a track without an end goes on.

    A track that CVAT has interpolated is complete. CVAT exports a box of a single frame as a track
    whose end it leaves out on the last frame but one.
    """
    latest = max(key.frame for key in keys)
    is_complete = any(box.get("keyframe", "1") not in _TRUE for box in track.findall("box"))
    is_single = len(keys) == 1 and last is not None and latest + task.step >= last
    return latest if last is None or is_complete or is_single else max(last, latest)


def _boxes_of(node: Element, rows: BoxRows) -> list[Element]:
    """The boxes of an image or a track; other shapes are counted."""
    for shape in node:
        if shape.tag in _SHAPES and shape.get("outside") not in _TRUE:
            count_dropped(rows, f"shapes that are not boxes ({shape.tag})")
    return node.findall("box")


def _why_ignored(box: Element) -> str:
    """Attributes that the annotator's label may have, as CVAT's VOC and COCO exports take them."""
    return why_ignored(
        {node.get("name", ""): (node.text or "").strip() for node in box.findall("attribute")}
    )


def _keyframe(source: LabelSource, box: Element, where: str) -> Keyframe:
    frame = _index(source, box, "frame", where)
    where = f"{where}, frame {frame}"
    is_visible = box.get("outside", "0") not in _TRUE
    return Keyframe(
        frame,
        _xywh(source, box, where),
        _attribute(source, box, "rotation", where) if "rotation" in box.attrib else 0.0,
        is_shown=is_visible,
        continues=is_visible,
    )


def _is_rotated(source: LabelSource, box: Element, where: str) -> bool:
    return "rotation" in box.attrib and _attribute(source, box, "rotation", where) % 360 != 0


def _xywh(source: LabelSource, box: Element, where: str) -> tuple[float, float, float, float]:
    left, top, right, bottom = (
        _attribute(source, box, name, where) for name in ("xtl", "ytl", "xbr", "ybr")
    )
    return left, top, right - left, bottom - top


def _attribute(source: LabelSource, node: Element, name: str, where: str) -> float:
    value = number(node.get(name))
    if value is None:
        raise source.error(f"<{node.tag}> has {name}={node.get(name)!r}, not a number", where)
    return value


def _index(source: LabelSource, node: Element, name: str, where: str) -> int:
    value = to_time(node.get(name))
    if value is None or not 0 <= value < 2**40:
        raise source.error(
            f"<{node.tag}> has {name}={node.get(name)!r}, not a frame index from 0", where
        )
    return value


def _label(source: LabelSource, node: Element, where: str) -> str:
    label = node.get("label")
    if label is None:
        raise source.error(f"<{node.tag}> has no label", where)
    return label


def _whole(source: LabelSource, node: Element, name: str, missing: int) -> int:
    text = node.findtext(name)
    if text is None or not text.strip():
        return missing
    value = to_time(text)
    if value is None or not 0 <= value < 2**40:
        raise source.error(f"<{name}> is {text!r:.60}, not a whole number from 0", "<meta>")
    return value


def _check_size(source: LabelSource, node: Element, prefix: str, where: str) -> None:
    """Check that the labelled picture has the sensor's size, so that boxes are in its pixels."""
    width, height = (
        (node.findtext(f"{prefix}{name}") or "").strip() if prefix else node.get(name)
        for name in ("width", "height")
    )
    source.check_picture(width, height, where)
