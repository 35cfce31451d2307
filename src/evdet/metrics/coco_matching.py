"""Flat arrays -> precision and recall by COCO's rules: faster-coco-eval does the matching.

Its readers of annotations take one dictionary per box with a dozen entries, and ask for overlaps
frame by frame, which together takes longer than the matching. Here its compiled core is fed class
by class with just what it reads, and the overlaps of all pairs are computed at once.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from evdet.metrics.frame_table import BoxTable, FrameTable

__all__ = ["AREAS", "IOU_THRESHOLDS", "match_frames"]

IOU_THRESHOLDS: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""0.50, 0.55, ... 0.95."""
AREAS = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
"""Sizes of objects: from and up to which area, in square pixels."""

_NUM_RECALLS = 101
_MAX_PAIRS = 1 << 20  # overlaps computed at once: bounds the memory that takes

Precision = Float64[np.ndarray, "thresholds recalls classes areas"]
Recall = Float64[np.ndarray, "thresholds classes areas limits"]
Rows = Int64[np.ndarray, " _"]


def match_frames(
    table: FrameTable, *, num_classes: int, limits: Sequence[int]
) -> tuple[Precision, Recall]:
    """Match detections with objects, class by class.

    Args:
        table: truth and detections.
        num_classes: classes, without background.
        limits: for how many detections with the best scores, per frame and class, to give recall,
            in rising order; precision is that of the last.

    Returns:
        Precision at 101 recalls from 0 to 1, and the highest recall; -1 where there is no truth.

    Source:
        pycocotools 2.0.11, `cocoeval.py`, whose numbers these equal.
    """
    shape = (len(IOU_THRESHOLDS), num_classes, len(AREAS), len(limits))
    precision = np.full((shape[0], _NUM_RECALLS, *shape[1:3]), -1.0)
    recall = np.full(shape, -1.0)
    for label in np.unique(table.truth.labels).tolist():
        result = _match_class(table, label, limits)
        precision[:, :, label - 1] = np.asarray(result["precision"])[:, :, 0, :, -1]
        recall[:, label - 1] = np.asarray(result["recall"])[:, 0]
    return precision, recall


def _match_class(table: FrameTable, label: int, limits: Sequence[int]) -> dict[str, Any]:
    # Here, because it loads OpenCV where that is installed: importing evdet must not.
    from faster_coco_eval.core.cocoeval import Params
    from faster_coco_eval.faster_eval_api_cpp import COCOevalEvaluateAccumulate, Dataset

    truth_rows = _rows_of(table.truth, label)
    found_rows = _best_first(table.found, _rows_of(table.found, label), limits[-1])
    truth_frames, found_frames = table.truth.frames[truth_rows], table.found.frames[found_rows]
    # Frames without either change nothing, and are many where there are many classes.
    frames = np.union1d(truth_frames, found_frames)
    numbers = list(range(1, len(frames) + 1))
    truth, found = Dataset(), Dataset()
    _fill(truth, table.truth, truth_rows, np.searchsorted(frames, truth_frames))
    _fill(found, table.found, found_rows, np.searchsorted(frames, found_frames))
    params = Params("bbox", ranges={name: list(AREAS[name]) for name in list(AREAS)[1:]})
    params.imgIds, params.catIds, params.maxDets = numbers, [1], list(limits)
    overlaps = _overlaps(
        table,
        (truth_rows, np.searchsorted(truth_frames, frames)),
        (found_rows, np.searchsorted(found_frames, frames)),
    )
    result: dict[str, Any] = COCOevalEvaluateAccumulate(
        params, [[pairs] for pairs in overlaps], truth, found, numbers, [1], True
    )
    return result


def _rows_of(boxes: BoxTable, label: int) -> Rows:
    """Rows of one class, by frame."""
    rows = np.flatnonzero(boxes.labels == label)
    return rows[np.argsort(boxes.frames[rows], kind="stable")]


def _best_first(boxes: BoxTable, rows: Rows, limit: int) -> Rows:
    """The best rows of each frame; of equal scores the earlier row."""
    rows = rows[np.lexsort((-boxes.scores[rows], boxes.frames[rows]))]
    frames = boxes.frames[rows]
    rank = np.arange(len(rows)) - np.searchsorted(frames, frames)
    best: Rows = rows[rank < limit]
    return best


def _fill(dataset: Any, boxes: BoxTable, rows: Rows, frames: Rows) -> None:
    """Hand boxes to the compiled core, whose ids begin at 1."""
    areas = boxes.xywh[rows, 2:].prod(axis=1).tolist()
    columns = zip((frames + 1).tolist(), areas, boxes.scores[rows].tolist(), strict=True)
    for number, (frame, area, score) in enumerate(columns, start=1):
        dataset.append_ref(frame, 1, {"id": number, "area": area, "score": score})


def _overlaps(
    table: FrameTable, truth: tuple[Rows, Rows], found: tuple[Rows, Rows]
) -> Iterator[list[list[float]]]:
    """For each frame the IoU of each detection with each object; rows, and where frames start."""
    (truth_rows, truth_starts), (found_rows, found_starts) = truth, found
    num_truths = np.diff(truth_starts, append=len(truth_rows))
    num_found = np.diff(found_starts, append=len(found_rows))
    ends = np.cumsum(num_truths * num_found)
    first = 0
    while first < len(ends):
        done = int(ends[first - 1]) if first else 0
        stop = max(first + 1, int(np.searchsorted(ends, done + _MAX_PAIRS)))
        counts = num_truths[first:stop], num_found[first:stop]
        # Of each detection in turn with all objects of its frame.
        pairs_each = np.repeat(*counts)
        low, high = int(found_starts[first]), int(found_starts[first]) + int(counts[1].sum())
        detections = np.repeat(found_rows[low:high], pairs_each)
        within = np.arange(len(detections)) - np.repeat(
            np.cumsum(pairs_each) - pairs_each, pairs_each
        )
        objects = truth_rows[
            np.repeat(np.repeat(truth_starts[first:stop], counts[1]), pairs_each) + within
        ]
        iou = _iou(table.found.xywh[detections], table.truth.xywh[objects])
        at = 0
        for columns, rows in zip(*(count.tolist() for count in counts), strict=True):
            pairs: list[list[float]] = []
            if columns and rows:
                pairs = iou[at : at + rows * columns].reshape(rows, columns).tolist()
            yield pairs
            at += rows * columns
        first = stop


def _iou(a: Float64[np.ndarray, "N 4"], b: Float64[np.ndarray, "N 4"]) -> Float64[np.ndarray, " N"]:
    """Overlap of boxes x y width height, to the last bit as pycocotools computes it."""
    sides = np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = np.where((sides > 0).all(axis=1), sides.prod(axis=1), 0.0)
    union = a[:, 2:].prod(axis=1) + b[:, 2:].prod(axis=1) - shared
    # Boxes without area: pycocotools skips a pair that shares nothing before it divides.
    iou: Float64[np.ndarray, " N"] = np.divide(shared, union, out=shared, where=shared > 0)
    return iou
