"""Boxes -> tracks: an adapter over the library `trackers`, loaded when a `Tracker` is made."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int64

from evdet.nms import nms
from evdet.shapes import BoxEvents
from evdet.tracking.libraries import load_trackers
from evdet.tracking.supervision_boxes import to_supervision

if TYPE_CHECKING:
    from trackers.core.base import BaseTracker

__all__ = ["IOU_THRESH", "START_THRESH", "TRACKERS", "Tracker"]

TRACKERS = ("bytetrack", "ocsort", "sort")
"""The available trackers."""
START_THRESH = 0.6
"""Lowest score of a box that starts a track, unless told otherwise."""
IOU_THRESH = 0.2
"""Lowest IoU of a box and its track's predicted box, unless told otherwise."""

_SECOND = 1_000_000
_RIVAL_IOU = 0.6  # two boxes that overlap more are of one object
_VOTE_DECAY = 0.98  # per box: after 34 boxes a vote counts half, so that an error does not last


class Tracker:
    """Assigns track ids to boxes, one time bin after another.

    All classes are tracked together: an object whose class changes from one time bin to the next
    keeps its track. A track's class is the one with the highest sum of scores over its boxes, of
    which newer ones weigh more, and its boxes get this class. Where boxes of several classes lie on
    one object, only the best extends its track. Ids start at 1.

    The boxes keep their order and, except for the class, their values. A box without a track, or
    whose track has fewer than `min_windows` boxes, has track id 0.

    Tracks age by time, not by the number of updates: skipped time bins and pauses count.

    Args:
        name: one of `TRACKERS`. All three predict each object's box with a Kalman filter and match
            boxes by overlap. "bytetrack" matches boxes with low scores in a second step; "ocsort"
            uses the direction of motion and corrects the filter after an occlusion.
        delta_t: usual time between two updates in microseconds; the unit of the filter.
        lost_time: microseconds for which a track without a box is kept; None is a second, or two
            time bins if that is longer.
        start_thresh: lowest score of a box that starts a track, and in "ocsort" that extends one.
        extend_thresh: lowest score of a box that extends a track; detections for an evaluation
            have many with low scores. None takes a third of `start_thresh`.
        min_windows: boxes of a track before it gets its id, at least 2. More make fewer false
            tracks; "ocsort" also requires one less again after every miss.
        iou_thresh: lowest IoU of a box and its track's predicted box.

    Raises:
        ValueError: the name is unknown, or a value is out of range.
        TrackingUnavailableError: the library is not installed.

    Source:
        SORT, ByteTrack and OC-SORT as in trackers 2.6, with links to their papers,
        https://github.com/roboflow/trackers.
    """

    def __init__(
        self,
        name: str,
        *,
        delta_t: int = 50_000,
        lost_time: int | None = None,
        start_thresh: float = START_THRESH,
        extend_thresh: float | None = None,
        min_windows: int = 2,
        iou_thresh: float = IOU_THRESH,
    ) -> None:
        if name not in TRACKERS:
            raise ValueError(f"unknown tracker {name!r}: choose from {', '.join(TRACKERS)}")
        self._name = name
        self._delta_t = delta_t
        self._lost_time = max(_SECOND, 2 * delta_t) if lost_time is None else lost_time
        self._start_thresh = start_thresh
        self._extend_thresh = start_thresh / 3 if extend_thresh is None else extend_thresh
        self._min_windows = min_windows
        self._iou_thresh = iou_thresh
        self._check()
        self.reset()  # raises at once if the library is missing

    def reset(self) -> None:
        """Forget all tracks, as before a new recording: ids start at 1 again, time anywhere."""
        self._library = self._make()
        self._tracks: dict[int, _Track] = {}
        self._num_tracks = 0
        self._best_score: float | None = None
        self._first: int | None = None
        self._last: int | None = None

    @property
    def start_thresh(self) -> float:
        """Lowest score of a box that starts a track."""
        return self._start_thresh

    @property
    def name(self) -> str:
        """Its name in `TRACKERS`."""
        return self._name

    @property
    def extend_thresh(self) -> float:
        """Lowest score of a box that extends a track."""
        return self._start_thresh if self._name == "ocsort" else self._extend_thresh

    @property
    def rules(self) -> str:
        """When tracks start, go on and end, in words."""
        return (
            f"starts from score {self._start_thresh:.2g} on, goes on from score "
            f"{self.extend_thresh:.2g} and "
            f"IoU {self._iou_thresh:.2g} on, ends after {self._lost_time / _SECOND:.2g} s without "
            "a box"
        )

    @property
    def best_score(self) -> float | None:
        """Highest score of all boxes since the start or `reset`; None without boxes."""
        return self._best_score

    def reason_without_tracks(self) -> str | None:
        """Say why none of the boxes so far has a track.

        Returns:
            The reason, in words; None if there are tracks, or no boxes.
        """
        if self._num_tracks or self._best_score is None:
            return None
        if self._best_score < self._start_thresh:
            return (
                f"the best box has score {self._best_score:.2g}, and tracks start from score "
                f"{self._start_thresh:g} on"
            )
        return (
            f"no object has boxes in {self._min_windows} time bins in a row that overlap with an "
            f"IoU of {self._iou_thresh:g} or more"
        )

    def update(self, t: int, boxes: BoxEvents) -> BoxEvents:
        """Track the boxes of the next time bin.

        Args:
            t: time of the bin in microseconds; later than that of the previous call.
            boxes: its boxes, `BOX_DTYPE` records with time `t`, possibly none or with further
                fields. A box without area, or with a value that is not finite, gets no track.

        Returns:
            A copy of the boxes with `track_id` set, from 1, and the class of the track; 0 for a
            box without a track.

        Raises:
            ValueError: `t` is not later than before, or a box has another time than `t`.
        """
        seconds = self._pass_time(t, boxes)
        usable = _is_usable(boxes)
        if usable.any():
            best = float(boxes["class_confidence"][usable].max())
            self._best_score = best if self._best_score is None else max(best, self._best_score)
        usable &= boxes["class_confidence"] >= self._extend_thresh
        rows = _without_rivals(boxes, np.flatnonzero(usable))
        tracked = boxes.copy()
        tracked["track_id"] = 0
        for row, track in self._follow(boxes[rows], seconds):
            box = tracked[rows[row]]
            box["track_id"] = track.track_id
            box["class_id"] = track.vote(int(box["class_id"]), float(box["class_confidence"]))
        return tracked

    def _follow(self, boxes: BoxEvents, seconds: float) -> list[tuple[int, "_Track"]]:
        """The track of each box that has one, by the box's index."""
        # Tracks also age in time bins without boxes.
        if not len(boxes) and not self._library.tracks:
            return []
        detections = to_supervision(boxes)
        detections.data["row"] = np.arange(len(boxes))
        result = self._library.update(detections, timestamp=seconds)
        # The library may change the order; its ids start at 0, and -1 means no track.
        rows = np.asarray(result.data.get("row", []), np.int64).tolist()
        library_ids = np.asarray(result.tracker_id).tolist()
        found = []
        for row, library_id in zip(rows, library_ids, strict=True):
            if library_id < 0:
                continue
            if library_id not in self._tracks:
                self._num_tracks += 1
                self._tracks[library_id] = _Track(self._num_tracks, {})
            found.append((row, self._tracks[library_id]))
        # Ended tracks are removed: a recording of hours has very many.
        alive = {track.tracker_id for track in self._library.tracks}
        for library_id in self._tracks.keys() - alive:
            del self._tracks[library_id]
        return found

    def _pass_time(self, t: int, boxes: BoxEvents) -> float:
        """Check the time of an update and return it in seconds since the first one."""
        if self._last is not None and t <= self._last:
            raise ValueError(
                f"time must increase from update to update, but {t} us follows {self._last} us: "
                "call reset() before another recording"
            )
        if (boxes["t"] != t).any():
            other = boxes["t"][boxes["t"] != t][0]
            raise ValueError(
                f"update({t}, boxes) got a box of time {other} us: give it the boxes of one time "
                "bin, stamped with its time"
            )
        self._last = t
        self._first = t if self._first is None else self._first
        # Since the first update: seconds since 1970 would leave few digits for a time bin.
        return (t - self._first) / _SECOND

    def _make(self) -> "BaseTracker":
        trackers = load_trackers()
        shared = {
            "frame_rate": _SECOND / self._delta_t,
            # OC-SORT does not count the first box.
            "minimum_consecutive_frames": self._min_windows - (self._name == "ocsort"),
            "minimum_iou_threshold": self._iou_thresh,
        }
        start_thresh = self._start_thresh
        tracker: BaseTracker
        if self._name == "sort":
            tracker = trackers.SORTTracker(track_activation_threshold=start_thresh, **shared)
        elif self._name == "bytetrack":
            tracker = trackers.ByteTrackTracker(
                track_activation_threshold=start_thresh,
                high_conf_det_threshold=start_thresh,
                **shared,
            )
        else:
            tracker = trackers.OCSORTTracker(high_conf_det_threshold=start_thresh, **shared)
        # The constructor's unit is 1/30 second. Half a microsecond against rounding.
        tracker.maximum_time_without_update = (self._lost_time + 0.5) / _SECOND
        return tracker

    def _check(self) -> None:
        if self._delta_t < 1:
            raise ValueError(f"delta_t must be at least 1 microsecond, got {self._delta_t}")
        if self._lost_time < self._delta_t:
            raise ValueError(
                f"lost_time must be at least delta_t, {self._delta_t} us, got {self._lost_time}: "
                "tracks would end before their next box"
            )
        if self._min_windows < 2:
            raise ValueError(
                f"min_windows must be at least 2, got {self._min_windows}: one box is not a track"
            )
        for name, value, most in (
            ("start_thresh", self._start_thresh, 1),
            ("extend_thresh", self._extend_thresh, self._start_thresh),
            ("iou_thresh", self._iou_thresh, 1),
        ):
            if not 0 <= value <= most:
                raise ValueError(f"{name} must be from 0 to {most}, got {value}")


