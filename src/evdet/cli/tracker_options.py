"""The lowest score that starts a track, and the line about boxes without a track."""

from evdet.tracking import START_THRESH, Tracker

__all__ = ["chosen_start_thresh", "line_without_tracks"]


def chosen_start_thresh(track_thresh: float | None, score_thresh: float | None) -> float:
    """Give the lowest score of a box that starts a track.

    Args:
        track_thresh: of `--track-thresh`; None if it is not given.
        score_thresh: of `--score-thresh`; None if it is not given. Boxes that were asked for may
            start tracks.
    """
    if track_thresh is not None:
        return track_thresh
    return START_THRESH if score_thresh is None else min(START_THRESH, score_thresh)


def line_without_tracks(tracker: Tracker) -> str | None:
    """Say in one line why boxes have no tracks; None if they have, or there are none."""
    reason = tracker.reason_without_tracks()
    if reason is None:
        return None
    is_low = tracker.best_score is not None and tracker.best_score < tracker.start_thresh
    return f"no tracks: {reason}" + (": lower --track-thresh" if is_low else "")
