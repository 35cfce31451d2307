"""Boxes + truth -> numbers: average precision, confusion between classes, the worst frames."""

from evdet.metrics.average_precision import (
    RECALL_POINTS,
    AveragePrecision,
    ClassPrecision,
    average_precision,
)
from evdet.metrics.confusion import confusion_matrix
from evdet.metrics.failures import FrameErrors, worst_frames
from evdet.metrics.frames import Detection, FrameKey, FrameResults, Truth, merge

__all__ = [
    "RECALL_POINTS",
    "AveragePrecision",
    "ClassPrecision",
    "Detection",
    "FrameErrors",
    "FrameKey",
    "FrameResults",
    "Truth",
    "average_precision",
    "confusion_matrix",
    "merge",
    "worst_frames",
]
