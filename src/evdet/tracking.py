"""Boxes -> tracks: which boxes of successive windows are one object's.

An adapter over the library `trackers`, which is loaded when a `Tracker` is made.
"""

from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from evdet.boxes import BOX_DTYPE
from evdet.shapes import BoxEvents

if TYPE_CHECKING:
    from supervision import Detections
    from trackers.core.base import BaseTracker

__all__ = ["TRACKERS", "Tracker", "TrackingUnavailableError", "from_supervision", "to_supervision"]


TRACKERS = ("bytetrack", "ocsort", "sort")
"""Names that `Tracker` knows."""

_SECOND = 1_000_000


class TrackingUnavailableError(RuntimeError):
    """A library of the extra `tracking` is missing; the message is one line that says so."""


class Tracker:
    """Numbers the objects in a stream of boxes, one window after another.

    Every class is tracked by itself, so that a track has one class; detectors select their boxes
    class by class, and two boxes on one object would fight for its track. Numbers are given once
    over all classes. They count from 1 in every tracker, whatever other trackers do.

    Boxes are handed back as the detector made them, in their order: tracks only lend them a
    number. A box that belongs to no track, or to one that is still too young to be believed in,
    keeps track id 0.

    Time is measured, not counted in windows: windows that were skipped, and a recording that
    pauses, age the tracks by what has passed.

    Args:
        name: one of `TRACKERS`. All three predict each object's box with a Kalman filter and pair
            boxes by overlap; "bytetrack" lets boxes with low scores extend tracks after the
            better boxes have chosen, "ocsort" heeds the direction of motion and repairs the
            filter after an object was hidden.
        delta_t: usual time between two updates in microseconds; the unit of the filter.
        lost_time: for how many microseconds a track without a box is kept; None is a second, or
            two windows where that is more.
        start_thresh: a box with a lower score starts no track; nor does it extend one in "ocsort".
        extend_thresh: a box with a lower score extends no track: detections for an evaluation
            hold many that nobody believes in. None takes two thirds of `start_thresh`.
        min_windows: the box of a track that is the first to get its number, from 2 on. More make
            fewer false tracks; "ocsort" then also asks for one less again after every miss.
        iou_thresh: least overlap of a box with where its track is expected.

    Raises:
        ValueError: an unknown name, or a value out of range.
        TrackingUnavailableError: the library is not installed.

    Source:
        SORT, ByteTrack and OC-SORT as trackers 2.6 has them, with links to their papers,
        https://github.com/roboflow/trackers.
    """

    def __init__(
        self,
        name: str,
        *,
        delta_t: int = 50_000,
        lost_time: int | None = None,
        start_thresh: float = 0.6,
        extend_thresh: float | None = None,
        min_windows: int = 2,
        iou_thresh: float = 0.2,
    ) -> None:
        if name not in TRACKERS:
            raise ValueError(f"there is no tracker {name!r}: choose from {', '.join(TRACKERS)}")
        self._name = name
        self._delta_t = delta_t
        self._lost_time = max(_SECOND, 2 * delta_t) if lost_time is None else lost_time
        self._start_thresh = start_thresh
        self._extend_thresh = 2 / 3 * start_thresh if extend_thresh is None else extend_thresh
        self._min_windows = min_windows
        self._iou_thresh = iou_thresh
        self._check()
        self._make()  # says at once what is missing
        self.reset()

    def reset(self) -> None:
        """Forget all tracks, as before a new recording: numbers start at 1, time anywhere."""
        self._followers: dict[int, _Follower] = {}
        self._num_tracks = 0
        self._first: int | None = None
        self._last: int | None = None

    def update(self, t: int, boxes: BoxEvents) -> BoxEvents:
        """Read the boxes of the next window, which may be none.

        Args:
            t: time of the window in microseconds; later than that of the previous call.
            boxes: its boxes, `BOX_DTYPE` records with time `t`, perhaps with further fields. A
                box without area, or with a value that is not finite, belongs to no track.

        Returns:
            A copy of the boxes with `track_id` set, from 1; 0 where a box has no track.

        Raises:
            ValueError: time does not go on, or a box has another time than `t`.
        """
        seconds = self._pass_time(t, boxes)
        usable = _is_usable(boxes) & (boxes["class_confidence"] >= self._extend_thresh)
        tracked = boxes.copy()
        tracked["track_id"] = 0
        # The tracks of a class grow older in windows without a box of that class, too.
        for label in sorted({*self._followers, *boxes["class_id"][usable].tolist()}):
            rows = np.flatnonzero(usable & (boxes["class_id"] == label))
            if label not in self._followers:
                self._followers[label] = _Follower(self._make(), {})
            tracked["track_id"][rows] = self._follow(self._followers[label], boxes[rows], seconds)
        return tracked

    def _follow(
        self, follower: "_Follower", boxes: BoxEvents, seconds: float
    ) -> Int64[np.ndarray, " _"]:
        library, numbers = follower
        track_ids = np.zeros(len(boxes), np.int64)
        if not len(boxes) and not library.tracks:
            return track_ids
        detections = to_supervision(boxes)
        detections.data["row"] = np.arange(len(boxes))
        result = library.update(detections, timestamp=seconds)
        # The library may change the order; it numbers from 0 and says -1 for no track.
        rows = np.asarray(result.data.get("row", []), np.int64).tolist()
        own_numbers = np.asarray(result.tracker_id).tolist()
        for row, own_number in zip(rows, own_numbers, strict=True):
            if own_number < 0:
                continue
            if own_number not in numbers:
                self._num_tracks += 1
                numbers[own_number] = self._num_tracks
            track_ids[row] = numbers[own_number]
        # Forget the dead: a recording of hours has any number of them.
        alive = {track.tracker_id for track in library.tracks}
        for own_number in numbers.keys() - alive:
            del numbers[own_number]
        return track_ids

    def _pass_time(self, t: int, boxes: BoxEvents) -> float:
        """Check the time of an update and give it in seconds since the first one."""
        if self._last is not None and t <= self._last:
            raise ValueError(
                f"time must go on from one update to the next, but {t} us follows {self._last} us: "
                "call reset() before another recording"
            )
        if (boxes["t"] != t).any():
            other = boxes["t"][boxes["t"] != t][0]
            raise ValueError(
                f"update({t}, boxes) got a box of time {other} us: give it the boxes of one "
                "window, stamped with the window's time"
            )
        self._last = t
        self._first = t if self._first is None else self._first
        # From the first update on: seconds since 1970 would leave few digits for a window.
        return (t - self._first) / _SECOND

    def _make(self) -> "BaseTracker":
        trackers = _load_trackers()
        shared = {
            "frame_rate": _SECOND / self._delta_t,
            # OC-SORT leaves the first box out when it counts.
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
        # The constructor counts thirtieths of a second. Half a microsecond against rounding.
        tracker.maximum_time_without_update = (self._lost_time + 0.5) / _SECOND
        return tracker

    def _check(self) -> None:
        if self._delta_t < 1:
            raise ValueError(f"delta_t must be at least 1 microsecond, got {self._delta_t}")
        if self._lost_time < self._delta_t:
            raise ValueError(
                f"lost_time must be at least delta_t, one window of {self._delta_t} us, got "
                f"{self._lost_time}: no track would live until its next box"
            )
        if self._min_windows < 2:
            raise ValueError(
                f"min_windows must be at least 2, got {self._min_windows}: one box makes no track"
            )
        for name, value, most in (
            ("start_thresh", self._start_thresh, 1),
            ("extend_thresh", self._extend_thresh, self._start_thresh),
            ("iou_thresh", self._iou_thresh, 1),
        ):
            if not 0 <= value <= most:
                raise ValueError(f"{name} must be from 0 to {most}, got {value}")


class _Follower(NamedTuple):
    """What follows one class: the library's tracker, and our numbers for its own."""

    tracker: "BaseTracker"
    numbers: dict[int, int]


def to_supervision(box_events: BoxEvents) -> "Detections":
    """Turn box events into the detections of the library supervision.

    Args:
        box_events: `BOX_DTYPE` records, of any times.

    Returns:
        `supervision.Detections` in the same order: `class_id` counts from 0 without background,
        as `class_names[class_id]` wants it; `tracker_id` is -1 where a box has no track, and
        None where none has one; `data["t"]` is the time in microseconds.

    Raises:
        TrackingUnavailableError: supervision is not installed.
    """
    # float64 keeps x + w exact, so that the way back finds w again.
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
    """Turn detections of the library supervision into box events.

    Args:
        detections: `class_id` counts from 0 without background; what is missing is taken for
            class 0, confidence 1 and no track.
        t: time in microseconds, where `data["t"]` does not say it.

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
    """Whether a box has an area and finite values: the library's filters stumble over others."""
    finite = np.ones(len(boxes), np.bool_)
    for name in ("x", "y", "w", "h", "class_confidence"):
        finite &= np.isfinite(boxes[name])
    return finite & (boxes["w"] > 0) & (boxes["h"] > 0)


def _load_trackers() -> ModuleType:
    # Both libraries use OpenCV: this door says what to do where it cannot be loaded.
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
