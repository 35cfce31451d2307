"""Blocks of events in file order -> time bins, and the checks of order on the way."""

import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64
from numba import njit

from evdet.events.dtypes import Events, RecordingError, SensorSize, TimeBin
from evdet.events.event_file import MAX_STEP_BACK
from evdet.events.joining import join_events

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
"""Microseconds without an event after which a later one is damage and not silence."""


@dataclass
class OrderCount:
    """How often events step back in time, counted while they are read."""

    num_steps_back: int = 0
    """Events that are earlier than the one before them in the file."""
    largest_step_back: int = 0
    """The furthest that an event lies before an earlier one of the file, in microseconds."""


def check_blocks(
    blocks: Iterable[Events],
    count: OrderCount,
    *,
    name: str,
    size: SensorSize | None = None,
    strict: bool = False,
) -> Iterator[Events]:
    """Hand events on, as they come, up to the first that cannot be right.

    Args:
        blocks: events in file order.
        count: is brought up to date with every block.
        name: the file, for messages.
        size: no event may lie outside; None does not look.
        strict: take any step back in time for damage.

    Returns:
        The same blocks; the last one is cut where the damage begins.

    Raises:
        RecordingError: an event lies outside the sensor, too far back in time, or after a gap
            that no recording has; all those before have been handed on.
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
    """Check the events of one stretch of time, and put them in order.

    Args:
        events: in file order.
        count: is brought up to date.
        name: the file, for messages.
        size: no event may lie outside; None does not look.
        strict: take any step back in time for damage.

    Returns:
        The events in order of time, those of one time in the order they had.

    Raises:
        RecordingError: as `check_blocks`, or an event lies outside the sensor.
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

    An event may come up to `MAX_STEP_BACK` late, so a bin is handed out when the stream is that
    far past its end.

    Args:
        blocks: events in file order, checked.
        delta_t: duration of a bin, in microseconds.
        since: earlier events are left out, and bins that end before are not made; None starts
            with the bin of the earliest event.

    Returns:
        Every bin up to the last event, the empty ones too.

    Raises:
        RecordingError: what `blocks` raises, after the bins of all events before it.
    """
    pending: list[Events] = []
    start = None if since is None else since // delta_t * delta_t
    latest = np.iinfo(np.int64).min
    problem = None
    source = iter(blocks)
    while True:
        try:
            block = next(source, None)
        except RecordingError as error:
            problem, block = error, None
        if block is not None:
            kept = block if since is None else _from(block, since // delta_t * delta_t)
            if not len(kept):
                continue
            pending.append(kept)
            latest = max(latest, int(kept["t"].max()))
            if start is None and latest - int(pending[0]["t"][0]) <= MAX_STEP_BACK:
                continue  # an earlier event may still come, and move the first bin
        if not pending:
            break
        # Everything before this is complete.
        complete = latest + 1 if block is None else latest - MAX_STEP_BACK
        if start is not None and block is not None and complete < start + delta_t:
            continue
        events = sort_by_time(pending[0] if len(pending) == 1 else join_events(pending))
        if start is None:
            start = int(events["t"][0]) // delta_t * delta_t
        while start + delta_t <= complete or (block is None and start < complete):
            end = int(np.searchsorted(events["t"], start + delta_t))
            yield TimeBin(start, delta_t, events[:end])
            events = events[end:]
            start += delta_t
        pending = [events] if len(events) else []
        if block is None:
            break
    if problem is not None:
        raise problem


class BlockSummary(NamedTuple):
    """What one pass over the blocks of a file tells."""

    num_events: int
    """Events that can be read."""
    start: int | None
    """Time of the earliest, in microseconds; None without events."""
    end: int | None
    """Time of the latest, in microseconds; None without events."""


def summarize_blocks(blocks: Iterable[Events]) -> BlockSummary:
    """Count the events of a file that can only be played, up to where it is damaged.

    Args:
        blocks: events in file order.

    Returns:
        Their number, and the times of the earliest and the latest.
    """
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
        pass  # whoever reads the events is told
    return BlockSummary(num_events, start, end)


def sort_by_time(events: Events) -> Events:
    """Put events in order of time, those of one time in the order they had.

    Args:
        events: in any order.

    Returns:
        The same array where it is in order already, else a sorted copy.
    """
    if _is_sorted(events):
        return events
    times: Int64[np.ndarray, " E"] = events["t"]
    return events[np.argsort(times, kind="stable")]


def cut_by_count(blocks: Iterable[Events], num_events: int) -> Iterator[TimeBin]:
    """Cut a stream of events into windows of a fixed number of them.

    Args:
        blocks: events in file order, checked.
        num_events: events of a window.

    Returns:
        The windows, each as long as its events need; the last may have fewer of them.

    Raises:
        RecordingError: what `blocks` raises, after the windows of all events before it.
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
            window = sort_by_time(events[:num_events])
            first = int(window["t"][0])
            yield TimeBin(first, int(window["t"][-1]) - first + 1, window)
            events = events[num_events:]
        pending = [events] if len(events) else []
        if block is None:
            break
    if problem is not None:
        raise problem


def _from(block: Events, since: int) -> Events:
    return block if int(block["t"].min(initial=since)) >= since else block[block["t"] >= since]


def _damage(event: np.void, latest: int, size: SensorSize | None, strict: bool) -> str:
    x, y, t = int(event["x"]), int(event["y"]), int(event["t"])
    if size is not None and (x >= size.width or y >= size.height):
        return (
            f"the event at t={t} us lies at x={x}, y={y}, outside the sensor {size}. "
            "Is the size swapped, or another sensor's?"
        )
    if t > latest:
        return (
            f"after t={latest} us the next event comes {(t - latest) / 6e7:.0f} minutes later, "
            f"at t={t} us: the file is damaged there. What lies before can be used."
        )
    remedy = (
        "Without strict, small steps back are sorted away."
        if strict and latest - t <= MAX_STEP_BACK
        else f"More than {MAX_STEP_BACK} us is damage, or files joined without care: "
        "what lies before can be used."
    )
    return f"time steps back by {latest - t} us, from t={latest} us to t={t} us. {remedy}"


@njit(cache=True)
@typing.no_type_check
def _is_sorted(events: Events) -> bool:
    for i in range(1, len(events)):  # noqa: SIM110 - numba compiles no generators
        if events[i].t < events[i - 1].t:
            return False
    return True


@njit(cache=True)
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
