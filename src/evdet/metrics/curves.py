"""Scores by the objects' stillness, size and number of events, and by the detector's latency."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Int64

from evdet.metrics.average_precision import to_plain
from evdet.metrics.first_detection import FirstDetection, measure_first_detection
from evdet.metrics.frame_table import FrameTable
from evdet.metrics.grouped_precision import GroupScore, score_groups
from evdet.metrics.matching import Matches, match_boxes
from evdet.metrics.object_groups import (
    Group,
    Grouping,
    group_by_events,
    group_by_size,
    group_by_stillness,
)
from evdet.metrics.recordings import (
    ScoredRecording,
    check_recordings,
    pair_late,
    pair_own_bin,
)

__all__ = ["LATENCIES", "Curves", "GroupCurve", "GroupPoint", "performance_curves"]

LATENCIES: tuple[int, ...] = (0, 10_000, 20_000, 50_000, 100_000, 200_000)
"""Assumed latencies of detections, in microseconds."""


@dataclass(frozen=True, kw_only=True)
class GroupPoint:
    """One point of a curve; NaN without objects."""

    label: str
    """The group, or the latency, with the unit."""
    low: float
    """Lower end of the group, or the latency."""
    high: float | None
    """Upper end; None if unbounded."""
    num_truths: int
    """Objects in the group."""
    ap: float
    """Mean over classes of the average precision over IoU 0.50:0.05:0.95."""
    ap50: float
    """At IoU 0.50."""
    recall50: float
    """Share of the objects found at IoU 0.50 by detections with at least the score threshold."""


@dataclass(frozen=True, kw_only=True)
class GroupCurve:
    """Precision and recall by group."""

    unit: str
    """Unit of `low` and `high`."""
    points: tuple[GroupPoint, ...]
    """In order."""


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Scores by group. A curve that cannot be computed is None, with a reason."""

    by_stillness: GroupCurve | None
    """By the time since the object last moved: the memory curve."""
    by_size: GroupCurve | None
    """By the square root of the object's area."""
    by_num_events: GroupCurve | None
    """By the number of events in the object's box, in its time bin."""
    by_latency: GroupCurve | None
    """By the latency of detections."""
    first_detection: FirstDetection | None
    """Delays from a track's first label to its first detection."""
    num_recordings: int
    """Scored recordings."""
    num_frames: int
    """Annotated times in them."""
    num_truths: int
    """Objects at those times."""
    score_thresh: float
    """Detections with at least this score count for recall and for the first detection."""
    max_detections: int
    """Detections with the best scores that count, per frame and class."""
    size: tuple[int, int]
    """Height and width, in pixels, of the image that the boxes are measured in."""
    delta_t: int
    """Duration of a time bin in microseconds."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Why a curve is None, or leaves recordings out, by the curve's name."""

    def as_dict(self) -> dict[str, Any]:
        """Plain types for JSON: None for NaN, lists for tuples."""
        plain: dict[str, Any] = to_plain(dataclasses.asdict(self))
        return plain


def performance_curves(
    recordings: Sequence[ScoredRecording],
    class_names: Sequence[str],
    *,
    size: tuple[int, int],
    delta_t: int,
    score_thresh: float = 0.5,
    max_detections: int = 100,
    latencies: Sequence[int] = LATENCIES,
) -> Curves:
    """Compute every curve that the labels allow.

    All curves except `by_latency` score an annotated time with the detections of its own time bin
    (`pair_own_bin`). A latency is not tied to hardware: the curve shows the scores of a detector
    whose boxes are ready that long after the end of their time bin.

    Args:
        recordings: ground truth and detections.
        class_names: the classes without background; id 1 is the first.
        size: height and width, in pixels, of the image that the boxes are measured in.
        delta_t: duration of a time bin in microseconds. Detections are stamped with its end; a bin
            without detections has no stamp.
        score_thresh: detections with at least this score count for recall and first detection.
        max_detections: detections with the best scores that count, per frame and class.
        latencies: latencies of detections in microseconds, for `by_latency`.

    Raises:
        ValueError: boxes are not in order, of unknown classes, not finite or of negative size;
            ground truth is at a time that is not annotated; an argument is out of range.
    """
    if not 0 <= score_thresh <= 1:
        raise ValueError(f"score_thresh must be between 0 and 1, got {score_thresh}")
    if max_detections < 1:
        raise ValueError(f"max_detections must be at least 1, got {max_detections}")
    if any(latency < 0 for latency in latencies):
        raise ValueError(f"latencies must not be negative, got {list(latencies)}")
    check_recordings(recordings, num_classes=len(class_names), delta_t=delta_t)
    scorer = _Scorer(recordings, delta_t, score_thresh, max_detections)
    first = scorer.first_detection()
    no_tracks = "" if first else "the labels have no tracks: track_id is 0 everywhere"
    by_stillness, no_stillness = scorer.by_field("still_us", group_by_stillness)
    by_num_events, no_events = scorer.by_field("num_events", group_by_events)
    reasons = {
        "first_detection": no_tracks,
        "by_stillness": no_stillness,
        "by_num_events": no_events,
    }
    if not len(scorer.frames.truth.frames):
        names = ("by_stillness", "by_size", "by_num_events", "by_latency", "first_detection")
        reasons = dict.fromkeys(names, "the recordings have no labelled objects")
        latencies = ()
    return Curves(
        by_stillness=by_stillness,
        by_size=scorer.by_size(),
        by_num_events=by_num_events,
        by_latency=scorer.by_latency(latencies),
        first_detection=first,
        num_recordings=len(recordings),
        num_frames=scorer.frames.num_frames,
        num_truths=len(scorer.frames.truth.frames),
        score_thresh=score_thresh,
        max_detections=max_detections,
        size=size,
        delta_t=delta_t,
        reasons={curve: reason for curve, reason in reasons.items() if reason},
    )


