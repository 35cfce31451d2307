"""Detectors, or files of detections, against truth: numbers by a named protocol, and pictures."""

from evdet.evaluation.box_files import BoxFiles, read_box_files
from evdet.evaluation.detecting import Found, detect_batches, rename_classes
from evdet.evaluation.further_scores import FurtherScores, measure_further
from evdet.evaluation.loop import ConfusionMatrix, Evaluation, evaluate
from evdet.evaluation.pictures import draw_batch
from evdet.evaluation.played_recordings import PlayedRecording, to_played

__all__ = [
    "BoxFiles",
    "ConfusionMatrix",
    "Evaluation",
    "Found",
    "FurtherScores",
    "PlayedRecording",
    "detect_batches",
    "draw_batch",
    "evaluate",
    "measure_further",
    "read_box_files",
    "rename_classes",
    "to_played",
]
