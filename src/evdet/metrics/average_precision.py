"""COCO average precision; the numbers equal those of pycocotools."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from evdet.metrics.frame_table import Detection, FrameTable, Truth, Values, tabulate
from evdet.metrics.grouped_precision import RECALL_POINTS, class_precision, mean_of_known
from evdet.metrics.matching import (
    AREAS,
    IOU_THRESHOLDS,
    Matches,
    are_counted,
    match_boxes,
)
from evdet.structured_text import html_table

__all__ = [
    "CONFIDENT_SCORE",
    "AveragePrecision",
    "ClassPrecision",
    "average_precision",
    "average_precision_of",
    "to_plain",
]

CONFIDENT_SCORE = 0.5
"""Detections with a lower score count for the precision at high recalls, and are not shown."""
_SIZES = tuple(AREAS)[1:]
_IOU_50, _IOU_75 = 0, 5  # rows of the thresholds 0.50:0.05:0.95


@dataclass(frozen=True, kw_only=True)
class ClassPrecision:
    """The scores of one class; without objects: NaN, and empty curves."""

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
    """Objects of this class, without crowds."""
    num_detections: int
    """All detections of this class, including those beyond `max_detections`."""
    num_confident: int
    """Those with a score of at least `CONFIDENT_SCORE`."""


@dataclass(frozen=True, kw_only=True)
class AveragePrecision:
    """The scores of all classes: means over the classes that have objects.

    Without objects, a number is NaN and a curve is empty; `as_dict` writes None for NaN.
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
    recall: dict[str, float]
    """Average recall over the same thresholds, by the maximum number of detections per frame and
    class: 1, 10 and `max_detections`."""
    recall_per_size: dict[str, float]
    """Average recall with `max_detections`, for small, medium and large objects."""
    precision50: tuple[float, ...]
    """Precision at each of `RECALL_POINTS`, at IoU 0.50, mean over classes."""
    precision75: tuple[float, ...]
    """The same at IoU 0.75."""
    num_frames: int
    """Scored frames, including those without objects."""
    num_truths: int
    """Objects in them."""
    num_detections: int
    """Detections in them."""
    num_confident: int
    """Those with a score of at least `CONFIDENT_SCORE`."""
    protocol: str
    """Name of the protocol, which selects frames and boxes."""
    rules: dict[str, Any] = field(default_factory=dict)
    """The protocol's rules."""

    def __repr__(self) -> str:
        return f"AveragePrecision({self._summary})"

    def _repr_html_(self) -> str:
        """For notebooks."""
        rows = [("all", self.map, self.map50, self.map75, self.num_truths, self.num_detections)]
        rows += [
            (name, one.ap, one.ap50, one.ap75, one.num_truths, one.num_detections)
            for name, one in self.per_class.items()
        ]
        head = ("class", "mAP", "at IoU 0.50", "at 0.75", "objects", "detections")
        return html_table(rows, title=self._summary, head=head)

    @property
    def _summary(self) -> str:
        return (
            f"{self.protocol}: mAP {self.map:.3f}, mAP50 {self.map50:.3f}; {self.num_frames:,} "
            f"frames, {self.num_truths:,} objects, {self.num_detections:,} detections"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain types for JSON: the protocol first, None for NaN, map spelled mAP."""
        plain: dict[str, Any] = to_plain(dataclasses.asdict(self))
        means = {f"mAP{at}": plain.pop(f"map{at}") for at in ("", "50", "75")}
        return {"protocol": plain.pop("protocol"), "rules": plain.pop("rules"), **means, **plain}


def average_precision(
    truths: Sequence[Truth],
    detections: Sequence[Detection],
    class_names: Sequence[str],
    *,
    iscrowd: Sequence[Values] | None = None,
    max_detections: int = 100,
) -> AveragePrecision:
    """Score detections by the COCO protocol.

    Equal scores rank in the order given, frames first to last: collect the frames of several
    processes in `FrameResults`, which sorts them, and score once.

    Args:
        truths: the objects of each annotated frame, including frames annotated as empty.
        detections: the detections of the same frames.
        class_names: the classes without background; label 1 is the first.
        iscrowd: for each frame one entry per object, 1 if the box marks a crowd, as in COCO;
            None: no box does. A crowd is not an object to find, and a detection that overlaps it
            by the IoU threshold is not a false alarm.
        max_detections: detections with the best scores that count, per frame and class (as in
            pycocotools; COCO's text says "per image").

    Returns:
        The scores. Object sizes are in pixels of these frames.

    Raises:
        ValueError: truths, detections and class names do not fit together, or a value is not
            finite.

    Source:
        pycocotools 2.0.11, `cocoeval.py`, whose numbers these equal.
    """
    table = tabulate(truths, detections, num_classes=len(class_names), iscrowd=iscrowd)
    return average_precision_of(table, class_names, max_detections=max_detections)


def average_precision_of(
    table: FrameTable,
    class_names: Sequence[str],
    *,
    max_detections: int = 100,
    protocol: str = "coco",
    rules: Mapping[str, Any] | None = None,
) -> AveragePrecision:
    """Score detections in flat arrays, selected by any protocol.

    Args:
        table: ground truth and detections.
        class_names: the classes without background; label 1 is the first.
        max_detections: detections with the best scores that count, per frame and class.
        protocol: name of the protocol that selected frames and boxes.
        rules: its rules.

    Raises:
        ValueError: the class names are not all different, or `max_detections` is below 1.
    """
    if len(set(class_names)) < len(class_names):
        raise ValueError(f"class names must be all different, got {list(class_names)}")
    if max_detections < 1:
        raise ValueError(f"max_detections must be at least 1, got {max_detections}")
    num_classes = len(class_names)
    limits = sorted({min(limit, max_detections) for limit in (1, 10, max_detections)})
    matches = match_boxes(table, max_detections=max_detections, areas=tuple(AREAS))
    # Only these have scores: curves of thousands of classes without objects would fill the RAM.
    present = np.unique(table.truth.labels).tolist()
    precision, recall = _accumulate(table, matches, labels=present, limits=limits)
    num_objects = _count(table.truth.labels[table.truth.is_counted], num_classes)
    num_detections = _count(table.found.labels, num_classes)
    is_confident = table.found.scores >= CONFIDENT_SCORE
    num_confident = _count(table.found.labels[is_confident], num_classes)
    everything, *sizes = np.moveaxis(precision, 3, 0)
    recalls = np.moveaxis(recall, (2, 3), (0, 1))
    curves50, curves75 = everything[_IOU_50].T, everything[_IOU_75].T
    # Of each class its row, or no row.
    rows: dict[int, list[int]] = {label - 1: [row] for row, label in enumerate(present)}
    return AveragePrecision(
        map=mean_of_known(everything),
        map50=mean_of_known(curves50),
        map75=mean_of_known(curves75),
        per_class={
            name: ClassPrecision(
                ap=mean_of_known(everything[..., rows.get(k, [])]),
                ap50=mean_of_known(curves50[rows.get(k, [])]),
                ap75=mean_of_known(curves75[rows.get(k, [])]),
                precision50=_curve(curves50[rows.get(k, [])]),
                precision75=_curve(curves75[rows.get(k, [])]),
                num_truths=num_objects[k],
                num_detections=num_detections[k],
                num_confident=num_confident[k],
            )
            for k, name in enumerate(class_names)
        },
        per_size={name: mean_of_known(one) for name, one in zip(_SIZES, sizes, strict=True)},
        recall={
            str(limit): mean_of_known(one) for limit, one in zip(limits, recalls[0], strict=True)
        },
        recall_per_size={
            name: mean_of_known(one) for name, one in zip(_SIZES, recalls[1:, -1], strict=True)
        },
        precision50=_curve(curves50),
        precision75=_curve(curves75),
        num_frames=table.num_frames,
        num_truths=sum(num_objects),
        num_detections=sum(num_detections),
        num_confident=sum(num_confident),
        protocol=protocol,
        rules=dict(rules or {}),
    )


def _accumulate(
    table: FrameTable, matches: Matches, *, labels: Sequence[int], limits: Sequence[int]
) -> tuple[
    Float64[np.ndarray, "thresholds recalls classes areas"],
    Float64[np.ndarray, "thresholds classes areas limits"],
]:
    """Precision at each recall, and the highest recall for each limit; NaN without objects."""
    shape = (len(IOU_THRESHOLDS), len(labels), len(AREAS), len(limits))
    precision = np.full((shape[0], len(RECALL_POINTS), *shape[1:3]), np.nan)
    recall = np.full(shape, np.nan)
    # Group 0 counts: a detection of an object that does not count is neither right nor wrong.
    objects = are_counted(table.truth, tuple(AREAS)).astype(np.int8) - 1
    found = are_counted(table.found, tuple(AREAS))[:, matches.rows].astype(np.int8) - 1
    for row, label in enumerate(labels):
        chosen = slice(*np.searchsorted(matches.labels, (label, label + 1)))
        is_best = matches.ranks[chosen] < np.array(limits)[:, None]
        for area, groups in enumerate(objects):
            num_objects = np.count_nonzero(groups[table.truth.labels == label] == 0)
            if num_objects:
                taken, own = matches.objects[area, :, chosen], found[area, chosen]
                curves = class_precision(taken, groups, np.array([num_objects]), own)
                precision[..., row, area] = curves[0]
                is_right = np.append(groups, -1)[taken] == 0
                num_right = np.count_nonzero(is_right[:, None] & is_best, axis=-1)
                recall[:, row, area] = num_right / num_objects
    return precision, recall


def _count(labels: Int64[np.ndarray, " N"], num_classes: int) -> list[int]:
    counts: list[int] = np.bincount(labels, minlength=num_classes + 1)[1:].tolist()
    return counts


def _curve(by_class: Float64[np.ndarray, "classes recalls"]) -> tuple[float, ...]:
    known = by_class[~np.isnan(by_class[:, 0])]
    return tuple(known.mean(axis=0).tolist()) if len(known) else ()


def to_plain(value: Any) -> Any:
    """Convert to plain types for JSON: None for NaN, lists for tuples."""
    if isinstance(value, dict):
        return {name: to_plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
