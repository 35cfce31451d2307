"""Boxes -> files that CVAT and Label Studio import, for an annotator to correct."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from evdet.atomic_file import replacing
from evdet.events import SensorSize
from evdet.labels.binning import LabeledTimes, bin_boxes, to_disk_ids
from evdet.labels.label_map import check_plain_names

__all__ = ["PRELABEL_SUFFIXES", "FramesToLabel", "write_cvat", "write_label_studio"]

PRELABEL_SUFFIXES = (".xml", ".json")
"""Of CVAT (for video 1.1), and of Label Studio."""


@dataclass(frozen=True)
class FramesToLabel:
    """The frames that the tool shows: time bins of a recording, from its first."""

    first_bin: int
    """Index of the bin that frame 0 shows; bin 0 starts at time 0."""
    num_frames: int
    """How many there are."""
    delta_t: int
    """Duration of a frame in microseconds."""
    size: SensorSize
    """Size of the pictures."""


class _Moment(NamedTuple):
    """The box of an object on a frame."""

    frame: int
    xywh: tuple[float, float, float, float]
    is_last: bool
    """On the next annotated frame the object is not visible."""


class _Object(NamedTuple):
    name: str
    moments: list[_Moment]


def write_cvat(
    path: Path, labeled: LabeledTimes, label_map: Mapping[int, str], frames: FramesToLabel
) -> int:
    """Write boxes as "CVAT for video 1.1", to upload as annotations of a task.

    Args:
        path: the file to write.
        labeled: the boxes, ids from 1.
        label_map: names of the ids on disk.
        frames: the frames of the task.

    Returns:
        The number of boxes written; boxes of other frames are left out.

    Raises:
        ValueError: a box is background, its class is not in the label map, or a name has a
            control character.
    """
    check_plain_names(label_map.values(), "CVAT's XML")
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    count = 0
    for number, (name, moments) in enumerate(_objects(labeled, label_map, frames)):
        track = SubElement(root, "track", id=str(number), label=name, source="auto")
        for frame, xywh, is_last in moments:
            _add_box(track, frame, xywh, outside="0")
            count += 1
            if is_last and frame + 1 < frames.num_frames:
                _add_box(track, frame + 1, xywh, outside="1")
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    with replacing(path) as part:
        part.write_text(f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n', encoding="utf-8")
    return count


def write_label_studio(
    path: Path,
    labeled: LabeledTimes,
    label_map: Mapping[int, str],
    frames: FramesToLabel,
    *,
    video: str,
) -> int:
    """Write boxes as predictions of Label Studio, in a task to import.

    The labelling interface names the video `video` and the boxes `box`.

    Args:
        path: the file to write.
        labeled: the boxes, ids from 1.
        label_map: names of the ids on disk.
        frames: the frames of the video.
        video: address of the video, as Label Studio finds it.

    Returns:
        The number of boxes written; boxes of other frames are left out.

    Raises:
        ValueError: a box is background, or its class is not in the label map.
    """
    seconds = frames.num_frames * frames.delta_t / 1e6
    results, count = [], 0
    for number, (name, moments) in enumerate(_objects(labeled, label_map, frames)):
        sequence = [
            {
                "frame": frame + 1,
                "enabled": not is_last,
                "rotation": 0,
                **_percents(xywh, frames.size),
                "time": round(frame * frames.delta_t / 1e6, 6),
            }
            for frame, xywh, is_last in moments
        ]
        count += len(sequence)
        results.append(
            {
                "id": f"object{number}",
                "type": "videorectangle",
                "from_name": "box",
                "to_name": "video",
                "origin": "prediction",
                "value": {
                    "framesCount": frames.num_frames,
                    "duration": seconds,
                    "sequence": sequence,
                    "labels": [name],
                },
            }
        )
    prediction = {"model_version": "evdet", "result": results}
    tasks = [{"data": {"video": video}, "predictions": [prediction]}]
    with replacing(path) as part:
        part.write_text(json.dumps(tasks, indent=2) + "\n", encoding="utf-8")
    return count


def _objects(
    labeled: LabeledTimes, label_map: Mapping[int, str], frames: FramesToLabel
) -> Iterator[_Object]:
    """The objects of the frames: each track, and each box without one."""
    binned = bin_boxes(
        labeled, first_bin=frames.first_bin, num_bins=frames.num_frames, delta_t=frames.delta_t
    )
    annotated: list[int] = np.flatnonzero(binned.is_labeled).tolist()
    following = dict(zip(annotated, [*annotated[1:], -1], strict=False))
    found: dict[tuple[int, ...], dict[int, tuple[float, float, float, float]]] = {}
    for frame in annotated:
        for i, box in enumerate(to_disk_ids(binned.boxes[frame])):
            class_id, track = int(box["class_id"]), int(box["track_id"])
            x, y, w, h = (float(box[name]) for name in ("x", "y", "w", "h"))
            key: tuple[int, ...] = (class_id, track)
            if not track or frame in found.get(key, {}):
                key = (class_id, 0, frame, i)
            found.setdefault(key, {})[frame] = (x, y, w, h)
    for key, by_frame in found.items():
        if key[0] not in label_map:
            raise ValueError(f"the label map has no class with the id {key[0]}")
        yield _Object(
            label_map[key[0]],
            [
                _Moment(frame, xywh, following[frame] not in by_frame)
                for frame, xywh in by_frame.items()
            ],
        )


def _add_box(track: Element, frame: int, xywh: Sequence[float], *, outside: str) -> None:
    x, y, w, h = xywh
    sides = {"xtl": x, "ytl": y, "xbr": x + w, "ybr": y + h}
    SubElement(
        track,
        "box",
        {
            "frame": str(frame),
            "keyframe": "1",
            "outside": outside,
            "occluded": "0",
            **{name: f"{value:.2f}" for name, value in sides.items()},
            "z_order": "0",
        },
    )


def _percents(xywh: Sequence[float], size: SensorSize) -> dict[str, float]:
    x, y, w, h = xywh
    across, down = 100 / size.width, 100 / size.height
    return {"x": x * across, "y": y * down, "width": w * across, "height": h * down}
