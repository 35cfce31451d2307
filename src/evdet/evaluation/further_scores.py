"""Scores besides average precision: curves over stillness, size and latency, and track scores."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evdet.metrics import (
    Protocol,
    ScoredRecording,
    keep_counted,
    performance_curves,
    track_scores,
    without_ignored,
)
from evdet.tracking import Tracker

__all__ = ["FurtherScores", "measure_further", "track_recording"]


@dataclass(frozen=True, kw_only=True)
class FurtherScores:
    """Plain types for JSON."""

    curves: dict[str, Any] | None = None
    """`Curves.as_dict()`; None if the duration of a time bin is unknown."""
    tracks: dict[str, Any] | None = None
    """`TrackScores.as_dict()`; None if they were not requested, or cannot be computed."""
    notes: tuple[str, ...] = ()
    """Why something is missing."""


def measure_further(
    recordings: Sequence[ScoredRecording],
    class_names: Sequence[str],
    protocol: Protocol,
    *,
    size: tuple[int, int],
    delta_t: int,
    scores_tracks: bool = False,
    tracker: Tracker | None = None,
) -> FurtherScores:
    """Compute the curves and optionally the track scores.

    Both use the boxes that count by the protocol, and score a labelled time with the detections of
    its own time bin.

    Args:
        recordings: ground truth and detections, in the protocol's pixels.
        class_names: the classes without background; id 1 is the first.
        protocol: its filters apply.
        size: height and width of the image that boxes are measured in.
        delta_t: duration of a time bin in microseconds; 0 if unknown.
        scores_tracks: score tracks.
        tracker: tracks the detections first, recording by recording; None takes the tracks they
            have.
    """
    # Boxes that do not count change neither curves nor tracks.
    recordings = [without_ignored(one, delta_t=delta_t) for one in recordings]
    counted = [keep_counted(one, protocol, delta_t=delta_t) for one in recordings]
    curves = None
    if delta_t:
        curves = performance_curves(counted, class_names, size=size, delta_t=delta_t).as_dict()
    if not scores_tracks:
        return FurtherScores(curves=curves)
    if not any(one.truth["track_id"].any() for one in recordings):
        note = "no track scores: the labels have no tracks, track_id is 0 everywhere"
        return FurtherScores(curves=curves, notes=(note,))
    if tracker is not None:
        tracked = [track_recording(one, tracker, delta_t) for one in recordings]
        counted = [keep_counted(one, protocol, delta_t=delta_t) for one in tracked]
        if not any(one.detections["track_id"].any() for one in counted):
            best = max(one.detections["class_confidence"].max(initial=0) for one in recordings)
            note = (
                f"no track scores: {tracker.name} found no tracks, which start from score "
                f"{tracker.start_thresh:g} on (--track-thresh); the best detection has {best:.2g}"
            )
            return FurtherScores(curves=curves, notes=(note,))
    try:
        tracks = track_scores(counted, class_names, delta_t=max(1, delta_t))
    except ValueError as error:
        return FurtherScores(curves=curves, notes=(f"no track scores: {error}",))
    named = {}
    if tracker is not None:
        named = {
            "tracker": tracker.name,
            "start_thresh": tracker.start_thresh,
            "rules": tracker.rules,
        }
    return FurtherScores(curves=curves, tracks={**named, **tracks.as_dict()})


def track_recording(recording: ScoredRecording, tracker: Tracker, delta_t: int) -> ScoredRecording:
    """Track the detections of a recording; returns a copy with their `track_id`.

    Args:
        recording: detections stamped with the ends of time bins.
        tracker: is reset before.
        delta_t: duration of a bin in microseconds.
    """
    found = recording.detections
    if not len(found):
        return recording
    tracker.reset()
    # Tracks also age in bins without detections.
    ends = np.arange(found["t"][0], found["t"][-1] + 1, delta_t)
    cuts = np.searchsorted(found["t"], np.append(ends, ends[-1] + 1))
    parts = [
        tracker.update(int(end), found[start:stop])
        for end, start, stop in zip(ends, cuts, cuts[1:], strict=False)
    ]
    return replace(recording, detections=np.concatenate(parts))
