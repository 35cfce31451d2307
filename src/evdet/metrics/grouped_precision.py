"""Precision and recall of the objects of a class, in total or by group.

A false alarm has no stillness and no events: its group is unknown. Counting it in every group would
penalise small groups: with 900 moving and 100 resting objects, all found, and 100 false alarms, the
precision would be 0.9 and 0.5, as if resting objects were harder to find. Not counting it would
make every precision 1. So each group gets its share: a false alarm of a class counts n/N in a group
that has n of the N objects of that class. Groups that are found equally well then have the same
precision, whatever their sizes, which is also that of all objects together. A false alarm that does
have a group, such as its own size, counts fully there and nowhere else, as in COCO.

A detection of an object of another group is neither right nor wrong. All groups share one matching,
so their recalls, weighted by their objects, add up to the recall of all objects.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int, Int64

from evdet.metrics.matching import Matches

__all__ = ["RECALL_POINTS", "GroupScore", "class_precision", "mean_of_known", "score_groups"]

RECALL_POINTS: tuple[float, ...] = tuple(np.linspace(0, 1, 101).tolist())
"""The recalls at which precision-recall curves are sampled."""


class GroupScore(NamedTuple):
    """The scores of one group; NaN without objects."""

    num_truths: int
    """Objects in the group."""
    ap: float
    """Mean over the classes in the group and over IoU 0.50:0.05:0.95 of the average precision."""
    ap50: float
    """At IoU 0.50."""
    recall50: float
    """Share of its objects found at IoU 0.50 by detections with at least the score threshold."""


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
        matches: the object of each detection.
        truth_labels: class of each object.
        truth_groups: index of each object's group; -1 means no group: the object does not count.
        num_groups: number of groups.
        score_thresh: detections with at least this score count for recall.
        detection_groups: index of the group in which each detection counts as a false alarm; by
            default it counts in every group with the group's share.

    Returns:
        One score per group.
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
    object_groups: Int[np.ndarray, " N"],
    num_objects: Int64[np.ndarray, " groups"],
    detection_groups: Int[np.ndarray, " M"] | None,
) -> Float64[np.ndarray, "groups thresholds recalls"]:
    """Compute the precision-recall curves of one class.

    Args:
        taken: the object that each detection of the class found, best first; -1: none.
        object_groups: index of each object's group; -1 means no group.
        num_objects: objects of the class in each group.
        detection_groups: as in `score_groups`.

    Returns:
        The highest precision at each of `RECALL_POINTS` or above; NaN without objects.
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
            # Only right detections affect the interpolated precision.
            best = np.maximum.accumulate((num_right / (num_right + num_false))[::-1])[::-1]
            reached = np.searchsorted(num_right / num_objects[group], RECALL_POINTS)
            precision[group, threshold] = np.append(best, 0)[reached]
    return precision


def mean_of_known(values: Float64[np.ndarray, "*_"]) -> float:
    """Mean of the values that are not NaN; NaN if there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan
