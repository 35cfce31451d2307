"""The labelled recordings of a split, whose events become frames, bin by bin."""

import dataclasses
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int64, Shaped

from evdet.data.augment import Augmentation
from evdet.data.batch import ClipShape
from evdet.data.clips import BinFrame, LabeledRecording, UnbinnedLabels, label_bins
from evdet.data.folder import DatasetFolder, read_labels
from evdet.data.label_clock import judge_clock
from evdet.data.split_recordings import entries_of, log_labels
from evdet.events import Recording, RecordingError, SensorSize, TimeBin, open_recording
from evdet.events.representations import get_representation
from evdet.frame_spec import FrameSpec
from evdet.labels import BoxRules, LabeledTimes, choose_classes
from evdet.sources import NoiseRemoval, find_hot_mask, make_frame

__all__ = ["RecordingFrames", "open_recordings"]

_log = logging.getLogger(__name__)

_MAX_BINS = 10_000_000
"""Almost 6 days in bins of 50 ms: in a longer recording, the times are not microseconds."""


@dataclass(frozen=True, kw_only=True)
class RecordingFrames:
    """Recordings of events; a `FrameSource`, made by `open_recordings`.

    No file stays open: a recording is opened when it is played, in the process that plays it.

    Raises:
        ValueError: a value is out of range, or a frame is larger than a sensor.
    """

    videos: Sequence[LabeledRecording]
    """The recordings."""
    spec: FrameSpec
    """The frames to make; height and width are at most the sensor's."""
    num_tbins: int = 12
    """Bins of a clip."""
    strict: bool = False
    """Raise for a damaged recording, instead of playing empty frames."""
    broken: Mapping[str, str] = field(default_factory=dict)
    """Recordings that could not be opened, and why."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Boxes left out or changed, by reason."""

    def __post_init__(self) -> None:
        if self.num_tbins < 1:
            raise ValueError(f"num_tbins must be at least 1, got {self.num_tbins}")
        spec = self.spec
        channels = get_representation(spec.preprocess).num_channels
        if spec.in_channels != channels:
            raise ValueError(
                f"{spec.preprocess} makes frames of {channels} channels, but in_channels is "
                f"{spec.in_channels}"
            )
        for video in self.videos:
            if video.size.height < spec.height or video.size.width < spec.width:
                raise ValueError(
                    f"frames of {SensorSize(spec.height, spec.width)} are larger than the sensor "
                    f"of {video.path}, {video.size}: lower height and width"
                )

    @property
    def clip_shape(self) -> ClipShape:
        """Shape (T, C, H, W) of a clip."""
        return self.num_tbins, self.spec.in_channels, self.spec.height, self.spec.width

    @property
    def delta_t(self) -> int:
        """Duration of a bin, in microseconds."""
        return self.spec.delta_t

    @property
    def dtype(self) -> np.dtype:
        """Type of the frames."""
        return np.dtype(get_representation(self.spec.preprocess).dtype)

    @property
    def byte_divisor(self) -> int:
        """1: frames of bytes hold counts, which the network takes unscaled."""
        return 1

    @property
    def has_events(self) -> bool:
        """True: augmentation may change events."""
        return True

    def num_bins_at(self, index: int, delta_t: int) -> int:
        """Count the bins of a recording in bins of another duration; see `AnyDuration`."""
        return _unbinned(self.videos[index]).grid(delta_t).num_bins

    def at(self, index: int, delta_t: int) -> "RecordingFrames":
        """Give one recording alone, in bins of another duration; see `AnyDuration`."""
        video = self.videos[index]
        unbinned = _unbinned(video)
        grid = unbinned.grid(delta_t)
        labels, _ = label_bins(unbinned.labeled, unbinned.choice, unbinned.rules, video.size, grid)
        video = dataclasses.replace(video, first_bin=grid.first_bin, labels=labels)
        return dataclasses.replace(self, videos=[video], spec=self.spec.at(delta_t))

    def frames(
        self,
        index: int,
        first: int,
        stop: int,
        *,
        augmentation: Augmentation,
        since: int | None = None,
    ) -> Iterator[BinFrame]:
        """Make the frames of consecutive bins; see `FrameSource`."""
        video = self.videos[index]
        begin = max(0, first if since is None else since)
        end = min(stop, video.num_bins)
        for _ in range(first, min(0, stop)):
            yield BinFrame(None)
        next_bin, error = max(first, 0), ""
        noise = NoiseRemoval(video.size, video.hot, self.spec.background_filter)
        num_before = noise.look_back(self.delta_t) // self.delta_t
        try:
            for bin_index, time_bin, problem in self._read(video, begin - num_before, begin, end):
                if bin_index < first - num_before:
                    continue
                events, counts = noise.clean(time_bin.events)
                if bin_index >= first:
                    time_bin = time_bin._replace(events=events)
                    frame = self._draw(video, bin_index, time_bin, augmentation)
                    yield BinFrame(frame, problem, counts)
                    next_bin = bin_index + 1
                error = problem
        except RecordingError as damage:
            if self.strict:
                raise
            error = str(damage)
        for _ in range(next_bin, stop):
            yield BinFrame(None, error)

    def _read(
        self, video: LabeledRecording, before: int, begin: int, end: int
    ) -> Iterator[tuple[int, TimeBin, str]]:
        """Index and bin, and with the recording's last bin any damage behind it."""
        if begin >= end:
            return
        before = max(0, before)
        recording = open_recording(
            video.path, size=video.size, options=video.options, reports_end=False
        )
        bins = recording.slices(self.delta_t, since=(video.first_bin + before) * self.delta_t)
        for bin_index in range(before, end):
            time_bin = next(bins, None)
            if time_bin is None:
                raise RecordingError(
                    f"{video.path}: it ends {video.num_bins - bin_index} bins earlier than when "
                    "it was opened. Is another program writing to it?"
                )
            problem = ""
            if bin_index == video.num_bins - 1:
                try:
                    next(bins, None)
                except RecordingError as damage:
                    if self.strict:
                        raise
                    problem = str(damage)
            yield bin_index, time_bin, problem

    def _draw(
        self, video: LabeledRecording, bin_index: int, time_bin: TimeBin, augmentation: Augmentation
    ) -> Shaped[np.ndarray, "C H W"]:
        start, delta_t, events = time_bin
        events = augmentation.apply_to_events(
            events, video.size, start=start, delta_t=delta_t, bin_index=bin_index
        )
        return make_frame(
            time_bin._replace(events=events),
            video.size,
            self.spec,
            out_size=SensorSize(self.spec.height, self.spec.width),
        )


