"""How well objects are found by how long they stand still, how large they are, and how late."""

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
    pair_own_window,
)

__all__ = ["LATENCIES", "Curves", "GroupCurve", "GroupPoint", "performance_curves"]

LATENCIES: tuple[int, ...] = (0, 10_000, 20_000, 50_000, 100_000, 200_000)
"""How late detections are assumed to be ready, in microseconds."""


@dataclass(frozen=True, kw_only=True)
class GroupPoint:
    """One point of a curve; NaN where there are no objects."""

    label: str
    """The group, or the latency, in words with the unit."""
    low: float
    """Lower end of the group, or the latency."""
    high: float | None
    """Upper end, None where there is none."""
    num_truths: int
    """Objects in the group."""
    ap: float
    """Mean over classes of the average precision over IoU 0.50:0.05:0.95."""
    ap50: float
    """At IoU 0.50."""
    recall50: float
    """Share of the objects found at IoU 0.50 by detections from the score threshold on."""


@dataclass(frozen=True, kw_only=True)
class GroupCurve:
    """Precision and recall group by group."""

    unit: str
    """What `low` and `high` count."""
    points: tuple[GroupPoint, ...]
    """In order."""


@dataclass(frozen=True, kw_only=True)
class Curves:
    """What one average says nothing about. A curve that cannot be had is None, with a reason."""

    by_stillness: GroupCurve | None
    """By the time since the object last moved: the memory curve."""
    by_size: GroupCurve | None
    """By the square root of the object's area."""
    by_num_events: GroupCurve | None
    """By the number of events in the object's box, in its time bin."""
    by_latency: GroupCurve | None
    """By how late detections are ready."""
    first_detection: FirstDetection | None
    """How long after its first label a track is found."""
    num_recordings: int
    """Recordings that were scored."""
    num_frames: int
    """Annotated times in them."""
    num_truths: int
    """Objects at those times."""
    score_thresh: float
    """Detections from this score on count for recall and for the first detection."""
    max_detections: int
    """Detections with the best scores that count, per frame and class."""
    size: tuple[int, int]
    """Height and width, in pixels, of the picture that the boxes are measured in."""
    delta_t: int
    """Duration of a window in microseconds."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Why a curve is None, or leaves recordings out, by the curve's name."""

    def as_dict(self) -> dict[str, Any]:
        """The same as plain types for JSON: None for NaN, lists for tuples."""
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

    All but the latency answer an annotated time with the window that it lies in
    (`pair_own_window`). A latency stands for no particular hardware: it says what a
    detector would score if its boxes were ready so long after the end of their window.

    Args:
        recordings: truth and detections.
        class_names: the classes without background; id 1 is the first.
        size: height and width, in pixels, of the picture that the boxes are measured in.
        delta_t: duration of a detector's window in microseconds. Detections are stamped with
            its end; a window that found nothing has left no stamp.
        score_thresh: detections from this score on count for recall and first detection.
        max_detections: detections with the best scores that count, per frame and class.
        latencies: how late detections are ready, in microseconds, for `by_latency`.

    Returns:
        The curves.

    Raises:
        ValueError: boxes out of order, of unknown classes, not finite or turned; truth at a
            time that is not annotated; an argument out of range.
    """
    if not 0 <= score_thresh <= 1:
        raise ValueError(f"score_thresh must be between 0 and 1, got {score_thresh}")
    if max_detections < 1:
        raise ValueError(f"max_detections must be at least 1, got {max_detections}")
    if any(latency < 0 for latency in latencies):
        raise ValueError(f"latencies must not be negative, got {list(latencies)}")
    check_recordings(recordings, num_classes=len(class_names), delta_t=delta_t)
    scorer = _Scorer(recordings, delta_t, score_thresh, max_detections)
    reasons: dict[str, str] = {}
    if not len(scorer.frames.truth.frames):
        nothing = "there is no labelled object"
        names = ("by_stillness", "by_size", "by_num_events", "by_latency", "first_detection")
        reasons = dict.fromkeys(names, nothing)
        latencies = ()
    first = scorer.first_detection()
    if first is None:
        reasons.setdefault("first_detection", "the labels have no tracks: track_id is 0 everywhere")
    return Curves(
        by_stillness=scorer.by_field("still_us", "by_stillness", group_by_stillness, reasons),
        by_size=scorer.by_size(),
        by_num_events=scorer.by_field("num_events", "by_num_events", group_by_events, reasons),
        by_latency=scorer.by_latency(latencies),
        first_detection=first,
        num_recordings=len(recordings),
        num_frames=scorer.frames.num_frames,
        num_truths=len(scorer.frames.truth.frames),
        score_thresh=score_thresh,
        max_detections=max_detections,
        size=size,
        delta_t=delta_t,
        reasons=reasons,
    )


_WHY_NOT = {
    "still_us": "the labels do not say for how long an object has not moved (field still_us)",
    "num_events": "the events in the boxes are not counted (field num_events)",
}


class _Scorer:
    """The recordings, matched once for all curves that answer a time with its own window."""

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
        self.frames, self.matches = self._match(pair_own_window(recordings, delta_t=delta_t))

    def by_field(
        self,
        name: str,
        curve: str,
        group: Callable[[Int64[np.ndarray, " _"]], Grouping],
        reasons: dict[str, str],
    ) -> GroupCurve | None:
        """The curve over a field of the truth; recordings that lack it are left out."""
        # What has no objects has nothing to say about them, but its false alarms count.
        having = [
            one
            for one in self.recordings
            if not len(one.truth) or name in (one.truth.dtype.names or ())
        ]
        values = [one.truth[name].astype(np.int64) for one in having if len(one.truth)]
        if not values:
            reasons.setdefault(curve, _WHY_NOT[name])
            return None
        frames, matches = self.frames, self.matches
        if len(having) < len(self.recordings):
            missing = len(self.recordings) - len(having)
            reasons[curve] = (
                f"{missing} of {len(self.recordings)} recordings are left out: {_WHY_NOT[name]}"
            )
            frames, matches = self._match(pair_own_window(having, delta_t=self.delta_t))
        return self._curve(frames, matches, group(np.concatenate(values)))

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
            everyone = np.zeros(len(frames.truth.frames), np.int64)
            curve = self._curve(frames, matches, Grouping("microseconds", (group,), everyone))
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
