"""Clip boxes to the sensor and select those to train on, neither too small nor too wide."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from evdet.events import SensorSize
from evdet.shapes import BoxEvents

__all__ = ["BoxRules", "apply_rules", "is_outside"]


@dataclass(frozen=True, kw_only=True)
class BoxRules:
    """The rules of a box to keep, in pixels of the sensor."""

    min_box_diag: float = 0.0
    """Shortest diagonal."""
    min_box_side: float = 0.0
    """Shortest side."""
    max_box_share: float = 1.0
    """Widest box, as a share of the sensor's width: published labels contain a few boxes as wide
    as the frame without an object. 1 keeps all."""
    clip: bool = True
    """Clip boxes to the sensor, and drop those completely outside."""

    def __post_init__(self) -> None:
        for name in ("min_box_diag", "min_box_side"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be 0 or more pixels, got {getattr(self, name)}")
        if not 0 < self.max_box_share <= 1:
            raise ValueError(
                f"max_box_share must be in (0, 1], got {self.max_box_share}: it is the widest "
                "box to keep as a share of the sensor's width"
            )


def apply_rules(
    boxes: BoxEvents, rules: BoxRules, size: SensorSize
) -> tuple[BoxEvents, dict[str, int]]:
    """Clip and select boxes.

    A box that is not finite or has no area is always dropped: no loss can use it. A box is clipped
    before it is measured.

    Args:
        boxes: box events; not modified.
        rules: the rules.
        size: the sensor's size in pixels.

    Returns:
        The boxes to use, in the same order, and how many were dropped or clipped, by reason; a
        dropped box counts once.
    """
    counts: dict[str, int] = {}
    kept = boxes.copy()

    def drop(reason: str, bad: Bool[np.ndarray, " _"]) -> None:
        nonlocal kept
        if bad.any():
            counts[reason] = int(bad.sum())
            kept = kept[~bad]

    drop("not finite", ~_is_finite(kept))
    drop("without area", (kept["w"] <= 0) | (kept["h"] <= 0))
    if rules.clip:
        drop("outside the sensor", is_outside(kept, size))
        num_clipped = _clip(kept, size)
        if num_clipped:
            counts["clipped"] = num_clipped
    drop("side too short", np.minimum(kept["w"], kept["h"]) < rules.min_box_side)
    with np.errstate(over="ignore"):
        drop("diagonal too short", np.hypot(kept["w"], kept["h"]) < rules.min_box_diag)
    if rules.max_box_share < 1:
        drop("too wide", kept["w"] > rules.max_box_share * size.width)
    return kept, counts


def is_outside(boxes: BoxEvents, size: SensorSize) -> Bool[np.ndarray, " _"]:
    """Whether each box lies completely outside the sensor."""
    x, y = boxes["x"], boxes["y"]
    with np.errstate(over="ignore", invalid="ignore"):
        outside: Bool[np.ndarray, " _"] = (
            (x >= size.width) | (y >= size.height) | (x + boxes["w"] <= 0) | (y + boxes["h"] <= 0)
        )
    return outside


def _is_finite(boxes: BoxEvents) -> Bool[np.ndarray, " _"]:
    sides = np.stack([boxes[name] for name in ("x", "y", "w", "h")])
    finite: Bool[np.ndarray, " _"] = np.isfinite(sides).all(axis=0)
    return finite


def _clip(boxes: BoxEvents, size: SensorSize) -> int:
    """Clip boxes in place; return how many were changed."""
    num_clipped = np.zeros(len(boxes), bool)
    for first, side, end in (("x", "w", size.width), ("y", "h", size.height)):
        # float64: two roundings to float32 would move borders that lie inside the sensor.
        start = boxes[first].astype(np.float64)
        stop = start + boxes[side]
        beyond = (start < 0) | (stop > end)
        start, stop = np.clip(start, 0, end), np.clip(stop, 0, end)
        boxes[first][beyond] = start[beyond]
        boxes[side][beyond] = (stop - start)[beyond]
        num_clipped |= beyond
    return int(num_clipped.sum())
