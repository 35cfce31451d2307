"""The events of a time bin -> a frame, for training and detection alike."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Shaped

from evdet.events import Recording, SensorSize, TimeBin
from evdet.events.files import skip_gaps
from evdet.events.representations import get_representation
from evdet.frame_spec import FrameSpec
from evdet.sources.frame import StreamedFrame
from evdet.sources.frame_layout import FrameLayout, fit_events
from evdet.sources.noise_removal import NoiseRemoval, find_hot_mask

__all__ = ["EventFrames", "clean_bins", "make_frame"]


def make_frame(
    time_bin: TimeBin, size: SensorSize, spec: FrameSpec, *, out_size: SensorSize
) -> Shaped[np.ndarray, "C H W"]:
    """Make the frame of one time bin.

    Args:
        time_bin: its events, with start and duration. Where it does not last as long as in
            training, its counts are scaled; see `FrameSpec.count_scale`.
        size: the sensor's size.
        spec: the event representation, and the duration of a time bin in training.
        out_size: the frame's size, at most the sensor's.

    Raises:
        ValueError: unknown representation, or an event lies outside the sensor or the bin.
    """
    start, delta_t, events = time_bin
    return get_representation(spec.preprocess).make(
        events,
        size,
        start=start,
        delta_t=delta_t,
        out_size=out_size,
        count_scale=spec.count_scale(delta_t),
    )


def clean_bins(
    recording: Recording, spec: FrameSpec, *, since: int | None = None
) -> Iterator[TimeBin]:
    """Cut a recording into time bins, filtered as in training.

    Args:
        recording: the recording; with `remove_hot_pixels` its first seconds are read first.
        spec: time bin, hot pixels and background filter of the detector.
        since: a time in the first bin, in microseconds; None is the first event. The background
            filter also reads the bins before that it needs.

    Yields:
        The bins, the empty ones too; but of a long gap only the first `MAX_EMPTY_BINS`.

    Raises:
        RecordingError: the recording is damaged; the bins before are delivered first.
    """
    hot = find_hot_mask(recording, spec.delta_t) if spec.remove_hot_pixels else None
    noise = NoiseRemoval(recording.size, hot, spec.background_filter)
    first = None if since is None else max(recording.start, since - noise.look_back(spec.delta_t))
    bins = recording.slices(spec.delta_t, since=first)
    for time_bin in skip_gaps(bins, str(recording.path)):
        events, _ = noise.clean(time_bin.events)
        if since is None or time_bin.start + spec.delta_t > since:
            yield time_bin._replace(events=events)


class EventFrames:
    """Makes the frames of one source.

    Args:
        name: the source, for messages.
        size: its sensor's size; without pixels, as of a file without events, the frame's is used.
        spec: the detector's frame spec.

    Raises:
        ValueError: unknown representation, or it makes frames with other channels.
    """

    def __init__(self, name: str, size: SensorSize, spec: FrameSpec) -> None:
        representation = get_representation(spec.preprocess)
        if representation.num_channels != spec.in_channels:
            raise ValueError(
                f"{spec.preprocess} makes frames of {representation.num_channels} channels, and "
                f"the detector takes {spec.in_channels}: give the preprocess that it was trained "
                "with"
            )
        frame = SensorSize(spec.height, spec.width)
        self.layout: FrameLayout = fit_events(name, size if min(size) else frame, frame)
        self._spec = spec

    def make(self, time_bin: TimeBin, *, arrived: float | None = None) -> StreamedFrame:
        """Make the frame of one bin, with the end of the bin as its time.

        Args:
            time_bin: its events.
            arrived: when it was complete, for a live source.
        """
        start, delta_t, events = time_bin
        size, out_size = self.layout.size, self.layout.shown
        frame = self.layout.pad(make_frame(time_bin, size, self._spec, out_size=out_size))
        return StreamedFrame(start + delta_t, delta_t, frame, events, None, arrived)
