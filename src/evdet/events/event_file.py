"""What a file format must give: everything above reads events through these two."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

from evdet.events.dtypes import Events, SensorSize

__all__ = ["MAX_STEP_BACK", "EventFile", "SeekableEventFile"]

MAX_STEP_BACK = 20_000
"""Published files step back in time by a little here and there; an event that lies more than so
many microseconds before an earlier one of its file is damage."""


@runtime_checkable
class EventFile(Protocol):
    """One file's events, in the order of the file, clock wraps undone.

    The properties may read the file once when they are first asked for; opening it reads the
    header alone.
    """

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def format(self) -> str:
        """Name of the format, for people."""

    @property
    def stated_size(self) -> SensorSize | None:
        """The sensor's size where the file says it, or says which sensor it is."""

    @property
    def num_events(self) -> int:
        """Events that can be read."""

    @property
    def start(self) -> int | None:
        """Time of the earliest event, in microseconds; None without events."""

    @property
    def end(self) -> int | None:
        """Time of the latest event, in microseconds; None without events."""

    @property
    def time_origin(self) -> int | None:
        """What converters elsewhere subtract from all times, in microseconds.

        The first TIME_HIGH of a RAW file, `start` of others; None without events.
        """

    @property
    def num_dropped(self) -> int:
        """Events that the format asks to drop, such as rows beyond the sensor."""

    def blocks(self, since: int | None = None) -> Iterator[Events]:
        """Events in file order, in blocks of bounded size.

        Args:
            since: start at any place before which no event has t >= since; None starts at
                the first event.

        Returns:
            The blocks; each belongs to the caller.

        Raises:
            RecordingError: the file is damaged; all that lies before has been delivered.
        """


@runtime_checkable
class SeekableEventFile(EventFile, Protocol):
    """A file in which any stretch of time can be read on its own."""

    @property
    def is_mapped(self) -> bool:
        """Whether reading stretch after stretch costs no more than reading `blocks`."""

    def between(self, first: int, end: int) -> Events:
        """The events with first <= t < end, in file order, steps back considered.

        Raises:
            RecordingError: the stretch is damaged. Use `blocks` for what lies before.
        """
