"""Time to score 100,000 boxes: evdet beside pycocotools, where that is installed.

Both start from the arrays of each frame and end at the numbers, in one run on one thread; their
processor time is compared, so that other processes do not count.
"""

import contextlib
import io
import time
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

from benchmarks.measure import Row
from evdet.metrics import average_precision

NUM_FRAMES, TRUTHS_PER_FRAME, DETECTIONS_PER_FRAME, NUM_CLASSES = 5000, 4, 16, 10


def rows() -> list[Row]:
    """Measure both on one random set.

    Returns:
        Seconds, the ratio, and how far the two numbers are apart.
    """
    truths, detections = _make_set()
    names = tuple(str(k) for k in range(NUM_CLASSES))
    what = f"score {NUM_FRAMES * (TRUTHS_PER_FRAME + DETECTIONS_PER_FRAME):,} boxes"
    seconds, result = _best_of(3, lambda: _our_numbers(truths, detections, names))
    if find_spec("pycocotools") is None:
        note = "pycocotools is not installed: no comparison"
        return [Row(what=what, value=seconds, unit="s", note=note)]
    reference_seconds, reference = _best_of(2, lambda: _pycocotools(truths, detections))
    ratio = f"{reference_seconds / seconds:.1f} times faster"
    difference = float(np.abs(result - reference).max())
    return [
        Row(what=what, value=seconds, unit="s", note=f"{ratio} than pycocotools"),
        Row(what=f"{what}, pycocotools", value=reference_seconds, unit="s"),
        Row(what="largest difference of the twelve numbers", value=difference, unit=""),
    ]


def _make_set() -> tuple[list[np.ndarray], list[dict[str, np.ndarray]]]:
    rng = np.random.default_rng(0)
    truths, detections = [], []
    for _ in range(NUM_FRAMES):
        corner = rng.uniform(0, 100, (TRUTHS_PER_FRAME, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(10, 60, corner.shape)], axis=1)
        labels = rng.integers(1, NUM_CLASSES + 1, TRUTHS_PER_FRAME)
        copies = DETECTIONS_PER_FRAME // TRUTHS_PER_FRAME
        found = np.tile(boxes, (copies, 1))
        # Their sides stay above 0: smallest 10, noise of at most 4 on each end.
        noise = np.clip(rng.normal(0, 2, found.shape), -4, 4)
        truths.append(np.column_stack([boxes, labels]).astype(np.float32))
        detections.append(
            {
                "boxes": (found + noise).astype(np.float32),
                "labels": np.tile(labels, copies),
                "scores": rng.random(len(found)).astype(np.float32),
            }
        )
    return truths, detections


def _our_numbers(
    truths: list[np.ndarray], detections: list[dict[str, np.ndarray]], names: tuple[str, ...]
) -> np.ndarray:
    scores = average_precision(truths, detections, names)
    numbers = [
        scores.map, scores.map50, scores.map75, *scores.per_size.values(),
        *scores.recall.values(), *scores.recall_per_size.values(),
    ]  # fmt: skip
    return np.nan_to_num(numbers, nan=-1)


def _best_of(repeats: int, function: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        result = function()
        best = min(best, time.process_time() - start)
    return best, result


def _pycocotools(truths: list[np.ndarray], detections: list[dict[str, np.ndarray]]) -> np.ndarray:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def annotations(frames: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> list[dict]:
        found = []
        for image_id, (boxes, labels, scores) in enumerate(frames, start=1):
            sides = boxes[:, 2:].astype(float) - boxes[:, :2]
            for box, side, label, score in zip(
                boxes.tolist(), sides.tolist(), labels.tolist(), scores.tolist(), strict=True
            ):
                found.append(
                    {
                        "id": len(found) + 1,
                        "image_id": image_id,
                        "category_id": int(label),
                        "bbox": [*box[:2], *side],
                        "area": side[0] * side[1],
                        "iscrowd": 0,
                        "score": score,
                    }
                )
        return found

    images = [{"id": i + 1} for i in range(len(truths))]
    categories = [{"id": i + 1} for i in range(NUM_CLASSES)]
    with contextlib.redirect_stdout(io.StringIO()):
        sides = []
        for frames in (
            [(truth[:, :4], truth[:, 4], truth[:, 4]) for truth in truths],
            [(found["boxes"], found["labels"], found["scores"]) for found in detections],
        ):
            coco = COCO()
            coco.dataset = {
                "images": images,
                "categories": categories,
                "annotations": annotations(frames),
            }
            coco.createIndex()
            sides.append(coco)
        evaluation = COCOeval(*sides, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.asarray(evaluation.stats)
