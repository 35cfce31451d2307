"""COCO's matching, of all frames at once: which detection takes which object at which IoU.

faster-coco-eval does the same and keeps what it finds to itself: it gives precision, but not which
detection took which object at each IoU. The curves need that, so that all of them are cuts
through one matching. Their mean over everything equals `average_precision`, which the tests hold.
"""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, Shaped

from evdet.metrics.coco_matching import IOU_THRESHOLDS
from evdet.metrics.timed_frames import TimedFrames

__all__ = ["Assignment", "assign_objects"]

# As pycocotools: a threshold of 1 could not be reached.
_LOWEST = np.minimum(IOU_THRESHOLDS, 1 - 1e-10)
# Pairs of a detection and an object that are compared at once: what fits into a cache.
_MAX_PAIRS = 100_000


class Assignment(NamedTuple):
    """The detections that count, best first, and what each took."""

    rows: Int64[np.ndarray, " M"]
    """Their rows in the frames' detections."""
    labels: Int64[np.ndarray, " M"]
    """Their classes."""
    scores: Float64[np.ndarray, " M"]
    """Their scores, falling; of equal ones the earlier frame comes first."""
    taken: Int64[np.ndarray, "M thresholds"]
    """Row of the object that each took at each of `IOU_THRESHOLDS`; -1 is a false alarm."""


class _Pairs(NamedTuple):
    """Detections and objects of one class and frame that overlap enough, one entry each."""

    detection: Int64[np.ndarray, " P"]
    truth: Int64[np.ndarray, " P"]
    iou: Float64[np.ndarray, " P"]


def assign_objects(frames: TimedFrames, *, max_detections: int) -> Assignment:
    """Match by COCO's rules: the best score chooses first, and takes the best overlap left.

    Args:
        frames: objects and detections.
        max_detections: detections with the best scores that count, per frame and class.

    Returns:
        Every detection that counts.

    Source:
        pycocotools 2.0.11, `cocoeval.py`: `evaluateImg` without objects to be ignored.
    """
    # Class ids are part of the place: only what shares a place can match.
    num_classes = 1 + int(max(_largest(frames.truths), _largest(frames.detections)))
    places = frames.detection_frames * num_classes + frames.detections["class_id"]
    truth_places = frames.truth_frames * num_classes + frames.truths["class_id"]
    scores = frames.detections["class_confidence"].astype(np.float64)
    # Place by place, the best first; all that follows reads memory in this order.
    rows = np.argsort(-scores, kind="stable")
    rows = rows[np.argsort(places[rows], kind="stable")]
    rows = rows[_rank(places[rows]) < max_detections]
    pairs = _overlapping(frames, rows, places[rows], truth_places)
    taken = _choose(pairs, places[rows], len(frames.truths))
    best_first = np.argsort(-scores[rows], kind="stable")
    rows = rows[best_first]
    return Assignment(
        rows=rows,
        labels=frames.detections["class_id"][rows].astype(np.int64),
        scores=scores[rows],
        taken=taken[best_first],
    )


def _largest(boxes: np.ndarray) -> int:
    return int(boxes["class_id"].max(initial=0))


def _rank(together: Int64[np.ndarray, " _"]) -> Int64[np.ndarray, " _"]:
    """How many equal entries stand before each; equal ones stand together."""
    first = np.flatnonzero(np.diff(together, prepend=-1))
    return np.arange(len(together)) - np.repeat(first, np.diff(first, append=len(together)))


def _overlapping(
    frames: TimedFrames,
    rows: Int64[np.ndarray, " M"],
    places: Int64[np.ndarray, " M"],
    truth_places: Int64[np.ndarray, " N"],
) -> _Pairs:
    """All pairs with the least overlap that counts, detection by detection."""
    by_place = np.argsort(truth_places, kind="stable")
    together = truth_places[by_place]
    start = np.searchsorted(together, places)
    counts = np.searchsorted(together, places, side="right") - start
    ends = np.cumsum(counts)
    truths, found = _Sides.of(frames.truths[by_place]), _Sides.of(frames.detections[rows])
    parts = [_Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    begin = 0
    while begin < len(rows):
        before = ends[begin] - counts[begin]
        # At least one detection, however many objects its frame has.
        end = max(begin + 1, int(np.searchsorted(ends, before + _MAX_PAIRS)))
        detection = np.repeat(np.arange(begin, end), counts[begin:end])
        truth = np.arange(before, ends[end - 1]) + (start - ends + counts)[detection]
        detection, truth, iou = _overlaps(found, truths, detection, truth)
        parts.append(_Pairs(detection, by_place[truth], iou))
        begin = end
    return _Pairs(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


class _Sides(NamedTuple):
    """Boxes as columns, which is what makes reading a few of them fast."""

    left: Float64[np.ndarray, " _"]
    right: Float64[np.ndarray, " _"]
    top: Float64[np.ndarray, " _"]
    bottom: Float64[np.ndarray, " _"]
    area: Float64[np.ndarray, " _"]

    @staticmethod
    def of(boxes: Shaped[np.ndarray, " _"]) -> "_Sides":
        x, y, w, h = (boxes[name].astype(np.float64) for name in ("x", "y", "w", "h"))
        return _Sides(x, x + w, y, y + h, w * h)


def _overlaps(
    found: _Sides,
    truths: _Sides,
    detection: Int64[np.ndarray, " _"],
    truth: Int64[np.ndarray, " _"],
) -> tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"], Float64[np.ndarray, " P"]]:
    """Those of the pairs that overlap enough, and by how much."""
    width = np.minimum(found.right[detection], truths.right[truth])
    width -= np.maximum(found.left[detection], truths.left[truth])
    # Most pairs lie beside one another, and are done with here.
    near = width > 0
    detection, truth, width = detection[near], truth[near], width[near]
    height = np.minimum(found.bottom[detection], truths.bottom[truth])
    height -= np.maximum(found.top[detection], truths.top[truth])
    near = height > 0
    detection, truth = detection[near], truth[near]
    shared = width[near] * height[near]
    iou = shared / (found.area[detection] + truths.area[truth] - shared)
    enough = iou >= _LOWEST[0]
    return detection[enough], truth[enough], iou[enough]


def _choose(
    pairs: _Pairs, places: Int64[np.ndarray, " M"], num_truths: int
) -> Int64[np.ndarray, "M thresholds"]:
    """Let the detections choose, the best of every place at once, then the second best ..."""
    taken = np.full((len(places), len(_LOWEST)), -1)
    # Of equal overlaps the later object wins, as in pycocotools, so it stands last.
    order = np.lexsort((pairs.truth, pairs.iou, pairs.detection))
    pairs = _Pairs(*(column[order] for column in pairs))
    choosers, of_chooser = np.unique(pairs.detection, return_inverse=True)
    turn = _rank(places[choosers])[of_chooser]
    by_turn = np.argsort(turn, kind="stable")
    turns = np.cumsum(np.bincount(turn), dtype=np.int64)
    free = np.ones((num_truths, len(_LOWEST)), bool)
    for begin, end in itertools.pairwise([0, *turns.tolist()]):
        detection, truth, iou = (column[by_turn[begin:end]] for column in pairs)
        possible = free[truth] & (iou[:, None] >= _LOWEST)
        first = np.flatnonzero(np.diff(detection, prepend=-1))
        last = np.where(possible, np.arange(len(detection))[:, None], -1)
        best = np.maximum.reduceat(last, first)
        row, threshold = np.nonzero(best >= 0)
        won = truth[best[row, threshold]]
        taken[detection[first][row], threshold] = won
        free[won, threshold] = False
    return taken
