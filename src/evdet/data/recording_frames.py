"""The recordings of a split, opened and labelled: frames are made of their events, bin by bin."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Shaped

from evdet.data.augment import Augmentation
from evdet.data.batch import ClipShape
from evdet.data.clips import BinFrame, BinGrid, LabeledRecording, label_bins
from evdet.data.folder import DatasetFolder, read_labels
from evdet.data.split_recordings import entries_of, log_labels
from evdet.events import Recording, RecordingError, SensorSize, TimeBin, open_recording
from evdet.events.representations import get_representation
from evdet.frame_spec import FrameSpec
from evdet.labels import BoxRules, LabeledTimes, bins_of, choose_classes
from evdet.sources import NoiseRemoval, find_hot_mask, make_frame

__all__ = ["RecordingFrames", "open_recordings"]

_log = logging.getLogger(__name__)

_MAX_BINS = 10_000_000
"""Almost 6 days in bins of 50 ms: a longer recording has times that are something else."""


@dataclass(frozen=True, kw_only=True)
class RecordingFrames:
    """Recordings of events; a `FrameSource`. `open_recordings` makes it.

    Nothing stays open: a recording is opened when it is played, in the process that plays it.

    Raises:
        ValueError: a value is out of range, or a frame would be larger than a sensor.
    """

    videos: Sequence[LabeledRecording]
    """The recordings."""
    spec: FrameSpec
    """What the frames are made of; height and width are at most the sensor's."""
    num_tbins: int = 12
    """Bins of a clip."""
    strict: bool = False
    """Raise where a recording is damaged, instead of playing silence."""
    broken: Mapping[str, str] = field(default_factory=dict)
    """Recordings that could not be opened, and why."""

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
        """Frames of bytes hold counts, and the network sees them as they are."""
        return 1

    @property
    def has_events(self) -> bool:
        """Augmentation may change events."""
        return True

    def frames(
        self,
        index: int,
        first: int,
        stop: int,
        *,
        augmentation: Augmentation,
        since: int | None = None,
    ) -> Iterator[BinFrame]:
        """Make the frames of some consecutive bins; see `FrameSource`.

        Args:
            index: number of the video.
            first: the first bin to show, counted from the first of the recording.
            stop: the bin to stop before; bins outside the recording are silent.
            augmentation: what happens to each frame.
            since: start reading here: damage from here on ends what can be seen.

        Returns:
            One per bin.

        Raises:
            RecordingError: `strict`, and the recording is damaged.
        """
        video = self.videos[index]
        begin = max(0, first if since is None else since)
        end = min(stop, video.num_bins)
        for _ in range(first, min(0, stop)):
            yield BinFrame(None)
        number, error = max(first, 0), ""
        noise = NoiseRemoval(video.size, video.hot, self.spec.background_filter)
        num_before = noise.look_back(self.delta_t) // self.delta_t
        try:
            for place, time_bin, problem in self._read(video, begin - num_before, begin, end):
                if place < first - num_before:
                    continue
                events, counts = noise.clean(time_bin.events)
                if place >= first:
                    frame = self._draw(video, place, time_bin._replace(events=events), augmentation)
                    yield BinFrame(frame, problem, counts)
                    number = place + 1
                error = problem
        except RecordingError as damage:
            if self.strict:
                raise
            error = str(damage)
        for _ in range(number, stop):
            yield BinFrame(None, error)

    def _read(
        self, video: LabeledRecording, before: int, begin: int, end: int
    ) -> Iterator[tuple[int, TimeBin, str]]:
        """The bins with their numbers, and with the last of all what is wrong behind it."""
        if begin >= end:
            return
        before = max(0, before)
        recording = open_recording(video.path, size=video.size)
        bins = recording.slices(self.delta_t, since=(video.first_bin + before) * self.delta_t)
        for number in range(before, end):
            time_bin = next(bins, None)
            if time_bin is None:
                raise RecordingError(
                    f"{video.path}: it ends {video.num_bins - number} bins earlier than when it "
                    "was opened. Is something writing to it?"
                )
            problem = ""
            if number == video.num_bins - 1:
                try:
                    next(bins, None)
                except RecordingError as damage:
                    if self.strict:
                        raise
                    problem = str(damage)
            yield number, time_bin, problem

    def _draw(
        self, video: LabeledRecording, number: int, time_bin: TimeBin, augmentation: Augmentation
    ) -> Shaped[np.ndarray, "C H W"]:
        start, delta_t, events = time_bin
        events = augmentation.apply_to_events(
            events, video.size, start=start, delta_t=delta_t, number=number
        )
        return make_frame(
            time_bin._replace(events=events),
            video.size,
            self.spec.preprocess,
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
    strict: bool = False,
) -> RecordingFrames:
    """Open the recordings of one split and sort their boxes into bins.

    A recording plays from the bin of its first event to that of its last label; boxes beyond its
    last event are counted as outside. One without a labelled bin is left out.

    Args:
        folder: the data set.
        split: train, val or test.
        spec: what the frames are made of. With `remove_hot_pixels`, the first seconds of every
            recording are read to find them.
        classes: what to train, as `choose_classes` takes it; none takes all.
        num_tbins: bins of a clip.
        rules: the boxes to use, in pixels of the sensor.
        sensor_size: where the files do not say it.
        frame_period: microseconds from one frame to the next, for labels numbered by frame.
        strict: raise where a recording cannot be opened or is damaged.

    Returns:
        The recordings; what was left out is logged.

    Raises:
        ValueError: the folder has no such split, or a value is out of range.
        LabelError: a label file cannot be understood.
        RecordingError: `strict`, and a recording cannot be opened.
    """
    choice, counts = choose_classes(folder.label_map, classes), Counter[str]()
    delta_t = spec.delta_t
    videos: list[LabeledRecording] = []
    broken: dict[str, str] = {}
    for entry in entries_of(folder, split, "events"):
        try:
            recording = open_recording(entry.recording, size=sensor_size)
            size, num_bins = recording.size, _count_bins(recording, delta_t)
            hot = find_hot_mask(recording, delta_t) if spec.remove_hot_pixels else None
        except RecordingError as error:
            if strict:
                raise
            broken[entry.name] = str(error)
            _log.warning("%s is left out. %s", entry.name, error)
            continue
        labeled = read_labels(entry, folder, recording, frame_period=frame_period)
        grid = _grid_of(recording, labeled, num_bins, delta_t)
        labels, changes = label_bins(labeled, choice, rules or BoxRules(), size, grid)
        counts.update(changes)
        counts["hot pixels"] += 0 if hot is None else int(hot.sum())
        videos.append(
            LabeledRecording(entry.name, entry.recording, size, grid.first_bin, labels, hot)
        )
    return RecordingFrames(
        videos=log_labels(split, videos, +counts),
        spec=spec,
        num_tbins=num_tbins,
        strict=strict,
        broken=broken,
    )


def _grid_of(recording: Recording, labeled: LabeledTimes, num_bins: int, delta_t: int) -> BinGrid:
    """The bins up to that of the last label: nothing is learnt of later ones."""
    times = np.concatenate([labeled.boxes["t"], labeled.empty_times])
    last = int(bins_of(times, delta_t).max(initial=-1))
    first = recording.start // delta_t
    return BinGrid(first, max(0, min(num_bins, last + 1 - first)), delta_t)


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
