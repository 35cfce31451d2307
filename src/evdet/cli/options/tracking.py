"""`--track` and the options of the tracker, and the line about boxes without a track."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from evdet.cli.options.parsing import (
    Flag,
    TrackerName,
    check_above,
    check_share,
    default,
)
from evdet.tracking import IOU_THRESH, START_THRESH, Tracker

__all__ = ["TrackingOptions", "chosen_start_thresh", "line_without_tracks"]

_SECOND = 1_000_000
_DEFAULT = "bytetrack"
_NEED_A_TRACKER = ("track_thresh", "track_iou_thresh", "track_lost_time")


@dataclass(frozen=True, kw_only=True)
class TrackingOptions:
    """How boxes become tracks."""

    track: Annotated[Flag, tyro.conf.arg(aliases=["--tracks"])] = False
    """Track objects, whose class is then that of most of their boxes, weighted by score."""
    tracker: Annotated[TrackerName, default(f"none; {_DEFAULT} with --track")] = "none"
    """Tracker."""
    track_thresh: Annotated[float | None, default("0.6, or a lower --score-thresh", "FLOAT")] = None
    """Lowest score in [0, 1] of a box that starts a track."""
    track_iou_thresh: Annotated[float | None, default("0.2", "FLOAT")] = None
    """Lowest IoU in [0, 1] of a box with the predicted box of its track."""
    track_lost_time: Annotated[float | None, default("1, or two time bins", "SECONDS")] = None
    """Time without a box after which a track ends, in seconds."""

    def check(self) -> None:
        """Refuse values out of range, options without a tracker, and a missing library.

        Raises:
            ValueError: the message names the option.
            TrackingUnavailableError: the library is not installed.
        """
        check_share(self, "track_thresh", "track_iou_thresh")
        check_above(0, self, "track_lost_time")
        if self._name is None:
            for name in _NEED_A_TRACKER:
                if getattr(self, name) is not None:
                    raise ValueError(f"--{name.replace('_', '-')} needs --track or --tracker")
        else:
            Tracker(self._name)

    def open_tracker(self, delta_t: int, score_thresh: float | None) -> Tracker | None:
        """Make the tracker; None if boxes are not tracked.

        Args:
            delta_t: duration of a time bin in microseconds.
            score_thresh: of `--score-thresh`; None if it is not given.

        Raises:
            ValueError: the message names the option.
        """
        if self._name is None:
            return None
        lost_time = None
        if self.track_lost_time is not None:
            lost_time = round(self.track_lost_time * _SECOND)
            if lost_time < delta_t:
                raise ValueError(
                    f"--track-lost-time {self.track_lost_time:g} is shorter than a time bin of "
                    f"{delta_t / _SECOND:g} s: tracks would end before their next box"
                )
        return Tracker(
            self._name,
            delta_t=delta_t,
            lost_time=lost_time,
            start_thresh=chosen_start_thresh(self.track_thresh, score_thresh),
            iou_thresh=IOU_THRESH if self.track_iou_thresh is None else self.track_iou_thresh,
        )

    @property
    def _name(self) -> str | None:
        if self.tracker == "none":
            return _DEFAULT if self.track else None
        return self.tracker


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
