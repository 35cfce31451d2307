"""Read and write DAT files (Gen1, 1 Mpx, N-CARS): seekable, in blocks of bounded size."""

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from evdet.atomic_file import replacing
from evdet.events.dat.clock import (
    HALF_TURN,
    TURN,
    Zones,
    earliest_time,
    find_interval,
    find_zones,
    latest_time,
    time_at,
    trim,
)
from evdet.events.dat.decoder import OUTSIDE, STEP_BACK, Decoded, decode
from evdet.events.dat.header import (
    MAX_DAT_HEADER,
    MAX_DAT_SIDE,
    DatHeader,
    make_header,
    parse_header,
)
from evdet.events.dat.records import (
    RECORD_BYTES,
    RECORD_DTYPE,
    OpenedRecords,
    Records,
    RecordTable,
)
from evdet.events.dtypes import EVENT_DTYPE, Events, RecordingError, SensorSize
from evdet.events.files import AS_STATED, MAX_STEP_BACK, FileBytes, ReadOptions

__all__ = ["DatFile", "open_dat", "write_dat"]

Times = Int64[np.ndarray, " _"]

_FOREVER = 1 << 60  # beyond every time, and sums of two of them still fit
# Files of up to N records are searched whole for turns of the clock: a millisecond.
_FEW_RECORDS = 1 << 20
_NUM_SAMPLES = 256


def open_dat(path: Path, options: ReadOptions = AS_STATED) -> "DatFile":
    """Open a DAT file; reads only its header.

    Turns of the clock (every 71.6 minutes) are found from samples; in files of over a million
    events two samples, 1/256 of the events apart, must lie less than a turn apart.

    Raises:
        RecordingError: the file cannot be read, or is not a DAT file of change events.
    """
    content = FileBytes(path)
    return DatFile(path, parse_header(path, content.read(0, MAX_DAT_HEADER)), content)