_WHY_NOT = {
    "still_us": "the labels do not have the time since an object last moved (field still_us)",
    "num_events": "the events in the boxes are not counted (field num_events)",
}


class _Scorer:
    """The recordings, matched once for all curves that score times with their own time bin."""

    def __init__(
        self,
        recordings: Sequence[ScoredRecording],
        delta_t: int,
        score_thresh: float,
        max_detections: int,
    ) -> None:
        self.recordings = recordings
        self.delta_t = delta_t
        self.score_thresh = score_thresh
        self.max_detections = max_detections
        self.frames, self.matches = self._match(pair_own_bin(recordings, delta_t=delta_t))

    def by_field(
        self, name: str, group: Callable[[Int64[np.ndarray, " _"]], Grouping]
    ) -> tuple[GroupCurve | None, str]:
        """The curve over a field of the ground truth, and why recordings are left out."""
        # Recordings without objects do not need the field: their false alarms count.
        having = [
            one
            for one in self.recordings
            if not len(one.truth) or name in (one.truth.dtype.names or ())
        ]
        values = [one.truth[name].astype(np.int64) for one in having if len(one.truth)]
        if not values:
            return None, _WHY_NOT[name]
        frames, matches, reason = self.frames, self.matches, ""
        if len(having) < len(self.recordings):
            missing = len(self.recordings) - len(having)
            reason = (
                f"{missing} of {len(self.recordings)} recordings are left out: {_WHY_NOT[name]}"
            )
            frames, matches = self._match(pair_own_bin(having, delta_t=self.delta_t))
        return self._curve(frames, matches, group(np.concatenate(values))), reason

    def by_size(self) -> GroupCurve | None:
        """The curve over the size of objects."""
        if not len(self.frames.truth.frames):
            return None
        areas = self.frames.found.areas[self.matches.rows]
        grouping = group_by_size(self.frames.truth.areas, areas)
        return self._curve(self.frames, self.matches, grouping)

    def by_latency(self, latencies: Sequence[int]) -> GroupCurve | None:
        """The curve over the time until detections are ready."""
        points: list[GroupPoint] = []
        for latency in latencies:
            paired = pair_late(self.recordings, delta_t=self.delta_t, latency=latency)
            frames, matches = self._match(paired)
            group = Group(f"{latency / 1000:g} ms", latency, latency)
            one_group = np.zeros(len(frames.truth.frames), np.int64)
            curve = self._curve(frames, matches, Grouping("microseconds", (group,), one_group))
            points += curve.points
        return GroupCurve(unit="microseconds", points=tuple(points)) if points else None

    def first_detection(self) -> FirstDetection | None:
        """The delays of the tracks."""
        return measure_first_detection(self.frames, self.matches, score_thresh=self.score_thresh)

    def _match(self, frames: FrameTable) -> tuple[FrameTable, Matches]:
        return frames, match_boxes(frames, max_detections=self.max_detections)

    def _curve(self, frames: FrameTable, matches: Matches, grouping: Grouping) -> GroupCurve:
        scores = score_groups(
            matches,
            frames.truth.labels,
            grouping.truths,
            num_groups=len(grouping.groups),
            score_thresh=self.score_thresh,
            detection_groups=grouping.detections,
        )
        points = map(_point, grouping.groups, scores)
        return GroupCurve(unit=grouping.unit, points=tuple(points))


def _point(group: Group, score: GroupScore) -> GroupPoint:
    return GroupPoint(
        label=group.label,
        low=float(group.low),
        high=None if group.high is None else float(group.high),
        **score._asdict(),
    )
