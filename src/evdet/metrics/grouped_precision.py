"""Precision and recall of the objects of a class, all of them or group by group.

A false alarm stands still for no time and has no events: its group is unknown. To count it in each
group would punish small groups: of 900 moving and 100 resting objects with one hundred false
alarms, all of them found, the precision would be 0.9 and 0.5, as if it were harder to find what
rests. To count it nowhere would make precision 1. So each group is charged its share: a false alarm
of a class counts n/N in a group that has n of the N objects of that class. Then groups that are
found equally well have the same precision, whatever their sizes, and it is that of all objects
together. Where a false alarm does belong to a group, as with its own size, it counts in full there
and nowhere else, as COCO does.

A detection of an object of another group is neither right nor wrong here. There is one matching
for all groups, so their recalls, weighted by their objects, add up to the recall of all objects.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int, Int64

from evdet.metrics.matching import Matches

__all__ = ["RECALL_POINTS", "GroupScore", "class_precision", "mean_of_known", "score_groups"]

RECALL_POINTS: tuple[float, ...] = tuple(np.linspace(0, 1, 101).tolist())
"""Where precision-recall curves are read off."""


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
    matches: Matches,
    truth_labels: Int64[np.ndarray, " N"],
    truth_groups: Int64[np.ndarray, " N"],
    *,
    num_groups: int,
    score_thresh: float,
    detection_groups: Int64[np.ndarray, " M"] | None = None,
) -> list[GroupScore]:
    """Score each group of objects.

    Args:
        matches: which detection took which object.
        truth_labels: class of each object.
        truth_groups: group of each object from 0; -1 is in no group, and found or not, it
            changes nothing.
        num_groups: how many groups there are.
        score_thresh: detections from this score on count for recall.
        detection_groups: group of each detection that counts, in which it counts as a
            false alarm; by default it counts in every group with the group's share.

    Returns:
        One score for each group.
    """
    taken = matches.objects[0]
    classes = np.unique(truth_labels[truth_groups >= 0])
    precision = np.full((num_groups, len(classes), len(taken)), np.nan)
    for k, label in enumerate(classes):
        chosen = matches.labels == label
        members = truth_groups[(truth_labels == label) & (truth_groups >= 0)]
        curves = class_precision(
            taken[:, chosen],
            truth_groups,
            np.bincount(members, minlength=num_groups),
            None if detection_groups is None else detection_groups[chosen],
        )
        precision[:, k] = curves.mean(axis=-1)
    sure = taken[0, matches.scores >= score_thresh]
    found = truth_groups[sure[sure >= 0]]
    num_found = np.bincount(found[found >= 0], minlength=num_groups)
    num_objects = np.bincount(truth_groups[truth_groups >= 0], minlength=num_groups)
    return [
        GroupScore(
            num_truths=int(count),
            ap=mean_of_known(precision[group]),
            ap50=mean_of_known(precision[group, :, 0]),
            recall50=float(num_found[group] / count) if count else math.nan,
        )
        for group, count in enumerate(num_objects)
    ]


def class_precision(
    taken: Int[np.ndarray, "thresholds M"],
    object_groups: Int64[np.ndarray, " N"],
    num_objects: Int64[np.ndarray, " groups"],
    detection_groups: Int64[np.ndarray, " M"] | None,
) -> Float64[np.ndarray, "groups thresholds recalls"]:
    """Give the precision-recall curves of one class.

    Args:
        taken: the object that each detection of the class found, best first; -1: none.
        object_groups: group of each object; -1 is in no group.
        num_objects: objects of the class in each group.
        detection_groups: as in `score_groups`.

    Returns:
        The best precision at each of `RECALL_POINTS` or a higher one; NaN without objects.
    """
    precision = np.full((len(num_objects), len(taken), len(RECALL_POINTS)), np.nan)
    share = num_objects / max(1, num_objects.sum())
    for threshold, objects in enumerate(taken):
        false = np.flatnonzero(objects < 0)
        right = np.flatnonzero(objects >= 0)
        group_of_right = object_groups[objects[right]]
        for group in np.flatnonzero(num_objects):
            found = right[group_of_right == group]
            if detection_groups is None:
                num_false = share[group] * np.searchsorted(false, found)
            else:
                num_false = np.searchsorted(false[detection_groups[false] == group], found)
            num_right = np.arange(1, len(found) + 1)
            # What stands between two right detections changes no interpolated precision.
            best = np.maximum.accumulate((num_right / (num_right + num_false))[::-1])[::-1]
            reached = np.searchsorted(num_right / num_objects[group], RECALL_POINTS)
            precision[group, threshold] = np.append(best, 0)[reached]
    return precision


def mean_of_known(values: Float64[np.ndarray, "*_"]) -> float:
    """Mean of the numbers that are not NaN; NaN where there is none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan
