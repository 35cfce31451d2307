"""HDF5 event files: columns or tables of events, such as those of DSEC and of Metavision.

The file is reopened for each reading, which costs 0.4 ms: an `Hdf5EventFile` holds only plain
values, can be sent to a worker process, and thousands of them keep no file open.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Int64

from evdet.events.dtypes import Events, RecordingError, SensorSize
from evdet.events.files import (
    AS_STATED,
    MAX_STEP_BACK,
    OrderCount,
    ReadOptions,
    check_blocks,
    join_events,
)
from evdet.events.hdf5.filters import import_plugin, needs_plugin
from evdet.events.hdf5.inflation import CheckedDataset
from evdet.events.hdf5.layouts import ColumnLayout, Datasets, TableLayout
from evdet.events.hdf5.search import find_layout
from evdet.events.hdf5.storage import DAMAGE

__all__ = ["Hdf5EventFile", "open_hdf5"]

_HEAD = 1 << 20  # bytes
_HEAP = b"GCOL\x01\0\0\0"  # starts a heap of strings in any HDF5 file
Times = Int64[np.ndarray, " E"]


def open_hdf5(path: Path, options: ReadOptions = AS_STATED) -> "Hdf5EventFile":
    """Open an HDF5 file of events; reads only its structure.

    The events are four columns or one table, wherever they lie in the file; several of them are
    streams, of which `options.stream` chooses one.

    Raises:
        RecordingError: it is damaged, has no or several streams of events, can be read in several
            ways, or needs a plug-in.
    """
    with _naming(path, "cannot be read as HDF5"):
        _check_strings(path)
    with _opened(path) as file:
        layout = find_layout(path, file, options)
        num_plugins = sum(needs_plugin(file[name], path) for name in layout.names)
    return Hdf5EventFile(path, layout, needs_plugin=num_plugins > 0)


@dataclass
class Hdf5EventFile:
    """The events of an HDF5 file; any interval can be read on its own.

    Args:
        path: the file.
        layout: where the events lie in it.
        needs_plugin: whether reading them takes hdf5plugin.
    """

    path: Path
    layout: ColumnLayout | TableLayout
    needs_plugin: bool
    _first_times: dict[int, int] = field(default_factory=dict)
    _range: tuple[int | None, int | None] | None = None

    @property
    def format(self) -> str:
        """Name of the layout, for display."""
        return self.layout.format

    @property
    def stated_size(self) -> SensorSize | None:
        """From `geometry`, or `width` and `height`; None where the file has neither."""
        return self.layout.stated_size

    def with_size(self, size: SensorSize) -> "Hdf5EventFile":
        """The same file as of a sensor of this size, whatever it states."""
        layout = replace(self.layout, stated_size=size)
        return Hdf5EventFile(self.path, layout, needs_plugin=self.needs_plugin)

    @property
    def num_events(self) -> int:
        """Events in all, by the length of the datasets."""
        return self.layout.num_events

    @property
    def start(self) -> int | None:
        """Time of the earliest event that can be read, in microseconds; None without events."""
        return self._read_range()[0]

    @property
    def end(self) -> int | None:
        """Time of the latest event that can be read, in microseconds; None without events."""
        return self._read_range()[1]

    @property
    def time_origin(self) -> int | None:
        """The same as `start`."""
        return self.start

    @property
    def incomplete_end(self) -> str:
        """A truncated HDF5 file is damaged."""
        return ""

    @property
    def num_dropped(self) -> int:
        """No event is dropped."""
        return 0

    def blocks(self, since: int | None = None) -> Iterator[Events]:
        """Events in the order of the file, in blocks of bounded size.

        Args:
            since: start at any place before which no event has t >= since; None starts at the
                first event.

        Returns:
            Blocks of one chunk of the file, or of several small ones.

        Raises:
            RecordingError: the file is damaged; the chunks before are delivered first.
        """
        with self._opened() as datasets:
            first = 0 if since is None else self._unit_before(datasets, since)
            for start, stop in self._units(first):
                yield from self._read(datasets, start, stop)
        if self.layout.missing:
            raise RecordingError(f"{self.path}: {self.layout.missing}. Was it copied completely?")

    def between(self, first: int, end: int) -> Events:
        """The events with first <= t < end, in file order, late events included.

        Raises:
            RecordingError: the interval is damaged; `blocks` reads up to the damage.
        """
        parts = []
        with self._opened() as datasets:
            for start, stop in self._units(self._unit_before(datasets, first)):
                with _naming(self.path, f"events {start} to {stop - 1} cannot be read"):
                    # With a separate column of times, most events need not be read.
                    times = self.layout.times(datasets, start, stop)
                if times is None:
                    events = join_events(list(self._read(datasets, start, stop)))
                    times = events["t"]
                    parts.append(events[(times >= first) & (times < end)])
                else:
                    parts.extend(self._read_inside(datasets, start, times, (first, end)))
                if int(times.max()) >= end + MAX_STEP_BACK:
                    break
        return parts[0] if len(parts) == 1 else join_events(parts)

    def _read_inside(
        self, datasets: Datasets, start: int, times: Times, interval: tuple[int, int]
    ) -> Iterator[Events]:
        """The events from index `start` on, which have these times, that lie in an interval."""
        inside = (times >= interval[0]) & (times < interval[1])
        if not inside.any():
            return
        low, high = int(inside.argmax()), len(inside) - int(inside[::-1].argmax())
        for events in self._read(datasets, start + low, start + high, times[low:high]):
            hits = inside[low:high][: len(events)]
            yield events if hits.all() else events[hits]

    @contextmanager
    def _opened(self) -> Iterator[Datasets]:
        if self.needs_plugin:
            import_plugin(self.path)
        with _opened(self.path) as file:
            # Looking one up costs as much as reading 10,000 events.
            yield {name: CheckedDataset(file[name]) for name in self.layout.names}

    def _units(self, first: int) -> Iterator[tuple[int, int]]:
        """Start and stop of each unit, from unit `first` on."""
        unit, num_events = self.layout.unit, self.layout.num_events
        for start in range(first * unit, num_events, unit):
            yield start, min(start + unit, num_events)

    def _read(
        self, datasets: Datasets, start: int, stop: int, times: Times | None = None
    ) -> Iterator[Events]:
        """The events start to stop - 1, at least those before the damage."""
        with _naming(self.path, f"events {start} to {stop - 1} cannot be read"):
            events, problem = self.layout.read(datasets, start, stop, times)
        size = self.stated_size
        width, height = int(events["x"].max(initial=0)), int(events["y"].max(initial=0))
        if size and (width >= size.width or height >= size.height):
            yield from check_blocks([events], OrderCount(), name=str(self.path), size=size)
        if len(events):
            yield events
        if problem is not None:
            raise RecordingError(
                f"{self.path}: event {start + len(events)} has {problem}. The file is damaged, or "
                "its columns are scaled or in another order. The events before can be read."
            )

    def _unit_before(self, datasets: Datasets, since: int) -> int:
        """A unit before which no event has t >= since, near the first that has one."""
        # Before an event earlier than this, none has t >= since.
        sure = since - MAX_STEP_BACK
        low, high = 0, -(-self.layout.num_events // self.layout.unit)
        with _naming(self.path, f"t={since} us cannot be found"):
            guess = self.layout.guess_index(datasets, sure)
            if guess is not None and 0 <= guess < self.layout.num_events:
                # The index may be wrong: the events' own times decide.
                near = guess // self.layout.unit
                for unit in (near - 1, near, near + 1):
                    if low < unit < high:
                        low, high = self._narrowed(datasets, unit, sure, (low, high))
            while high - low > 1:
                low, high = self._narrowed(datasets, (low + high) // 2, sure, (low, high))
        return low

    def _narrowed(
        self, datasets: Datasets, unit: int, sure: int, bounds: tuple[int, int]
    ) -> tuple[int, int]:
        if unit not in self._first_times:
            self._first_times[unit] = self.layout.first_time(datasets, unit * self.layout.unit)
        low, high = bounds
        return (unit, high) if self._first_times[unit] < sure else (low, unit)

    def _read_range(self) -> tuple[int | None, int | None]:
        if self._range is None:
            earliest, reached = self._earliest()
            latest = self._latest()
            # Where the first block is damaged, all others seem to lie before it.
            if earliest is not None and latest is not None and latest < earliest:
                latest = reached
            self._range = earliest, latest
        return self._range

    def _earliest(self) -> tuple[int | None, int | None]:
        """The earliest time, and the latest of those read to find it."""
        earliest: int | None = None
        reached: int | None = None
        try:
            for block in self.blocks():
                lowest, highest = int(block["t"].min()), int(block["t"].max())
                earliest = lowest if earliest is None else min(earliest, lowest)
                reached = highest if reached is None else max(reached, highest)
                if highest >= earliest + MAX_STEP_BACK:
                    break
        except RecordingError:
            pass  # `blocks` raises it again
        return earliest, reached

    def _latest(self) -> int | None:
        latest: int | None = None
        num_units = -(-self.layout.num_events // self.layout.unit)
        with self._opened() as datasets:
            for unit in range(num_units - 1, -1, -1):
                try:
                    block = next(self._read(datasets, *next(self._units(unit))))
                except RecordingError:
                    continue  # damaged: the events end before
                highest, lowest = int(block["t"].max()), int(block["t"].min())
                latest = highest if latest is None else max(latest, highest)
                if lowest <= latest - MAX_STEP_BACK:
                    break
        return latest


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    with _naming(path, "cannot be read as HDF5"):
        file = h5py.File(path, "r", locking=False)
    with file, _naming(path, "cannot be read"):
        yield file


def _check_strings(path: Path) -> None:
    """Refuse a damaged heap of strings: HDF5 2.0 would loop forever.

    Programs write a file's attributes first, so their heap lies near the beginning of the file.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    place = head.find(_HEAP)
    while place >= 0:
        size = int.from_bytes(head[place + 8 : place + 16], "little")
        at, end = place + 16, min(place + size, len(head))
        # Objects of an id, a length and as many bytes; id 0 is the free space after them.
        while at + 16 <= end:
            number = int.from_bytes(head[at : at + 2], "little")
            length = int.from_bytes(head[at + 8 : at + 16], "little")
            step = 16 + -(-length // 8) * 8 if number else length
            if at + step > place + size or (not number and at + step != place + size):
                raise ValueError(f"its heap of strings is damaged at byte {at}")
            at += step
        place = head.find(_HEAP, max(at, place + 1))


@contextmanager
def _naming(path: Path, what: str) -> Iterator[None]:
    """Turn the exceptions of h5py into RecordingError."""
    try:
        yield
    except RecordingError:
        raise
    except DAMAGE as error:
        reason = str(error).strip().rstrip(".")
        reason = reason if isinstance(error, ValueError) else f"{reason} ({type(error).__name__})"
        raise RecordingError(
            f"{path}: {what}: {reason}. Was it copied completely? "
            "The events before the damage can be read."
        ) from error
