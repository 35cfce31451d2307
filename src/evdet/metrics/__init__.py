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
from evdet.metrics.protocols import (
    PROTOCOLS,
    Protocol,
    get_protocol,
    keep_counted,
    score_recordings,
)
from evdet.metrics.scored_recording import ScoredRecording
from evdet.metrics.track_scores import TrackNumbers, TrackScores, track_scores

__all__ = [
    "PROTOCOLS",
    "RECALL_POINTS",
    "AveragePrecision",
    "ClassPrecision",
    "Detection",
    "FrameErrors",
    "FrameKey",
    "FrameResults",
    "Protocol",
    "ScoredRecording",
    "TrackNumbers",
    "TrackScores",
    "Truth",
    "average_precision",
    "confusion_matrix",
    "get_protocol",
    "keep_counted",
    "merge",
    "score_recordings",
    "track_scores",
    "worst_frames",
]
