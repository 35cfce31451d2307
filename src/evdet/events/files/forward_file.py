"""An event file without random access: each reading starts at the beginning."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterator

from evdet.events.dtypes import Events
from evdet.events.files.slicing import BlockSummary, summarize_blocks

__all__ = ["ForwardFile"]


class ForwardFile(ABC):
    """Base of an `EventFile` without random access; the path, format and size are its own."""

    @abstractmethod
    def _read(self) -> Iterator[Events]:
        """Read and check all events, in blocks of bounded size."""

    @property
    def num_events(self) -> int:
        """Events that can be read; the first access reads the file once."""
        return self._summary.num_events

    @property
    def start(self) -> int | None:
        """Time of the earliest event, in microseconds; the first access reads the file once."""
        return self._summary.start

    @property
    def end(self) -> int | None:
        """Time of the latest event, in microseconds; the first access reads the file once."""
        return self._summary.end

    @property
    def time_origin(self) -> int | None:
        """The same as `start`."""
        return self.start

    @property
    def num_dropped(self) -> int:
        """No event is dropped."""
        return 0

    @property
    def incomplete_end(self) -> str:
        """Formats of complete packets end within one only if they are damaged."""
        return ""

    def blocks(self, since: int | None = None) -> Iterator[Events]:
        """Read the events in file order, in blocks of bounded size.

        Args:
            since: has no effect.

        Raises:
            RecordingError: the file is damaged; the events before the damage are delivered first.
        """
        return self._read()

    @functools.cached_property
    def _summary(self) -> BlockSummary:
        return summarize_blocks(self._read())
