"""Boxes -> tracks: an adapter over the library `trackers`, loaded when a `Tracker` is made."""

from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from evdet.boxes import BOX_DTYPE
from evdet.shapes import BoxEvents

if TYPE_CHECKING:
    from supervision import Detections
    from trackers.core.base import BaseTracker

__all__ = [
    "START_THRESH",
    "TRACKERS",
    "Tracker",
    "TrackingUnavailableError",
    "from_supervision",
    "to_supervision",
]


TRACKERS = ("bytetrack", "ocsort", "sort")
"""The available trackers."""
START_THRESH = 0.6
"""Lowest score of a box that starts a track, unless told otherwise."""

_SECOND = 1_000_000


class TrackingUnavailableError(RuntimeError):
    """A library of the extra `tracking` is missing; the message is one line."""


class Tracker:
    """Assigns track ids to boxes, one time bin after another.

    Each class is tracked separately: detectors select boxes by class, and two boxes of different
    classes on one object would compete for its track. Ids start at 1 and are unique over all
    classes of a tracker.

    The boxes keep their values and order. A box without a track, or whose track has fewer than
    `min_windows` boxes, has track id 0.

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
            have many with low scores. None takes two thirds of `start_thresh`.
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
        iou_thresh: float = 0.2,
    ) -> None:
        if name not in TRACKERS:
            raise ValueError(f"unknown tracker {name!r}: choose from {', '.join(TRACKERS)}")
        self._name = name
        self._delta_t = delta_t
        self._lost_time = max(_SECOND, 2 * delta_t) if lost_time is None else lost_time
        self._start_thresh = start_thresh
        self._extend_thresh = 2 / 3 * start_thresh if extend_thresh is None else extend_thresh
        self._min_windows = min_windows
        self._iou_thresh = iou_thresh
        self._check()
        self._make()  # raises at once if the library is missing
        self.reset()

    def reset(self) -> None:
        """Forget all tracks, as before a new recording: ids start at 1 again, time anywhere."""
        self._class_trackers: dict[int, _ClassTracker] = {}
        self._num_tracks = 0
        self._best_score: float | None = None
        self._first: int | None = None
        self._last: int | None = None

    @property
    def start_thresh(self) -> float:
        """Lowest score of a box that starts a track."""
        return self._start_thresh

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
            A copy of the boxes with `track_id` set, from 1; 0 for a box without a track.

        Raises:
            ValueError: `t` is not later than before, or a box has another time than `t`.
        """
        seconds = self._pass_time(t, boxes)
        usable = _is_usable(boxes)
        if usable.any():
            best = float(boxes["class_confidence"][usable].max())
            self._best_score = best if self._best_score is None else max(best, self._best_score)
        usable &= boxes["class_confidence"] >= self._extend_thresh
        tracked = boxes.copy()
        tracked["track_id"] = 0
        # The tracks of a class also age in time bins without a box of that class.
        for label in sorted({*self._class_trackers, *boxes["class_id"][usable].tolist()}):
            rows = np.flatnonzero(usable & (boxes["class_id"] == label))
            if label not in self._class_trackers:
                self._class_trackers[label] = _ClassTracker(self._make(), {})
            tracker = self._class_trackers[label]
            tracked["track_id"][rows] = self._track_class(tracker, boxes[rows], seconds)
        return tracked

    def _track_class(
        self, class_tracker: "_ClassTracker", boxes: BoxEvents, seconds: float
    ) -> Int64[np.ndarray, " _"]:
        library, track_id_of = class_tracker
        track_ids = np.zeros(len(boxes), np.int64)
        if not len(boxes) and not library.tracks:
            return track_ids
        detections = to_supervision(boxes)
        detections.data["row"] = np.arange(len(boxes))
        result = library.update(detections, timestamp=seconds)
        # The library may change the order; its ids start at 0, and -1 means no track.
        rows = np.asarray(result.data.get("row", []), np.int64).tolist()
        library_ids = np.asarray(result.tracker_id).tolist()
        for row, library_id in zip(rows, library_ids, strict=True):
            if library_id < 0:
                continue
            if library_id not in track_id_of:
                self._num_tracks += 1
                track_id_of[library_id] = self._num_tracks
            track_ids[row] = track_id_of[library_id]
        # Ended tracks are removed: a recording of hours has very many.
        alive = {track.tracker_id for track in library.tracks}
        for library_id in track_id_of.keys() - alive:
            del track_id_of[library_id]
        return track_ids

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
        trackers = _load_trackers()
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


