"""Blocks of events in file order -> time bins, with checks of the order of time."""

import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from evdet.compiled import kernel
from evdet.events.dtypes import Events, RecordingError, SensorSize, TimeBin
from evdet.events.files.event_file import MAX_STEP_BACK
from evdet.events.files.joining import join_events

__all__ = [
    "MAX_GAP",
    "BlockSummary",
    "OrderCount",
    "check_blocks",
    "check_slice",
    "cut_bins",
    "cut_by_count",
    "sort_by_time",
    "summarize_blocks",
]

MAX_GAP = 2 * 3600 * 1_000_000
"""Microseconds without an event after which a later event is treated as damage."""


@dataclass
class OrderCount:
    """Counts steps back in time while events are read."""

    num_steps_back: int = 0
    """Events that are earlier than the one before them in the file."""
    largest_step_back: int = 0
    """The largest step back, in microseconds."""


def check_blocks(
    blocks: Iterable[Events],
    count: OrderCount,
    *,
    name: str,
    size: SensorSize | None = None,
    strict: bool = False,
) -> Iterator[Events]:
    """Pass events on up to the first invalid one.

    Args:
        blocks: events in file order.
        count: updated with every block.
        name: the file, for messages.
        size: the sensor's size, to check events against; None skips this check.
        strict: treat any step back in time as damage.

    Returns:
        The same blocks; the last one ends before the damage.

    Raises:
        RecordingError: an event lies outside the sensor, too far back in time, or after a gap of
            more than `MAX_GAP`; the events before are delivered first.
    """
    latest = np.iinfo(np.int64).min
    previous = latest
    height, width = size or SensorSize(1 << 16, 1 << 16)
    most_back = 0 if strict else MAX_STEP_BACK
    for block in blocks:
        good, latest, num_back, largest = _scan(block, latest, previous, height, width, most_back)
        count.num_steps_back += num_back
        count.largest_step_back = max(count.largest_step_back, largest)
        if good:
            yield block[:good]
            previous = int(block["t"][good - 1])
        if good < len(block):
            raise RecordingError(f"{name}: {_damage(block[good], latest, size, strict)}")


def check_slice(
    events: Events,
    count: OrderCount,
    *,
    name: str,
    size: SensorSize | None = None,
    strict: bool = False,
) -> Events:
    """Check the events of one interval as `check_blocks` does, and sort them by time (stable).

    Raises:
        RecordingError: as `check_blocks`.
    """
    before = count.num_steps_back
    for _ in check_blocks([events], count, name=name, size=size, strict=strict):
        pass
    if count.num_steps_back == before:
        return events
    return events[np.argsort(events["t"], kind="stable")]


