"""Read and write DAT files (Gen1, 1 Mpx, N-CARS): memory-mapped and seekable."""

import functools
import mmap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from evdet.atomic_file import replacing
from evdet.events.dat.clock import (
    HALF_TURN,
    RECORD_DTYPE,
    TURN,
    Records,
    Zones,
    earliest_time,
    find_damage,
    find_interval,
    find_zones,
    latest_time,
    time_at,
)
from evdet.events.dat.decoder import OUTSIDE, STEP_BACK, Decoded, decode
from evdet.events.dat.header import (
    MAX_DAT_HEADER,
    MAX_DAT_SIDE,
    DatHeader,
    make_header,
    parse_header,
)
from evdet.events.dtypes import EVENT_DTYPE, Events, RecordingError, SensorSize
from evdet.events.files import AS_STATED, MAX_STEP_BACK, ReadOptions

__all__ = ["DatFile", "open_dat", "write_dat"]

Times = Int64[np.ndarray, " _"]

_RECORD_BYTES = RECORD_DTYPE.itemsize
_BLOCK = 1 << 17
_FOREVER = 1 << 60  # beyond every time, and sums of two of them still fit
# Files of up to N records are searched whole for turns of the clock: a millisecond.
_FEW_RECORDS = 1 << 20
_NUM_SAMPLES = 256


def open_dat(path: Path, options: ReadOptions = AS_STATED) -> "DatFile":
    """Open a DAT file: read the header, map the rest.

    Turns of the clock (every 71.6 minutes) are found from samples; in files of over a million
    events two samples, 1/256 of the events apart, must lie less than a turn apart.

    Raises:
        RecordingError: the file cannot be read, or is not a DAT file of change events.
    """
    try:
        with path.open("rb") as file:
            start = file.read(MAX_DAT_HEADER)
            header = parse_header(path, start)
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise RecordingError(
            f"cannot read {path}: {error.strerror}. Check its name and permissions."
        ) from error
    return DatFile(path, header, mapped)