class _ClassTracker(NamedTuple):
    """The library's tracker of one class, and our track id for each of its ids."""

    tracker: "BaseTracker"
    track_id_of: dict[int, int]


def to_supervision(box_events: BoxEvents) -> "Detections":
    """Convert box events to the detections of the library supervision.

    Returns:
        `supervision.Detections` in the same order: `class_id` starts at 0 without background, as an
        index into `class_names`; `tracker_id` is -1 for a box without a track, and None if none
        has one; `data["t"]` is the time in microseconds.

    Raises:
        TrackingUnavailableError: supervision is not installed.
    """
    # float64 keeps x + w exact, so that converting back gives the same w.
    x, y, w, h = (box_events[name].astype(np.float64) for name in ("x", "y", "w", "h"))
    track_ids = box_events["track_id"].astype(np.int64)
    tracker_id = np.where(track_ids > 0, track_ids, -1) if track_ids.any() else None
    detections: Detections = _load_supervision().Detections(
        xyxy=np.stack([x, y, x + w, y + h], axis=-1),
        confidence=box_events["class_confidence"].copy(),
        class_id=box_events["class_id"].astype(np.int64) - 1,
        tracker_id=tracker_id,
        data={"t": box_events["t"].copy()},
    )
    return detections


def from_supervision(detections: "Detections", *, t: int = 0) -> BoxEvents:
    """Convert detections of the library supervision to box events.

    Args:
        detections: `class_id` starts at 0 without background; missing fields mean class 0,
            confidence 1 and no track.
        t: time in microseconds, if `data["t"]` is missing.

    Returns:
        `BOX_DTYPE` records in the same order.
    """
    corners = np.asarray(detections.xyxy, np.float64)
    box_events = np.zeros(len(corners), BOX_DTYPE)
    box_events["t"] = detections.data.get("t", t)
    box_events["x"], box_events["y"] = corners[:, 0], corners[:, 1]
    box_events["w"] = corners[:, 2] - corners[:, 0]
    box_events["h"] = corners[:, 3] - corners[:, 1]
    box_events["class_id"] = 1 if detections.class_id is None else detections.class_id + 1
    box_events["class_confidence"] = 1 if detections.confidence is None else detections.confidence
    if detections.tracker_id is not None:
        box_events["track_id"] = np.maximum(detections.tracker_id, 0)
    return box_events


def _is_usable(boxes: BoxEvents) -> Bool[np.ndarray, " _"]:
    """Whether a box has an area and finite values: the library's filters fail on others."""
    finite = np.ones(len(boxes), np.bool_)
    for name in ("x", "y", "w", "h", "class_confidence"):
        finite &= np.isfinite(boxes[name])
    return finite & (boxes["w"] > 0) & (boxes["h"] > 0)


def _load_trackers() -> ModuleType:
    # Both libraries use OpenCV: this import explains what to do if it cannot be loaded.
    import evdet.opencv  # noqa: F401

    try:
        import trackers
    except ImportError as error:
        raise _unavailable(error) from error
    return trackers


def _load_supervision() -> ModuleType:
    import evdet.opencv  # noqa: F401

    try:
        import supervision
    except ImportError as error:
        raise _unavailable(error) from error
    return supervision


def _unavailable(error: ImportError) -> TrackingUnavailableError:
    return TrackingUnavailableError(f"no tracking ({error}): pip install 'evdet[tracking]'")
