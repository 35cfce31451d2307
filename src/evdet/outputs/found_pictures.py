"""A detected frame -> its picture, plain or with boxes and tracks."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from evdet.draw import Trails, draw_tracks, upscale
from evdet.events import SensorSize, count_events_inside, events_to_picture
from evdet.pipeline import DetectedFrame
from evdet.shapes import Picture

__all__ = ["draw_found", "picture_of"]

# Events per pixel of a box and time bin: noise has fewer, and what moves has more.
_STILL_DENSITY = 0.02


def picture_of(found: DetectedFrame, size: SensorSize) -> Picture:
    """The events of a frame as a picture, or the picture of its source.

    Args:
        found: the frame.
        size: the source's size.

    Raises:
        ValueError: the frame has neither events nor a picture.
    """
    if found.frame.picture is not None:
        return found.frame.picture
    if found.frame.events is None:
        raise ValueError("a frame without events or a picture cannot be drawn")
    return events_to_picture(found.frame.events, size)


def draw_found(
    found: DetectedFrame,
    size: SensorSize,
    label_map: Sequence[str],
    trails: Trails | None = None,
    *,
    scale: int = 1,
) -> Picture:
    """Draw a frame with its boxes; those that memory keeps are dashed.

    Args:
        found: the frame.
        size: the source's size.
        label_map: class names by class_id, beginning with 'background'.
        trails: past positions of the tracks, this frame's included; None for boxes without tracks.
        scale: enlargement.
    """
    return draw_tracks(
        upscale(picture_of(found, size), scale),
        found.boxes,
        label_map,
        trails,
        t=found.t,
        scale=scale,
        is_still=_are_still(found, size),
    )


def _are_still(found: DetectedFrame, size: SensorSize) -> Bool[np.ndarray, " N"] | None:
    """The boxes that hold hardly an event, so that memory keeps them; None for pictures."""
    if found.frame.events is None:
        return None
    boxes = found.boxes
    counts = count_events_inside(found.frame.events, boxes, size)
    is_still: Bool[np.ndarray, " N"] = counts < _STILL_DENSITY * boxes["w"] * boxes["h"]
    return is_still
