"""COCO's matching of detections to objects, at every IoU threshold and object size.

All frames, classes, thresholds and sizes are matched together: first the detection with the best
score of every frame and class, then the second best of each, and so on.
"""

import itertools
from collections.abc import Iterator, Sequence
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
"""Sizes of objects: smallest and largest area in square pixels, both inclusive."""

# Pairs of a detection and an object that are compared at once, limited to fit into a cache.
_MAX_PAIRS = 20_000
# Detections that are matched at once; a frame is never cut.
_MAX_BLOCK = 50_000


class Matches(NamedTuple):
    """The detections that count, by class, best first, and the object of each."""

    rows: Int64[np.ndarray, " M"]
    """Their rows in the table's detections."""
    labels: Int64[np.ndarray, " M"]
    """Their classes, ascending."""
    scores: Float64[np.ndarray, " M"]
    """Their scores, descending in each class; of equal ones the earlier frame comes first."""
    ranks: Int64[np.ndarray, " M"]
    """Number of better detections of the same frame and class."""
    objects: Int32[np.ndarray, "areas thresholds M"]
    """Row of the object that each found, for each size at each threshold; -1: none."""


class _BoxPairs(NamedTuple):
    """Pairs of a detection and an object of one class and frame that overlap enough."""

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
    """Match by COCO's rules: the best score takes first the object with the largest overlap.

    An object that does not count (`are_counted`) is matched only if no other can be, and one that
    is marked so, as a crowd is, by any number of detections. The overlap with a crowd is the share
    of the detection in it.

    Args:
        table: objects and detections.
        max_detections: detections with the best scores that count, per frame and class.
        thresholds: lowest IoU of a match, ascending.
        areas: the sizes of objects, of `AREAS`, to match for.

    Source:
        pycocotools 2.0.11, `cocoeval.py`: `evaluateImg`; `maskApi.c`: `bbIou`.
    """
    truth, found = table.truth, table.found
    # A cell is a frame and a class: only boxes of one cell can match.
    num_classes = 1 + int(max(truth.labels.max(initial=0), found.labels.max(initial=0)))
    cells = found.frames * num_classes + found.labels
    # By cell, best first: the code below reads the arrays in this order.
    rows = np.lexsort((-found.scores, cells))
    ranks = _rank(cells[rows])
    rows, ranks = rows[ranks < max_detections], ranks[ranks < max_detections]
    best_first = np.lexsort((-found.scores[rows], found.labels[rows]))
    positions = np.argsort(best_first)
    objects = np.full((len(areas) * len(thresholds), len(rows)), -1, np.int32)
    by_frame = np.argsort(truth.frames, kind="stable")
    for block, own in _blocks(found.frames[rows], truth.frames[by_frame]):
        part = truth.take(by_frame[own])
        object_cells = part.frames * num_classes + part.labels
        chosen = found.take(rows[block])
        of_block = chosen.frames * num_classes + chosen.labels
        pairs = _overlapping(part, chosen, of_block, object_cells, lowest=thresholds[0])
        taken = _choose(pairs, of_block, part, np.array(thresholds), areas)
        # The last entry stands for no object.
        objects[:, positions[block]] = np.append(by_frame[own], -1)[taken]
    rows = rows[best_first]
    return Matches(
        rows=rows,
        labels=found.labels[rows],
        scores=found.scores[rows],
        ranks=ranks[best_first],
        objects=objects.reshape(len(areas), len(thresholds), len(rows)),
    )


def _blocks(
    frames: Int64[np.ndarray, " M"], object_frames: Int64[np.ndarray, " N"]
) -> Iterator[tuple[slice, slice]]:
    """Cut detections and objects between frames into parts, so that little memory is needed.

    Args:
        frames: of the detections, ascending.
        object_frames: of the objects, ascending.
    """
    begin = 0
    while begin < len(frames):
        last = frames[min(begin + _MAX_BLOCK, len(frames)) - 1]
        end = int(np.searchsorted(frames, last, side="right"))
        own = np.searchsorted(object_frames, (frames[begin], last + 1))
        yield slice(begin, end), slice(*own.tolist())
        begin = end


def are_counted(boxes: BoxTable, areas: Sequence[str]) -> Bool[np.ndarray, "areas N"]:
    """Mark the boxes that count for each size: those of this area that are not marked."""
    limits = np.array([AREAS[area] for area in areas])[..., None]
    inside = (boxes.areas >= limits[:, 0]) & (boxes.areas <= limits[:, 1])
    counted: Bool[np.ndarray, "areas N"] = inside & boxes.is_counted
    return counted