def cut_bins(
    blocks: Iterable[Events], delta_t: int, *, since: int | None = None
) -> Iterator[TimeBin]:
    """Cut a stream of events into bins on the grid of multiples of `delta_t`.

    An event may come up to `MAX_STEP_BACK` late, so a bin is delivered when the stream is that far
    past its end.

    Args:
        blocks: events in file order, checked.
        delta_t: duration of a bin, in microseconds.
        since: start with the bin that holds this time; None starts with that of the earliest
            event.

    Returns:
        All bins up to the last event, the empty ones too.

    Raises:
        RecordingError: what `blocks` raises, after the bins of all events before it.
    """
    pending = _Pending()
    start = None if since is None else since // delta_t * delta_t
    problem = None
    source = iter(blocks)
    while True:
        try:
            block = next(source, None)
        except RecordingError as error:
            problem, block = error, None
        if block is not None:
            pending.add(block if since is None else _from(block, since // delta_t * delta_t))
        if pending.first is None:
            if block is None:
                break
            continue
        if start is None:
            if block is not None and pending.latest - pending.first <= MAX_STEP_BACK:
                continue  # an earlier event may follow and move the first bin
            start = pending.earliest() // delta_t * delta_t
        # All events before this time have come.
        complete = pending.latest + 1 if block is None else pending.latest - MAX_STEP_BACK
        while start + delta_t <= complete or (block is None and start < complete):
            yield TimeBin(start, delta_t, pending.take(start + delta_t))
            start += delta_t
        if block is None:
            break
    if problem is not None:
        raise problem


class _Pending:
    """Events that wait for their bin to be complete."""

    def __init__(self) -> None:
        self.latest = np.iinfo(np.int64).min
        """The latest time of all events so far."""
        self.first: int | None = None
        """The time of the first event of all; None before it."""
        self._parts: list[Events] = []
        self._is_in_order = True

    def add(self, block: Events) -> None:
        if not len(block):
            return
        if self.first is None:
            self.first = int(block[0]["t"])
        is_in_order, self.latest = _follow(block, self.latest)
        self._is_in_order = self._is_in_order and is_in_order
        self._parts.append(block)

    def earliest(self) -> int:
        self._sort()
        return int(self._parts[0][0]["t"])

    def take(self, end: int) -> Events:
        """Remove and return the events before `end`, in order of time."""
        self._sort()
        taken: list[Events] = []
        while self._parts:
            part = self._parts[0]
            count = int(_first_at(part, end))
            if count:
                taken.append(part[:count])
            if count < len(part):
                self._parts[0] = part[count:]
                break
            del self._parts[0]
        return taken[0] if len(taken) == 1 else join_events(taken)

    def _sort(self) -> None:
        if not self._is_in_order:
            self._parts = [sort_by_time(join_events(self._parts))]
            self._is_in_order = True


class BlockSummary(NamedTuple):
    """The result of one pass over the blocks of a file."""

    num_events: int
    """Events that can be read."""
    start: int | None
    """Time of the earliest, in microseconds; None without events."""
    end: int | None
    """Time of the latest, in microseconds; None without events."""


def summarize_blocks(blocks: Iterable[Events]) -> BlockSummary:
    """Count events, up to damage, and find their earliest and latest time."""
    num_events = 0
    start: int | None = None
    end: int | None = None
    try:
        for block in blocks:
            first, last = int(block["t"].min()), int(block["t"].max())
            start = first if start is None else min(start, first)
            end = last if end is None else max(end, last)
            num_events += len(block)
    except RecordingError:
        pass  # reading the events raises it again
    return BlockSummary(num_events, start, end)


def sort_by_time(events: Events) -> Events:
    """Sort events by time (stable); returns the same array if it is sorted already."""
    if _is_sorted(events):
        return events
    times: Int64[np.ndarray, " E"] = events["t"]
    return events[np.argsort(times, kind="stable")]


def cut_by_count(blocks: Iterable[Events], num_events: int) -> Iterator[TimeBin]:
    """Cut a stream of events, checked, into slices of `num_events`; the last may have fewer.

    Raises:
        RecordingError: what `blocks` raises, after the slices of all events before it.
    """
    pending: list[Events] = []
    problem = None
    source = iter(blocks)
    while True:
        try:
            block = next(source, None)
        except RecordingError as error:
            problem, block = error, None
        if block is not None:
            pending.append(block)
            if sum(map(len, pending)) < num_events:
                continue
        events = join_events(pending)
        while len(events) >= num_events or (block is None and len(events)):
            part = sort_by_time(events[:num_events])
            first = int(part["t"][0])
            yield TimeBin(first, int(part["t"][-1]) - first + 1, part)
            events = events[num_events:]
        pending = [events] if len(events) else []
        if block is None:
            break
    if problem is not None:
        raise problem


def _from(block: Events, since: int) -> Events:
    if _first_before(block, since) < 0:
        return block
    return block[block["t"] >= since]


def _damage(event: np.void, latest: int, size: SensorSize | None, strict: bool) -> str:
    x, y, t = int(event["x"]), int(event["y"]), int(event["t"])
    if size is not None and (x >= size.width or y >= size.height):
        return (
            f"the event at t={t} us lies at x={x}, y={y}, outside the sensor {size}. "
            "Are width and height swapped, or is the size another sensor's? --sensor-size WxH says "
            "what it is."
        )
    if t > latest:
        return (
            f"after t={latest} us the next event comes {(t - latest) / 6e7:.0f} minutes later, "
            f"at t={t} us: the file is damaged. The events before can be read."
        )
    remedy = (
        "Without strict, small steps back are sorted."
        if strict and latest - t <= MAX_STEP_BACK
        else f"A step of more than {MAX_STEP_BACK} us means damage or joined recordings; the "
        "events before can be read."
    )
    return f"time steps back by {latest - t} us, from t={latest} us to t={t} us. {remedy}"


@kernel
@typing.no_type_check
def _is_sorted(events: Events) -> bool:
    for i in range(1, len(events)):  # noqa: SIM110 - numba compiles no generators
        if events[i].t < events[i - 1].t:
            return False
    return True


@kernel
@typing.no_type_check
def _follow(events: Events, latest: int) -> tuple[bool, int]:
    """Whether events are in order, after one at `latest`; and the latest time then."""
    num_back = 0
    before = latest
    for i in range(len(events)):
        t = events[i].t
        num_back += t < before
        latest = max(latest, t)
        before = t
    return num_back == 0, latest


@kernel
@typing.no_type_check
def _first_before(events: Events, time: int) -> int:
    """Index of the first event with t < time; -1 without."""
    for i in range(len(events)):
        if events[i].t < time:
            return i
    return -1


@kernel
@typing.no_type_check
def _first_at(events: Events, time: int) -> int:
    """Index of the first of events in order with t >= time."""
    low, high = 0, len(events)
    while low < high:
        middle = (low + high) // 2
        if events[middle].t < time:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
@typing.no_type_check
def _scan(
    events: Events, latest: int, previous: int, height: int, width: int, most_back: int
) -> tuple[int, int, int, int]:
    """Events before the first bad one, the latest time among them, steps back and the largest."""
    num_back = 0
    largest = 0
    for i in range(len(events)):
        t = events[i].t
        if events[i].x >= width or events[i].y >= height:
            return i, latest, num_back, largest
        if t >= latest:
            # The first event of all comes after no gap.
            if t - latest > MAX_GAP and previous != np.iinfo(np.int64).min:
                return i, latest, num_back, largest
            latest = t
        else:
            if latest - t > most_back:
                return i, latest, num_back, largest
            largest = max(largest, latest - t)
            if t < previous:
                num_back += 1
        previous = t
    return len(events), latest, num_back, largest
