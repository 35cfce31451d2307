"""Truth and detections of many frames in a few flat arrays, which is what makes scoring fast."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from evdet.metrics.frames import Detection, Truth, read_frames

__all__ = ["BoxTable", "FrameTable", "join_tables", "tabulate"]


class BoxTable(NamedTuple):
    """The boxes of many frames, one row each; the rows of a frame keep their order."""

    frames: Int64[np.ndarray, " N"]
    """Number of the frame, from 0."""
    xywh: Float64[np.ndarray, "N 4"]
    """Left, top, width, height."""
    labels: Int64[np.ndarray, " N"]
    """Class, 1 being the first."""
    scores: Float64[np.ndarray, " N"]
    """What the boxes are ranked by; 1 in truth."""


class FrameTable(NamedTuple):
    """Truth and detections of the same frames."""

    truth: BoxTable
    found: BoxTable
    num_frames: int
    """Frames, those without any box included."""


def tabulate(
    truths: Sequence[Truth], detections: Sequence[Detection], *, num_classes: int
) -> FrameTable:
    """Check truth and detections and put them into flat arrays.

    Args:
        truths: the objects of each frame.
        detections: the detections of the same frames, in the same order.
        num_classes: largest label that may occur.

    Returns:
        The table.

    Raises:
        ValueError: as `read_frames` says.
    """
    if len(truths) != len(detections) or not _has_shapes(truths, detections):
        read_frames(truths, detections)  # takes longer, and tells which frame is wrong and how
    truth = _flatten_truths(truths)
    found = _flatten_detections(detections)
    if not (_is_sound(truth, num_classes) and _is_sound(found, num_classes)):
        read_frames(truths, detections, num_classes=num_classes)
    return FrameTable(truth, found, len(truths))


def join_tables(tables: Sequence[FrameTable]) -> FrameTable:
    """Put the frames of several recordings behind one another.

    Args:
        tables: one per recording.

    Returns:
        One table; the frames of the second follow those of the first.
    """
    starts = np.cumsum([0, *(table.num_frames for table in tables)]).tolist()
    return FrameTable(
        _join([table.truth for table in tables], starts),
        _join([table.found for table in tables], starts),
        starts[-1],
    )


def _has_shapes(truths: Sequence[Truth], detections: Sequence[Detection]) -> bool:
    if not all(truth.ndim == 2 and truth.shape[1] == 5 for truth in truths):
        return False
    for detection in detections:
        boxes, labels, scores = (detection[name] for name in ("boxes", "labels", "scores"))
        if boxes.shape != (len(boxes), 4) or not labels.shape == scores.shape == boxes.shape[:1]:
            return False
    return True


def _flatten_truths(truths: Sequence[Truth]) -> BoxTable:
    rows = _concatenate(truths, (0, 5))
    return BoxTable(_frames_of(truths), _to_xywh(rows), _whole(rows[:, 4]), np.ones(len(rows)))


def _flatten_detections(detections: Sequence[Detection]) -> BoxTable:
    boxes = [detection["boxes"] for detection in detections]
    return BoxTable(
        _frames_of(boxes),
        _to_xywh(_concatenate(boxes, (0, 4))),
        _whole(_concatenate([detection["labels"] for detection in detections], (0,))),
        _concatenate([detection["scores"] for detection in detections], (0,)),
    )


def _frames_of(parts: Sequence[Tensor | np.ndarray]) -> Int64[np.ndarray, " N"]:
    return np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def _concatenate(
    parts: Sequence[Tensor | np.ndarray], empty: tuple[int, ...]
) -> Float64[np.ndarray, "..."]:
    # numpy has no bfloat16, so torch does the widening.
    arrays = [
        part.detach().to("cpu", torch.float64).numpy() if isinstance(part, Tensor) else part
        for part in parts
    ]
    joined: np.ndarray = np.concatenate([np.zeros(empty), *arrays], dtype=np.float64)
    return joined


def _to_xywh(corners: Float64[np.ndarray, "N _"]) -> Float64[np.ndarray, "N 4"]:
    return np.concatenate([corners[:, :2], corners[:, 2:4] - corners[:, :2]], axis=1)


def _whole(labels: Float64[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
    # What is not finite becomes 0, which no class has.
    whole: Int64[np.ndarray, " N"] = np.nan_to_num(labels, posinf=0, neginf=0).astype(np.int64)
    return whole


def _is_sound(boxes: BoxTable, num_classes: int) -> bool:
    return bool(
        np.isfinite(boxes.xywh).all()
        and np.isfinite(boxes.scores).all()
        and (boxes.xywh[:, 2:] >= 0).all()
        and ((boxes.labels >= 1) & (boxes.labels <= num_classes)).all()
    )


def _join(parts: Sequence[BoxTable], starts: Sequence[int]) -> BoxTable:
    shifted = [part.frames + start for part, start in zip(parts, starts, strict=False)]
    return BoxTable(
        np.concatenate([np.zeros(0, np.int64), *shifted]),
        np.concatenate([np.zeros((0, 4)), *(part.xywh for part in parts)]),
        np.concatenate([np.zeros(0, np.int64), *(part.labels for part in parts)]),
        np.concatenate([np.zeros(0), *(part.scores for part in parts)]),
    )
