"""The label files of the recordings that batches play, at the labels' own times.

Batches hold the boxes of each frame, in pixels of the frame, for training. A protocol needs the
boxes as annotated: all label times of a bin, in pixels of the sensor, with the objects' stillness
and number of events.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from evdet.data import DatasetFolder, LabeledRecording, RecordingEntry, read_labels
from evdet.events import (
    AS_STATED,
    ReadOptions,
    RecordingError,
    SensorSize,
    count_events_inside,
    open_recording,
)
from evdet.labels import BoxRules, LabeledTimes, apply_classes, apply_rules, bins_of, choose_classes
from evdet.shapes import BoxEvents

__all__ = ["PlayedRecording", "count_events", "select_truth", "to_played"]


@dataclass(frozen=True, eq=False)
class PlayedRecording:
    """A recording as a loader plays it."""

    name: str
    path: Path
    size: SensorSize
    """The sensor whose pixels the labels are in."""
    first_bin: int
    """Index of the first played bin; bin 0 starts at time 0."""
    num_bins: int
    """Bins from the first event to the last label; later bins are padding."""
    labeled: LabeledTimes | None = None
    """The labels of the chosen classes, those that do not count among the boxes, with flags;
    `empty_times` holds all annotated times, also of other classes. None if only the batches'
    own labels are known."""
    options: ReadOptions = AS_STATED
    """How to read it."""


def to_played(
    videos: Sequence[LabeledRecording],
    folder: DatasetFolder,
    split: str,
    *,
    classes: Sequence[str] = (),
    frame_period: int | None = None,
) -> list[PlayedRecording]:
    """Read the label files of recordings that a loader plays.

    Args:
        videos: the loader's, in its order.
        folder: their data set.
        split: train, val or test.
        classes: the classes to score, as `choose_classes` takes them.
        frame_period: microseconds from one frame to the next, for labels numbered by frame.

    Returns:
        One per video. Ready-made frames may have irregular bins, so their labels stay those of
        the batches.

    Raises:
        LabelError: a label file cannot be understood.
    """
    entries = {entry.name: entry for entry in folder.splits[split]}
    choice = choose_classes(folder.label_map, classes)

    def labels_of(video: LabeledRecording, entry: RecordingEntry) -> LabeledTimes | None:
        if entry.kind == "frames":
            return None
        recording = open_recording(video.path, size=video.size, options=video.options)
        labeled = read_labels(entry, folder, recording, frame_period=frame_period)
        # A time is annotated even if all its objects are of other classes.
        annotated_times = np.union1d(labeled.boxes["t"], labeled.empty_times)
        boxes = apply_classes(labeled.flagged(), choice)[0]
        return LabeledTimes(boxes, annotated_times, labeled.counts)

    return [
        PlayedRecording(
            video.name,
            video.path,
            video.size,
            video.first_bin,
            video.num_bins,
            labels_of(video, entries[video.name]),
            video.options,
        )
        for video in videos
    ]


def select_truth(
    recording: PlayedRecording,
    annotated_bins: Int64[np.ndarray, " _"],
    *,
    delta_t: int,
    clips: bool,
    counts_events: bool,
) -> tuple[BoxEvents, Int64[np.ndarray, " _"]]:
    """Choose the labels of the bins that were scored.

    Args:
        recording: with its labels.
        annotated_bins: indices of the played bins that are labelled; bin 0 starts at time 0.
        delta_t: duration of a bin, in microseconds.
        clips: clip boxes to the sensor, and leave out those outside.
        counts_events: add the field `num_events`; the recording is read for it.

    Returns:
        The boxes in pixels of the sensor, and all annotated times.
    """
    labeled = recording.labeled or LabeledTimes.empty()
    boxes = labeled.boxes[np.isin(bins_of(labeled.boxes["t"], delta_t), annotated_bins)]
    boxes, _ = apply_rules(boxes, BoxRules(clip=clips), recording.size)
    times = labeled.empty_times
    times = times[np.isin(bins_of(times, delta_t), annotated_bins)]
    counts = count_events(recording, boxes, delta_t=delta_t) if counts_events else None
    if counts is not None:
        boxes = _with_field(boxes, "num_events", counts)
    return boxes, times


def count_events(
    recording: PlayedRecording, boxes: BoxEvents, *, delta_t: int
) -> Int64[np.ndarray, " _"] | None:
    """Count the events in each box in its time bin, reading the recording once.

    Args:
        recording: the recording to read.
        boxes: boxes in order of time, in pixels of the sensor.
        delta_t: duration of a bin, in microseconds.

    Returns:
        The counts; None if the recording is damaged before the last box.
    """
    counts = np.zeros(len(boxes), np.int64)
    if not len(boxes):
        return counts
    bins = bins_of(boxes["t"], delta_t)
    last = int(bins[-1])
    try:
        slices = open_recording(
            recording.path, size=recording.size, options=recording.options
        ).slices(delta_t, since=int(bins[0]) * delta_t)
        for time_bin in slices:
            index = time_bin.start // delta_t
            low, high = np.searchsorted(bins, [index, index + 1])
            if high > low:
                inside = boxes[low:high]
                counts[low:high] = count_events_inside(time_bin.events, inside, recording.size)
            if index >= last:
                break
    except RecordingError:
        return None
    return counts


def _with_field(boxes: BoxEvents, name: str, values: Int64[np.ndarray, " _"]) -> BoxEvents:
    joined = np.zeros(len(boxes), [*boxes.dtype.descr, (name, "<i8")])
    for field in boxes.dtype.names or ():
        joined[field] = boxes[field]
    joined[name] = values
    return joined
