"""Errors by position: the confusion of classes, and the frames with the most errors.

Detections and objects are matched by position, whatever their classes: the detection with the best
score (of equal ones the earlier) takes first the unmatched object with the highest IoU (of equal
ones the earlier), if that reaches the threshold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from evdet.metrics.frame_table import Detection, FrameTable, Truth, tabulate
from evdet.metrics.matching import match_boxes

__all__ = ["FrameErrors", "confusion_matrix", "worst_frames"]


def confusion_matrix(
    truths: Sequence[Truth],
    detections: Sequence[Detection],
    class_names: Sequence[str],
    *,
    score_thresh: float = 0.3,
    iou_thresh: float = 0.5,
) -> Int64[np.ndarray, "K K"]:
    """Count the detected classes for each class of the ground truth.

    Args:
        truths: the objects of each frame.
        detections: the detections of the same frames.
        class_names: the C classes without background; label 1 is the first.
        score_thresh: detections with a lower score are ignored, in [0, 1].
        iou_thresh: lowest IoU of a detection and the object it found, in (0, 1].

    Returns:
        (C + 1, C + 1) counts; row = label of the object, column = label of the detection. Row 0
        are false alarms, column 0 missed objects; [0, 0] is 0.

    Raises:
        ValueError: truths, detections and class names do not fit together, or a threshold is out
            of range.
    """
    table = tabulate(truths, detections, num_classes=len(class_names))
    outcomes = _match(table, score_thresh, iou_thresh)
    matrix = np.zeros((len(class_names) + 1, len(class_names) + 1), np.int64)
    np.add.at(matrix, (outcomes.truth, outcomes.found), 1)
    return matrix


@dataclass(frozen=True, kw_only=True)
class FrameErrors:
    """The errors in one frame."""

    index: int
    """Index of the frame among those given."""
    missed: int
    """Objects without a detection."""
    false_alarms: int
    """Detections without an object, or of one that is matched already."""
    wrong_class: int
    """Objects detected as another class."""
    confidence: float
    """Sum of the scores of false alarms and wrong classes."""

    @property
    def total(self) -> int:
        """Number of errors."""
        return self.missed + self.false_alarms + self.wrong_class


def worst_frames(
    truths: Sequence[Truth],
    detections: Sequence[Detection],
    *,
    max_frames: int = 12,
    score_thresh: float = 0.3,
) -> list[FrameErrors]:
    """Find the frames with the most errors.

    Args:
        truths: the objects of each frame.
        detections: the detections of the same frames.
        max_frames: maximum number of frames to return.
        score_thresh: detections with a lower score are ignored, in [0, 1].

    Returns:
        Frames with at least one error, sorted by most errors, highest `confidence`, lowest index.

    Raises:
        ValueError: truths and detections do not fit together, or a threshold is out of range.
    """
    outcomes = _match(tabulate(truths, detections), score_thresh, 0.5)
    is_missed, is_false = outcomes.found == 0, outcomes.truth == 0
    is_wrong = ~is_missed & ~is_false & (outcomes.truth != outcomes.found)
    missed, false_alarms, wrong_class, confidence = (
        np.bincount(outcomes.frames, values, len(truths))
        for values in (is_missed, is_false, is_wrong, outcomes.scores * (is_false | is_wrong))
    )
    errors = [
        FrameErrors(
            index=int(index),
            missed=int(missed[index]),
            false_alarms=int(false_alarms[index]),
            wrong_class=int(wrong_class[index]),
            confidence=float(confidence[index]),
        )
        for index in np.flatnonzero(missed + false_alarms + wrong_class)
    ]
    errors.sort(key=lambda frame: (-frame.total, -frame.confidence, frame.index))
    return errors[:max_frames]


class _Outcomes(NamedTuple):
    """Matches, missed objects and false alarms, one entry each.

    A match has both labels; a missed object has `found` 0; a false alarm has `truth` 0.
    """

    frames: Int64[np.ndarray, " N"]
    """Index of the frame."""
    truth: Int64[np.ndarray, " N"]
    """Label of the object."""
    found: Int64[np.ndarray, " N"]
    """Label of the detection."""
    scores: Float64[np.ndarray, " N"]
    """Score of the detection."""


def _match(table: FrameTable, score_thresh: float, iou_thresh: float) -> _Outcomes:
    if not 0 <= score_thresh <= 1:
        raise ValueError(f"score_thresh must be between 0 and 1, got {score_thresh}")
    if not 0 < iou_thresh <= 1:
        raise ValueError(f"iou_thresh must be above 0 and at most 1, got {iou_thresh}")
    found = table.found.take(table.found.scores >= score_thresh)
    # Reversed: of equal overlaps, the matching prefers the later object.
    truth = table.truth.take(np.arange(len(table.truth.frames))[::-1])
    any_class = FrameTable(
        truth._replace(labels=np.zeros_like(truth.labels)),
        found._replace(labels=np.zeros_like(found.labels)),
        table.num_frames,
        table.starts,
    )
    matches = match_boxes(any_class, max_detections=len(found.frames), thresholds=(iou_thresh,))
    taken, found = matches.objects[0, 0], found.take(matches.rows)
    missed = np.ones(len(truth.frames), bool)
    missed[taken[taken >= 0]] = False
    lost = truth.take(missed)
    return _Outcomes(
        frames=np.concatenate([found.frames, lost.frames]),
        truth=np.concatenate([np.append(truth.labels, 0)[taken], lost.labels]),
        found=np.concatenate([found.labels, np.zeros_like(lost.labels)]),
        scores=np.concatenate([found.scores, np.zeros(len(lost.frames))]),
    )
