"""Scored frames -> the best, the typical and the worst of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evdet.metrics import CONFIDENT_SCORE, Detection, FrameErrors, FrameKey, Truth, worst_frames

__all__ = ["FrameQuality", "choose_moments", "rate_frames"]


@dataclass(frozen=True, kw_only=True)
class FrameQuality:
    """What was found in a frame, and what was not."""

    key: FrameKey
    index: int
    """Of the frame among those given."""
    num_objects: int
    errors: FrameErrors
    activity: float
    """Share of the pixels in the objects' boxes that changed, from 0 to 1."""

    @property
    def num_right(self) -> int:
        """Objects that were found as what they are."""
        return self.num_objects - self.errors.missed - self.errors.wrong_class

    @property
    def share_right(self) -> float:
        """Of the objects and false alarms together; 1 for a frame with neither."""
        total = self.num_objects + self.errors.false_alarms
        return self.num_right / total if total else 1.0

    @property
    def is_at_rest(self) -> bool:
        """Whether its objects cause next to no events: only memory can find them."""
        return self.num_objects > 0 and self.activity < _REST


_REST = 0.03
_FAR = 0.25  # from the median: not typical
_FEW = 4  # fewer pictures than these take more than one of a video
_MAX_PER_VIDEO = 6  # the time between pictures of a video is this part of it


def rate_frames(
    keys: Sequence[FrameKey],
    truths: Sequence[Truth],
    detections: Sequence[Detection],
    activities: Mapping[FrameKey, float],
) -> list[FrameQuality]:
    """Rate frames by their detections with a score of at least `CONFIDENT_SCORE`.

    Args:
        keys: of the frames.
        truths: the objects of each frame.
        detections: the detections of each frame.
        activities: `FrameQuality.activity` by key.
    """
    wrong = worst_frames(truths, detections, max_frames=len(keys), score_thresh=CONFIDENT_SCORE)
    by_index = {errors.index: errors for errors in wrong}
    return [
        FrameQuality(
            key=key,
            index=index,
            num_objects=len(truths[index]),
            errors=by_index.get(index) or _no_errors(index),
            activity=activities[key],
        )
        for index, key in enumerate(keys)
    ]


def choose_moments(
    rated: Sequence[FrameQuality], *, num_good: int, num_failures: int
) -> dict[str, list[FrameQuality]]:
    """Choose frames to show.

    Neighbouring frames look alike, so each kind shows a video once, and more often only where that
    gives few pictures. Frames of objects at rest, which are all but empty, come last among equals.

    Args:
        rated: the frames.
        num_good: largest number of the best frames, and of the typical ones.
        num_failures: largest number of failures.

    Returns:
        `best`: with most objects and no or few errors; `typical`: nearest to the median quality;
        `failures`: with most errors.
    """
    shown = [frame for frame in rated if frame.num_objects]
    ranked = sorted(shown, key=_goodness)
    best = _spread([f for f in ranked if f.share_right > 0], num_good)
    median = float(np.median([frame.share_right for frame in shown])) if shown else 0.0
    taken = {frame.key for frame in best}
    middle = [frame for frame in ranked if frame.key not in taken and median > 0]
    middle.sort(key=lambda frame: (frame.is_at_rest, abs(frame.share_right - median)))
    # Videos that the best frames do not show come first.
    middle.sort(key=lambda frame: frame.key[0] in {key[0] for key in taken})
    typical = _spread(_near(middle, median), num_good)
    taken |= {frame.key for frame in typical}
    wrong = [frame for frame in rated if frame.errors.total and frame.key not in taken]
    failures = _spread(sorted(wrong, key=_badness), num_failures)
    return {"best": best, "typical": typical, "failures": failures}


def _goodness(frame: FrameQuality) -> tuple[bool, float, int, float, FrameKey]:
    return frame.is_at_rest, -frame.share_right, -frame.num_right, -frame.activity, frame.key


def _badness(frame: FrameQuality) -> tuple[int, bool, float, float, FrameKey]:
    errors = frame.errors
    return -errors.total, frame.is_at_rest, -errors.confidence, -frame.activity, frame.key


def _near(frames: Sequence[FrameQuality], median: float) -> list[FrameQuality]:
    """Those whose quality is as near to the median as any, unless all are far from it."""
    distances = [abs(frame.share_right - median) for frame in frames]
    nearest = min(distances, default=1.0)
    if nearest > _FAR:
        return []
    return [f for f, far in zip(frames, distances, strict=True) if far <= nearest + 1e-9]


def _spread(frames: Sequence[FrameQuality], most: int) -> list[FrameQuality]:
    """The first of each video, and if these are few, later ones far from those chosen."""
    chosen: dict[FrameKey, FrameQuality] = {}
    videos: dict[int, list[int]] = {}
    for frame in frames:
        videos.setdefault(frame.key[0], []).append(frame.key[1])
    for frame in frames:
        if len(chosen) < most and frame.key[0] not in {video for video, _ in chosen}:
            chosen[frame.key] = frame
    for frame in frames:
        video, time = frame.key
        apart = max(1, (max(videos[video]) - min(videos[video])) / _MAX_PER_VIDEO)
        is_far = all(abs(time - at) >= apart for other, at in chosen if other == video)
        if len(chosen) < min(most, _FEW) and is_far:
            chosen[frame.key] = frame
    return list(chosen.values())


def _no_errors(index: int) -> FrameErrors:
    return FrameErrors(index=index, missed=0, false_alarms=0, wrong_class=0, confidence=0.0)
