"""Boxes with class, score and track id on a picture, and the trails of the tracks."""

import itertools
from collections import deque
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from evdet.draw.boxes import (
    BoxStyle,
    check_names,
    class_color,
    draw_labeled_boxes,
    scale_box_events,
)
from evdet.opencv import cv2
from evdet.shapes import BoxEvents, Picture

__all__ = ["Trails", "box_colors", "box_texts", "draw_tracks"]


_FAINTEST = 0.25  # brightness of a trail's end
_THICKNESS = 2  # pixels
_SHIFT = 4  # fractional bits of coordinates: lines are drawn at sixteenths of a pixel


class Trails:
    """The recent centres of each track.

    Args:
        duration: time for which they are kept, in microseconds.
    """

    def __init__(self, duration: int = 1_000_000) -> None:
        self.duration = duration
        self.points: dict[int, deque[tuple[int, float, float]]] = {}
        """Time and centre (x, y) of the boxes of each track, oldest first."""

    def add(self, t: int, boxes: BoxEvents) -> None:
        """Add the tracked boxes of a frame at a time in microseconds, and drop old centres."""
        for box in boxes[boxes["track_id"] > 0]:
            centre = (float(box["x"] + box["w"] / 2), float(box["y"] + box["h"] / 2))
            self.points.setdefault(int(box["track_id"]), deque()).append((t, *centre))
        for track_id, points in list(self.points.items()):
            while points and points[0][0] < t - self.duration:
                points.popleft()
            if not points:
                del self.points[track_id]


def draw_tracks(
    picture: Picture,
    boxes: BoxEvents,
    label_map: Sequence[str],
    trails: Trails | None = None,
    *,
    t: int = 0,
    scale: float | int = 1,
    is_still: Bool[np.ndarray, " N"] | None = None,
) -> Picture:
    """Draw boxes with class, score and track id, and the trails of the tracks.

    Args:
        picture: RGB.
        boxes: `BOX_DTYPE` records in pixels before scaling; may be empty.
        label_map: class names by class_id, beginning with 'background'.
        trails: past positions of the tracks. With them, each track has its own colour, and boxes
            without a track are thin, grey and without a label; without, each class has its
            colour.
        t: time of the picture in microseconds: trails fade with age.
        scale: size of a pixel of the boxes in pixels of the picture.
        is_still: boxes that are dashed, since their time bin has hardly an event there.
    """
    canvas = picture.copy()
    if trails is not None:
        for track_id, points in trails.points.items():
            _draw_trail(canvas, list(points), track_id, t, trails.duration, scale)
    texts, styles = box_texts(boxes, label_map), []
    colors = box_colors(boxes, by_track=trails is not None)
    for i, (box, color) in enumerate(zip(boxes, colors, strict=True)):
        is_faint = trails is not None and not box["track_id"]
        texts[i] = "" if is_faint else texts[i]
        is_dashed = is_still is not None and bool(is_still[i])
        styles.append(BoxStyle(color, 1 if is_faint else _THICKNESS, is_dashed))
    drawn: Picture = draw_labeled_boxes(
        canvas,
        scale_box_events(boxes, scale),
        texts,
        styles,
    )
    return drawn


def box_texts(boxes: BoxEvents, label_map: Sequence[str]) -> list[str]:
    """Class, score and track id of each box, such as "car 93% #12"; "car 93%" without a track.

    Raises:
        ValueError: a class_id has no name in `label_map`.
    """
    check_names(boxes["class_id"], label_map)
    return [
        f"{label_map[box['class_id']]} {box['class_confidence']:.0%}"
        + (f" #{box['track_id']}" if box["track_id"] else "")
        for box in boxes
    ]


def box_colors(boxes: BoxEvents, *, by_track: bool) -> list[tuple[int, int, int]]:
    """The colour of each box's track (grey without a track), or of its class."""
    return [class_color(int(id_)) for id_ in boxes["track_id" if by_track else "class_id"]]


def _draw_trail(
    canvas: Picture,
    points: Sequence[tuple[int, float, float]],
    track_id: int,
    t: int,
    duration: int,
    scale: float | int,
) -> None:
    def to_grid(x: float, y: float) -> tuple[int, int]:
        return round(x * scale * (1 << _SHIFT)), round(y * scale * (1 << _SHIFT))

    for (_, *start), (time, *end) in itertools.pairwise(points):
        strength = _FAINTEST + (1 - _FAINTEST) * max(0.0, 1 - (t - time) / duration)
        color = [strength * part for part in class_color(track_id)]
        cv2.line(canvas, to_grid(*start), to_grid(*end), color, _THICKNESS, cv2.LINE_AA, _SHIFT)
