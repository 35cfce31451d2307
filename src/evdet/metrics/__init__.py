"""Boxes + ground truth -> numbers: protocols, average precision, curves, errors, tracks."""

from evdet.metrics.average_precision import AveragePrecision, ClassPrecision, average_precision
from evdet.metrics.errors import FrameErrors, confusion_matrix, worst_frames
from evdet.metrics.frame_table import Detection, Truth
from evdet.metrics.frames import FrameKey, FrameResults, merge
from evdet.metrics.grouped_precision import RECALL_POINTS
from evdet.metrics.protocols import (
    PROTOCOLS,
    Protocol,
    get_protocol,
    keep_counted,
    score_recordings,
)
from evdet.metrics.recordings import ScoredRecording
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
