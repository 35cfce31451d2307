"""A live detector that is too slow for its source: merging of waiting time bins against skipping.

    python -m benchmarks.live CHECKPOINT DATASET

A frame takes N times as long as a time bin. The time is that of the recordings, so that the numbers
do not depend on the machine. When the detector is free it takes the time bins that wait: "skip"
takes the newest and leaves out the others, as a detector that does not know time must; "merge"
makes one frame of all, and tells its true duration; "merge, untold" tells that of the training.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from evdet.boxes import BOX_DTYPE
from evdet.data import DatasetFolder, RecordingEntry, open_folder, read_labels
from evdet.detectors import open_detector
from evdet.events import Events, Recording, SensorSize, TimeBin, open_recording
from evdet.frame_spec import FrameSpec
from evdet.labels import apply_classes, choose_classes
from evdet.metrics import ScoredRecording, get_protocol, score_recordings
from evdet.models import DetectorProtocol
from evdet.pipeline import detect, frames_for
from evdet.shapes import BoxEvents
from evdet.sources import EventFrames, StreamedFrame

Policy = Literal["skip", "merge", "merge, untold"]
POLICIES: tuple[Policy, ...] = ("skip", "merge", "merge, untold")
SCORE_THRESH = 0.01


@dataclass(frozen=True, kw_only=True)
class OverloadedFrame:
    """Waiting time bins that the detector takes at once."""

    time_bin: TimeBin
    known: float
    """When its boxes are known, in microseconds of the recording."""
    num_bins: int
    """Time bins that it represents."""
    num_skipped: int
    """Time bins before it that were skipped."""


def overload(
    bins: Sequence[TimeBin], num_times: float, policy: Policy
) -> Iterator[OverloadedFrame]:
    """Play time bins to a detector that takes `num_times` the duration of a bin for a frame.

    Args:
        bins: consecutive time bins, empty ones too.
        num_times: how many times slower than the source the detector is.
        policy: what becomes of the bins that wait.
    """
    first, free = 0, 0.0
    while first < len(bins):
        delta_t = bins[first].delta_t
        # The first bin is waited for; all that are complete by then are taken.
        began = max(free, float(bins[first].start + delta_t))
        stop = first
        while stop < len(bins) and bins[stop].start + delta_t <= began:
            stop += 1
        free = began + num_times * delta_t
        taken = bins[stop - 1 : stop] if policy == "skip" else bins[first:stop]
        yield OverloadedFrame(
            time_bin=TimeBin(taken[0].start, len(taken) * delta_t, _join(taken)),
            known=free,
            num_bins=len(taken),
            num_skipped=stop - first - len(taken),
        )
        first = stop


def _join(bins: Sequence[TimeBin]) -> Events:
    return bins[0].events if len(bins) == 1 else np.concatenate([one.events for one in bins])


class OverloadedSource:
    """The frames of a recording for an overloaded detector; a `FrameStream`."""

    num_frames = None

    def __init__(
        self,
        recording: Recording,
        spec: FrameSpec,
        frames: Sequence[OverloadedFrame],
        *,
        told: bool,
    ) -> None:
        self.name = recording.path.stem
        self.delta_t = spec.delta_t
        self._makes = EventFrames(self.name, recording.size, spec)
        self._frames = frames
        self._told = told

    @property
    def size(self) -> SensorSize:
        """The sensor's size."""
        return self._makes.layout.size

    @property
    def frame_size(self) -> SensorSize:
        """The size of the recording in a frame."""
        return self._makes.layout.shown

    def __iter__(self) -> Iterator[StreamedFrame]:
        """The frames, with the duration that the detector is told."""
        for frame in self._frames:
            made = self._makes.make(frame.time_bin)
            yield made if self._told else made._replace(delta_t=self.delta_t)


class Played(NamedTuple):
    """A recording that was played to an overloaded detector."""

    truth: BoxEvents
    labeled_times: np.ndarray
    frames: Sequence[OverloadedFrame]
    found: Sequence[BoxEvents]
    """The boxes of each frame."""
    oldest: float
    """Largest age of boxes, in microseconds."""


