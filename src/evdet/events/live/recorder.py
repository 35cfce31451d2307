"""record: a live source -> a RAW file, with what was received and lost."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from evdet.events.dtypes import RecordingError, SensorSize
from evdet.events.files import AS_STATED, ReadOptions
from evdet.events.live.byte_sources import BinaryStream, ByteSource, Pipe
from evdet.events.live.inputs import EventSource, LiveInput, open_input
from evdet.events.live.opening import open_live_source
from evdet.events.live.raw_file import RawFile, check_raw_file

__all__ = ["LiveRecording", "record"]

_SECOND = 1_000_000
_PAUSE = 0.25  # seconds without data after which the time of the source goes on by the clock
_LONGEST_START = 5.0  # seconds until the first event, also where less is to be recorded
_WAIT = 0.1  # seconds; some systems deliver Ctrl-C only between two waits
_LONGEST_CLOSE = 2.0


@dataclass(frozen=True)
class LiveRecording:
    """A file that was recorded."""

    path: Path
    """The file; it does not exist where `num_bytes` is 0."""
    name: str
    """The source."""
    format: str
    """The source's format, for display."""
    size: SensorSize | None
    """The sensor's size."""
    num_events: int
    num_bytes: int
    duration: int
    """From the first to the last event, in microseconds."""
    shift: int
    """Microseconds that were taken from each time, because EVT3 cannot begin so late."""
    num_overflows: int
    """How often a camera's driver lost events because its buffer was full."""
    problem: str | None
    """Why it ended before the source did; None without a problem."""


def record(
    source: Path | str | BinaryStream,
    path: Path,
    *,
    duration: int | None = None,
    size: SensorSize | None = None,
    options: ReadOptions = AS_STATED,
    follow: bool = False,
    idle_timeout: int | None = None,
    overwrite: bool = False,
    progress: Callable[[int], object] | None = None,
) -> LiveRecording:
    """Record a live source as a RAW file, until it ends, or until Ctrl-C.

    The file can be read at any moment, also when this process is killed. A source that is RAW
    already is copied byte by byte; others are encoded as EVT3. No memory grows.

    Args:
        source: as `evdet.sources.open_live` takes it.
        path: the file to write, with the ending .raw.
        duration: microseconds of the source's time after which it ends; None sets no end.
        size: the sensor's size where the source does not state it or states it incorrectly.
        options: how to read what bytes leave open.
        follow: wait for more at the end of a file that is being written.
        idle_timeout: microseconds without new bytes after which `follow` ends.
        overwrite: replace an existing file.
        progress: called with the number of events of each part that was written.

    Raises:
        ValueError: a value is out of range, or the file exists.
        RecordingError: the source cannot be opened.
    """
    check_raw_file(path, overwrite=overwrite)
    if duration is not None and duration < 1:
        raise ValueError(f"duration must be at least 1 microsecond, got {duration}")
    opened, name = open_live_source(source, follow=follow, idle_timeout=idle_timeout)
    file = RawFile(path)
    received = open_input(opened, name=name, size=size, options=options, file=file)
    clock = _Clock(duration)
    reader = _Reader(opened, received, clock, name=name, progress=progress)
    try:
        reader.run()
    finally:
        file.close()
    return LiveRecording(
        path=path,
        name=name,
        format=received.format,
        size=received.size,
        num_events=file.num_events,
        num_bytes=file.num_bytes,
        duration=clock.num_played,
        shift=file.shift,
        num_overflows=getattr(opened, "num_overflows", 0),
        problem=reader.problem,
    )


class _Reader:
    """Reads a source in a thread, so that Ctrl-C and the clock can end it while it waits."""

    def __init__(
        self,
        source: ByteSource | EventSource,
        received: LiveInput,
        clock: "_Clock",
        *,
        name: str,
        progress: Callable[[int], object] | None,
    ) -> None:
        self.problem: str | None = None
        self._source = source
        self._received = received
        self._clock = clock
        self._name = name
        self._progress = progress
        self._has_ended = threading.Event()

    def run(self) -> None:
        """Read until the source, its time or the user ends it."""
        thread = threading.Thread(target=self._read, name=f"record {self._name}", daemon=True)
        thread.start()
        try:
            while not self._has_ended.wait(_WAIT) and not self._clock.has_passed():
                pass
        except KeyboardInterrupt:
            pass  # how a recording is ended
        finally:
            self._has_ended.set()
            self._source.stop()
            if not isinstance(self._source, Pipe):  # which may wait for its sender
                thread.join(_LONGEST_CLOSE)

    def _read(self) -> None:
        received, is_last = self._received, False
        try:
            while not (is_last or self._clock.has_passed()):
                is_last = not received.wait()
                if self._has_ended.is_set():
                    return
                events = received.take()
                first = int(events["t"].min()) if len(events) else None
                self._clock.tick(received.clock, first)
                if self._progress is not None:
                    self._progress(len(events))
                if received.problem is not None:
                    raise received.problem
        except RecordingError as error:
            self.problem = str(error)
        except Exception as error:
            self.problem = f"cannot read {self._name} any further: {error!r}"
        finally:
            self._has_ended.set()
            self._source.close()


class _Clock:
    """The time of a source, which goes on by the wall clock while no data come."""

    def __init__(self, duration: int | None) -> None:
        self._duration = duration
        self._first: int | None = None
        self._latest = 0
        self._since = time.monotonic()

    @property
    def num_played(self) -> int:
        """Microseconds from the first event to the latest time of the source."""
        return 0 if self._first is None else self._latest - self._first

    def tick(self, clock: int | None, first: int | None) -> None:
        """Note the time that the source has reached, and that of the first new event."""
        self._since = time.monotonic()
        if self._first is None:
            self._first = first
        if self._first is not None and clock is not None:
            self._latest = max(clock, self._first)

    def has_passed(self) -> bool:
        """Whether the duration is over."""
        if self._duration is None:
            return False
        idle = time.monotonic() - self._since
        if self._first is None:
            return idle >= max(self._duration / _SECOND, _LONGEST_START)
        waited = round(idle * _SECOND) if idle > _PAUSE else 0
        return self.num_played + waited >= self._duration
