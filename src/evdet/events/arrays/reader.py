"""Arrays of events: .npy files."""

import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64

from evdet.events.arrays.npy_header import (
    MAX_NPY_HEADER,
    REMEDY,
    ArrayLayout,
    Column,
    Slot,
    array_layout,
    choose_columns,
    parse_npy_header,
)
from evdet.events.dtypes import EVENT_DTYPE, Events, RecordingError, SensorSize
from evdet.events.files import (
    AS_STATED,
    MAX_STEP_BACK,
    SAMPLE_ROWS,
    FileBytes,
    NumberColumns,
    ReadOptions,
    TimeScale,
    join_events,
    precision_note,
    to_events,
)

__all__ = ["ArrayFile", "content_of", "open_npy"]

_log = logging.getLogger(__name__)

_BLOCK = 1 << 14
_LONG_AGO = -(1 << 62)


def open_npy(path: Path, options: ReadOptions = AS_STATED) -> "ArrayFile":
    """Open an array saved by NumPy: fields named t, x, y, p, or four columns.

    The order of columns without names and the unit of t follow from the numbers where
    `options` does not give them. Polarity is 0 or -1 (OFF) and 1 (ON). The array is read in blocks,
    never unpickled.

    Raises:
        RecordingError: the file cannot be read, is not an array of events, or can be read in
            several ways.
    """
    content = content_of(path)
    header = parse_npy_header(str(path), content.read(0, MAX_NPY_HEADER))
    layout = array_layout(header, options.columns)
    if layout is None:
        raise RecordingError(
            f"{path} is not an array of events: shape {header.shape}, type {header.dtype}. {REMEDY}"
        )
    num_rows = _num_rows(content, layout)
    tail = None
    if num_rows < layout.num_rows:
        tail = (
            f"the file is truncated at byte {len(content)}, in row {num_rows} of "
            f"{layout.num_rows}. Copy it again; the rows before can be read."
        )
    sample = _columns_of(content, layout.slots, 0, min(SAMPLE_ROWS, num_rows))
    places, scale = choose_columns(path, layout, sample, options)
    slots = tuple(layout.slots[place] for place in places)
    last = _columns_of(content, slots[:1], max(num_rows - SAMPLE_ROWS, 0), num_rows)[0]
    note = precision_note(last, scale)
    if note:
        _log.warning("%s: %s", path, note)
    table = _NpyTable(content, slots, num_rows, scale)
    return ArrayFile(path, "npy", None, table, tail, functools.partial(open_npy, options=options))


def _num_rows(content: FileBytes, layout: ArrayLayout) -> int:
    """Rows that are complete in the file."""
    num_rows = layout.num_rows
    for slot in layout.slots:
        num_rows = min(num_rows, max(0, (len(content) - slot.begin) // max(1, slot.row_bytes)))
    return num_rows


def _columns_of(content: FileBytes, slots: Sequence[Slot], low: int, high: int) -> list[Column]:
    """The rows low ... high - 1 of some columns, as they are in the file.

    Raises:
        RecordingError: the file was truncated or replaced meanwhile, or cannot be read.
    """
    if low >= high:
        return [np.empty(0, slot.dtype) for slot in slots]
    places = {(slot.begin, slot.row_bytes) for slot in slots}  # one for columns side by side
    with content.opened() as opened:
        rows = {
            (begin, num): opened.read(begin + low * num, (high - low) * num)
            for begin, num in places
        }
    return [
        np.ndarray(
            (high - low,),
            slot.dtype,
            rows[slot.begin, slot.row_bytes],
            slot.shift,
            (slot.row_bytes,),
        )
        for slot in slots
    ]


def content_of(path: Path) -> FileBytes:
    """The bytes of a file.

    Raises:
        RecordingError: it cannot be read, or is empty.
    """
    content = FileBytes(path)
    if not content.read(0, 1):
        raise RecordingError(f"{path} is empty: copy or save it again")
    return content


@runtime_checkable
class _Table(Protocol):
    """Rows of a file that become events."""

    def __len__(self) -> int: ...

    def locate(self, row: int) -> str:
        """Index and byte of a row, for messages."""

    def read(self, low: int, high: int) -> tuple[Events, str | None]:
        """Events of the rows before the first invalid one, and what is wrong with that one."""


class ArrayFile:
    """An array of events, a `SeekableEventFile`; seeking needs one pass over it, made once.

    Args:
        path: the file.
        name: of the format.
        size: the sensor's, where the format has one.
        table: the rows.
        tail: what is wrong after the last row.
        opener: reopens the file.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        size: SensorSize | None,
        table: _Table,
        tail: str | None,
        opener: Callable[[Path], "ArrayFile"],
    ) -> None:
        self.path = path
        self.format = name
        self.stated_size = size
        self.num_events = len(table)
        self.num_dropped = 0
        self._table = table
        self._tail = tail
        self._opener = opener

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the path, not the array behind it."""
        return self._opener, (self.path,)

    @property
    def start(self) -> int | None:
        """Time of the earliest event, in microseconds; None without events."""
        earliest = self._survey.earliest
        return int(earliest.min()) if len(earliest) else None

    @property
    def end(self) -> int | None:
        """Time of the latest event, in microseconds; None without events."""
        latest = self._survey.latest
        return int(latest.max()) if len(latest) else None

    @property
    def is_surveyed(self) -> bool:
        """Whether all rows were read once for the times."""
        return "_survey" in vars(self)

    @property
    def time_origin(self) -> int | None:
        """What other converters subtract: `start`."""
        return self.start

    @property
    def incomplete_end(self) -> str:
        """A truncated array is damaged: its header states how many events there were."""
        return ""

    def blocks(self, since: int | None = None) -> Iterator[Events]:
        """Events in file order, in blocks of bounded size.

        Args:
            since: start with the first block that has an event with t >= since, if not None.

        Raises:
            RecordingError: the file is damaged; the events before the damage are delivered first.
        """
        first_block, latest = 0, _LONG_AGO
        if since is not None:
            blocks_latest = self._survey.latest
            first_block = int(np.sum(np.maximum.accumulate(blocks_latest) < since))
            latest = int(blocks_latest[:first_block].max(initial=_LONG_AGO))
        yield from self._read_from(first_block * _BLOCK, latest)

    def between(self, first: int, end: int) -> Events:
        """The events with first <= t < end, in file order, late events included.

        Raises:
            RecordingError: the interval is damaged; `blocks` reads up to the damage.
        """
        survey = self._survey
        parts = [np.empty(0, EVENT_DTYPE)]
        if first < end and survey.damage and end > survey.reach:
            raise RecordingError(survey.damage)
        for k in np.flatnonzero((survey.latest >= first) & (survey.earliest < end)):
            low = int(k) * _BLOCK
            events, _ = self._table.read(low, min(low + _BLOCK, survey.num_sound))
            parts.append(events[(events["t"] >= first) & (events["t"] < end)])
        return join_events(parts)

    @functools.cached_property
    def _survey(self) -> "_Survey":
        """One pass over all rows, up to damage."""
        earliest, latest = [], []
        num_sound, reach, damage = 0, _LONG_AGO, None
        try:
            for events in self._read_from(0, _LONG_AGO):
                earliest.append(events["t"].min())
                latest.append(events["t"].max())
                num_sound += len(events)
                # Of the last two: the last one may be an outlier.
                reach = int(events["t"][-2:].min())
        except RecordingError as error:
            damage = str(error)
        times = np.array([earliest, latest], np.int64)
        return _Survey(times[0], times[1], num_sound, reach, damage)

    def _read_from(self, row: int, latest: int) -> Iterator[Events]:
        while row < self.num_events:
            events, problem = self._table.read(row, min(row + _BLOCK, self.num_events))
            times = events["t"]
            running = np.maximum(np.maximum.accumulate(times), latest)
            is_back = running - times > MAX_STEP_BACK
            if is_back.any():
                i = int(is_back.argmax())
                problem = (
                    f"at {self._table.locate(row + i)} time steps back from {running[i]} to "
                    f"{times[i]} us, by more than {MAX_STEP_BACK} us. The file is damaged, its "
                    "columns are not t x y p, or recordings were joined: split it there, or use "
                    "the events before."
                )
                events = events[:i]
            if len(events):
                yield events
                latest = int(running[len(events) - 1])
            if problem:
                raise RecordingError(f"{self.path}: {problem}")
            row += len(events)
        if self._tail:
            raise RecordingError(f"{self.path}: {self._tail}")


class _Survey(NamedTuple):
    earliest: Int64[np.ndarray, " _"]
    """Per block, in microseconds."""
    latest: Int64[np.ndarray, " _"]
    num_sound: int
    """Rows before damage."""
    reach: int
    """An interval that ends later touches the damage."""
    damage: str | None


class _NpyTable:
    """Columns t, x, y and p of any numeric type."""

    def __init__(
        self, content: FileBytes, slots: tuple[Slot, ...], num_rows: int, scale: TimeScale
    ) -> None:
        self._content = content
        self._slots = slots
        self._num_rows = num_rows
        self._scale = scale

    def __len__(self) -> int:
        return self._num_rows

    def locate(self, row: int) -> str:
        slot = self._slots[0]
        return f"row {row} (byte {slot.begin + slot.shift + row * slot.row_bytes})"

    def read(self, low: int, high: int) -> tuple[Events, str | None]:
        columns = NumberColumns(*_columns_of(self._content, self._slots, low, high))
        events, problem = to_events(columns, self._scale)
        if problem is None:
            return events, None
        return events, (
            f"{self.locate(low + len(events))} has {problem}. The file is damaged, or its columns "
            "are scaled or in another order (--columns)."
        )
