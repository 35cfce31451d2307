"""Box events <-> detections of the library supervision."""

from typing import TYPE_CHECKING

import numpy as np

from evdet.boxes import BOX_DTYPE
from evdet.shapes import BoxEvents
from evdet.tracking.libraries import load_supervision

if TYPE_CHECKING:
    from supervision import Detections

__all__ = ["from_supervision", "to_supervision"]


def to_supervision(box_events: BoxEvents) -> "Detections":
    """Convert box events to the detections of the library supervision.

    Returns:
        `supervision.Detections` in the same order: `class_id` starts at 0 without background, as an
        index into `class_names`; `tracker_id` is -1 for a box without a track, and None if none
        has one; `data["t"]` is the time in microseconds.

    Raises:
        TrackingUnavailableError: supervision is not installed.
    """
    # float64 keeps x + w exact, so that converting back gives the same w.
    x, y, w, h = (box_events[name].astype(np.float64) for name in ("x", "y", "w", "h"))
    track_ids = box_events["track_id"].astype(np.int64)
    tracker_id = np.where(track_ids > 0, track_ids, -1) if track_ids.any() else None
    detections: Detections = load_supervision().Detections(
        xyxy=np.stack([x, y, x + w, y + h], axis=-1),
        confidence=box_events["class_confidence"].copy(),
        class_id=box_events["class_id"].astype(np.int64) - 1,
        tracker_id=tracker_id,
        data={"t": box_events["t"].copy()},
    )
    return detections


def from_supervision(detections: "Detections", *, t: int = 0) -> BoxEvents:
    """Convert detections of the library supervision to box events.

    Args:
        detections: `class_id` starts at 0 without background; missing fields mean class 0,
            confidence 1 and no track.
        t: time in microseconds, if `data["t"]` is missing.

    Returns:
        `BOX_DTYPE` records in the same order.
    """
    corners = np.asarray(detections.xyxy, np.float64)
    box_events = np.zeros(len(corners), BOX_DTYPE)
    box_events["t"] = detections.data.get("t", t)
    box_events["x"], box_events["y"] = corners[:, 0], corners[:, 1]
    box_events["w"] = corners[:, 2] - corners[:, 0]
    box_events["h"] = corners[:, 3] - corners[:, 1]
    box_events["class_id"] = 1 if detections.class_id is None else detections.class_id + 1
    box_events["class_confidence"] = 1 if detections.confidence is None else detections.confidence
    if detections.tracker_id is not None:
        box_events["track_id"] = np.maximum(detections.tracker_id, 0)
    return box_events
