"""The delay from an object's first label to its first detection."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from evdet.metrics.frame_table import FrameTable
from evdet.metrics.matching import Matches

__all__ = ["FirstDetection", "measure_first_detection"]

# A report does not need more points of the curve.
_MAX_POINTS = 101


@dataclass(frozen=True, kw_only=True)
class FirstDetection:
    """Delays until tracks are found, in microseconds.

    A quantile is the delay by which that share of all tracks is found; NaN if fewer are found.
    """

    num_tracks: int
    """Tracks in the labels."""
    num_found: int
    """Tracks with a detection."""
    median_us: float
    """Delay by which half of the tracks are found."""
    p90_us: float
    """Delay by which nine tenths of the tracks are found."""
    share_never: float
    """Share of the tracks that are never found."""
    curve: tuple[tuple[int, float], ...]
    """(delay, share of all tracks found by then), both increasing; at most 101 points."""


def measure_first_detection(
    frames: FrameTable, matches: Matches, *, score_thresh: float
) -> FirstDetection | None:
    """Measure the time from each track's first label to its first detection.

    A detection finds an object if it has the object's class, matches it at IoU 0.50 and has at
    least the given score. Its time is its stamp, the end of its time bin.

    Args:
        frames: objects and the detections of their own time bins. Track id 0 means no track.
        matches: the object of each detection.
        score_thresh: detections with at least this score count.

    Returns:
        The delays; None if there are no tracks.
    """
    truth = frames.truth
    on_track = truth.track_ids > 0
    if not on_track.any():
        return None
    # Two recordings may have the same track ids.
    recordings = np.searchsorted(frames.starts, truth.frames, side="right")
    keys = recordings << 32 | truth.track_ids
    tracks, track_of = np.unique(keys[on_track], return_inverse=True)
    track_of_object = np.full(len(keys), -1)
    track_of_object[on_track] = track_of
    begin = np.full(len(tracks), np.inf)
    np.minimum.at(begin, track_of, truth.times[on_track])
    taken = matches.objects[0, 0]
    finds = (taken >= 0) & (matches.scores >= score_thresh)
    finds[finds] = track_of_object[taken[finds]] >= 0
    found_at = np.full(len(tracks), np.inf)
    stamps = frames.found.times[matches.rows[finds]]
    np.minimum.at(found_at, track_of_object[taken[finds]], stamps)
    return _summarise(np.sort(found_at - begin))


def _summarise(delays: Float64[np.ndarray, " tracks"]) -> FirstDetection:
    found = delays[np.isfinite(delays)]
    return FirstDetection(
        num_tracks=len(delays),
        num_found=len(found),
        median_us=_quantile(delays, 0.5),
        p90_us=_quantile(delays, 0.9),
        share_never=1 - len(found) / len(delays),
        curve=_cumulative(found, len(delays)),
    )


def _quantile(delays: Float64[np.ndarray, " tracks"], share: float) -> float:
    delay = float(delays[math.ceil(share * len(delays)) - 1])
    return delay if math.isfinite(delay) else math.nan


def _cumulative(
    found: Float64[np.ndarray, " found"], num_tracks: int
) -> tuple[tuple[int, float], ...]:
    delays, first = np.unique(found, return_index=True)
    num_by_then = np.append(first[1:], len(found))
    kept = np.unique(np.linspace(0, len(delays) - 1, min(_MAX_POINTS, len(delays))).astype(int))
    return tuple((int(delays[i]), float(num_by_then[i] / num_tracks)) for i in kept)
