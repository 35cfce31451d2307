"""The interfaces of a file format: other modules read events through these two."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

from evdet.events.dtypes import Events, SensorSize, Triggers

__all__ = [
    "MAX_STEP_BACK",
    "BinnedEventFile",
    "EventFile",
    "SeekableEventFile",
    "SizedEventFile",
    "SurveyedEventFile",
    "TriggeredEventFile",
]

MAX_STEP_BACK = 20_000
"""Published files contain small steps back in time; an event that lies more than this many
microseconds before an earlier one of its file is damage."""


@runtime_checkable
class EventFile(Protocol):
    """One file's events, in file order, clock wraps undone.

    The first access of a property may read the file once; opening it reads only the header.
    """

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def format(self) -> str:
        """Name of the format, for display."""

    @property
    def stated_size(self) -> SensorSize | None:
        """The sensor's size where the file states it or names its sensor."""

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
        """What other converters subtract from all times, in microseconds.

        The first TIME_HIGH of a RAW file, `start` of others; None without events.
        """

    @property
    def num_dropped(self) -> int:
        """Events that the format requires to drop, such as rows beyond the sensor."""

    @property
    def incomplete_end(self) -> str:
        """Says that the file ends within an event, as after a loss of power; empty if it does not.

        Such a file is not damaged: the events before are all that was recorded, and `blocks` ends
        with them.
        """

    def blocks(self, since: int | None = None) -> Iterator[Events]:
        """Events in file order, in blocks of bounded size.

        Args:
            since: start at or before the first event with t >= since; None starts at the
                first event.

        Returns:
            The blocks; each belongs to the caller.

        Raises:
            RecordingError: the file is damaged; the events before the damage are delivered first.
        """


@runtime_checkable
class SeekableEventFile(EventFile, Protocol):
    """A file in which any interval can be read on its own."""

    def between(self, first: int, end: int) -> Events:
        """The events with first <= t < end, in file order, late events included.

        Raises:
            RecordingError: the interval is damaged; `blocks` reads up to the damage.
        """


@runtime_checkable
class BinnedEventFile(EventFile, Protocol):
    """A file that can be read in blocks which suit time bins."""

    def blocks_of_bins(self, delta_t: int, since: int | None = None) -> Iterator[Events]:
        """As `blocks`, but cut between two bins where that is possible."""


@runtime_checkable
class SizedEventFile(EventFile, Protocol):
    """A file whose events are checked against the size of its sensor."""

    def with_size(self, size: SensorSize) -> EventFile:
        """The same file as of a sensor of this size, whatever it states."""


@runtime_checkable
class SurveyedEventFile(EventFile, Protocol):
    """A file whose number of events and times are found by a pass over it, made once."""

    @property
    def is_surveyed(self) -> bool:
        """Whether that pass was made, so that they cost nothing more."""


@runtime_checkable
class TriggeredEventFile(EventFile, Protocol):
    """A file that has the external triggers of its camera, too."""

    def triggers(self) -> Triggers:
        """The triggers in file order, on the clock of the events; of a damaged file those before.

        Raises:
            RecordingError: the file cannot be read.
        """