class DatFile:
    """A DAT file, a `SeekableEventFile`: `open_dat` makes it.

    Args:
        path: the file.
        header: its header.
        content: its bytes.
        asked_size: the sensor's size, whatever the header states.
    """

    def __init__(
        self,
        path: Path,
        header: DatHeader,
        content: FileBytes,
        *,
        asked_size: SensorSize | None = None,
    ) -> None:
        table = RecordTable(content, header.num_bytes)
        self.path = path
        self.format = "DAT"
        self.stated_size = asked_size or header.size
        self.num_events = table.num_records
        self.num_dropped = 0
        self._header = header
        self._content = content
        self._asked_size = asked_size
        self._table = table
        self._known_order: _Order | None = None

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the path, not the gigabytes behind it."""
        return _reopen, (self.path, self._asked_size)

    def with_size(self, size: SensorSize) -> "DatFile":
        """The same file as of a sensor of this size, whatever its header states."""
        return DatFile(self.path, self._header, self._content, asked_size=size)

    @functools.cached_property
    def start(self) -> int | None:
        """Time of the earliest event, in microseconds; None without events."""
        if not self.num_events:
            return None
        with self._table.opened() as table:
            return earliest_time(table)

    @property
    def end(self) -> int | None:
        """Time of the latest event before known damage, in microseconds; None without events."""
        if not self.num_events:
            return None
        with self._table.opened() as table:
            return self._order(table).latest

    @property
    def time_origin(self) -> int | None:
        """What other converters subtract: `start`."""
        return self.start

    @property
    def incomplete_end(self) -> str:
        """Says that the file ends within a record; empty if it does not."""
        num_spare = self._table.num_spare_bytes
        if not num_spare:
            return ""
        where = self._describe(self.num_events)
        return f"{self.path} ends within {where}, after {num_spare} of its {RECORD_BYTES} bytes."

    def blocks(self, since: int | None = None) -> Iterator[Events]:
        """Events in file order, in blocks of bounded size.

        Args:
            since: start at the first event with t >= since, if not None.

        Raises:
            RecordingError: the file is damaged; the events before the damage are delivered first.
        """
        return self._blocks(since, None)

    def blocks_of_bins(self, delta_t: int, since: int | None = None) -> Iterator[Events]:
        """As `blocks`, but events in order are cut between two time bins, where that is possible.

        Args:
            delta_t: duration of a bin, in microseconds.
            since: start at the first event with t >= since, if not None.
        """
        return self._blocks(since, delta_t)

    def _blocks(self, since: int | None, delta_t: int | None) -> Iterator[Events]:
        if not self.num_events:
            return
        with self._table.opened() as table:
            at, stop, clock = 0, self.num_events, table.low_bits(0)
            if since is not None:
                stop = self._order(table).num_sound
                at, clock = self._start_at(table, since)
            latest = clock
            pieces = (
                table.blocks(at, stop)
                if delta_t is None
                else table.bins(at, stop, delta_t=delta_t, clock=clock)
            )
            for records in pieces:
                decoded = self._decode(records, clock, latest)
                if len(decoded.events):
                    yield decoded.events
                self._raise_if_flawed(decoded, at, records)
                at, clock, latest = at + len(records), decoded.clock, decoded.latest
            self._raise_at_the_end(table, stop)

    def between(self, first: int, end: int) -> Events:
        """The events with first <= t < end, in file order, late events included.

        Raises:
            RecordingError: the interval is damaged; `blocks` reads up to the damage.
        """
        nothing = np.empty(0, EVENT_DTYPE)
        if first >= end or not self.num_events:
            return nothing
        first, end = max(first, -_FOREVER), min(end, _FOREVER)
        with self._table.opened() as table:
            low, high = self._find_interval(table, first, end)
            order = self._order(table)
            if end > order.reach:
                self._raise_at_the_end(table, order.num_sound)
            records = table.read(low, high)
            begin, stop = trim(records, order.zones, low, first=first, end=end)
            if begin == stop:
                return nothing
            records = records[begin:stop]
            clock = time_at(table, order.zones, low + begin)
        decoded = self._decode(records, clock, clock, first, end)
        self._raise_if_flawed(decoded, low + begin, records)
        return decoded.events

    def _start_at(self, table: OpenedRecords, since: int) -> tuple[int, int]:
        """The first record with t >= since, or that of the damage, and its time."""
        low = self._find_interval(table, since, _FOREVER)[0]
        zones, stop = self._order(table).zones, self._order(table).num_sound
        for records in table.blocks(low, stop):
            begin, _ = trim(records, zones, low, first=since, end=_FOREVER)
            low += begin
            if begin < len(records):
                break
        return low, time_at(table, zones, min(low, stop - 1))

    def _decode(
        self,
        records: Records,
        clock: int,
        latest: int,
        first: int = -_FOREVER,
        end: int = _FOREVER,
    ) -> Decoded:
        height, width = self.stated_size or (MAX_DAT_SIDE, MAX_DAT_SIDE)
        return decode(
            records,
            0,
            len(records),
            clock=clock,
            latest=latest,
            first=first,
            end=end,
            width=width,
            height=height,
        )

    def _order(self, table: OpenedRecords) -> "_Order":
        """The turns of the clock; found once, from samples of a large file."""
        if self._known_order is None:
            is_small = self.num_events <= _FEW_RECORDS
            stride = 1 if is_small else self.num_events // _NUM_SAMPLES
            zones, num_sound = find_zones(table, stride)
            self._known_order = self._order_of(table, zones, num_sound)
        return self._known_order

    def _order_of(self, table: OpenedRecords, zones: Zones, num_sound: int) -> "_Order":
        reach = _FOREVER
        if num_sound < self.num_events:
            # Of the last two: the last one may be an outlier.
            last_two = range(max(num_sound - 2, 0), num_sound)
            reach = min(time_at(table, zones, i) for i in last_two)
        return _Order(zones, num_sound, latest_time(table, zones, num_sound), reach)

    def _find_interval(self, table: OpenedRecords, first: int, end: int) -> tuple[int, int]:
        first, end = min(max(first, -_FOREVER), _FOREVER), min(max(end, -_FOREVER), _FOREVER)
        order = self._order(table)
        low, high = find_interval(table, order.zones, order.num_sound, first=first, end=end)
        if low < 0:
            # The search met records out of order: read every one, once.
            zones, num_sound = find_zones(table, 1)
            order = self._known_order = self._order_of(table, zones, num_sound)
            low, high = find_interval(table, order.zones, order.num_sound, first=first, end=end)
        return max(low, 0), max(high, 0)

    def _describe(self, index: int) -> str:
        return f"event {index} (byte {self._table.byte_of(index)})"

    def _raise_if_flawed(self, block: Decoded, first: int, records: Records) -> None:
        """Raise for a flaw in the records from index `first` on."""
        index = first + block.stop
        if block.flaw == STEP_BACK:
            self._raise_step_back(index, block.clock, block.latest)
        if block.flaw == OUTSIDE:
            word = int(records["word"][block.stop])
            origin = "that was asked for" if self._asked_size else "of the header"
            raise RecordingError(
                f"{self.path}: {self._describe(index)} lies at x={word % MAX_DAT_SIDE}, "
                f"y={(word >> 14) % MAX_DAT_SIDE}, t={block.clock} us, outside the sensor "
                f"{self.stated_size} {origin}. If that size is wrong, give the right one "
                "(--sensor-size WxH); otherwise the file is damaged: copy it again, or use the "
                "events before."
            )

    def _raise_step_back(self, index: int, time: int, latest: int) -> None:
        raise RecordingError(
            f"{self.path}: at {self._describe(index)} time steps back from {latest} to {time} us, "
            f"by more than {MAX_STEP_BACK} us. The file is damaged, or recordings were joined: "
            "copy it again, split it there, or use the events before."
        )

    def _raise_at_the_end(self, table: OpenedRecords, stop: int) -> None:
        """Raise if the sound part ends before the file does."""
        if stop < self.num_events:
            latest = self._order(table).latest
            time = latest // TURN * TURN + table.low_bits(stop)
            self._raise_step_back(stop, time - TURN if time > latest else time, latest)


def _reopen(path: Path, asked_size: SensorSize | None) -> DatFile:
    file = open_dat(path)
    return file if asked_size is None else file.with_size(asked_size)


class _Order(NamedTuple):
    """The clock of a file."""

    zones: Zones
    """Its turns."""
    num_sound: int
    """Records before the first damage that was found."""
    latest: int
    """Latest time of these, in microseconds."""
    reach: int
    """An interval that ends later touches damage."""


def write_dat(path: Path, blocks: Iterable[Events], size: SensorSize) -> int:
    """Write a DAT file; it appears under its name when it is complete.

    The format keeps 32 bits of a time. A reader can restore later times if the recording begins
    within the first 2^32 us and has no gap of 2^31 us or more.

    Args:
        path: the file; an existing one is replaced.
        blocks: the events, in the order of the file.
        size: the sensor's size.

    Returns:
        The number of events written.

    Raises:
        ValueError: the format cannot hold the size or an event.
        OSError: the file cannot be written.
    """
    if not all(1 <= side <= MAX_DAT_SIDE for side in size):
        raise ValueError(
            f"cannot write DAT: the sensor is {size}, the format holds sizes from 1x1 to "
            f"{MAX_DAT_SIDE}x{MAX_DAT_SIDE} (write an HDF5 file)"
        )
    num_events = 0
    clock = _Clock(0, 0)
    with replacing(path) as part, part.open("wb") as file:
        file.write(make_header(size))
        for events in blocks:
            if not len(events):
                continue
            _check_pixels(events, size, num_events)
            clock = _check_times(events["t"], clock if num_events else None, num_events)
            file.write(_encode(events).data)
            num_events += len(events)
    return num_events


class _Clock(NamedTuple):
    """Times of the events written so far, in microseconds."""

    last: int
    latest: int


def _check_pixels(events: Events, size: SensorSize, num_before: int) -> None:
    if events.dtype != EVENT_DTYPE:
        raise ValueError(f"events must be of EVENT_DTYPE, got {events.dtype}. Convert them first.")
    is_odd = (events["x"] >= size.width) | (events["y"] >= size.height) | (events["p"] > 1)
    if is_odd.any():
        i = int(is_odd.argmax())
        _, x, y, p = events[i].item()
        raise ValueError(
            f"event {num_before + i} has x={x}, y={y}, p={p}; the sensor is {size} and p is 0 or "
            "1. Are width and height swapped, or is the recording from another sensor?"
        )


def _check_times(times: Times, before: _Clock | None, num_before: int) -> _Clock:
    """Raise unless a reader can restore the times from their lower 32 bits."""
    first = int(times[0])
    if before is None and not 0 <= first < TURN:
        raise ValueError(
            f"cannot write DAT: the recording begins at t={first} us, outside 0 to {TURN - 1} us. "
            "Shift its times (shift_time, --shift-time), or write an HDF5 file."
        )
    last, latest = before or (first, first)
    latest_before = np.maximum(np.maximum.accumulate(times), latest)
    gaps = np.diff(times, prepend=last)
    is_back = (latest_before - times > MAX_STEP_BACK) | (times < 0)
    # Before the first turn of the clock any gap can be restored.
    is_gap = (gaps >= HALF_TURN) & (times >= TURN)
    if is_back.any() or is_gap.any():
        i = int((is_back | is_gap).argmax())
        was, now = int(latest_before[i - 1] if i else latest), int(times[i])
        raise ValueError(
            f"cannot write DAT: event {num_before + i} has t={now} us after {was} us; the format "
            f"holds steps back of up to {MAX_STEP_BACK} us, gaps below {HALF_TURN} us, and no time "
            "below 0. Sort the events, split the recording there, or write an HDF5 file."
        )
    return _Clock(int(times[-1]), int(latest_before[-1]))


def _encode(events: Events) -> Records:
    records = np.empty(len(events), RECORD_DTYPE)
    records["t"] = events["t"] % TURN
    words = events["x"].astype(np.uint32)
    words |= events["y"].astype(np.uint32) << 14
    words |= events["p"].astype(np.uint32) << 28
    records["word"] = words
    return records
