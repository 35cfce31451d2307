"""open_live: events that are still arriving -> frames for a detector, as each time bin closes."""

import logging
from collections.abc import Iterator
from pathlib import Path

from evdet.events import AS_STATED, ReadOptions, RecordingError, SensorSize
from evdet.events.live import BinaryStream, FollowedFile, LiveEvents, Pipe, WaitingBins
from evdet.frame_spec import FrameSpec
from evdet.sources.event_frames import EventFrames
from evdet.sources.frame import StreamedFrame
from evdet.sources.frame_layout import LaidOut
from evdet.sources.noise_removal import NoiseRemoval
from evdet.sources.recording_source import check_event_detector

__all__ = ["MAX_BACKLOG", "MAX_DELAY", "STANDARD_INPUT", "LiveSource", "open_live"]

_log = logging.getLogger(__name__)

STANDARD_INPUT = "-"
"""The name of standard input."""
MAX_DELAY = 250_000
"""Microseconds after which time bins close by the wall clock if no events come."""
MAX_BACKLOG = 10
"""When more complete time bins wait, all but the newest are skipped."""


_HOT_PIXELS_STAY = (
    "%s: hot pixels are not removed, unlike in training: they can only be found in a recording. "
    "Mask them in the camera."
)


class LiveSource(LaidOut):
    """The frames of a live source; a `FrameStream` for one iteration. `open_live` makes it.

    `time.monotonic() - frame.arrived` is the latency of a frame's boxes.

    Args:
        events: the source.
        spec: the detector's frame spec.
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
        """Time bins skipped so far, because too many waited or they were too old."""
        return self._events.num_skipped

    @property
    def num_late(self) -> int:
        """Events dropped so far, because they came after their time bin was closed."""
        return self._events.num_late

    @property
    def merges(self) -> bool:
        """Whether time bins that wait become one frame, for detectors that know time."""
        return self._events.merges

    def __iter__(self) -> Iterator[StreamedFrame]:
        """Read the source from its position, up to its end, `stop`, or Ctrl-C while it waits.

        Raises:
            RecordingError: the source is damaged, removed or replaced; the frames before are
                delivered first.
        """
        for time_bin, arrived in self._events.slices():
            kept, _ = self._noise.clean(time_bin.events)
            yield self._frames.make(time_bin._replace(events=kept), arrived=arrived)

    def stop(self) -> None:
        """End the source: the iteration delivers what has arrived, and ends.

        A signal handler may call it.
        """
        self._events.stop()


def open_live(
    source: Path | str | BinaryStream,
    spec: FrameSpec,
    *,
    size: SensorSize | None = None,
    options: ReadOptions = AS_STATED,
    follow: bool = False,
    idle_timeout: int | None = None,
    max_delay: int | None = MAX_DELAY,
    max_disorder: int = 0,
    max_backlog: int | None = MAX_BACKLOG,
    max_age: int | None = None,
    waiting: WaitingBins = "merge",
    frame_time: int | None = None,
) -> LiveSource:
    """Open events that are still arriving: DAT, RAW (EVT2, EVT2.1, EVT3) or text.

    It returns when the header has arrived. The time bins are those of `Recording.slices`; times
    are those of the source.

    Args:
        source: "-" for standard input, a file, a named pipe, or a binary stream.
        spec: the detector's frame spec. Hot pixels cannot be removed; a warning is logged.
        size: the sensor's size, where the source does not state it or states it incorrectly.
        options: how to read what the source leaves open.
        follow: wait for more at the end of the file, for a file that is being written.
        idle_timeout: microseconds without new bytes after which `follow` ends; None waits
            forever.
        max_delay: a time bin closes with the first event or clock word after it. Without any data
            it closes by the wall clock, N microseconds after its end, so that there are frames
            without events. None waits for events.
        max_disorder: a time bin waits for events that step back in time by up to N microseconds;
            later ones are dropped and counted, with a warning.
        max_backlog: when more complete time bins wait, all but the newest are skipped and counted,
            with a warning. None makes the source wait, as for a file. Not used with `max_age`.
        max_age: bound on the age of boxes, in microseconds from when the last time bin of their
            frame was complete until the next frame is asked for. A bound that cannot be held is
            logged before it is broken. None sets none.
        waiting: what becomes of time bins that wait, with `max_age`. "merge" makes them one frame
            of their true duration, for a detector that knows time; "skip" skips all but the
            newest, with their events, where boxes would be older than `max_age`.
        frame_time: microseconds that the detector takes for a frame, where measured before.

    Raises:
        ValueError: the detector was not trained on events, a value is out of range, or the
            sensor's size is not known.
        RecordingError: the source cannot be read live.
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
        options=options,
        max_disorder=max_disorder,
        max_delay=max_delay,
        max_backlog=max_backlog,
        max_age=max_age,
        waiting=waiting,
        frame_time=frame_time,
    )
    try:
        return LiveSource(events, spec, name=path.stem if path else name.replace(" ", "_"))
    except ValueError:
        events.stop()
        raise


def _name_of(source: Path | str | BinaryStream) -> tuple[str, Path | None]:
    """The name of a source, and its path if it is a file."""
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
        raise ValueError(f"cannot follow {name}: it is not a file (leave follow out)")
    if follow and path is not None:
        return FollowedFile(path, idle_timeout=None if idle_timeout is None else idle_timeout / 1e6)
    if path is not None:
        try:
            return Pipe(path.open("rb", buffering=0), str(path), closes=True)
        except OSError as error:
            raise RecordingError(
                f"cannot read {path}: {error.strerror} (is the name right?)"
            ) from None
    return Pipe(None if isinstance(source, str | Path) else source, name)