def play(
    entry: RecordingEntry,
    folder: DatasetFolder,
    detector: DetectorProtocol,
    spec: FrameSpec,
    num_times: float,
    policy: Policy,
) -> Played:
    """Detect in a recording with an overloaded detector."""
    recording = open_recording(entry.recording)
    frames = list(overload(list(recording.slices(spec.delta_t)), num_times, policy))
    stream = OverloadedSource(recording, spec, frames, told=policy != "merge, untold")
    found = [one.boxes for one in detect(stream, detector, score_thresh=SCORE_THRESH)]
    labeled = read_labels(entry, folder, recording, frame_period=spec.delta_t)
    choice = choose_classes(folder.label_map, spec.class_names)
    truth = apply_classes(labeled.flagged(), choice)[0]
    times = np.union1d(labeled.boxes["t"], labeled.empty_times)
    ages = [one.known - one.time_bin.start - one.time_bin.delta_t for one in frames]
    return Played(truth, times, frames, found, max(ages, default=0.0))


def at_own_times(played: Played, delta_t: int) -> ScoredRecording:
    """The boxes of each frame with the labels of its last time bin; other labels do not count."""
    ends = np.array([one.time_bin.start + one.time_bin.delta_t for one in played.frames])
    frame_of = np.searchsorted(ends, played.labeled_times)
    kept = frame_of < len(ends)
    kept[kept] = ends[frame_of[kept]] - played.labeled_times[kept] < delta_t
    return _restamped(played, played.labeled_times[kept], frame_of[kept])


def at_all_times(played: Played) -> ScoredRecording:
    """The boxes that are known at the time of each label, of whatever frame they are."""
    known = np.array([one.known for one in played.frames])
    newest = np.searchsorted(known, played.labeled_times, side="right") - 1
    return _restamped(played, played.labeled_times, newest)


def _restamped(played: Played, times: np.ndarray, frame_of: np.ndarray) -> ScoredRecording:
    """The boxes of a frame for each label time; a frame below 0 has none."""
    parts = [np.zeros(0, BOX_DTYPE)]
    for time, frame in zip(times.tolist(), frame_of.tolist(), strict=True):
        if frame >= 0:
            boxes = played.found[frame].copy()
            boxes["t"] = time
            parts.append(boxes)
    truth = played.truth[np.isin(played.truth["t"], times)]
    return ScoredRecording("", truth, times, np.concatenate(parts))


def score(
    detector: DetectorProtocol,
    spec: FrameSpec,
    folder: DatasetFolder,
    entries: Sequence[RecordingEntry],
    num_times: float,
    policy: Policy,
) -> str:
    """One line of the table."""
    delta_t = spec.delta_t
    played = [play(entry, folder, detector, spec, num_times, policy) for entry in entries]
    protocol, names = get_protocol("coco"), spec.class_names
    own = score_recordings([at_own_times(one, delta_t) for one in played], names, protocol)
    late = score_recordings([at_all_times(one) for one in played], names, protocol)
    frames = [frame for one in played for frame in one.frames]
    num_skipped = sum(frame.num_skipped for frame in frames)
    share = num_skipped / (num_skipped + sum(frame.num_bins for frame in frames))
    age = max(one.oldest for one in played) / 1e3
    return (
        f"| {num_times:g}x | {policy} | {len(frames):,} | {share:.0%} | {own.map:.3f} | "
        f"{own.map50:.3f} | {late.map:.3f} | {late.map50:.3f} | {age:.0f} ms |"
    )


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", help="a checkpoint, or the folder of a run")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--split", default="test", choices=("train", "val", "test"))
    parser.add_argument("--overload", type=float, nargs="+", default=[1, 2, 5, 10])
    parser.add_argument("--delta-t", type=int, help="of a time bin; default: as in training")
    parser.add_argument("--max-recordings", type=int)
    options = parser.parse_args()
    detector = open_detector(options.checkpoint)
    spec = frames_for(detector, delta_t=options.delta_t)
    folder = open_folder(options.dataset)
    entries = folder.splits[options.split][: options.max_recordings]
    print(f"{len(entries)} recordings, time bins of {spec.delta_t:,} us")
    print(
        "| slower than the source | waiting bins | frames | skipped | mAP | mAP50 | mAP known | "
        "mAP50 known | age up to |\n|---|---|---|---|---|---|---|---|---|"
    )
    for num_times in options.overload:
        # Nothing waits for a detector that is as fast as the source.
        for policy in POLICIES if num_times > 1 else POLICIES[:1]:
            print(score(detector, spec, folder, entries, num_times, policy), flush=True)


if __name__ == "__main__":
    main()
