"""An event file without random access: each reading starts at the beginning."""

import dataclasses
import functools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, TypeVar, cast

from evdet.events.dtypes import Events, SensorSize
from evdet.events.files.slicing import BlockSummary, summarize_blocks

__all__ = ["ForwardFile"]

_File = TypeVar("_File", bound="ForwardFile")


class ForwardFile(ABC):
    """Base of an `EventFile` without random access; the path, format and size are its own.

    A subclass is a dataclass with the field `stated_size`, or has its own `with_size`.
    """

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
    def is_surveyed(self) -> bool:
        """Whether the file was read once for these three."""
        return "_summary" in vars(self)

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

    def with_size(self: _File, size: SensorSize) -> _File:
        """The same file as of a sensor of this size, whatever it states."""
        return cast(_File, dataclasses.replace(cast(Any, self), stated_size=size))

    @functools.cached_property
    def _summary(self) -> BlockSummary:
        return summarize_blocks(self._read())
