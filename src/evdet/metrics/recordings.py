"""Ground truth and detections of recordings, and the detections for each annotated time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64, Shaped

from evdet.metrics.frame_table import FrameTable, check_boxes, join_tables, to_box_table
from evdet.metrics.matching import match_boxes
from evdet.metrics.time_pairing import BoxesAtTimes, pair_spans, rows_within

__all__ = [
    "BoxEvents",
    "ScoredRecording",
    "check_recordings",
    "pair_late",
    "pair_own_bin",
    "tabulate_recording",
    "without_ignored",
]

BoxEvents = Shaped[np.ndarray, " _"]
"""`BOX_DTYPE` records, possibly with further fields."""


@dataclass(frozen=True, eq=False)
class ScoredRecording:
    """The boxes of one recording; class ids start at 1.

    All boxes are in the same pixels, and all times in microseconds from the same origin.
    """

    name: str
    truth: BoxEvents
    """`BOX_DTYPE` records in order of time, optionally with `still_us`, the time since the object
    last moved, `num_events`, the events of its time bin in the box, and the flags `is_ignored`, the
    box does not count, and `is_crowd`, it is a region of which any part may be found."""
    labeled_times: Int64[np.ndarray, " _"]
    """Every annotated time, in order; those without a box in `truth` are annotated as empty."""
    detections: BoxEvents
    """`BOX_DTYPE` records in order of time, stamped with the end of their time bin, optionally with
    `class_score`, the class score of a detector that has a separate objectness."""


def tabulate_recording(
    recording: ScoredRecording, found_at: BoxesAtTimes, *, ranking: str = "class_confidence"
) -> FrameTable:
    """Make a frame of each annotated time, unchecked.

    Args:
        recording: ground truth and detections.
        found_at: the detections for each annotated time; two times may share some.
        ranking: the field that detections are ranked by.
    """
    objects = rows_within(recording.labeled_times, recording.truth["t"], 0)
    return FrameTable(
        to_box_table(recording.truth[objects.rows], objects.frames, ranking=None),
        to_box_table(recording.detections[found_at.rows], found_at.frames, ranking=ranking),
        len(recording.labeled_times),
        np.zeros(1, np.int64),
    )


def pair_own_bin(recordings: Sequence[ScoredRecording], *, delta_t: int) -> FrameTable:
    """Pair each annotated time with the detections of its own time bin, as in training.

    A bin is stamped with its end and has the labels after its start, up to and including its end.
    A bin without detections has no stamp: a label is paired with the first stamp at its time or
    less than one bin later, or with nothing.

    Args:
        recordings: checked by `check_recordings`.
        delta_t: duration of a time bin in microseconds.
    """
    return _join(recordings, [_own_stamps(one, delta_t) for one in recordings])


def pair_late(recordings: Sequence[ScoredRecording], *, delta_t: int, latency: int) -> FrameTable:
    """Pair each annotated time with the newest time bin whose detections are ready by then.

    Times before the first bin is ready are paired with nothing.

    Args:
        recordings: checked by `check_recordings`.
        delta_t: duration of a time bin in microseconds; a newest bin without a stamp has no
            detections.
        latency: microseconds from the end of a time bin until its detections are ready.

    Source:
        `det/streaming_eval.py` of https://github.com/mtli/sAP (streaming average precision): a
        label is scored with the newest output that is not later, and with none before the first.
    """
    return _join(recordings, [_late_stamps(one, delta_t, latency) for one in recordings])


def check_recordings(
    recordings: Sequence[ScoredRecording], *, num_classes: int, delta_t: int
) -> None:
    """Refuse boxes that are unsorted, invalid or at times that are not annotated.

    Args:
        recordings: ground truth and detections.
        num_classes: the largest class id.
        delta_t: duration of a time bin in microseconds.

    Raises:
        ValueError: with the name of the recording.
    """
    if delta_t < 1:
        raise ValueError(f"delta_t must be at least 1 microsecond, got {delta_t}")
    for one in recordings:
        for kind, boxes in (("ground-truth boxes", one.truth), ("detections", one.detections)):
            what = f"{kind} of {one.name}"
            if (np.diff(boxes["t"]) < 0).any():
                raise ValueError(f"{what} are not in order of time: sort them by t")
            check_boxes(what, to_box_table(boxes), num_classes)
        if (np.diff(one.labeled_times) <= 0).any():
            raise ValueError(f"labeled_times of {one.name} must increase, without repeats")
        unknown = ~np.isin(one.truth["t"], one.labeled_times)
        if unknown.any():
            raise ValueError(
                f"{np.count_nonzero(unknown)} ground-truth boxes of {one.name} are at times that "
                f"are not in its labeled_times; the first at t={one.truth['t'][unknown][0]} us"
            )


def without_ignored(recording: ScoredRecording, *, delta_t: int) -> ScoredRecording:
    """Leave out the ground truth that does not count, and the detections that find nothing else.

    Detections and objects are matched as for average precision, at IoU 0.5.

    Args:
        recording: boxes with the flags `is_ignored` and `is_crowd`, or without them.
        delta_t: duration of a time bin in microseconds; 0 matches equal times only.
    """
    truth = recording.truth
    if "is_ignored" not in (truth.dtype.names or ()) or not truth["is_ignored"].any():
        return recording
    found_at = _spans(recording, _own_stamps(recording, max(1, delta_t)))
    table = tabulate_recording(recording, found_at)
    matches = match_boxes(table, max_detections=1 + len(found_at.rows), thresholds=(0.5,))
    # The last row stands for no object.
    is_ignored = np.append(table.truth.is_ignored, False)[matches.objects[0, 0]]
    kept = np.ones(len(recording.detections), bool)
    kept[found_at.rows[matches.rows[is_ignored]]] = False
    return replace(
        recording, truth=truth[~truth["is_ignored"]], detections=recording.detections[kept]
    )


def _own_stamps(one: ScoredRecording, delta_t: int) -> Int64[np.ndarray, " _"]:
    """The stamp for each annotated time, or -1 for none."""
    stamps = one.detections["t"]
    # Time 0 has no bin that ends there, so it belongs to the first one.
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
        tables.append(tabulate_recording(one, _spans(one, stamp)))
    return join_tables(tables)


def _spans(one: ScoredRecording, stamps: Int64[np.ndarray, " _"]) -> BoxesAtTimes:
    """The detections of each annotated time, which have its stamp."""
    # No detection has the stamp -1, so its span is empty.
    start = np.searchsorted(one.detections["t"], stamps)
    stop = np.searchsorted(one.detections["t"], stamps, side="right")
    return pair_spans(start, stop)
