"""Bytes of a recording as they arrive, split anywhere -> events: DAT, RAW and text."""

import logging

import numpy as np

from evdet.events.dtypes import EVENT_DTYPE, Events, RecordingError, SensorSize
from evdet.events.files import AS_STATED, ReadOptions
from evdet.events.live.event_check import EventCheck
from evdet.events.live.formats import LiveFormat, open_format

__all__ = ["LiveDecoder"]

_log = logging.getLogger(__name__)

_MAX_START = 1 << 20  # bytes before the first event
_NO_EVENTS = np.empty(0, EVENT_DTYPE)


class LiveDecoder:
    """Decodes one recording in pieces; the events do not depend on where the bytes are split.

    Args:
        name: the source, for messages.
        size: the sensor's size where the source does not state it or states it incorrectly.
        options: how to read what the source leaves open.
    """

    def __init__(
        self, name: str, *, size: SensorSize | None = None, options: ReadOptions = AS_STATED
    ) -> None:
        self.clock: int | None = None
        """No event that comes now is earlier, but for small steps back; in microseconds."""
        self.problem: RecordingError | None = None
        """What is wrong with the rest, which is not decoded; None without a problem."""
        self._name = name
        self._asked_size = size
        self._options = options
        self._start = b""
        self._format: LiveFormat | None = None
        self._check = EventCheck(name, size)

    @property
    def is_open(self) -> bool:
        """Whether the beginning, which tells the format, has arrived."""
        return self._format is not None

    @property
    def format(self) -> str:
        """Name of the format, for display; empty before it is open."""
        return self._format.format if self._format else ""

    @property
    def is_raw_file(self) -> bool:
        """Whether the bytes are those of a RAW file that states the sensor's size as it is."""
        return self._format is not None and self._format.is_raw_file

    @property
    def size(self) -> SensorSize | None:
        """The sensor's size: the given one, or the source's; None where neither is known."""
        return self._asked_size or (self._format.size if self._format else None)

    def feed(self, data: bytes) -> Events:
        """Decode the next bytes: their events in the order of the source, up to a `problem`."""
        return self._feed(data, is_last=False)

    def finish(self) -> Events:
        """Decode the rest at the end of the source: its last events."""
        events = self._feed(b"", is_last=True)
        if self.problem is None and self._format is not None and self._format.num_left:
            what = f"{self._name} ends within an event, of which {self._format.num_left} bytes came"
            if self._options.strict:
                self.problem = RecordingError(f"{what} (without --strict it is left out)")
            else:
                _log.warning("%s. It is left out.", what)
        return events

    def _feed(self, data: bytes, *, is_last: bool) -> Events:
        if self.problem is not None:
            return _NO_EVENTS
        if self._format is None:
            self._start += data
            try:
                self._format = open_format(
                    self._name,
                    self._start,
                    is_last=is_last,
                    options=self._options,
                    size=self._asked_size,
                )
            except RecordingError as error:
                self.problem = error
            if self._format is None:
                if self.problem is None and len(self._start) > _MAX_START:
                    self.problem = RecordingError(
                        f"cannot read {self._name} live: its first {len(self._start):,} bytes hold "
                        "no event, and no complete header (supported: DAT, RAW and text)"
                    )
                return _NO_EVENTS
            data, self._start = self._start[self._format.num_header_bytes :], b""
        events, self.problem = self._format.decode(data, is_last=is_last)
        events = self._check.valid(events)
        self.problem = self._check.problem or self.problem
        self.clock = self._format.clock
        return events
