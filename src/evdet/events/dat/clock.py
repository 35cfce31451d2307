"""The clock of a DAT file: undo its wraps (turns), and search for times.

The clock of 32 bits wraps every 71.6 minutes. A record that is lower than the one before by more
than half of that has crossed a turn. Records may step back a little, so some that follow can lie
before the turn again. The records from the first that has crossed to the first that is safely past
form the *zone* of that turn.
"""

import itertools
import typing

import numpy as np
from jaxtyping import Int64

from evdet.compiled import kernel
from evdet.events.dat.records import OpenedRecords, Records
from evdet.events.files import MAX_STEP_BACK

__all__ = [
    "HALF_TURN",
    "TURN",
    "Zones",
    "earliest_time",
    "find_interval",
    "find_zones",
    "latest_time",
    "time_at",
    "trim",
    "unwrap",
]

TURN = 1 << 32
"""One turn of the clock, in microseconds."""
HALF_TURN = TURN // 2
"""A drop of more is a turn of the clock."""

Zones = Int64[np.ndarray, "_ 2"]
"""For each turn of the clock: its first record, and the first after which none steps back."""

_LOW_BITS = TURN - 1
# In 20 ms these would be 800 M events per second: no sensor reaches that.
_MAX_DISORDERED = 1 << 24
_BLOCK = 1 << 15
# What a scan for turns keeps between blocks.
_TURN_AT, _CLOCK, _LATEST, _CROSSED = range(4)


def find_zones(table: OpenedRecords, stride: int) -> tuple[Zones, int]:
    """Find the turns of the clock from every `stride`-th record, and those around a fall.

    A turn is found when the clock makes less than one turn from one of these to the next.

    Args:
        table: the records.
        stride: 1 reads every record.

    Returns:
        The zones, and the number of records before the first damage met on the way: one that lies
        more than `MAX_STEP_BACK` before an earlier one.
    """
    num_records = table.num_records
    if num_records < 2:
        return np.empty((0, 2), np.int64), num_records
    if stride == 1:
        return _scan_zones(table, [(0, num_records)])
    places = np.append(np.arange(0, num_records - 1, stride), num_records - 1)
    times = np.array([table.low_bits(int(place)) for place in places], np.int64)
    is_safe = (times >= MAX_STEP_BACK) & (times < TURN - MAX_STEP_BACK)
    parts: list[tuple[int, int]] = []
    k = 0
    for fall in np.flatnonzero(np.diff(times) < -MAX_STEP_BACK).tolist():
        if fall < k:
            continue
        # From a record that cannot be a step back over the turn, to one that none follows.
        begin, stop = fall, fall + 1
        while begin > k and not is_safe[begin]:
            begin -= 1
        while stop < len(places) - 1 and not is_safe[stop]:
            stop += 1
        parts.append((int(places[begin]), int(places[stop]) + 1))
        k = stop
    return _scan_zones(table, parts)


def _scan_zones(table: OpenedRecords, parts: list[tuple[int, int]]) -> tuple[Zones, int]:
    """Read parts of the records, between which the clock does not turn."""
    zones: list[Zones] = []
    state = np.zeros(4, np.int64)
    state[_CROSSED] = -1
    room = np.empty((_BLOCK, 2), np.int64)
    for low, high in parts:
        state[_CLOCK] = state[_LATEST] = state[_TURN_AT] + table.low_bits(low)
        at = low
        for records in table.blocks(low, high, _BLOCK):
            num_zones, damaged = _scan_turns(records, at, state, room)
            zones.append(room[:num_zones].copy())
            if damaged >= 0:
                return _joined(zones, state, damaged), int(damaged)
            at += len(records)
    return _joined(zones, state, table.num_records), table.num_records


def _joined(zones: list[Zones], state: Int64[np.ndarray, "4"], end: int) -> Zones:
    """All zones; one that is still open ends with the records."""
    if state[_CROSSED] >= 0:
        zones = [*zones, np.array([[state[_CROSSED], end]], np.int64)]
    return np.concatenate([np.empty((0, 2), np.int64), *zones])


def find_interval(
    table: OpenedRecords, zones: Zones, num_sound: int, *, first: int, end: int
) -> tuple[int, int]:
    """Find the records with first <= t < end, among those of the first `num_sound`.

    Args:
        table: the records.
        zones: its turns.
        num_sound: records to search.
        first: in microseconds.
        end: in microseconds.

    Returns:
        The first of them and one after the last, with those around that late records need; or -1
        and -1 when the search met records that step back too far.
    """
    low = _lower_bound(table, zones, num_sound, first - MAX_STEP_BACK)
    high = _lower_bound(table, zones, num_sound, end + MAX_STEP_BACK)
    if low < 0 or high < 0:
        return -1, -1
    return low, max(low, high)


def time_at(table: OpenedRecords, zones: Zones, index: int) -> int:
    """Time of the record at `index`, turns undone, in microseconds."""
    low_bits = table.low_bits(index)
    # Turns whose zone begins at or before this record.
    num_turns = int(np.searchsorted(zones[:, 0], index, side="right")) if len(zones) else 0
    if num_turns and index < zones[num_turns - 1, 1] and low_bits >= HALF_TURN:
        num_turns -= 1  # a step back, over the turn
    return low_bits + num_turns * TURN