def _rank(together: Int64[np.ndarray, " _"]) -> Int64[np.ndarray, " _"]:
    """Number of equal entries before each; equal ones are adjacent."""
    first = np.flatnonzero(np.diff(together, prepend=-1))
    return np.arange(len(together)) - np.repeat(first, np.diff(first, append=len(together)))


def _overlapping(
    truth: BoxTable,
    found: BoxTable,
    cells: Int64[np.ndarray, " M"],
    object_cells: Int64[np.ndarray, " N"],
    *,
    lowest: float,
) -> _BoxPairs:
    """All pairs with at least the lowest overlap, by detection."""
    by_cell = np.argsort(object_cells, kind="stable")
    together = object_cells[by_cell]
    start = np.searchsorted(together, cells)
    counts = np.searchsorted(together, cells, side="right") - start
    ends = np.cumsum(counts)
    sides, object_sides = _Sides.of(found), _Sides.of(truth.take(by_cell))
    parts = [_BoxPairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    begin = 0
    while begin < len(cells):
        before = ends[begin] - counts[begin]
        # At least one detection, even if its frame has more objects than fit.
        end = max(begin + 1, int(np.searchsorted(ends, before + _MAX_PAIRS)))
        detection = np.repeat(np.arange(begin, end), counts[begin:end])
        row = np.arange(before, ends[end - 1]) + (start - ends + counts)[detection]
        detection, row, iou = _overlaps(sides, object_sides, detection, row)
        enough = iou >= lowest
        parts.append(_BoxPairs(detection[enough], by_cell[row[enough]], iou[enough]))
        begin = end
    return _BoxPairs(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


class _Sides(NamedTuple):
    """Boxes as columns, so that reading a few of them is fast."""

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
    """The pairs that overlap, and their IoU."""
    width = np.minimum(found.right[detection], objects.right[row])
    width -= np.maximum(found.left[detection], objects.left[row])
    # Drops most pairs early: they lie beside one another.
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
    pairs: _BoxPairs,
    cells: Int64[np.ndarray, " M"],
    truth: BoxTable,
    thresholds: Float64[np.ndarray, " thresholds"],
    areas: Sequence[str],
) -> Int32[np.ndarray, "cases M"]:
    """Match the best detections of all cells at once, then the second best ...

    A case is a size at a threshold.
    """
    lowest = np.tile(thresholds, len(areas))
    is_counted = np.repeat(are_counted(truth, areas).T, len(thresholds), axis=1)
    taken = np.full((len(lowest), len(cells)), -1, np.int32)
    free = np.ones((len(truth.frames), len(lowest)), bool)
    # Of equal overlaps the later object wins, as in pycocotools, so it comes last.
    order = np.lexsort((pairs.object, pairs.iou, pairs.detection))
    pairs = _BoxPairs(*(column[order] for column in pairs))
    choosers, of_chooser = np.unique(pairs.detection, return_inverse=True)
    turn = _rank(cells[choosers])[of_chooser]
    by_turn = np.argsort(turn, kind="stable")
    pairs = _BoxPairs(*(column[by_turn] for column in pairs))
    for begin, end in itertools.pairwise(_cuts(pairs.detection, turn[by_turn])):
        detection, row, iou = (column[begin:end] for column in pairs)
        possible = free[row] & (iou[:, None] >= lowest)
        # An object that counts wins over others; then the last one, which overlaps most.
        value = np.where(is_counted[row], len(row), 0) + np.arange(len(row))[:, None]
        first = np.flatnonzero(np.diff(detection, prepend=-1))
        best = np.maximum.reduceat(np.where(possible, value, -1), first)
        chooser, case = np.nonzero(best >= 0)
        won = row[best[chooser, case] % len(row)]
        taken[case, detection[first][chooser]] = won
        free[won, case] = ~truth.is_counted[won]
    return taken


def _cuts(detection: Int64[np.ndarray, " P"], turn: Int64[np.ndarray, " P"]) -> list[int]:
    """Where to split the pairs: between turns, and in long ones between detections."""
    turns = np.flatnonzero(np.diff(turn, append=-1)) + 1
    detections = np.flatnonzero(np.diff(detection, append=-1)) + 1
    few = detections[np.flatnonzero(np.diff(detections // _MAX_PAIRS, prepend=0))]
    return [0, *np.union1d(turns, few).tolist()]
