"""Ground truth and detections of recordings, and which detections answer which annotated time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, Shaped

from evdet.metrics.frame_table import FrameTable, check_boxes, join_tables, to_box_table
from evdet.metrics.time_pairing import BoxesAtTimes, pair_spans, rows_within

__all__ = [
    "BoxEvents",
    "ScoredRecording",
    "check_recordings",
    "pair_late",
    "pair_own_window",
    "tabulate_recording",
]

BoxEvents = Shaped[np.ndarray, " _"]
"""`BOX_DTYPE` records, perhaps with further fields."""


@dataclass(frozen=True, eq=False)
class ScoredRecording:
    """The boxes of one recording; ids are memory's, 1 being the first class.

    All boxes count in the same pixels, and all times in microseconds from the same origin.
    """

    name: str
    """The recording's name."""
    truth: BoxEvents
    """`BOX_DTYPE` records in order of time; where it is known with `still_us`, for how long the
    object has not moved, and `num_events`, how many events of its time bin lie in the box."""
    labeled_times: Int64[np.ndarray, " _"]
    """Every annotated time, in order; those without a box in `truth` are frames annotated as
    empty."""
    detections: BoxEvents
    """`BOX_DTYPE` records in order of time, stamped with the end of their time bin; where a
    detector has an objectness with `class_score`, the score of the class alone."""


def tabulate_recording(
    recording: ScoredRecording, answers: BoxesAtTimes, *, ranking: str = "class_confidence"
) -> FrameTable:
    """Make a frame of each annotated time.

    Args:
        recording: ground truth and detections.
        answers: which detections belong to which annotated time; two may share some.
        ranking: the field that detections are ranked by.

    Returns:
        The frames, not checked.
    """
    objects = rows_within(recording.labeled_times, recording.truth["t"], 0)
    return FrameTable(
        to_box_table(recording.truth[objects.rows], objects.frames, ranking=None),
        to_box_table(recording.detections[answers.rows], answers.frames, ranking=ranking),
        len(recording.labeled_times),
        np.zeros(1, np.int64),
    )


def pair_own_window(recordings: Sequence[ScoredRecording], *, delta_t: int) -> FrameTable:
    """Answer each annotated time with the window that it lies in, as in training.

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


def pair_late(recordings: Sequence[ScoredRecording], *, delta_t: int, latency: int) -> FrameTable:
    """Answer each annotated time with the newest window that was ready by then.

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
        recordings: ground truth and detections.
        num_classes: the largest class id.
        delta_t: duration of a window in microseconds.
    """
    if delta_t < 1:
        raise ValueError(f"delta_t must be at least 1 microsecond, got {delta_t}")
    for one in recordings:
        for kind, boxes in (("truth boxes", one.truth), ("detections", one.detections)):
            what = f"{kind} of {one.name}"
            if (np.diff(boxes["t"]) < 0).any():
                raise ValueError(f"{what} are not in order of time: sort them by t")
            check_boxes(what, to_box_table(boxes), num_classes)
        if (np.diff(one.labeled_times) <= 0).any():
            raise ValueError(f"labeled_times of {one.name} must rise: sort them, each time once")
        unknown = ~np.isin(one.truth["t"], one.labeled_times)
        if unknown.any():
            raise ValueError(
                f"{np.count_nonzero(unknown)} truth boxes of {one.name} lie at times that are "
                f"not among its labeled_times; the first at t={one.truth['t'][unknown][0]} us"
            )


def _own_stamps(one: ScoredRecording, delta_t: int) -> Int64[np.ndarray, " _"]:
    """The stamp that answers each annotated time, or -1 where nothing does."""
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
) -> FrameTable:
    tables = []
    for one, stamp in zip(recordings, stamps, strict=True):
        # No detection is stamped -1: nothing starts and ends there.
        start = np.searchsorted(one.detections["t"], stamp)
        stop = np.searchsorted(one.detections["t"], stamp, side="right")
        tables.append(tabulate_recording(one, pair_spans(start, stop)))
    return join_tables(tables)
