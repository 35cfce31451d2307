"""open_live: events that are still arriving -> frames for a detector, each as its window closes."""

import logging
from collections.abc import Iterator
from pathlib import Path

from evdet.events import RecordingError, SensorSize
from evdet.events.live import BinaryStream, FollowedFile, LiveEvents, Pipe
from evdet.frame_spec import FrameSpec
from evdet.sources.event_frames import EventFrames
from evdet.sources.frame import StreamedFrame
from evdet.sources.frame_layout import LaidOut
from evdet.sources.noise_removal import NoiseRemoval
from evdet.sources.recording_source import check_event_detector

__all__ = ["MAX_BACKLOG", "MAX_DELAY", "STANDARD_INPUT", "LiveSource", "open_live"]

_log = logging.getLogger(__name__)

STANDARD_INPUT = "-"
"""What standard input is called where a file could be named."""
MAX_DELAY = 250_000
"""Microseconds after which the windows of a silent source close by the clock on the wall."""
MAX_BACKLOG = 10
"""When more complete windows than these wait, all but the newest are skipped."""


_HOT_PIXELS_STAY = (
    "%s: hot pixels stay in, though the training left them out: which they are can be told of "
    "recordings alone. Mask them in the camera."
)


class LiveSource(LaidOut):
    """The frames of a live source; a `FrameStream` that plays once. `open_live` makes it.

    Each frame's `arrived` tells when its window was complete: `time.monotonic() - frame.arrived`
    is how late its boxes are.

    Args:
        events: the source.
        spec: what the detector's frames are made of.
        name: of the source.
    """

    num_frames = None

    def __init__(
        self,
        events: LiveEvents,
        spec: FrameSpec,
        *,
        name: str,
    ) -> None:
        self.name = name
        self.delta_t = spec.delta_t
        self._events = events
        self._frames = EventFrames(events.name, events.size, spec)
        super().__init__(self._frames.layout)
        self._noise = NoiseRemoval(self.size, background_filter=spec.background_filter)

    @property
    def num_skipped(self) -> int:
        """Windows that were left out so far, because too many waited."""
        return self._events.num_skipped

    @property
    def num_late(self) -> int:
        """Events that were left out so far, because they came after their window was closed."""
        return self._events.num_late

    def __iter__(self) -> Iterator[StreamedFrame]:
        """Play the source from where it is, up to its end, `stop`, or Ctrl-C while it waits.

        Raises:
            RecordingError: the source is damaged, or not what it was any more; the frames before
                have been delivered.
        """
        for time_bin, arrived in self._events.slices():
            kept, _ = self._noise.clean(time_bin.events)
            yield self._frames.make(time_bin._replace(events=kept), arrived=arrived)

    def stop(self) -> None:
        """End the source: what has arrived is still delivered, and then the iteration ends.

        A signal handler may call it, so that Ctrl-C ends cleanly wherever it comes.
        """
        self._events.stop()


def open_live(
    source: Path | str | BinaryStream,
    spec: FrameSpec,
    *,
    size: SensorSize | None = None,
    follow: bool = False,
    idle_timeout: int | None = None,
    max_delay: int | None = MAX_DELAY,
    max_disorder: int = 0,
    max_backlog: int | None = MAX_BACKLOG,
) -> LiveSource:
    """Open events that are still arriving: DAT, RAW (EVT2, EVT2.1, EVT3) or text.

    It returns when the header has arrived. Windows are those of `Recording.slices`, from that of
    the first event on; times are as the source has them.

    Args:
        source: "-" is standard input; a file or a named pipe; or any binary stream.
        spec: what the detector's frames are made of: `detector.frame_spec`. A live source cannot
            find hot pixels: a warning says so.
        size: the sensor's size, where the source does not state it, or states it wrong.
        follow: go on when the end of the file is reached: somebody is writing it.
        idle_timeout: end when nothing was added to such a file for so long, in microseconds;
            None waits for ever.
        max_delay: a window closes with the first event or clock word after it. Where nothing
            comes at all for so many microseconds, it closes by the clock on the wall, so that a
            sensor that sees nothing still has frames. None waits for events.
        max_disorder: a window waits for events that step back in time by so many microseconds;
            later ones are left out, counted, and warned of.
        max_backlog: when more complete windows than these wait, whole windows are skipped, all
            but the newest, counted, and warned of. None lets the source wait, as for a file.

    Returns:
        The stream.

    Raises:
        ValueError: the detector was not trained on events, a value is out of range, or nobody
            says the sensor's size.
        RecordingError: the source is no recording that can be read while it arrives.
    """
    name, path = _name_of(source)
    if idle_timeout is not None and idle_timeout < 0:
        raise ValueError(f"idle_timeout must be 0 or more, got {idle_timeout} us")
    check_event_detector(f"{path or name} is a live source of events", spec.preprocess)
    if spec.remove_hot_pixels:
        _log.warning(_HOT_PIXELS_STAY, path or name)
    content = _open_bytes(source, name, path, follow=follow, idle_timeout=idle_timeout)
    events = LiveEvents(
        content,
        name=str(path or name),
        delta_t=spec.delta_t,
        size=size,
        max_disorder=max_disorder,
        max_delay=max_delay,
        max_backlog=max_backlog,
    )
    try:
        return LiveSource(events, spec, name=path.stem if path else name.replace(" ", "_"))
    except ValueError:
        events.stop()
        raise


def _name_of(source: Path | str | BinaryStream) -> tuple[str, Path | None]:
    """What a source is called, and its path if it is a file."""
    if isinstance(source, str | Path):
        if str(source) == STANDARD_INPUT:
            return "standard input", None
        return Path(source).name, Path(source)
    return "stream", None


def _open_bytes(
    source: Path | str | BinaryStream,
    name: str,
    path: Path | None,
    *,
    follow: bool,
    idle_timeout: int | None,
) -> FollowedFile | Pipe:
    if follow and path is None:
        raise ValueError(f"follow is for files that grow, and {name} is none: leave it out")
    if follow and path is not None:
        return FollowedFile(path, idle_timeout=None if idle_timeout is None else idle_timeout / 1e6)
    if path is not None:
        try:
            return Pipe(path.open("rb", buffering=0), str(path), closes=True)
        except OSError as error:
            raise RecordingError(
                f"{path} cannot be read: {error.strerror}. Is the name right?"
            ) from None
    return Pipe(None if isinstance(source, str | Path) else source, name)
