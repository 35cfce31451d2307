"""Truth and detections, frame by frame: what every metric reads, and how they are collected.

A frame that nobody labelled is left out by the caller. A frame annotated as empty stays in,
with a truth of shape (0, 5): false alarms on it count.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor

__all__ = ["Detection", "Frame", "FrameKey", "FrameResults", "Truth", "merge", "read_frames"]

Truth = Float[Tensor, "_ 5"] | Float[np.ndarray, "_ 5"]
"""The objects of one frame: x1 y1 x2 y2 label, label 1 being the first class."""
Detection = Mapping[str, Tensor | np.ndarray]
"""The detections of one frame: ``boxes`` (M, 4), ``labels`` (M,), ``scores`` (M,)."""
FrameKey = tuple[int, int]
"""Which frame: (number of the video, number of the frame in it)."""


class FrameResults:
    """Truth and detections of many frames, kept under each frame's key.

    Whatever order the frames arrive in, `truths` and `detections` list them by key: metrics
    settle equal scores by position, so a number must not depend on who was faster. Each frame
    is kept as two small float32 arrays, which pickles well.

    Example:
        >>> results = FrameResults()
        >>> detection = {"boxes": np.zeros((0, 4)), "labels": np.zeros(0), "scores": np.zeros(0)}
        >>> results.add((0, 7), np.array([[1.0, 2.0, 3.0, 4.0, 1.0]]), detection)
        >>> results.keys
        [(0, 7)]
    """

    def __init__(self) -> None:
        self._rows: dict[
            FrameKey, tuple[Float32[np.ndarray, "_ 5"], Float32[np.ndarray, "_ 6"]]
        ] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, key: FrameKey, truth: Truth, detection: Detection) -> None:
        """Keep one labelled frame; the arrays are copied to the host.

        Args:
            key: (number of the video, number of the frame in it).
            truth: its objects.
            detection: what was found in it.

        Raises:
            ValueError: the frame is there already, its video is a lane that has run dry
                (number -1), or the arrays have other shapes than they should.
        """
        if key[0] < 0:
            raise ValueError(
                f"frame {key} is of a lane that has run dry: it has no video, so it has no truth. "
                "Add only frames that are labelled."
            )
        if key in self._rows:
            raise ValueError(
                f"frame {key} (video, frame) is there already: every frame is scored once"
            )
        frame = _read_frame(f"frame {key}", truth, detection)
        self._rows[key] = (
            np.column_stack([frame.truth_boxes, frame.truth_labels]).astype(np.float32),
            np.column_stack([frame.boxes, frame.labels, frame.scores]).astype(np.float32),
        )

    @property
    def keys(self) -> list[FrameKey]:
        """The frames that are there, in order."""
        return sorted(self._rows)

    @property
    def truths(self) -> list[Float32[np.ndarray, "_ 5"]]:
        """The objects of each frame, in the order of `keys`."""
        return [self._rows[key][0] for key in self.keys]

    @property
    def detections(self) -> list[dict[str, np.ndarray]]:
        """The detections of each frame, in the order of `keys`."""
        found = (self._rows[key][1] for key in self.keys)
        return [
            {"boxes": rows[:, :4], "labels": rows[:, 4].astype(np.int64), "scores": rows[:, 5]}
            for rows in found
        ]


def merge(parts: Iterable[FrameResults]) -> FrameResults:
    """Join the results of several processes.

    Args:
        parts: results over different frames; any of them may be empty.

    Returns:
        All their frames in a new container.

    Raises:
        ValueError: two parts hold the same frame.
    """
    merged = FrameResults()
    for part in parts:
        repeated = merged._rows.keys() & part._rows.keys()
        if repeated:
            raise ValueError(
                f"{len(repeated)} frames were scored by two processes; the first is "
                f"{min(repeated)} (video, frame). Did both play the same lanes?"
            )
        merged._rows.update(part._rows)
    return merged


class Frame(NamedTuple):
    """One frame, checked, in double precision."""

    truth_boxes: Float64[np.ndarray, "N 4"]
    truth_labels: Int64[np.ndarray, " N"]
    boxes: Float64[np.ndarray, "M 4"]
    labels: Int64[np.ndarray, " M"]
    scores: Float64[np.ndarray, " M"]


def read_frames(
    truths: Sequence[Truth], detections: Sequence[Detection], *, num_classes: int | None = None
) -> list[Frame]:
    """Check truth and detections and bring them to one type.

    Args:
        truths: the objects of each frame.
        detections: the detections of the same frames, in the same order.
        num_classes: largest label that may occur; None allows any.

    Returns:
        One `Frame` for each.

    Raises:
        ValueError: the two have different lengths, a shape is wrong, a box has a negative side,
            a value is not finite, or a label lies outside 1..num_classes.
    """
    if len(truths) != len(detections):
        raise ValueError(
            f"there are truths for {len(truths)} frames and detections for {len(detections)}; "
            "give both for the same frames, in the same order"
        )
    frames = [
        _read_frame(f"frame {index}", truth, detection)
        for index, (truth, detection) in enumerate(zip(truths, detections, strict=True))
    ]
    if num_classes is not None:
        for index, frame in enumerate(frames):
            _check_labels(f"truth label in frame {index}", frame.truth_labels, num_classes)
            _check_labels(f"detected label in frame {index}", frame.labels, num_classes)
    return frames


def _read_frame(where: str, truth: Truth, detection: Detection) -> Frame:
    rows = _as_array(truth)
    if rows.ndim != 2 or rows.shape[1] != 5:
        raise ValueError(
            f"truth of {where} must be (N, 5), x1 y1 x2 y2 label, but is {rows.shape}; "
            "without objects it is (0, 5)"
        )
    boxes, labels, scores = (_as_array(detection[name]) for name in ("boxes", "labels", "scores"))
    if boxes.shape != (len(boxes), 4) or not labels.shape == scores.shape == (len(boxes),):
        raise ValueError(
            f"detections of {where} must be boxes (M, 4), labels (M,), scores (M,), "
            f"but are {boxes.shape}, {labels.shape}, {scores.shape}"
        )
    _check_boxes(f"truth boxes of {where}", rows[:, :4], rows[:, 4])
    _check_boxes(f"detections of {where}", boxes, scores)
    return Frame(rows[:, :4], rows[:, 4].astype(np.int64), boxes, labels.astype(np.int64), scores)


def _as_array(values: Tensor | np.ndarray) -> Float64[np.ndarray, "..."]:
    if isinstance(values, Tensor):
        # numpy has no bfloat16, so torch does the widening.
        values = values.detach().to("cpu", torch.float64).numpy()
    return np.asarray(values, np.float64)


def _check_boxes(
    what: str, boxes: Float64[np.ndarray, "N 4"], others: Float64[np.ndarray, " N"]
) -> None:
    finite = np.isfinite(boxes).all(axis=1) & np.isfinite(others)
    if not finite.all():
        raise ValueError(
            f"{np.count_nonzero(~finite)} of {len(boxes)} {what} are not finite. "
            "Has the training diverged?"
        )
    turned = np.flatnonzero((boxes[:, 2:] < boxes[:, :2]).any(axis=1))
    if turned.size:
        raise ValueError(
            f"{turned.size} of {len(boxes)} {what} have a negative side; the first is "
            f"{boxes[turned[0]].tolist()}. Boxes are x1 y1 x2 y2, not x y width height."
        )


def _check_labels(what: str, labels: Int64[np.ndarray, " N"], num_classes: int) -> None:
    outside = labels[(labels < 1) | (labels > num_classes)]
    if outside.size:
        raise ValueError(
            f"{what} is {outside[0]}, outside 1..{num_classes}: "
            "label 0 is background, 1 the first class name"
        )
