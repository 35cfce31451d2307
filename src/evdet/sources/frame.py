"""What every source of frames for detection gives, one after the other."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol, runtime_checkable

from evdet.events import Events, SensorSize
from evdet.shapes import Frame, Picture

__all__ = ["FrameStream", "StreamedFrame"]


class StreamedFrame(NamedTuple):
    """One frame, and what it was made of."""

    t: int
    """What its boxes are stamped with, in microseconds: the end of its bin of events, or the
    moment at which a video shows it."""
    delta_t: int
    """Duration of its bin, in microseconds; of a picture, the time since the one before."""
    frame: Frame
    """The network's input, of the size, the channels and the type that training had."""
    events: Events | None = None
    """Those of its bin, in pixels of the source; None for pictures."""
    picture: Picture | None = None
    """The picture as the source has it, in red, green and blue; None for events."""
    arrived: float | None = None
    """When its bin was complete, on the clock of `time.monotonic`, in seconds: the time now less
    this is how late its boxes are. None where nobody waits for them: not a live source."""


@runtime_checkable
class FrameStream(Protocol):
    """A source that plays from start to end; every iteration but that of a live one plays anew."""

    @property
    def name(self) -> str:
        """Name of the source, for people and for files that are named after it."""

    @property
    def size(self) -> SensorSize:
        """The source, in its own pixels: boxes are handed back in these."""

    @property
    def frame_size(self) -> SensorSize:
        """What the whole source takes up in a frame, from its top left corner on.

        A box of a frame times `size / frame_size`, in each direction, is a box of the source. The
        frame can be larger, and is empty there: see frame_layout.py. Cut boxes at the source's
        edge afterwards.
        """

    @property
    def delta_t(self) -> int:
        """From one frame to the next, in microseconds; the mean of a video whose rate varies."""

    @property
    def num_frames(self) -> int | None:
        """Frames of one iteration, for progress bars.

        None where only playing tells; a video's header can be wrong about it.
        """

    def __iter__(self) -> Iterator[StreamedFrame]:
        """The frames, in order of time.

        Raises:
            RecordingError: the source is damaged; the frames before have been delivered.
        """
