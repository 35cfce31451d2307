"""Boxes with class, score and track number on a picture, and the trail of where each track was."""

import itertools
from collections import deque
from collections.abc import Sequence

from evdet.draw.boxes import check_names, class_color, draw_labeled_boxes, scale_box_events
from evdet.opencv import cv2
from evdet.shapes import BoxEvents, Picture

__all__ = ["Trails", "box_colors", "box_texts", "draw_tracks"]


_FAINTEST = 0.25  # brightness of a trail's end
# Lines are drawn between points on a grid of sixteenths of a pixel.
_THICKNESS = 2  # pixels
_SHIFT = 4


class Trails:
    """Remembers where the centre of each track was in the last moments.

    Args:
        duration: for how long, in microseconds.
    """

    def __init__(self, duration: int = 1_000_000) -> None:
        self.duration = duration
        self.points: dict[int, deque[tuple[int, float, float]]] = {}
        """Time and centre (x, y) of the boxes of each track, the oldest first."""

    def add(self, t: int, boxes: BoxEvents) -> None:
        """Add the boxes of a frame, and forget what is too old.

        Args:
            t: time of the frame in microseconds.
            boxes: those without a track leave no trail.
        """
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
) -> Picture:
    """Draw boxes with class, score and track number, and the trails of the tracks.

    Args:
        picture: RGB.
        boxes: `BOX_DTYPE` records in pixels before scaling; may be empty.
        label_map: class names by class_id, beginning with 'background'.
        trails: where the tracks were; each track has its own colour then, and boxes without one
            are grey. Without trails every class has its colour.
        t: time of the picture in microseconds: trails fade with their age.
        scale: pixels of the picture for one of the boxes.

    Returns:
        A new picture of the same size.
    """
    canvas = picture.copy()
    if trails is not None:
        for track_id, points in trails.points.items():
            _draw_trail(canvas, list(points), track_id, t, trails.duration, scale)
    drawn: Picture = draw_labeled_boxes(
        canvas,
        scale_box_events(boxes, scale),
        box_texts(boxes, label_map),
        box_colors(boxes, by_track=trails is not None),
        thickness=_THICKNESS,
    )
    return drawn


def box_texts(boxes: BoxEvents, label_map: Sequence[str]) -> list[str]:
    """Say what each box is: class, score and the number of its track.

    Args:
        boxes: `BOX_DTYPE` records.
        label_map: class names by class_id, beginning with 'background'.

    Returns:
        Such as "car 93% #12", and "car 93%" where there is no track.

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
    """Give each box the colour of its track, or of its class.

    Args:
        boxes: `BOX_DTYPE` records.
        by_track: neighbouring tracks are told apart, and boxes without a track are grey.

    Returns:
        Red, green and blue of each.
    """
    ids = boxes["track_id" if by_track else "class_id"]
    return [class_color(int(number)) for number in ids]


def _draw_trail(
    canvas: Picture,
    points: Sequence[tuple[int, float, float]],
    track_id: int,
    t: int,
    duration: int,
    scale: float | int,
) -> None:
    def place(x: float, y: float) -> tuple[int, int]:
        return round(x * scale * (1 << _SHIFT)), round(y * scale * (1 << _SHIFT))

    for (_, *start), (time, *end) in itertools.pairwise(points):
        strength = _FAINTEST + (1 - _FAINTEST) * max(0.0, 1 - (t - time) / duration)
        color = [strength * part for part in class_color(track_id)]
        cv2.line(canvas, place(*start), place(*end), color, _THICKNESS, cv2.LINE_AA, _SHIFT)
