"""open_live: events that are still arriving -> frames for a detector, as each time bin closes."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from evdet.events import AS_STATED, ReadOptions, SensorSize
from evdet.events.live import (
    STANDARD_INPUT,
    BinaryStream,
    LiveEvents,
    RawFile,
    WaitingBins,
    check_raw_file,
    is_camera_name,
    open_live_source,
)
from evdet.frame_spec import FrameSpec
from evdet.sources.event_frames import EventFrames
from evdet.sources.frame import StreamedFrame
from evdet.sources.frame_layout import LaidOut
from evdet.sources.noise_removal import NoiseRemoval
from evdet.sources.recording_source import check_event_detector

__all__ = ["MAX_BACKLOG", "MAX_DELAY", "STANDARD_INPUT", "LiveSource", "open_live"]

_log = logging.getLogger(__name__)

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
    def num_overflows(self) -> int:
        """How often a camera's driver lost events because its buffer was full."""
        return self._events.num_overflows

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
    record: Path | None = None,
) -> LiveSource:
    """Open events that are still arriving: from a camera, or as DAT, RAW or text.

    It returns when the sensor's size is known: for bytes, when the header has arrived. The time
    bins are those of `Recording.slices`; times are those of the source.

    Args:
        source: "camera" or "camera:NAME" for a connected event camera, "tcp://HOST:PORT" for a
            stream of dv-processing, "-" for standard input, a file, a named pipe, or a binary
            stream. A `Path` is always a file.
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
        record: a RAW file to which all that arrives is written, also what is skipped.

    Raises:
        ValueError: the detector was not trained on events, a value is out of range, or the
            sensor's size is not known.
        RecordingError: the source cannot be read live.
    """
    check_event_detector(f"{_describe(source)} is a live source of events", spec.preprocess)
    if record is not None:
        check_raw_file(record, overwrite=False)
    opened, name = open_live_source(source, follow=follow, idle_timeout=idle_timeout)
    if spec.remove_hot_pixels:
        _log.warning(_HOT_PIXELS_STAY, name)
    events = LiveEvents(
        opened,
        name=name,
        delta_t=spec.delta_t,
        size=size,
        options=options,
        max_disorder=max_disorder,
        max_delay=max_delay,
        max_backlog=max_backlog,
        max_age=max_age,
        waiting=waiting,
        frame_time=frame_time,
        file=None if record is None else RawFile(record),
    )
    try:
        return LiveSource(events, spec, name=_stem_of(source, name))
    except ValueError:
        events.stop()
        raise


def _describe(source: Path | str | BinaryStream) -> str:
    if isinstance(source, str | Path):
        return "standard input" if str(source) == STANDARD_INPUT else str(source)
    return "stream"


def _stem_of(source: Path | str | BinaryStream, name: str) -> str:
    """The name of a source for files: of a file without its ending, of others in plain letters."""
    is_file = isinstance(source, Path) or (
        isinstance(source, str) and source != STANDARD_INPUT and not is_camera_name(source)
    )
    return Path(name).stem if is_file else re.sub(r"\W+", "_", name).strip("_")
