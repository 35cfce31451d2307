"""Average precision and recall of groups of objects.

A false alarm stands still for no time and has no events: nobody knows which group it belongs to. To
count it in each group would punish small groups: of 900 moving and 100 resting objects with one
hundred false alarms, all of them found, the precision would be 0.9 and 0.5, as if it were harder
to find what rests. To count it nowhere would make precision 1. So each group is charged its
share: a false alarm of a class counts n/N in a group that has n of the N objects of that class.
Then groups that are found equally well have the same precision, whatever their sizes, and it is
that of all objects together. Where a false alarm does belong to a group, as with its own size, it
counts in full there and nowhere else, as COCO does.

A detection of an object of another group is neither right nor wrong here. There is one assignment
for all groups, so their recalls, weighted by their objects, add up to the recall of all objects.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from evdet.metrics.assignment import Assignment
from evdet.metrics.average_precision import RECALL_POINTS

__all__ = ["GroupScore", "score_groups"]


class GroupScore(NamedTuple):
    """How well the objects of one group are found; NaN where it has none."""

    num_truths: int
    """Objects in the group."""
    ap: float
    """Mean over the classes in the group and over IoU 0.50:0.05:0.95 of the average precision."""
    ap50: float
    """At IoU 0.50."""
    recall50: float
    """Share of its objects that detections from the score threshold on found at IoU 0.50."""


def score_groups(
    assignment: Assignment,
    truth_labels: Int64[np.ndarray, " N"],
    truth_groups: Int64[np.ndarray, " N"],
    *,
    num_groups: int,
    score_thresh: float,
    detection_groups: Int64[np.ndarray, " M"] | None = None,
) -> list[GroupScore]:
    """Score each group of objects.

    Args:
        assignment: which detection took which object.
        truth_labels: class of each object.
        truth_groups: group of each object from 0; -1 is in no group, and found or not, it
            changes nothing.
        num_groups: how many groups there are.
        score_thresh: detections from this score on count for recall.
        detection_groups: group of each detection of the assignment, in which it counts as a
            false alarm; by default it counts in every group with the group's share.

    Returns:
        One score for each group.
    """
    classes = np.unique(truth_labels[truth_groups >= 0])
    precision = np.full((num_groups, len(classes), assignment.taken.shape[1]), np.nan)
    for k, label in enumerate(classes):
        chosen = assignment.labels == label
        members = truth_groups[(truth_labels == label) & (truth_groups >= 0)]
        precision[:, k] = _class_precision(
            assignment.taken[chosen],
            truth_groups,
            np.bincount(members, minlength=num_groups),
            None if detection_groups is None else detection_groups[chosen],
        )
    sure = assignment.taken[assignment.scores >= score_thresh, 0]
    found = truth_groups[sure[sure >= 0]]
    num_found = np.bincount(found[found >= 0], minlength=num_groups)
    num_truths = np.bincount(truth_groups[truth_groups >= 0], minlength=num_groups)
    return [
        GroupScore(
            num_truths=int(count),
            ap=_mean(precision[group]),
            ap50=_mean(precision[group, :, 0]),
            recall50=float(num_found[group] / count) if count else math.nan,
        )
        for group, count in enumerate(num_truths)
    ]


def _class_precision(
    taken: Int64[np.ndarray, "M thresholds"],
    truth_groups: Int64[np.ndarray, " N"],
    num_truths: Int64[np.ndarray, " groups"],
    detection_groups: Int64[np.ndarray, " M"] | None,
) -> Float64[np.ndarray, "groups thresholds"]:
    """Average precision of one class in each group, at each IoU; NaN without objects."""
    precision = np.full((len(num_truths), taken.shape[1]), np.nan)
    share = num_truths / max(1, num_truths.sum())
    for threshold, truth in enumerate(taken.T):
        false = np.flatnonzero(truth < 0)
        right = np.flatnonzero(truth >= 0)
        group_of_right = truth_groups[truth[right]]
        for group in np.flatnonzero(num_truths):
            found = right[group_of_right == group]
            if detection_groups is None:
                num_false = share[group] * np.searchsorted(false, found)
            else:
                own = false[detection_groups[false] == group]
                num_false = np.searchsorted(own, found).astype(np.float64)
            precision[group, threshold] = _average(num_false, int(num_truths[group]))
    return precision


def _average(num_false: Float64[np.ndarray, " found"], num_truths: int) -> float:
    """Mean precision at COCO's recalls, from the false alarms above each detection that is right.

    What stands between two right detections changes no interpolated precision.
    """
    num_right = np.arange(1, len(num_false) + 1)
    precision = num_right / (num_right + num_false)
    # The best precision at this recall or a higher one.
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    reached = np.searchsorted(num_right / num_truths, RECALL_POINTS)
    return float(np.append(precision, 0)[reached].mean())


def _mean(precision: np.ndarray) -> float:
    valid = precision[~np.isnan(precision)]
    return float(valid.mean()) if valid.size else math.nan
