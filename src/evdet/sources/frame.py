"""The interface of a source of frames for detection."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol, runtime_checkable

from evdet.events import Events, SensorSize
from evdet.shapes import Frame, Picture

__all__ = ["FrameStream", "StreamedFrame"]


class StreamedFrame(NamedTuple):
    """One frame, and the events or picture it was made of."""

    t: int
    """Time of its boxes, in microseconds: the end of its time bin, or the time at which a video
    shows it."""
    delta_t: int
    """Duration of its bin, in microseconds; for a picture, the time since the one before."""
    frame: Frame
    """The network's input, with the size, channels and type of training."""
    events: Events | None = None
    """The events of its bin, in pixels of the source; None for pictures."""
    picture: Picture | None = None
    """The picture of the source, RGB; None for events."""
    arrived: float | None = None
    """When its bin was complete, in seconds on the clock of `time.monotonic`: the latency of its
    boxes is the current time minus this. None for sources that are not live."""


@runtime_checkable
class FrameStream(Protocol):
    """A source of frames; each iteration starts at the beginning, except for a live source."""

    @property
    def name(self) -> str:
        """Name of the source, for display and for output files."""

    @property
    def size(self) -> SensorSize:
        """The source's size in its own pixels, the coordinates of returned boxes."""

    @property
    def frame_size(self) -> SensorSize:
        """The size that the whole source has in a frame, from the top left corner on.

        A box of a frame times `size / frame_size`, in each direction, is a box of the source. The
        frame can be larger, with an empty rest: see frame_layout.py. Clip boxes to the source
        afterwards.
        """

    @property
    def delta_t(self) -> int:
        """Time between frames, in microseconds; the mean for a video with a varying rate."""

    @property
    def num_frames(self) -> int | None:
        """Frames of one iteration, for progress bars; a video's header can be wrong.

        None where it is not known in advance.
        """

    def __iter__(self) -> Iterator[StreamedFrame]:
        """The frames, in order of time.

        Raises:
            RecordingError: the source is damaged; the frames before are delivered first.
        """
