"""COCO's matching: which detection finds which object, at every IoU threshold and object size.

All frames, classes, thresholds and sizes are matched together: first the detection with the best
score of every frame and class chooses, then the second best of each, and so on.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from evdet.metrics.frame_table import BoxTable, FrameTable

__all__ = ["AREAS", "IOU_THRESHOLDS", "Matches", "are_counted", "match_boxes"]

IOU_THRESHOLDS: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""0.50, 0.55, ... 0.95."""
AREAS = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
"""Sizes of objects: from and up to which area, in square pixels; both ends belong to them."""

# Pairs of a detection and an object that are compared at once: what fits into a cache.
_MAX_PAIRS = 20_000


class Matches(NamedTuple):
    """The detections that count, class by class, the best first, and what each found."""

    rows: Int64[np.ndarray, " M"]
    """Their rows in the table's detections."""
    labels: Int64[np.ndarray, " M"]
    """Their classes, rising."""
    scores: Float64[np.ndarray, " M"]
    """Their scores, falling in each class; of equal ones the earlier frame comes first."""
    ranks: Int64[np.ndarray, " M"]
    """How many detections of the same frame and class are better."""
    objects: Int32[np.ndarray, "areas thresholds M"]
    """Row of the object that each found, for each size at each threshold; -1: none."""


class _Pairs(NamedTuple):
    """Detections and objects of one class and frame that overlap enough, one entry each."""

    detection: Int64[np.ndarray, " P"]
    object: Int64[np.ndarray, " P"]
    iou: Float64[np.ndarray, " P"]


def match_boxes(
    table: FrameTable,
    *,
    max_detections: int,
    thresholds: Sequence[float] = IOU_THRESHOLDS,
    areas: Sequence[str] = ("all",),
) -> Matches:
    """Match by COCO's rules: the best score chooses first, and takes the best overlap left.

    An object that does not count (`are_counted`) is taken only where no other can be, and a
    crowd by any number of detections. The overlap with a crowd is the share of the detection
    that lies in it.

    Args:
        table: objects and detections.
        max_detections: detections with the best scores that count, per frame and class.
        thresholds: lowest IoU of a match, rising.
        areas: the sizes of objects, of `AREAS`, to match for.

    Returns:
        Every detection that counts.

    Source:
        pycocotools 2.0.11, `cocoeval.py`: `evaluateImg`; `maskApi.c`: `bbIou`.
    """
    truth, found = table.truth, table.found
    # Class ids are part of the place: only what shares a place can match.
    num_classes = 1 + int(max(truth.labels.max(initial=0), found.labels.max(initial=0)))
    places = found.frames * num_classes + found.labels
    object_places = truth.frames * num_classes + truth.labels
    # Place by place, the best first; all that follows reads memory in this order.
    rows = np.lexsort((-found.scores, places))
    ranks = _rank(places[rows])
    rows, ranks = rows[ranks < max_detections], ranks[ranks < max_detections]
    places = places[rows]
    pairs = _overlapping(truth, found.take(rows), places, object_places, lowest=thresholds[0])
    best_first = np.lexsort((-found.scores[rows], found.labels[rows]))
    objects = _choose(pairs, places, np.argsort(best_first), truth, np.array(thresholds), areas)
    rows = rows[best_first]
    return Matches(
        rows=rows,
        labels=found.labels[rows],
        scores=found.scores[rows],
        ranks=ranks[best_first],
        objects=objects.reshape(len(areas), len(thresholds), len(rows)),
    )


def are_counted(boxes: BoxTable, areas: Sequence[str]) -> Bool[np.ndarray, "areas N"]:
    """Tell which boxes count for each size: those of this area that are not a crowd."""
    limits = np.array([AREAS[area] for area in areas])[..., None]
    inside = (boxes.areas >= limits[:, 0]) & (boxes.areas <= limits[:, 1])
    counted: Bool[np.ndarray, "areas N"] = inside & ~boxes.is_crowd
    return counted


def _rank(together: Int64[np.ndarray, " _"]) -> Int64[np.ndarray, " _"]:
    """How many equal entries stand before each; equal ones stand together."""
    first = np.flatnonzero(np.diff(together, prepend=-1))
    return np.arange(len(together)) - np.repeat(first, np.diff(first, append=len(together)))