class DatFile:
    """A DAT file, a `SeekableEventFile`: `open_dat` makes it.

    Args:
        path: the file.
        header: its header.
        mapped: all its bytes.
        asked_size: the sensor's size, whatever the header states.
    """

    def __init__(
        self,
        path: Path,
        header: DatHeader,
        mapped: mmap.mmap,
        *,
        asked_size: SensorSize | None = None,
    ) -> None:
        num_bytes = len(mapped) - header.num_bytes
        self.path = path
        self.format = "DAT"
        self.stated_size = asked_size or header.size
        self.num_events, self._num_spare_bytes = divmod(num_bytes, _RECORD_BYTES)
        self.num_dropped = 0
        self.is_mapped = True
        self._header = header
        self._mapped = mapped
        self._asked_size = asked_size
        self._num_header_bytes = header.num_bytes
        self._records: Records = np.frombuffer(
            mapped, RECORD_DTYPE, count=self.num_events, offset=header.num_bytes
        )
        self._known_order: _Order | None = None

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the path, not the gigabytes behind it."""
        return _reopen, (self.path, self._asked_size)

    def with_size(self, size: SensorSize) -> "DatFile":
        """The same file as of a sensor of this size, whatever its header states."""
        return DatFile(self.path, self._header, self._mapped, asked_size=size)

    @functools.cached_property
    def start(self) -> int | None:
        """Time of the earliest event, in microseconds; None without events."""
        return earliest_time(self._records) if self.num_events else None

    @property
    def end(self) -> int | None:
        """Time of the latest event before known damage, in microseconds; None without events."""
        return self._order().latest if self.num_events else None

    @property
    def time_origin(self) -> int | None:
        """What other converters subtract: `start`."""
        return self.start

    @property
    def incomplete_end(self) -> str:
        """Says that the file ends within a record; empty if it does not."""
        if not self._num_spare_bytes:
            return ""
        return (
            f"{self.path} ends within {self._describe(self.num_events)}, after "
            f"{self._num_spare_bytes} of its {_RECORD_BYTES} bytes."
        )

    def blocks(self, since: int | None = None) -> Iterator[Events]:
        """Events in file order, in blocks of bounded size.

        Args:
            since: start at the first event with t >= since, if not None.

        Raises:
            RecordingError: the file is damaged; the events before the damage are delivered first.
        """
        at, stop = 0, self.num_events
        clock = int(self._records["t"][0]) if self.num_events else 0
        if since is not None and self.num_events:
            at, _ = self._find_interval(since, _FOREVER)
            order = self._order()
            stop = order.num_sound
            clock = time_at(self._records, order.zones, min(at, stop - 1))
        latest = clock
        while at < stop:
            block = self._decode(at, min(at + _BLOCK, stop), clock, latest)
            if len(block.events):
                yield block.events
            self._raise_if_flawed(block)
            at, clock, latest = block.stop, block.clock, block.latest
        self._raise_at_the_end(stop)

    def between(self, first: int, end: int) -> Events:
        """The events with first <= t < end, in file order, late events included.

        Raises:
            RecordingError: the interval is damaged; `blocks` reads up to the damage.
        """
        if first >= end:
            return np.empty(0, EVENT_DTYPE)
        if not self.num_events:
            return np.empty(0, EVENT_DTYPE)
        low, high = self._find_interval(first, end)
        order = self._order()
        if end > order.reach:
            self._raise_at_the_end(order.num_sound)
        if low == high:
            return np.empty(0, EVENT_DTYPE)
        clock = time_at(self._records, order.zones, low)
        decoded = self._decode(low, high, clock, clock, max(first, -_FOREVER), min(end, _FOREVER))
        self._raise_if_flawed(decoded)
        return decoded.events

    def _decode(
        self,
        low: int,
        high: int,
        clock: int,
        latest: int,
        first: int = -_FOREVER,
        end: int = _FOREVER,
    ) -> Decoded:
        height, width = self.stated_size or (MAX_DAT_SIDE, MAX_DAT_SIDE)
        return decode(
            self._records,
            low,
            high,
            clock=clock,
            latest=latest,
            first=first,
            end=end,
            width=width,
            height=height,
        )

    def _order(self) -> "_Order":
        """The turns of the clock; found once, from samples of a large file."""
        if self._known_order is None:
            if self.num_events <= _FEW_RECORDS:
                zones, num_sound = find_zones(self._records, 1)
            else:
                # Otherwise the system reads megabytes around every sample (Windows has no madvise).
                takes_advice = hasattr(mmap, "MADV_RANDOM")
                if takes_advice:
                    self._mapped.madvise(mmap.MADV_RANDOM)
                zones, num_sound = find_zones(self._records, self.num_events // _NUM_SAMPLES)
                if takes_advice:
                    self._mapped.madvise(mmap.MADV_NORMAL)
            self._known_order = self._order_of(zones, num_sound)
        return self._known_order

    def _order_of(self, zones: Zones, num_sound: int) -> "_Order":
        reach = _FOREVER
        if num_sound < self.num_events:
            # Of the last two: the last one may be an outlier.
            last_two = range(max(num_sound - 2, 0), num_sound)
            reach = min(time_at(self._records, zones, i) for i in last_two)
        return _Order(zones, num_sound, latest_time(self._records, zones, num_sound), reach)

    def _find_interval(self, first: int, end: int) -> tuple[int, int]:
        first, end = min(max(first, -_FOREVER), _FOREVER), min(max(end, -_FOREVER), _FOREVER)
        order = self._order()
        low, high = find_interval(self._records, order.zones, order.num_sound, first=first, end=end)
        if low < 0:
            # The search met records out of order: read every one, once.
            num_sound = find_damage(self._records)
            zones, _ = find_zones(self._records[:num_sound], 1)
            order = self._known_order = self._order_of(zones, num_sound)
            low, high = find_interval(
                self._records, order.zones, order.num_sound, first=first, end=end
            )
        return low, high

    def _describe(self, index: int) -> str:
        return f"event {index} (byte {self._num_header_bytes + index * _RECORD_BYTES})"

    def _raise_if_flawed(self, block: Decoded) -> None:
        if block.flaw == STEP_BACK:
            self._raise_step_back(block.stop, block.clock, block.latest)
        if block.flaw == OUTSIDE:
            word = int(self._records["word"][block.stop])
            origin = "that was asked for" if self._asked_size else "of the header"
            raise RecordingError(
                f"{self.path}: {self._describe(block.stop)} lies at x={word % MAX_DAT_SIDE}, "
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

    def _raise_at_the_end(self, stop: int) -> None:
        """Raise if the sound part ends before the file does."""
        if stop < self.num_events:
            latest = self._order().latest
            time = latest // TURN * TURN + int(self._records["t"][stop])
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
