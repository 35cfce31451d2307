"""Which detections answer for which labelled time, in many recordings at once."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, Shaped

from evdet.boxes import BOX_DTYPE
from evdet.metrics.scored_recording import ScoredRecording
from evdet.metrics.time_pairing import pair_spans

__all__ = ["TimedFrames", "check_recordings", "pair_late", "pair_own_window"]


class TimedFrames(NamedTuple):
    """Every labelled time of every recording is one frame; they are numbered on and on."""

    truths: Shaped[np.ndarray, " N"]
    """The objects, `BOX_DTYPE`, recording by recording."""
    truth_frames: Int64[np.ndarray, " N"]
    """The frame of each."""
    truth_recordings: Int64[np.ndarray, " N"]
    """The recording of each."""
    detections: Shaped[np.ndarray, " M"]
    """The detections, `BOX_DTYPE`, frame by frame; two times in one window share its detections."""
    detection_frames: Int64[np.ndarray, " M"]
    """The frame of each."""
    num_frames: int
    """Labelled times, those without objects included."""


def pair_own_window(recordings: Sequence[ScoredRecording], *, delta_t: int) -> TimedFrames:
    """Answer each labelled time with the window that it lies in, as in training.

    A window is stamped with its end and takes the labels after its start up to its end. One
    that found nothing has left no stamp, so a label without a stamp from its own time until one
    window later is answered by nothing.

    Args:
        recordings: checked by `check_recordings`.
        delta_t: duration of a window in microseconds.

    Returns:
        All frames.
    """
    return _join(recordings, [_own_stamps(one, delta_t) for one in recordings])


def pair_late(recordings: Sequence[ScoredRecording], *, delta_t: int, latency: int) -> TimedFrames:
    """Answer each labelled time with the newest window that was ready by then.

    Args:
        recordings: checked by `check_recordings`.
        delta_t: duration of a window in microseconds; where the newest stamp that was ready is
            older than the newest window that was, that window found nothing.
        latency: microseconds from the end of a window until its detections are ready.

    Returns:
        All frames; those before the first window was ready are answered by nothing.

    Source:
        `det/streaming_eval.py` of https://github.com/mtli/sAP (streaming average precision):
        the newest output with a time of at most the label's answers, and none before the first.
    """
    return _join(recordings, [_late_stamps(one, delta_t, latency) for one in recordings])


def check_recordings(
    recordings: Sequence[ScoredRecording], *, num_classes: int, delta_t: int
) -> None:
    """Raise ValueError, with the recording's name, where truth and detections make no sense.

    Args:
        recordings: truth and detections.
        num_classes: the largest class id.
        delta_t: duration of a window in microseconds.
    """
    if delta_t < 1:
        raise ValueError(f"delta_t must be at least 1 microsecond, got {delta_t}")
    for one in recordings:
        _check_boxes(f"truth boxes of {one.name}", one.truth, num_classes)
        _check_boxes(f"detections of {one.name}", one.detections, num_classes)
        if (np.diff(one.labeled_times) <= 0).any():
            raise ValueError(f"labeled_times of {one.name} must rise: sort them, each time once")
        unknown = ~np.isin(one.truth["t"], one.labeled_times)
        if unknown.any():
            raise ValueError(
                f"{np.count_nonzero(unknown)} truth boxes of {one.name} lie at times that are "
                f"not among its labeled_times; the first at t={one.truth['t'][unknown][0]} us"
            )


def _check_boxes(what: str, boxes: Shaped[np.ndarray, " _"], num_classes: int) -> None:
    if (np.diff(boxes["t"]) < 0).any():
        raise ValueError(f"{what} are not in order of time: sort them by t")
    outside = (boxes["class_id"] < 1) | (boxes["class_id"] > num_classes)
    if outside.any():
        raise ValueError(
            f"{np.count_nonzero(outside)} {what} have a class id outside 1..{num_classes}; the "
            f"first is {boxes['class_id'][outside][0]}. In memory, id 1 is the first class name."
        )
    numbers = [boxes[name] for name in ("x", "y", "w", "h", "class_confidence")]
    bad = ~np.isfinite(numbers).all(axis=0) | (boxes["w"] < 0) | (boxes["h"] < 0)
    if bad.any():
        raise ValueError(
            f"{np.count_nonzero(bad)} {what} are not finite or have a negative side; the first "
            f"is at t={boxes['t'][bad][0]} us"
        )


def _own_stamps(one: ScoredRecording, delta_t: int) -> Int64[np.ndarray, " _"]:
    """The stamp that answers each labelled time, or -1 where nothing does."""
    stamps = one.detections["t"]
    # What lies at 0 has no window before it, so it belongs to the first one.
    times = np.maximum(one.labeled_times, 1)
    found = np.append(stamps, np.iinfo(np.int64).max)[np.searchsorted(stamps, times)]
    return np.where(found - times < delta_t, found, -1)


def _late_stamps(one: ScoredRecording, delta_t: int, latency: int) -> Int64[np.ndarray, " _"]:
    stamps = one.detections["t"]
    ready = one.labeled_times - latency
    newest = np.append(stamps, -1)[np.searchsorted(stamps, ready, side="right") - 1]
    return np.where(newest > ready - delta_t, newest, -1)


def _join(
    recordings: Sequence[ScoredRecording], stamps: Sequence[Int64[np.ndarray, " _"]]
) -> TimedFrames:
    num_frames = 0
    truths, truth_frames, found, detection_frames = [], [], [], []
    for one, stamp in zip(recordings, stamps, strict=True):
        truths.append(_plain(one.truth))
        truth_frames.append(num_frames + np.searchsorted(one.labeled_times, one.truth["t"]))
        # No detection is stamped -1: nothing starts and ends there.
        start = np.searchsorted(one.detections["t"], stamp)
        stop = np.searchsorted(one.detections["t"], stamp, side="right")
        answers = pair_spans(start, stop)
        found.append(_plain(one.detections)[answers.rows])
        detection_frames.append(num_frames + answers.frames)
        num_frames += len(one.labeled_times)
    return TimedFrames(
        truths=np.concatenate([np.zeros(0, BOX_DTYPE), *truths]),
        truth_frames=np.concatenate([np.zeros(0, np.int64), *truth_frames]),
        truth_recordings=np.repeat(np.arange(len(truths)), [len(boxes) for boxes in truths]),
        detections=np.concatenate([np.zeros(0, BOX_DTYPE), *found]),
        detection_frames=np.concatenate([np.zeros(0, np.int64), *detection_frames]),
        num_frames=num_frames,
    )


def _plain(boxes: Shaped[np.ndarray, " _"]) -> Shaped[np.ndarray, " _"]:
    """The same boxes without the fields that not every recording has."""
    plain = np.zeros(len(boxes), BOX_DTYPE)
    for name in BOX_DTYPE.names or ():
        plain[name] = boxes[name]
    return plain