class _Track(NamedTuple):
    """A track of the library."""

    track_id: int
    """Our id."""
    votes: dict[int, float]
    """For each class the sum of its boxes' scores, of which older ones weigh less."""

    def vote(self, class_id: int, score: float) -> int:
        """Count a box and return the class with the most votes."""
        for known in self.votes:
            self.votes[known] *= _VOTE_DECAY
        self.votes[class_id] = self.votes.get(class_id, 0.0) + score
        return max(self.votes, key=self.votes.__getitem__)


def _without_rivals(boxes: BoxEvents, rows: Int64[np.ndarray, " _"]) -> Int64[np.ndarray, " _"]:
    """The rows without those of another class on an object that has a better box."""
    chosen = boxes[rows]
    if len(set(chosen["class_id"].tolist())) < 2:
        return rows
    corners = np.stack([chosen[name].astype(np.float32) for name in ("x", "y", "w", "h")], axis=1)
    corners[:, 2:] += corners[:, :2]
    scores = torch.from_numpy(chosen["class_confidence"].copy())
    kept: Int64[np.ndarray, " _"] = nms(torch.from_numpy(corners), scores, _RIVAL_IOU).numpy()
    left: Int64[np.ndarray, " _"] = rows[np.sort(kept)]
    return left


def _is_usable(boxes: BoxEvents) -> Bool[np.ndarray, " _"]:
    """Whether a box has an area and finite values: the library's filters fail on others."""
    finite = np.ones(len(boxes), np.bool_)
    for name in ("x", "y", "w", "h", "class_confidence"):
        finite &= np.isfinite(boxes[name])
    return finite & (boxes["w"] > 0) & (boxes["h"] > 0)
