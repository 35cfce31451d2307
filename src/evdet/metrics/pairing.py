"""Which detection found which object, in one frame."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64

from evdet.boxes import pairwise_iou
from evdet.metrics.frames import Frame

__all__ = ["Pairs", "check_thresholds", "pair_boxes"]


class Pairs(NamedTuple):
    """What became of a frame's objects and detections, one entry each; 0 stands for nothing.

    A pair has both labels; a missed object has `found` 0; a false alarm has `truth` 0.
    """

    truth: Int64[np.ndarray, " N"]
    """Label of the object."""
    found: Int64[np.ndarray, " N"]
    """Label of the detection."""
    scores: Float64[np.ndarray, " N"]
    """Score of the detection."""


def pair_boxes(frame: Frame, *, score_thresh: float, iou_thresh: float) -> Pairs:
    """Pair detections with objects by position, whatever their classes.

    The detection with the best score chooses first (of equal ones the earlier): it takes the
    object with the highest IoU among those still free, if that reaches the threshold.

    Args:
        frame: truth and detections.
        score_thresh: detections with a lower score do not take part.
        iou_thresh: lowest IoU of a pair, in (0, 1].

    Returns:
        Detections, best first, then the objects that were missed.
    """
    order = np.argsort(-frame.scores, kind="stable")
    order = order[frame.scores[order] >= score_thresh]
    free = np.ones(len(frame.truth_labels), bool)
    truth = np.zeros(len(order), np.int64)
    if free.any() and order.size:
        iou = pairwise_iou(
            torch.from_numpy(frame.boxes[order]), torch.from_numpy(frame.truth_boxes)
        ).numpy()
        for rank, overlaps in enumerate(iou):
            best = int(np.where(free, overlaps, -1.0).argmax())
            if free[best] and overlaps[best] >= iou_thresh:
                free[best] = False
                truth[rank] = frame.truth_labels[best]
    missed = frame.truth_labels[free]
    return Pairs(
        truth=np.concatenate([truth, missed]),
        found=np.concatenate([frame.labels[order], np.zeros_like(missed)]),
        scores=np.concatenate([frame.scores[order], np.zeros(len(missed))]),
    )


def check_thresholds(score_thresh: float, iou_thresh: float) -> None:
    """Raise ValueError where a threshold means nothing."""
    if not 0 <= score_thresh <= 1:
        raise ValueError(f"score_thresh must be between 0 and 1, got {score_thresh}")
    if not 0 < iou_thresh <= 1:
        raise ValueError(f"iou_thresh must be above 0 and at most 1, got {iou_thresh}")
