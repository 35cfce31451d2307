"""DAT files (Gen1, 1 Mpx, N-CARS): mapped into memory, seekable; read and write."""

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
    find_stretch,
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
from evdet.events.event_file import MAX_STEP_BACK

__all__ = ["DatFile", "open_dat", "write_dat"]

Times = Int64[np.ndarray, " _"]

_RECORD_BYTES = RECORD_DTYPE.itemsize
_BLOCK = 1 << 17
_FOREVER = 1 << 60  # beyond every time, and sums of two of them still fit
# Files up to so many records are searched whole for turns of the clock: a millisecond.
_FEW_RECORDS = 1 << 20
_NUM_SAMPLES = 256


def open_dat(path: Path) -> "DatFile":
    """Open a DAT file: reads the header, maps the rest.

    Args:
        path: the file.

    Returns:
        Its events. A turn of the clock (every 71.6 minutes) is found when it falls into a stretch
        of less than that; in files of over a million events such a stretch is 1/256 of them.

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
            f"{path}: the file cannot be read: {error.strerror}. Check its name and permissions."
        ) from error
    return DatFile(path, header, mapped)


class DatFile:
    """A DAT file, a `SeekableEventFile`: `open_dat` makes it.

    Args:
        path: the file.
        header: what it says.
        mapped: all its bytes.
    """

    def __init__(self, path: Path, header: DatHeader, mapped: mmap.mmap) -> None:
        num_bytes = len(mapped) - header.num_bytes
        self.path = path
        self.format = "DAT"
        self.stated_size = header.size
        self.num_events, self._num_spare_bytes = divmod(num_bytes, _RECORD_BYTES)
        self.num_dropped = 0
        self.is_mapped = True
        self._mapped = mapped
        self._num_header_bytes = header.num_bytes
        self._records: Records = np.frombuffer(
            mapped, RECORD_DTYPE, count=self.num_events, offset=header.num_bytes
        )
        self._known_order: _Order | None = None

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the path, not the gigabytes behind it."""
        return open_dat, (self.path,)

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
        """What converters elsewhere would subtract: `start`."""
        return self.start

    def blocks(self, since: int | None = None) -> Iterator[Events]:
        """Events in file order, in blocks of bounded size.

        Args:
            since: start at the first event with t >= since, if not None.

        Returns:
            The blocks; each belongs to the caller.

        Raises:
            RecordingError: the file is damaged; all that lies before has been delivered.
        """
        at, stop = 0, self.num_events
        clock = int(self._records["t"][0]) if self.num_events else 0
        if since is not None and self.num_events:
            at, _ = self._stretch(since, _FOREVER)
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
        """The events with first <= t < end, in file order, steps back considered.

        Args:
            first: in microseconds.
            end: in microseconds.

        Returns:
            The events; they belong to the caller.

        Raises:
            RecordingError: the stretch is damaged. Use `blocks` for what lies before.
        """
        if first >= end:
            return np.empty(0, EVENT_DTYPE)
        if not self.num_events:
            self._raise_at_the_end(0)
            return np.empty(0, EVENT_DTYPE)
        low, high = self._stretch(first, end)
        order = self._order()
        if end > order.reach:
            self._raise_at_the_end(order.num_sound)
        if low == high:
            return np.empty(0, EVENT_DTYPE)
        clock = time_at(self._records, order.zones, low)
        stretch = self._decode(low, high, clock, clock, max(first, -_FOREVER), min(end, _FOREVER))
        self._raise_if_flawed(stretch)
        return stretch.events

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
        """What is known of the clock; found once, from samples of a large file."""
        if self._known_order is None:
            if self.num_events <= _FEW_RECORDS:
                zones, num_sound = find_zones(self._records, 1)
            else:
                # Else the system reads megabytes around every sample (Windows takes no advice).
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
        if num_sound < self.num_events or self._num_spare_bytes:
            # Of the last two: the very last may be the wild one.
            last_two = range(max(num_sound - 2, 0), num_sound)
            reach = min(time_at(self._records, zones, i) for i in last_two)
        return _Order(zones, num_sound, latest_time(self._records, zones, num_sound), reach)

    def _stretch(self, first: int, end: int) -> tuple[int, int]:
        first, end = min(max(first, -_FOREVER), _FOREVER), min(max(end, -_FOREVER), _FOREVER)
        order = self._order()
        low, high = find_stretch(self._records, order.zones, order.num_sound, first=first, end=end)
        if low < 0:
            # The search met records out of order: look at every one, once.
            num_sound = find_damage(self._records)
            zones, _ = find_zones(self._records[:num_sound], 1)
            order = self._known_order = self._order_of(zones, num_sound)
            low, high = find_stretch(
                self._records, order.zones, order.num_sound, first=first, end=end
            )
        return low, high

    def _place(self, index: int) -> str:
        return f"event {index} (byte {self._num_header_bytes + index * _RECORD_BYTES})"

    def _raise_if_flawed(self, block: Decoded) -> None:
        if block.flaw == STEP_BACK:
            self._raise_step_back(block.stop, block.clock, block.latest)
        if block.flaw == OUTSIDE:
            word = int(self._records["word"][block.stop])
            raise RecordingError(
                f"{self.path}: {self._place(block.stop)} lies at x={word % MAX_DAT_SIDE}, "
                f"y={(word >> 14) % MAX_DAT_SIDE}, t={block.clock} us, outside the sensor "
                f"{self.stated_size} that the header states. If the header is wrong, correct its "
                "Width and Height lines; if not, the file is damaged there: copy it again, or use "
                "what lies before."
            )

    def _raise_step_back(self, index: int, time: int, latest: int) -> None:
        raise RecordingError(
            f"{self.path}: at {self._place(index)} the time steps back from {latest} to {time} us; "
            f"up to {MAX_STEP_BACK} us are normal. The file is damaged there, or two recordings "
            "were joined: copy it again, split it there, or use what lies before."
        )

    def _raise_at_the_end(self, stop: int) -> None:
        """Raise for what ends the sound part, if that is not simply the end of the file."""
        if stop < self.num_events:
            latest = self._order().latest
            time = latest // TURN * TURN + int(self._records["t"][stop])
            self._raise_step_back(stop, time - TURN if time > latest else time, latest)
        if self._num_spare_bytes:
            raise RecordingError(
                f"{self.path}: the file ends within {self._place(stop)}, after "
                f"{self._num_spare_bytes} of its {_RECORD_BYTES} bytes. It was cut off: copy it "
                "again, or use the events before, all of which are whole."
            )


