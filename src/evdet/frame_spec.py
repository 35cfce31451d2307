"""How a detector's frames are made, and which of its candidates become detections."""

import dataclasses
import math
from dataclasses import dataclass

__all__ = ["PICTURES", "READY_MADE", "FrameSpec", "SelectionThresholds"]

PICTURES = "none"
"""Value of `preprocess` for frames that are pictures with values in [0, 1]."""
READY_MADE = "ready_made"
"""Value of `preprocess` for frames that another tool made."""


@dataclass(frozen=True, kw_only=True)
class SelectionThresholds:
    """Which candidates become detections, and how many enter non-maximum suppression.

    Raises:
        ValueError: a threshold is outside [0, 1], or `max_boxes` is below 1.
    """

    score_thresh: float = 0.05
    """Candidates with a lower score are dropped."""
    nms_thresh: float = 0.6
    """Of two boxes with a higher IoU, the one with the lower score is dropped."""
    max_boxes: int = 500
    """Candidates of a frame that enter non-maximum suppression."""
    agnostic: bool = False
    """Whether a box suppresses boxes of other classes, too: one object has one box. Protocols of
    scoring suppress class by class."""

    def __post_init__(self) -> None:
        for name in ("score_thresh", "nms_thresh"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, got {getattr(self, name)}")
        if self.max_boxes < 1:
            raise ValueError(f"max_boxes must be at least 1, got {self.max_boxes}")

    def but(
        self,
        *,
        score_thresh: float | int | None = None,
        nms_thresh: float | int | None = None,
        max_boxes: int | None = None,
        agnostic: bool | None = None,
    ) -> "SelectionThresholds":
        """A copy with the given values; None keeps a value."""
        return SelectionThresholds(
            score_thresh=self.score_thresh if score_thresh is None else float(score_thresh),
            nms_thresh=self.nms_thresh if nms_thresh is None else float(nms_thresh),
            max_boxes=self.max_boxes if max_boxes is None else max_boxes,
            agnostic=self.agnostic if agnostic is None else agnostic,
        )


@dataclass(frozen=True, kw_only=True)
class FrameSpec:
    """How a detector's frames are made, and what its boxes mean.

    Raises:
        ValueError: a value is out of range.
    """

    preprocess: str
    """Event representation of a frame, or `PICTURES` or `READY_MADE`."""
    delta_t: int
    """Duration of a time bin, in microseconds."""
    height: int
    """Height of the frames of the training, in pixels."""
    width: int
    """Width of the frames of the training, in pixels."""
    in_channels: int
    """Channels of a frame."""
    class_names: tuple[str, ...] = ()
    """The classes without background; label 1 is the first."""
    remove_hot_pixels: bool = False
    """Whether events of hot pixels are dropped."""
    background_filter: int = 0
    """Background-activity filter: drops events without a neighbouring event in the last N
    microseconds; 0 disables it."""
    thresholds: SelectionThresholds = SelectionThresholds()
    """The thresholds of the training's evaluation."""
    trained_delta_t: int = 0
    """Duration of a time bin in training, where `delta_t` is another; 0: `delta_t`."""

    def __post_init__(self) -> None:
        for name in ("delta_t", "height", "width", "in_channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.trained_delta_t < 0:
            raise ValueError(
                f"trained_delta_t must be 0 or more microseconds, got {self.trained_delta_t}"
            )
        if self.background_filter < 0:
            raise ValueError(
                f"background_filter must be 0 or more microseconds, got {self.background_filter}"
            )

    def at(self, delta_t: int | None) -> "FrameSpec":
        """A copy with time bins of another duration; None keeps it."""
        if delta_t is None or delta_t == self.delta_t:
            return self
        trained = self.trained_delta_t or self.delta_t
        other = 0 if delta_t == trained else trained
        return dataclasses.replace(self, delta_t=delta_t, trained_delta_t=other)

    def count_scale(self, duration: int) -> float:
        """Factor on the counts of a time bin that does not last as long as in training.

        A time bin of half the duration holds half the events. The root of the ratio keeps the
        spread of the counts instead of their mean: doubled counts would double the noise, too.

        Args:
            duration: of the time bin, in microseconds.
        """
        return math.sqrt((self.trained_delta_t or self.delta_t) / duration)
