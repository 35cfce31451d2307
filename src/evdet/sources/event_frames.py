"""The one place where the events of a time bin become a frame."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Shaped

from evdet.events import Recording, SensorSize, TimeBin
from evdet.events.representations import get_representation
from evdet.frame_spec import FrameSpec
from evdet.sources.frame import StreamedFrame
from evdet.sources.frame_layout import FrameLayout, fit_events
from evdet.sources.noise_removal import NoiseRemoval, find_hot_mask

__all__ = ["EventFrames", "clean_bins", "make_frame"]


def make_frame(
    time_bin: TimeBin, size: SensorSize, preprocess: str, *, out_size: SensorSize
) -> Shaped[np.ndarray, "C H W"]:
    """Make the frame of one time bin: for training, detection, and the check of an export.

    Args:
        time_bin: its events, with start and duration.
        size: the sensor's size.
        preprocess: the event representation.
        out_size: the frame's size, at most the sensor's.

    Returns:
        The frame.

    Raises:
        ValueError: there is no such representation, or an event lies outside sensor or bin.
    """
    start, delta_t, events = time_bin
    representation = get_representation(preprocess)
    return representation.make(events, size, start=start, delta_t=delta_t, out_size=out_size)


def clean_bins(
    recording: Recording, spec: FrameSpec, *, since: int | None = None
) -> Iterator[TimeBin]:
    """Cut a recording into time bins, without the noise that training left out.

    Args:
        recording: the recording; with `remove_hot_pixels` its first seconds are read before.
        spec: time bin, hot pixels and background filter of the detector.
        since: a time in the first bin that is wanted, in microseconds; None is the first event.
            The background filter reads the bins before that it needs.

    Yields:
        The bins from that on, the empty ones too.

    Raises:
        RecordingError: the recording is damaged; the bins before have been delivered.
    """
    hot = find_hot_mask(recording, spec.delta_t) if spec.remove_hot_pixels else None
    noise = NoiseRemoval(recording.size, hot, spec.background_filter)
    first = None if since is None else max(recording.start, since - noise.look_back(spec.delta_t))
    for time_bin in recording.slices(spec.delta_t, since=first):
        events, _ = noise.clean(time_bin.events)
        if since is None or time_bin.start + spec.delta_t > since:
            yield time_bin._replace(events=events)


class EventFrames:
    """Makes the frames of one source.

    Args:
        name: the source, for messages.
        size: its sensor's size; one without pixels, as of a file without events, is taken for
            the frame's.
        spec: what the detector's frames are made of.

    Raises:
        ValueError: there is no such representation, or it makes other frames.
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
        self._preprocess = spec.preprocess

    def make(self, time_bin: TimeBin, *, arrived: float | None = None) -> StreamedFrame:
        """Make the frame of one bin.

        Args:
            time_bin: its events.
            arrived: when it was complete, for a live source.

        Returns:
            The frame, stamped with the end of the bin.
        """
        start, delta_t, events = time_bin
        size, out_size = self.layout.size, self.layout.shown
        frame = self.layout.pad(make_frame(time_bin, size, self._preprocess, out_size=out_size))
        return StreamedFrame(start + delta_t, delta_t, frame, events, None, arrived)