def open_recordings(
    folder: DatasetFolder,
    split: str,
    spec: FrameSpec,
    *,
    classes: Sequence[str] = (),
    num_tbins: int = 12,
    rules: BoxRules | None = None,
    sensor_size: SensorSize | None = None,
    frame_period: int | None = None,
    any_duration: bool = False,
    strict: bool = False,
) -> RecordingFrames:
    """Open the recordings of one split and sort their boxes into bins.

    A recording plays from the bin of its first event to that of its last label; boxes after its
    last event are counted as outside. A recording without a labelled bin is left out.

    Args:
        folder: the data set.
        split: train, val or test.
        spec: the frames to make. With `remove_hot_pixels`, the first seconds of every recording
            are read to find hot pixels.
        classes: the classes to train, as `choose_classes` takes them; none takes all.
        num_tbins: bins of a clip.
        rules: the boxes to use, in pixels of the sensor.
        sensor_size: of recordings whose files do not contain it.
        frame_period: microseconds from one frame to the next, for labels numbered by frame.
        any_duration: keep what `RecordingFrames.at` needs: each label a second time.
        strict: raise for a recording that cannot be opened or is damaged.

    Returns:
        The recordings; what was left out is logged.

    Raises:
        ValueError: the folder does not have the split, or a value is out of range.
        LabelError: a label file cannot be understood.
        RecordingError: `strict`, and a recording cannot be opened.
    """
    choice, counts = choose_classes(folder.label_map, classes), Counter[str]()
    delta_t = spec.delta_t
    videos: list[LabeledRecording] = []
    broken: dict[str, str] = {}
    doubts: list[str] = []
    for entry in entries_of(folder, split, "events"):
        try:
            recording = open_recording(entry.recording, size=sensor_size, options=folder.options)
            _check_end(recording, strict=strict)
            size, num_bins = recording.size, _count_bins(recording, delta_t)
            if not num_bins:
                next(recording.blocks(), None)  # raises what is wrong with its first event
            hot = find_hot_mask(recording, delta_t) if spec.remove_hot_pixels else None
        except RecordingError as error:
            if strict:
                raise
            broken[entry.name] = str(error)
            _log.warning("%s is left out. %s", entry.name, error)
            continue
        labeled = read_labels(entry, folder, recording, frame_period=frame_period)
        clock = judge_clock(_times_of(labeled), recording, delta_t)
        if clock is not None and clock.is_problem:
            doubts.append(f"{entry.name}: {clock.text}")
        times = (recording.start, recording.end) if num_bins else (0, -1)
        unbinned = UnbinnedLabels(labeled, choice, rules or BoxRules(), *times)
        grid = unbinned.grid(delta_t)
        labels, changes = label_bins(labeled, choice, unbinned.rules, size, grid)
        counts.update(changes)
        counts["hot pixels"] += 0 if hot is None else int(hot.sum())
        kept = entry.name, entry.recording, size, grid.first_bin, labels, hot, folder.options
        videos.append(LabeledRecording(*kept, unbinned if any_duration else None))
    _warn_of_doubts(split, doubts)
    return RecordingFrames(
        videos=log_labels(split, videos, +counts),
        spec=spec,
        num_tbins=num_tbins,
        strict=strict,
        broken=broken,
        left_out=+counts,
    )


def _check_end(recording: Recording, *, strict: bool) -> None:
    if not recording.incomplete_end:
        return
    if strict:
        remedy = "Copy it again, or leave strict out."
        raise RecordingError(f"{recording.incomplete_end} {remedy}")
    _log.warning("%s It is left out; the events before are used.", recording.incomplete_end)


def _warn_of_doubts(split: str, doubts: Sequence[str]) -> None:
    if doubts:
        more = f" ({len(doubts):,} such recordings: evdet check lists them)"
        _log.warning("%s: the labels of %s%s", split, doubts[0], more if len(doubts) > 1 else "")


def _unbinned(video: LabeledRecording) -> UnbinnedLabels:
    if video.unbinned is None:
        raise ValueError(
            f"{video.path} was opened with time bins of one duration: open_recordings with "
            "any_duration keeps its labels for others"
        )
    return video.unbinned


def _times_of(labeled: LabeledTimes) -> Int64[np.ndarray, " _"]:
    return np.concatenate([labeled.boxes["t"], labeled.empty_times])


def _count_bins(recording: Recording, delta_t: int) -> int:
    """Bins from the first event to the last."""
    if not len(recording):
        return 0
    num_bins = recording.end // delta_t - recording.start // delta_t + 1
    if num_bins > _MAX_BINS:
        raise RecordingError(
            f"{recording.path}: it lasts from {recording.start} to {recording.end} us, which is "
            f"{num_bins} bins of {delta_t} us. Is its time in microseconds? Is the file damaged?"
        )
    return num_bins
