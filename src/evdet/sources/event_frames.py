"""Bins of events -> frames for a detector, exactly as training makes them."""

from functools import partial

from evdet.events import SensorSize, TimeBin
from evdet.events.representations import representation_called
from evdet.sources.frame import StreamedFrame
from evdet.sources.frame_layout import FrameLayout, fit_events

__all__ = ["EventFrames"]


class EventFrames:
    """Makes the frames of one source.

    Args:
        name: the source, for messages.
        size: its sensor's size; one without pixels, as of a file without events, is taken for
            the frame's.
        preprocess: the representation.
        height: of the training's frames, in pixels.
        width: of the training's frames, in pixels.
        in_channels: channels of the training's frames.

    Raises:
        ValueError: there is no such representation, or it makes other frames.
    """

    def __init__(
        self,
        name: str,
        size: SensorSize,
        *,
        preprocess: str,
        height: int,
        width: int,
        in_channels: int,
    ) -> None:
        representation = representation_called(preprocess)
        if representation.num_channels != in_channels:
            raise ValueError(
                f"{preprocess} makes frames of {representation.num_channels} channels, and the "
                f"detector takes {in_channels}: give the preprocess that it was trained with"
            )
        frame = SensorSize(height, width)
        self.layout: FrameLayout = fit_events(name, size if min(size) else frame, frame)
        self._make = partial(representation.make, out_size=self.layout.shown)

    def make(self, time_bin: TimeBin, *, arrived: float | None = None) -> StreamedFrame:
        """Make the frame of one bin.

        Args:
            time_bin: its events.
            arrived: when it was complete, for a live source.

        Returns:
            The frame, stamped with the end of the bin.
        """
        start, delta_t, events = time_bin
        shown = self._make(events, self.layout.size, start=start, delta_t=delta_t)
        frame = self.layout.pad(shown)
        return StreamedFrame(start + delta_t, delta_t, frame, events, None, arrived)