def _overlapping(
    truth: BoxTable,
    found: BoxTable,
    places: Int64[np.ndarray, " M"],
    object_places: Int64[np.ndarray, " N"],
    *,
    lowest: float,
) -> _Pairs:
    """All pairs with the least overlap that counts, detection by detection."""
    by_place = np.argsort(object_places, kind="stable")
    together = object_places[by_place]
    start = np.searchsorted(together, places)
    counts = np.searchsorted(together, places, side="right") - start
    ends = np.cumsum(counts)
    sides, object_sides = _Sides.of(found), _Sides.of(truth.take(by_place))
    parts = [_Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    begin = 0
    while begin < len(places):
        before = ends[begin] - counts[begin]
        # At least one detection, however many objects its frame has.
        end = max(begin + 1, int(np.searchsorted(ends, before + _MAX_PAIRS)))
        detection = np.repeat(np.arange(begin, end), counts[begin:end])
        row = np.arange(before, ends[end - 1]) + (start - ends + counts)[detection]
        detection, row, iou = _overlaps(sides, object_sides, detection, row)
        enough = iou >= lowest
        parts.append(_Pairs(detection[enough], by_place[row[enough]], iou[enough]))
        begin = end
    return _Pairs(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


class _Sides(NamedTuple):
    """Boxes as columns, which is what makes reading a few of them fast."""

    left: Float64[np.ndarray, " _"]
    right: Float64[np.ndarray, " _"]
    top: Float64[np.ndarray, " _"]
    bottom: Float64[np.ndarray, " _"]
    area: Float64[np.ndarray, " _"]
    is_crowd: Bool[np.ndarray, " _"]

    @staticmethod
    def of(boxes: BoxTable) -> "_Sides":
        x, y, w, h = np.ascontiguousarray(boxes.xywh.T)
        return _Sides(x, x + w, y, y + h, w * h, boxes.is_crowd)


def _overlaps(
    found: _Sides,
    objects: _Sides,
    detection: Int64[np.ndarray, " _"],
    row: Int64[np.ndarray, " _"],
) -> tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"], Float64[np.ndarray, " P"]]:
    """Those of the pairs that overlap, and by how much."""
    width = np.minimum(found.right[detection], objects.right[row])
    width -= np.maximum(found.left[detection], objects.left[row])
    # Most pairs lie beside one another, and are done with here.
    near = width > 0
    detection, row, width = detection[near], row[near], width[near]
    height = np.minimum(found.bottom[detection], objects.bottom[row])
    height -= np.maximum(found.top[detection], objects.top[row])
    shared = width * height
    near = shared > 0
    detection, row, shared = detection[near], row[near], shared[near]
    area = found.area[detection]
    union = np.where(objects.is_crowd[row], area, area + objects.area[row] - shared)
    return detection, row, shared / union


def _choose(
    pairs: _Pairs,
    places: Int64[np.ndarray, " M"],
    positions: Int64[np.ndarray, " M"],
    truth: BoxTable,
    thresholds: Float64[np.ndarray, " thresholds"],
    areas: Sequence[str],
) -> Int32[np.ndarray, "cases M"]:
    """Let the detections choose, the best of every place at once, then the second best ...

    A case is a size at a threshold; what a detection found is put at its position.
    """
    lowest = np.tile(thresholds, len(areas))
    is_counted = np.repeat(are_counted(truth, areas).T, len(thresholds), axis=1)
    taken = np.full((len(lowest), len(places)), -1, np.int32)
    free = np.ones((len(truth.frames), len(lowest)), bool)
    # Of equal overlaps the later object wins, as in pycocotools, so it stands last.
    order = np.lexsort((pairs.object, pairs.iou, pairs.detection))
    pairs = _Pairs(*(column[order] for column in pairs))
    choosers, of_chooser = np.unique(pairs.detection, return_inverse=True)
    turn = _rank(places[choosers])[of_chooser]
    by_turn = np.argsort(turn, kind="stable")
    pairs = _Pairs(*(column[by_turn] for column in pairs))
    for begin, end in itertools.pairwise(_cuts(pairs.detection, turn[by_turn])):
        detection, row, iou = (column[begin:end] for column in pairs)
        possible = free[row] & (iou[:, None] >= lowest)
        # What counts wins over what does not; among alike the last one, which overlaps most.
        value = np.where(is_counted[row], len(row), 0) + np.arange(len(row))[:, None]
        first = np.flatnonzero(np.diff(detection, prepend=-1))
        best = np.maximum.reduceat(np.where(possible, value, -1), first)
        chooser, case = np.nonzero(best >= 0)
        won = row[best[chooser, case] % len(row)]
        taken[case, positions[detection[first]][chooser]] = won
        free[won, case] = truth.is_crowd[won]
    return taken


def _cuts(detection: Int64[np.ndarray, " P"], turn: Int64[np.ndarray, " P"]) -> list[int]:
    """Where to cut the pairs: between turns, and in long ones between detections."""
    turns = np.flatnonzero(np.diff(turn, append=-1)) + 1
    detections = np.flatnonzero(np.diff(detection, append=-1)) + 1
    few = detections[np.flatnonzero(np.diff(detections // _MAX_PAIRS, prepend=0))]
    return [0, *np.union1d(turns, few).tolist()]
