"""What a live source gives, encoded bytes or events -> events in the order of their arrival."""

from typing import Protocol, runtime_checkable

import numpy as np

from evdet.events.dtypes import EVENT_DTYPE, Events, RecordingError, SensorSize
from evdet.events.files import AS_STATED, ReadOptions
from evdet.events.live.byte_sources import ByteSource
from evdet.events.live.decoder import LiveDecoder
from evdet.events.live.event_check import EventCheck
from evdet.events.live.raw_file import RawFile

__all__ = ["EventSource", "LiveInput", "open_input"]

_NO_EVENTS = np.empty(0, EVENT_DTYPE)


@runtime_checkable
class EventSource(Protocol):
    """Events, as they come, of a driver or library that decodes them."""

    format: str
    """Where they come from, for display."""
    size: SensorSize
    """The sensor's size."""

    def read(self) -> Events:
        """Wait for the next events.

        Returns:
            At least one; none at the end.

        Raises:
            RecordingError: the source failed.
        """

    def stop(self) -> None:
        """End a `read` that waits in another thread."""

    def close(self) -> None:
        """Close what was opened."""


@runtime_checkable
class LiveInput(Protocol):
    """Events in two steps: one waits, and the other, which computes, may hold a lock."""

    @property
    def clock(self) -> int | None:
        """No event that comes now is earlier, but for small steps back; in microseconds."""

    @property
    def problem(self) -> RecordingError | None:
        """What is wrong with the rest, which is not read; None without a problem."""

    @property
    def is_open(self) -> bool:
        """Whether format and size are known."""

    @property
    def format(self) -> str:
        """Name of the format, for display."""

    @property
    def size(self) -> SensorSize | None:
        """The sensor's size; None where it is not known."""

    def wait(self) -> bool:
        """Wait for the next data; False at the end.

        Raises:
            RecordingError: the source failed.
        """

    def take(self) -> Events:
        """The events of what `wait` brought; after the end, the rest."""


def open_input(
    source: ByteSource | EventSource,
    *,
    name: str,
    size: SensorSize | None = None,
    options: ReadOptions = AS_STATED,
    file: RawFile | None = None,
) -> LiveInput:
    """Read a source of bytes or of events.

    Args:
        source: what was opened; the caller closes it.
        name: for messages.
        size: the sensor's size where the source does not state it or states it incorrectly.
        options: how to read what bytes leave open.
        file: records what is read; None records nothing.
    """
    if isinstance(source, EventSource):
        return _DecodedEvents(source, name, size, file)
    decoder = LiveDecoder(name, size=size, options=options)
    return _EncodedBytes(source, name, decoder, file)


class _EncodedBytes:
    """Bytes of a recording; a `LiveInput`."""

    def __init__(
        self, source: ByteSource, name: str, decoder: LiveDecoder, file: RawFile | None
    ) -> None:
        self._source = source
        self._name = name
        self._decoder = decoder
        self._file = file
        self._data = b""
        self._unwritten = b""

    @property
    def clock(self) -> int | None:
        return self._decoder.clock

    @property
    def problem(self) -> RecordingError | None:
        return self._decoder.problem

    @property
    def is_open(self) -> bool:
        return self._decoder.is_open

    @property
    def format(self) -> str:
        return self._decoder.format

    @property
    def size(self) -> SensorSize | None:
        return self._decoder.size

    def wait(self) -> bool:
        self._data = self._source.read()
        return bool(self._data)

    def take(self) -> Events:
        data, self._data = self._data, b""
        events = self._decoder.feed(data) if data else self._decoder.finish()
        if self._file is not None:
            self._write(self._file, data, events)
        return events

    def _write(self, file: RawFile, data: bytes, events: Events) -> None:
        if not self._decoder.is_open:
            self._unwritten += data  # until the format is known
        elif self._decoder.is_raw_file:
            data, self._unwritten = self._unwritten + data, b""
            file.add_bytes(data, len(events))
        elif self._decoder.size is None:
            raise RecordingError(
                f"{self._name} does not state its sensor size: give it (size, --sensor-size)"
            )
        else:
            self._unwritten = b""
            file.add_events(events, self._decoder.size)


class _DecodedEvents:
    """Events of a driver; a `LiveInput`."""

    is_open = True

    def __init__(
        self, source: EventSource, name: str, asked_size: SensorSize | None, file: RawFile | None
    ) -> None:
        self.clock: int | None = None
        self.format = source.format
        self.size = asked_size or source.size
        self._source = source
        self._file = file
        self._check = EventCheck(name, self.size)
        self._events = _NO_EVENTS

    @property
    def problem(self) -> RecordingError | None:
        return self._check.problem

    def wait(self) -> bool:
        self._events = self._source.read()
        return len(self._events) > 0

    def take(self) -> Events:
        events, self._events = self._check.valid(self._events), _NO_EVENTS
        if len(events):
            latest = int(events["t"].max())
            self.clock = latest if self.clock is None else max(self.clock, latest)
        if self._file is not None:
            self._file.add_events(events, self.size)
        return events