class _Order(NamedTuple):
    """What is known of a file's clock."""

    zones: Zones
    """Where it turns over."""
    num_sound: int
    """Records before the first damage that was met."""
    latest: int
    """Latest time of these, in microseconds."""
    reach: int
    """A stretch that ends later touches damage."""


def write_dat(path: Path, blocks: Iterable[Events], size: SensorSize) -> int:
    """Write a DAT file; it appears under its name when it is whole.

    The format keeps 32 bits of a time. Later times can be told from what is before if the
    recording begins within the first 2^32 us and has no gap of 2^31 us or more.

    Args:
        path: the file; one of that name is replaced.
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
            f"a DAT file holds sensors from 1x1 to {MAX_DAT_SIDE}x{MAX_DAT_SIDE}, not {size}. "
            "Write an HDF5 file instead."
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
    """Times of what was written so far, in microseconds."""

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
            "1. Is the size swapped, or the recording from another sensor?"
        )


def _check_times(times: Times, before: _Clock | None, num_before: int) -> _Clock:
    """Raise unless a reader can tell the times from their lower 32 bits."""
    first = int(times[0])
    if before is None and not 0 <= first < TURN:
        raise ValueError(
            f"the recording begins at t={first} us; a DAT file begins from 0 to {TURN - 1}. "
            "Shift its times (shift_time, --shift-time), or write an HDF5 file."
        )
    last, latest = before or (first, first)
    latest_before = np.maximum(np.maximum.accumulate(times), latest)
    gaps = np.diff(times, prepend=last)
    is_back = (latest_before - times > MAX_STEP_BACK) | (times < 0)
    # Before the first turn of the clock nothing is lost, however long the gap.
    is_gap = (gaps >= HALF_TURN) & (times >= TURN)
    if is_back.any() or is_gap.any():
        i = int((is_back | is_gap).argmax())
        was, now = int(latest_before[i - 1] if i else latest), int(times[i])
        raise ValueError(
            f"event {num_before + i} has t={now} us after {was} us; a DAT file holds steps back "
            f"of up to {MAX_STEP_BACK} us, gaps below {HALF_TURN} us, and no time below 0. Sort "
            "the events or split the recording there, or write an HDF5 file."
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