def _lower_bound(table: OpenedRecords, zones: Zones, num_sound: int, target: int) -> int:
    """A record at or after `target` whose predecessor is before it; -1: not in order."""
    low, high = -1, num_sound
    below, above = -(1 << 62), 1 << 62
    while high - low > 1:
        middle = (low + high) // 2
        time = time_at(table, zones, middle)
        if time < below - MAX_STEP_BACK or time > above + MAX_STEP_BACK:
            return -1
        if time < target:
            low, below = middle, max(below, time)
        else:
            high, above = middle, min(above, time)
    # An outlier can mislead the search to itself; the step back is then next to it.
    near = range(max(high - 2, 0), min(high + 2, num_sound))
    times = [time_at(table, zones, i) for i in near]
    if any(b < a - MAX_STEP_BACK for a, b in itertools.pairwise(times)):
        return -1
    return high


def earliest_time(table: OpenedRecords) -> int:
    """The earliest time of the records (at least one), in microseconds."""
    clock = earliest = latest = table.low_bits(0)
    beyond = clock + MAX_STEP_BACK
    for records in table.blocks(0, min(table.num_records, _MAX_DISORDERED), _BLOCK):
        clock, latest, earliest, is_found = _earliest_time(records, clock, latest, earliest, beyond)
        if is_found:
            break
    return int(earliest)


def latest_time(table: OpenedRecords, zones: Zones, num_sound: int) -> int:
    """The latest time of the first `num_sound` records (at least one), in microseconds."""
    latest = time_at(table, zones, num_sound - 1)
    beyond = latest - MAX_STEP_BACK
    high = num_sound - 1
    floor = max(num_sound - _MAX_DISORDERED, 0)
    size = 512  # mostly these are enough
    while high > floor:
        low = max(high - size, floor)
        latest, is_found = _latest_time(table.read(low, high), low, zones, latest, beyond)
        if is_found:
            break
        high, size = low, _BLOCK
    return int(latest)


@kernel
@typing.no_type_check
def unwrap(low_bits, clock):
    """Time of a record from its 32 bits and the time of the record before."""
    time = (clock & ~np.int64(_LOW_BITS)) + np.int64(low_bits)
    if time < clock - HALF_TURN:
        return time + TURN
    if time - clock >= TURN - MAX_STEP_BACK and time >= TURN:
        return time - TURN  # a small step back, over the turn
    return time


def trim(records: Records, zones: Zones, index: int, *, first: int, end: int) -> tuple[int, int]:
    """Leave out records before and after an interval.

    Args:
        records: consecutive ones.
        zones: the turns of all records.
        index: of the first of these records among all.
        first: start of the interval, in microseconds.
        end: end of the interval (exclusive), in microseconds.

    Returns:
        Index of the first record with first <= t, and one after the last with t < end.
    """
    low, high = _trim(records, zones, index, first, end)
    return int(low), int(high)


@kernel
@typing.no_type_check
def _trim(records, zones, index, first, end):
    low, high = 0, len(records)
    while low < high and _time_of(records, low, zones, index) < first:
        low += 1
    while low < high and _time_of(records, high - 1, zones, index) >= end:
        high -= 1
    return low, high


@kernel
@typing.no_type_check
def _time_of(records, i, zones, index):
    time = np.int64(records[i].t)
    if len(zones):
        num_turns = np.searchsorted(zones[:, 0], index + i, side="right")
        if num_turns and index + i < zones[num_turns - 1, 1] and time >= HALF_TURN:
            num_turns -= 1
        time += num_turns * TURN
    return time


@kernel
@typing.no_type_check
def _scan_turns(records, first, state, zones):
    """Find turns in the records from index `first` on.

    Returns the number of zones, and the index of a damaged record (-1: none).
    """
    clock, latest, crossed = state[_CLOCK], state[_LATEST], state[_CROSSED]
    turn = state[_TURN_AT] + TURN
    num_zones, damaged = 0, -1
    for i in range(len(records)):
        clock = unwrap(records[i].t, clock)
        if clock < latest - MAX_STEP_BACK:
            damaged = first + i
            break
        latest = max(latest, clock)
        if crossed < 0 and clock >= turn:
            crossed = first + i
        if crossed >= 0 and clock >= turn + MAX_STEP_BACK:
            zones[num_zones, 0], zones[num_zones, 1] = crossed, first + i
            num_zones += 1
            turn += TURN
            crossed = first + i if clock >= turn else -1
    state[_CLOCK], state[_LATEST], state[_CROSSED] = clock, latest, crossed
    state[_TURN_AT] = turn - TURN
    return num_zones, damaged


@kernel
@typing.no_type_check
def _earliest_time(records, clock, latest, earliest, beyond):
    for i in range(len(records)):
        clock = unwrap(records[i].t, clock)
        if clock > beyond or clock < latest - MAX_STEP_BACK or earliest == 0:
            return clock, latest, earliest, True
        latest = max(latest, clock)
        earliest = min(earliest, clock)
    return clock, latest, earliest, False


@kernel
@typing.no_type_check
def _latest_time(records, first, zones, latest, beyond):
    for i in range(len(records) - 1, -1, -1):
        time = _time_of(records, i, zones, first)
        if time < beyond:
            return latest, True
        latest = max(latest, time)
    return latest, False
