"""The frames on which a detector fails worst."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evdet.metrics.frames import Detection, Truth, read_frames
from evdet.metrics.pairing import Pairs, check_thresholds, pair_boxes

__all__ = ["FrameErrors", "worst_frames"]


@dataclass(frozen=True, kw_only=True)
class FrameErrors:
    """What went wrong in one frame."""

    index: int
    """Position of the frame among those given."""
    missed: int
    """Objects that no detection found."""
    false_alarms: int
    """Detections where there is no object, or one that is taken already."""
    wrong_class: int
    """Objects found under the name of another class."""
    confidence: float
    """Sum of the scores of the false and the wrong detections."""

    @property
    def total(self) -> int:
        """Number of errors."""
        return self.missed + self.false_alarms + self.wrong_class


def worst_frames(
    truths: Sequence[Truth],
    detections: Sequence[Detection],
    *,
    max_frames: int = 12,
    score_thresh: float = 0.3,
    iou_thresh: float = 0.5,
) -> list[FrameErrors]:
    """Find the frames with the most errors.

    Args:
        truths: the objects of each frame.
        detections: the detections of the same frames.
        max_frames: most frames to return.
        score_thresh: detections with a lower score do not take part, in [0, 1].
        iou_thresh: lowest IoU of a detection and the object it found, in (0, 1].

    Returns:
        Frames with at least one error: most errors first; of equally many the one that was
        surer of them (`confidence`); then the earlier.

    Raises:
        ValueError: truths and detections do not fit each other, or a threshold is out of range.
    """
    check_thresholds(score_thresh, iou_thresh)
    errors = [
        _errors(index, pair_boxes(frame, score_thresh=score_thresh, iou_thresh=iou_thresh))
        for index, frame in enumerate(read_frames(truths, detections))
    ]
    failed = [frame for frame in errors if frame.total]
    failed.sort(key=lambda frame: (-frame.total, -frame.confidence, frame.index))
    return failed[:max_frames]


def _errors(index: int, pairs: Pairs) -> FrameErrors:
    missed = pairs.found == 0
    false_alarms = pairs.truth == 0
    wrong_class = ~missed & ~false_alarms & (pairs.truth != pairs.found)
    return FrameErrors(
        index=index,
        missed=int(np.count_nonzero(missed)),
        false_alarms=int(np.count_nonzero(false_alarms)),
        wrong_class=int(np.count_nonzero(wrong_class)),
        confidence=float(pairs.scores[false_alarms | wrong_class].sum()),
    )
