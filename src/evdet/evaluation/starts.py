"""Where an evaluation begins to play each recording: a protocol may count from the first label."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from evdet.boxes import BOX_DTYPE, to_box_events
from evdet.data import LabeledRecording, SequentialClips, StreamLoader
from evdet.evaluation.played_recordings import PlayedRecording, select_truth
from evdet.evaluation.recording_results import scale_boxes, scale_of
from evdet.events import SensorSize
from evdet.labels import bins_of
from evdet.metrics import Protocol, ScoredRecording, keep_counted
from evdet.shapes import BoxEvents

__all__ = ["StartedRecordings", "begin_before_labels"]


class StartedRecordings(NamedTuple):
    """Recordings that are played from where a protocol begins."""

    loader: StreamLoader
    """Plays them."""
    played: list[PlayedRecording]
    """In the order of the loader, each from its start on."""
    notes: tuple[str, ...]
    """Which recordings are not played, and why."""


def begin_before_labels(
    loader: StreamLoader, played: Sequence[PlayedRecording], protocol: Protocol
) -> StartedRecordings:
    """Play recordings from where a protocol begins, with empty memory.

    With f the index of the first time bin with a label that counts, counted from the bin of the
    first event, and L the protocol's `start_before_label`, a recording is played from bin
    max(f - L + 1, 0). A label counts if it is scored: it has one of the loader's classes, passes
    the protocol's filters of time and size, and is of the last label time of its time bin. A
    recording without such a label is not played, since no detection in it is scored.

    Args:
        loader: plays recordings; it is not changed.
        played: its recordings, from `to_played`.
        protocol: one without a `start_before_label` plays all recordings from their first event.

    Raises:
        ValueError: the loader does not play recordings, as for Moving MNIST.
    """
    streams, num_frames = loader.streams, protocol.start_before_label
    if not isinstance(streams, SequentialClips):
        raise ValueError("only recordings begin before their labels, and this loader plays others")
    if num_frames is None:
        return StartedRecordings(loader, list(played), ())
    delta_t, (_, _, height, width) = streams.source.delta_t, streams.clip_shape
    starts: list[int | None] = []
    for video, recording in zip(streams.source.videos, played, strict=True):
        first = _first_counted(
            video, recording, protocol, delta_t=delta_t, frame=SensorSize(height, width)
        )
        starts.append(None if first is None else max(first - num_frames + 1, 0))
    unplayed = [one.name for one, start in zip(played, starts, strict=True) if start is None]
    return StartedRecordings(
        loader.with_streams(replace(streams, starts=starts)),
        [
            replace(one, first_bin=one.first_bin + start, num_bins=one.num_bins - start)
            for one, start in zip(played, (start or 0 for start in starts), strict=True)
        ],
        _notes(unplayed, protocol),
    )


def _first_counted(
    video: LabeledRecording,
    recording: PlayedRecording,
    protocol: Protocol,
    *,
    delta_t: int,
    frame: SensorSize,
) -> int | None:
    """Index of the first bin with a label that is scored, from the recording's first bin on."""
    bins = recording.first_bin + np.flatnonzero(video.labels.is_labeled)
    if recording.labeled is None:
        truth, times = _at_ends(video, delta_t), (bins + 1) * delta_t
    else:
        truth, times = select_truth(
            recording, bins, delta_t=delta_t, clips=protocol.clips_truth, counts_events=False
        )
    scale_boxes(truth, scale_of(protocol, video.size, sensor=video.size, frame=frame))
    labels = ScoredRecording(video.name, truth, times, np.zeros(0, BOX_DTYPE))
    counted = keep_counted(labels, protocol, delta_t=delta_t).labeled_times
    return int(bins_of(counted, delta_t)[0]) - recording.first_bin if len(counted) else None


def _at_ends(video: LabeledRecording, delta_t: int) -> BoxEvents:
    """The labels of ready-made frames, at the ends of their time bins."""
    labels = video.labels
    bins: Int64[np.ndarray, " _"] = np.repeat(
        video.first_bin + np.arange(video.num_bins), np.diff(labels.cuts)
    )
    boxes = to_box_events(labels.boxes[:, :4], labels.boxes[:, 4])
    boxes["t"] = (bins + 1) * delta_t
    return boxes


def _notes(unplayed: Sequence[str], protocol: Protocol) -> tuple[str, ...]:
    if not unplayed:
        return ()
    which = f"{len(unplayed):,} recordings" if len(unplayed) > 1 else "1 recording"
    names = ", ".join(unplayed[:_MOST_NAMES]) + (", ..." if len(unplayed) > _MOST_NAMES else "")
    return (f"not played, without a label that {protocol.name} counts: {which} ({names})",)


_MOST_NAMES = 5
