"""COCO average precision, computed by faster-coco-eval; the numbers are pycocotools'."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from evdet.metrics.frames import Detection, Frame, Truth, read_frames

__all__ = ["RECALL_POINTS", "AveragePrecision", "ClassPrecision", "average_precision"]

RECALL_POINTS: tuple[float, ...] = tuple(np.linspace(0, 1, 101).tolist())
"""Where precision-recall curves are read off."""
_AREAS = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
_IOU_50, _IOU_75 = 0, 5  # rows of the thresholds 0.50:0.05:0.95

Precision = Float64[np.ndarray, "thresholds recalls classes areas"]


@dataclass(frozen=True, kw_only=True)
class ClassPrecision:
    """How well one class is found. Without truth: NaN, and empty curves."""

    ap: float
    """Average precision over IoU 0.50:0.05:0.95."""
    ap50: float
    """At IoU 0.50."""
    ap75: float
    """At IoU 0.75."""
    precision50: tuple[float, ...]
    """Precision at each of `RECALL_POINTS`, at IoU 0.50."""
    precision75: tuple[float, ...]
    """The same at IoU 0.75."""
    num_truths: int
    """Objects of this class."""
    num_detections: int
    """Detections of this class, however many of them COCO looks at."""


@dataclass(frozen=True, kw_only=True)
class AveragePrecision:
    """How well all classes are found: means over the classes that have truth.

    A number for which there is no truth is NaN, a curve empty; `as_dict` writes None for NaN.
    """

    map: float
    """Mean average precision over IoU 0.50:0.05:0.95."""
    map50: float
    """At IoU 0.50."""
    map75: float
    """At IoU 0.75."""
    per_class: dict[str, ClassPrecision]
    """By class name, in the order of the names."""
    per_size: dict[str, float]
    """map of small, medium, large objects: areas up to 32**2, up to 96**2, above, in pixels."""
    precision50: tuple[float, ...]
    """Precision at each of `RECALL_POINTS`, at IoU 0.50, mean over classes."""
    precision75: tuple[float, ...]
    """The same at IoU 0.75."""
    num_frames: int
    """Frames that were scored, those without objects included."""
    num_truths: int
    """Objects in them."""
    num_detections: int
    """Detections in them."""
    protocol: str
    """Name of the rules by which frames and boxes were selected."""

    def as_dict(self) -> dict[str, Any]:
        """The same as plain types for JSON: the protocol first, None for NaN, mAP spelt so."""
        plain: dict[str, Any] = _plain(dataclasses.asdict(self))
        means = {f"mAP{at}": plain.pop(f"map{at}") for at in ("", "50", "75")}
        return {"protocol": plain.pop("protocol"), **means, **plain}


def average_precision(
    truths: Sequence[Truth],
    detections: Sequence[Detection],
    class_names: Sequence[str],
    *,
    max_detections: int = 100,
) -> AveragePrecision:
    """Score detections by the COCO protocol.

    Equal scores rank in the order given, frames first to last: gather the frames of several
    processes in `FrameResults`, which puts them in order, and score once.

    Args:
        truths: the objects of each frame. A frame that nobody labelled does not enter, one
            annotated as empty does.
        detections: the detections of the same frames.
        class_names: the classes without background; label 1 is the first.
        max_detections: detections with the best scores that count, per frame and class (so
            pycocotools reads COCO's "100 detections per image").

    Returns:
        The scores. Object sizes are in pixels of these frames.

    Raises:
        ValueError: truths and detections do not fit each other or the class names.

    Source:
        pycocotools 2.0.11, `cocoeval.py`, whose numbers these equal.
    """
    if len(set(class_names)) < len(class_names):
        raise ValueError(f"class names must be all different, got {list(class_names)}")
    if max_detections < 1:
        raise ValueError(f"max_detections must be at least 1, got {max_detections}")
    frames = read_frames(truths, detections, num_classes=len(class_names))
    precision = _evaluate(frames, len(class_names), max_detections)
    num_truths = _count([frame.truth_labels for frame in frames], len(class_names))
    num_detections = _count([frame.labels for frame in frames], len(class_names))
    everything, *sizes = np.moveaxis(precision, 3, 0)
    curves50, curves75 = everything[_IOU_50].T, everything[_IOU_75].T
    return AveragePrecision(
        map=_mean(everything),
        map50=_mean(curves50),
        map75=_mean(curves75),
        per_class={
            name: ClassPrecision(
                ap=_mean(everything[..., k]),
                ap50=_mean(curves50[k]),
                ap75=_mean(curves75[k]),
                precision50=_curve(curves50[[k]]),
                precision75=_curve(curves75[[k]]),
                num_truths=num_truths[k],
                num_detections=num_detections[k],
            )
            for k, name in enumerate(class_names)
        },
        per_size={name: _mean(one) for name, one in zip(list(_AREAS)[1:], sizes, strict=True)},
        precision50=_curve(curves50),
        precision75=_curve(curves75),
        num_frames=len(frames),
        num_truths=sum(num_truths),
        num_detections=sum(num_detections),
        protocol="coco",
    )


def _evaluate(frames: list[Frame], num_classes: int, max_detections: int) -> Precision:
    """Precision by IoU threshold, recall point, class and area; -1 where there is no truth."""
    if not any(len(frame.truth_labels) for frame in frames):
        return np.full((10, len(RECALL_POINTS), num_classes, len(_AREAS)), -1.0)
    # Here, because it loads OpenCV where that is installed: importing evdet must not.
    from faster_coco_eval import COCO, COCOeval_faster

    head = {
        "images": [{"id": image_id} for image_id in range(1, len(frames) + 1)],
        "categories": [{"id": label, "name": str(label)} for label in range(1, num_classes + 1)],
    }
    truth = [(frame.truth_boxes, frame.truth_labels, None) for frame in frames]
    found = [(frame.boxes, frame.labels, frame.scores) for frame in frames]
    evaluation = COCOeval_faster(
        COCO({**head, "annotations": _annotations(truth)}, print_function=_silent),
        COCO({**head, "annotations": _annotations(found)}, print_function=_silent),
        iouType="bbox",
        ranges={name: list(area) for name, area in _AREAS.items() if name != "all"},
        print_function=_silent,
    )
    evaluation.params.maxDets = [max_detections]
    evaluation.evaluate()
    evaluation.accumulate()
    precision: Precision = np.asarray(evaluation.eval["precision"], np.float64)[..., 0]
    return precision


def _annotations(
    frames: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray | None]],
) -> list[dict[str, Any]]:
    """The evaluator's input: boxes as x y width height; all its ids begin at 1."""
    annotations: list[dict[str, Any]] = []
    for image_id, (boxes, labels, scores) in enumerate(frames, start=1):
        sides = boxes[:, 2:] - boxes[:, :2]
        xywh = np.concatenate([boxes[:, :2], sides], axis=1).tolist()
        areas = sides.prod(axis=1).tolist()
        # Truth needs no score; the evaluator ignores it.
        ranks = np.ones(len(boxes)) if scores is None else scores
        for box, area, label, score in zip(
            xywh, areas, labels.tolist(), ranks.tolist(), strict=True
        ):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": label,
                    "bbox": box,
                    "area": area,
                    "iscrowd": 0,
                    "score": score,
                }
            )
    return annotations


def _silent(*_: object) -> None:
    pass


def _count(labels: list[np.ndarray], num_classes: int) -> list[int]:
    joined = np.concatenate([np.zeros(0, np.int64), *labels])
    counts: list[int] = np.bincount(joined, minlength=num_classes + 1)[1:].tolist()
    return counts


def _mean(precision: np.ndarray) -> float:
    valid = precision[precision > -1]
    return float(valid.mean()) if valid.size else math.nan


def _curve(by_class: Float64[np.ndarray, "classes recalls"]) -> tuple[float, ...]:
    with_truth = by_class[by_class[:, 0] > -1]
    return tuple(with_truth.mean(axis=0).tolist()) if len(with_truth) else ()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
