"""Ground truth and detections of many frames as flat arrays, for all metrics."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64, Shaped
from torch import Tensor

from evdet.boxes import BOX_DTYPE

__all__ = [
    "BoxTable",
    "Detection",
    "FrameTable",
    "Truth",
    "Values",
    "are_sound",
    "check_boxes",
    "join_tables",
    "tabulate",
    "to_array",
    "to_box_table",
]

Values = Shaped[Tensor, "..."] | Shaped[np.ndarray, "..."]
"""Numbers or flags, on any device."""
Truth = Float[Tensor, "_ 5"] | Float[np.ndarray, "_ 5"]
"""The objects of one frame: x1 y1 x2 y2 label, label 1 being the first class."""
Detection = Mapping[str, Tensor | np.ndarray]
"""The detections of one frame: ``boxes`` (M, 4), ``labels`` (M,), ``scores`` (M,)."""


class BoxTable(NamedTuple):
    """The boxes of many frames, one row each; the rows of a frame keep their order."""

    frames: Int64[np.ndarray, " N"]
    """Index of the frame."""
    xywh: Float64[np.ndarray, "N 4"]
    """Left, top, width, height."""
    labels: Int64[np.ndarray, " N"]
    """Class, 1 being the first."""
    scores: Float64[np.ndarray, " N"]
    """Scores for ranking; unused in ground truth."""
    is_crowd: Bool[np.ndarray, " N"]
    """Ground truth that marks a crowd: a detection in it is neither right nor wrong."""
    is_ignored: Bool[np.ndarray, " N"]
    """Ground truth that is an object and does not count: a detection of it is neither."""
    times: Int64[np.ndarray, " N"]
    """Time in microseconds; 0 if unknown."""
    track_ids: Int64[np.ndarray, " N"]
    """Track id within the recording; 0 means no track."""

    def take(self, rows: Int64[np.ndarray, " M"] | Bool[np.ndarray, " N"]) -> "BoxTable":
        """Select rows by index or by mask."""
        return BoxTable(*(column[rows] for column in self))

    @property
    def is_counted(self) -> Bool[np.ndarray, " N"]:
        """Whether each is neither a crowd nor ignored."""
        counted: Bool[np.ndarray, " N"] = ~(self.is_crowd | self.is_ignored)
        return counted

    @property
    def areas(self) -> Float64[np.ndarray, " N"]:
        """Area of each box in square pixels."""
        areas: Float64[np.ndarray, " N"] = self.xywh[:, 2] * self.xywh[:, 3]
        return areas


class FrameTable(NamedTuple):
    """Ground truth and detections of the same frames."""

    truth: BoxTable
    found: BoxTable
    num_frames: int
    """Frames, including those without boxes."""
    starts: Int64[np.ndarray, " recordings"]
    """Index of the first frame of each recording."""


def tabulate(
    truths: Sequence[Truth],
    detections: Sequence[Detection],
    *,
    num_classes: int | None = None,
    iscrowd: Sequence[Values] | None = None,
    names: Sequence[str] | None = None,
) -> FrameTable:
    """Check ground truth and detections and put them into flat arrays.

    Args:
        truths: the objects of each frame.
        detections: the detections of the same frames, in the same order.
        num_classes: largest allowed label; None allows any.
        iscrowd: for each frame 1 for its objects that mark a crowd, (N,); None: none does.
        names: names of the frames for messages; None takes the index.

    Raises:
        ValueError: the arguments have different lengths, a shape is wrong, a box has a negative
            side, a value is not finite, or a label lies outside 1..num_classes.
    """
    crowds = [np.zeros(len(truth)) for truth in truths] if iscrowd is None else iscrowd
    if not len(truths) == len(detections) == len(crowds):
        also = "" if iscrowd is None else f" and iscrowd for {len(iscrowd)}"
        raise ValueError(
            f"got truths for {len(truths)} frames and detections for {len(detections)}{also}: "
            "give all for the same frames, in the same order"
        )
    names = names or [f"frame {index}" for index in range(len(truths))]
    for name, truth, crowd, detection in zip(names, truths, crowds, detections, strict=True):
        _check_shapes(name, truth, crowd, detection)
    rows, is_crowd = _join_arrays(truths, (0, 5)), _join_arrays(crowds, (0,))
    is_flag = (is_crowd == 0) | (is_crowd == 1)
    if not is_flag.all():
        raise ValueError(f"iscrowd must be 0 or 1, got {is_crowd[~is_flag][0]}")
    parts = [[one[key] for one in detections] for key in _KEYS]
    boxes, labels, scores = map(_join_arrays, parts, ((0, 4), (0,), (0,)))
    table = FrameTable(
        _from_corners(truths, rows, rows[:, 4], np.ones(len(rows)), is_crowd),
        _from_corners(parts[0], boxes, labels, scores),
        len(truths),
        np.zeros(1, np.int64),
    )
    check_boxes("ground-truth boxes", table.truth, num_classes, frame_names=names)
    check_boxes("detections", table.found, num_classes, frame_names=names)
    return table


def to_box_table(
    boxes: Shaped[np.ndarray, " N"],
    frames: Int64[np.ndarray, " N"] | None = None,
    *,
    ranking: str | None = "class_confidence",
) -> BoxTable:
    """Put box events into flat arrays, unchecked.

    Args:
        boxes: `BOX_DTYPE` records, optionally with the flags `is_crowd` and `is_ignored`.
        frames: index of the frame of each; None: all are of the first.
        ranking: the field to rank by; None for ground truth.
    """
    return BoxTable(
        frames=np.zeros(len(boxes), np.int64) if frames is None else frames,
        xywh=np.stack([boxes[name] for name in ("x", "y", "w", "h")], axis=1, dtype=np.float64),
        labels=boxes["class_id"].astype(np.int64),
        scores=np.ones(len(boxes)) if ranking is None else boxes[ranking].astype(np.float64),
        is_crowd=_flags(boxes, "is_crowd"),
        is_ignored=_flags(boxes, "is_ignored"),
        times=boxes["t"].astype(np.int64),
        track_ids=boxes["track_id"].astype(np.int64),
    )


def join_tables(tables: Sequence[FrameTable]) -> FrameTable:
    """Concatenate the frames of several recordings, in order."""
    if len(tables) == 1:
        return tables[0]
    starts = np.cumsum([0, *(table.num_frames for table in tables)])
    return FrameTable(
        _join_boxes([table.truth for table in tables], starts),
        _join_boxes([table.found for table in tables], starts),
        int(starts[-1]),
        starts[:-1],
    )


def are_sound(boxes: BoxTable) -> Bool[np.ndarray, " N"]:
    """Mark the boxes that can be scored: finite, without a negative side."""
    is_finite = np.isfinite(boxes.xywh).all(axis=1) & np.isfinite(boxes.scores)
    sound: Bool[np.ndarray, " N"] = is_finite & (boxes.xywh[:, 2:] >= 0).all(axis=1)
    return sound


def check_boxes(
    what: str,
    boxes: BoxTable,
    num_classes: int | None,
    *,
    frame_names: Sequence[str] | None = None,
) -> None:
    """Refuse boxes that cannot be scored, or are of unknown classes.

    Args:
        what: name of the boxes for messages.
        boxes: the boxes.
        num_classes: the largest label; None allows any.
        frame_names: names of the frames for messages; None takes the time of a box instead.

    Raises:
        ValueError: a value is not finite, a side negative, or a label outside 1..num_classes.
    """
    bad = ~are_sound(boxes)
    if bad.any():
        x, y, w, h = boxes.xywh[bad][0].tolist()
        raise ValueError(
            f"{np.count_nonzero(bad)} of {len(bad)} {what} are not finite or have a negative side; "
            f"the first {_locate(boxes.take(bad), frame_names)}: x={x:g}, y={y:g}, width={w:g}, "
            f"height={h:g}, score={boxes.scores[bad][0]:g}. Did training diverge, or are boxes of "
            "x y width height read as x1 y1 x2 y2?"
        )
    if num_classes is None:
        return
    outside = (boxes.labels < 1) | (boxes.labels > num_classes)
    if outside.any():
        raise ValueError(
            f"{np.count_nonzero(outside)} of {len(outside)} {what} have a label outside "
            f"1..{num_classes}; the first {_locate(boxes.take(outside), frame_names)} is "
            f"{boxes.labels[outside][0]}. Label 0 is background, 1 the first class name"
        )


def _locate(boxes: BoxTable, frame_names: Sequence[str] | None) -> str:
    """The frame or time of the first box."""
    return f"in {frame_names[boxes.frames[0]]}" if frame_names else f"at t={boxes.times[0]} us"


_KEYS = ("boxes", "labels", "scores")


def _flags(boxes: Shaped[np.ndarray, " N"], name: str) -> Bool[np.ndarray, " N"]:
    """A field of flags; none is set in boxes without it."""
    if name not in (boxes.dtype.names or ()):
        return np.zeros(len(boxes), bool)
    flags: Bool[np.ndarray, " N"] = boxes[name] != 0
    return flags


def _check_shapes(name: str, truth: Truth, crowd: Values, detection: Detection) -> None:
    if truth.ndim != 2 or truth.shape[1] != 5:
        raise ValueError(
            f"ground truth of {name} must be (N, 5), x1 y1 x2 y2 label, but is "
            f"{tuple(truth.shape)}; without objects it is (0, 5)"
        )
    if crowd.shape != truth.shape[:1]:
        raise ValueError(
            f"iscrowd of {name} must be ({len(truth)},), one entry per object, but is "
            f"{tuple(crowd.shape)}"
        )
    boxes, labels, scores = (detection[key] for key in _KEYS)
    if boxes.shape != (len(boxes), 4) or not labels.shape == scores.shape == boxes.shape[:1]:
        shapes = ", ".join(str(tuple(one.shape)) for one in (boxes, labels, scores))
        raise ValueError(
            f"detections of {name} must be boxes (M, 4), labels (M,), scores (M,), but are {shapes}"
        )


def _from_corners(
    parts: Sequence[Values],
    corners: Float64[np.ndarray, "N _"],
    labels: Float64[np.ndarray, " N"],
    scores: Float64[np.ndarray, " N"],
    is_crowd: Float64[np.ndarray, " N"] | None = None,
) -> BoxTable:
    is_label = np.isfinite(labels)
    none = np.zeros(len(labels), np.int64)
    return BoxTable(
        frames=np.repeat(np.arange(len(parts)), [len(part) for part in parts]),
        xywh=np.concatenate([corners[:, :2], corners[:, 2:4] - corners[:, :2]], axis=1),
        labels=np.where(is_label, labels, 0).astype(np.int64),
        # A label that is not finite is not an integer: its box is refused by its score.
        scores=np.where(is_label, scores, np.nan),
        is_crowd=none > 0 if is_crowd is None else is_crowd != 0,
        is_ignored=none > 0,
        times=none,
        track_ids=none,
    )


def to_array(values: Values) -> Float64[np.ndarray, "..."]:
    """Copy values to the host, in double precision."""
    if isinstance(values, Tensor):
        # numpy has no bfloat16, so torch converts.
        values = values.detach().to("cpu", torch.float64).numpy()
    return np.asarray(values, np.float64)


def _join_arrays(parts: Sequence[Values], empty: tuple[int, ...]) -> Float64[np.ndarray, "..."]:
    arrays = [part if isinstance(part, np.ndarray) else to_array(part) for part in parts]
    joined: np.ndarray = np.concatenate([np.zeros(empty), *arrays], dtype=np.float64)
    return joined


def _join_boxes(parts: Sequence[BoxTable], starts: Int64[np.ndarray, " _"]) -> BoxTable:
    empty = to_box_table(np.zeros(0, BOX_DTYPE))
    joined = BoxTable(*map(np.concatenate, zip(empty, *parts, strict=True)))
    return joined._replace(
        frames=joined.frames + np.repeat(starts[:-1], [len(part.frames) for part in parts])
    )
