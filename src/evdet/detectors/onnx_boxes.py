"""The boxes that an exported model gives for one time bin, as arrays of all lanes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from evdet.nms import nms

__all__ = ["BinBoxes", "across_classes", "by_lane", "lanes_joined"]


class BinBoxes(NamedTuple):
    """The boxes of one time bin of every lane, ordered by lane, then best first."""

    boxes: Float32[np.ndarray, "N 4"]
    """x1 y1 x2 y2 in pixels, inside the frame."""
    labels: Int64[np.ndarray, " N"]
    """Classes, from 1."""
    scores: Float32[np.ndarray, " N"]
    """Scores."""
    lanes: Int64[np.ndarray, " N"]
    """Index of the lane of each."""


def lanes_joined(lanes: Sequence[dict[str, Tensor]]) -> BinBoxes:
    """Join the boxes of all lanes, as a model with its own selection outputs them."""
    boxes, labels, scores = (
        torch.cat([lane[name] for lane in lanes]).numpy() for name in ("boxes", "labels", "scores")
    )
    counts = [len(lane["scores"]) for lane in lanes]
    return BinBoxes(boxes, labels, scores, np.repeat(np.arange(len(lanes)), counts))


def across_classes(found: BinBoxes, iou_thresh: float) -> BinBoxes:
    """Suppress boxes of other classes among those that a model has selected class by class.

    Args:
        found: of all lanes.
        iou_thresh: IoU above which a box of a lower score is dropped.
    """
    keep = np.zeros(len(found.scores), np.bool_)
    for lane in np.unique(found.lanes):
        rows = np.flatnonzero(found.lanes == lane)
        boxes, scores = (torch.from_numpy(part[rows]) for part in (found.boxes, found.scores))
        keep[rows[nms(boxes, scores, iou_thresh).numpy()]] = True
    return BinBoxes(*(part[keep] for part in found))


def by_lane(found: BinBoxes, num_lanes: int) -> list[dict[str, Tensor]]:
    """Give the boxes of a time bin in the form of `Detector.step`."""
    counts = np.bincount(found.lanes, minlength=num_lanes).tolist()
    boxes, labels, scores = (torch.split(torch.from_numpy(part), counts) for part in found[:3])
    return [
        {"boxes": boxes[lane], "labels": labels[lane], "scores": scores[lane]}
        for lane in range(num_lanes)
    ]
