"""The clock of a DAT file: compiled loops that undo its wraps (turns) and search for times.

The clock of 32 bits wraps every 71.6 minutes. A record that is lower than the one before by more
than half of that has crossed a turn. Records may step back a little, so some that follow can lie
before the turn again. The records from the first that has crossed to the first that is safely past
form the *zone* of that turn.
"""

import typing

import numpy as np
from jaxtyping import Int64, Shaped

from evdet.compiled import kernel
from evdet.events.files import MAX_STEP_BACK

__all__ = [
    "HALF_TURN",
    "RECORD_DTYPE",
    "TURN",
    "Records",
    "Zones",
    "earliest_time",
    "find_damage",
    "find_interval",
    "find_zones",
    "latest_time",
    "time_at",
    "unwrap",
]

RECORD_DTYPE = np.dtype([("t", "<u4"), ("word", "<u4")])
"""Packed, so that the loops are compiled for one type whatever the header's length."""
TURN = 1 << 32
"""One turn of the clock, in microseconds."""
HALF_TURN = TURN // 2
"""A drop of more is a turn of the clock."""

Records = Shaped[np.ndarray, " _"]
"""Records of `RECORD_DTYPE`."""
Zones = Int64[np.ndarray, "_ 2"]
"""For each turn of the clock: its first record, and the first after which none steps back."""

_LOW_BITS = TURN - 1
# In 20 ms these would be 800 M events per second: no sensor reaches that.
_MAX_DISORDERED = 1 << 24


def find_zones(records: Records, stride: int) -> tuple[Zones, int]:
    """Find the turns of the clock from every `stride`-th record.

    A turn is found when the clock makes less than one turn from one of these to the next.

    Args:
        records: all records of the file.
        stride: 1 looks at every record.

    Returns:
        The zones, and the number of records before the first damage met on the way.
    """
    zones, num_sound = _find_zones(records, stride)
    return zones, int(num_sound)


def find_damage(records: Records) -> int:
    """Index of the first record that lies more than `MAX_STEP_BACK` before an earlier one.

    Without one it is the number of records. Every record is read.
    """
    if not len(records):
        return 0
    start = np.int64(records["t"][0])
    # No file reaches this time, so the scan runs to the end or to damage.
    return int(_scan_turn(records, 0, start, np.int64(1) << 62)[1])


def find_interval(
    records: Records, zones: Zones, num_sound: int, *, first: int, end: int
) -> tuple[int, int]:
    """Find the records with first <= t < end, among those of the first `num_sound`.

    Args:
        records: all records of the file.
        zones: its turns.
        num_sound: records to search.
        first: in microseconds.
        end: in microseconds.

    Returns:
        The first such record and one after the last (some between may lie outside), or -1 and -1
        when the search met records that step back too far.
    """
    low, high = _find_interval(records, zones, num_sound, first, end)
    return int(low), int(high)


def time_at(records: Records, zones: Zones, index: int) -> int:
    """Time of the record at `index`, turns undone, in microseconds."""
    return int(_time_at(records, zones, index))


def earliest_time(records: Records) -> int:
    """The earliest time of the records (at least one), in microseconds."""
    return int(_earliest_time(records[:_MAX_DISORDERED]))


def latest_time(records: Records, zones: Zones, num_sound: int) -> int:
    """The latest time of the first `num_sound` records (at least one), in microseconds."""
    return int(_latest_time(records, zones, num_sound))


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


@kernel
@typing.no_type_check
def _time_at(records, zones, index):
    low_bits = np.int64(records[index].t)
    num_turns, above = 0, len(zones)  # turns whose zone begins at or before this record
    while num_turns < above:
        middle = (num_turns + above) // 2
        if zones[middle, 0] <= index:
            num_turns = middle + 1
        else:
            above = middle
    if num_turns and index < zones[num_turns - 1, 1] and low_bits >= HALF_TURN:
        num_turns -= 1  # a step back, over the turn
    return low_bits + num_turns * TURN


@kernel
@typing.no_type_check
def _scan_turn(records, at, clock, turn):
    """Scan from record `at`, whose time is `clock`, until the time `turn` is safely past.

    Returns the first record at or after `turn` (-1: none), the record where the scan ended, and
    whether damage ended it.
    """
    crossed = -1
    latest = clock
    for i in range(at + 1, len(records)):
        clock = unwrap(records[i].t, clock)
        if clock < latest - MAX_STEP_BACK:
            return crossed, i, True
        latest = max(latest, clock)
        if crossed < 0 and clock >= turn:
            crossed = i
        if clock >= turn + MAX_STEP_BACK:
            return crossed, i, False
    return crossed, len(records), False


@kernel
@typing.no_type_check
def _find_zones(records, stride):
    num_records = len(records)
    zones = np.empty((4, 2), np.int64)
    num_zones = 0
    turn = np.int64(0)  # time at which the present turn of the clock began
    at = 0
    while at < num_records - 1:
        ahead = min(at + stride, num_records - 1)
        if np.int64(records[ahead].t) >= np.int64(records[at].t) - MAX_STEP_BACK:
            at = ahead
            continue
        # `at` itself may be a step back over the turn: start before all records near the turn.
        floor = zones[num_zones - 1, 1] if num_zones else 0
        while at > floor and not MAX_STEP_BACK <= records[at].t < TURN - MAX_STEP_BACK:
            at -= 1
        crossed, at, is_damage = _scan_turn(
            records, at, turn + np.int64(records[at].t), turn + TURN
        )
        if crossed >= 0:
            if num_zones == len(zones):
                zones = np.concatenate((zones, np.empty_like(zones)))
            zones[num_zones, 0], zones[num_zones, 1] = crossed, at
            num_zones += 1
        if is_damage:
            return zones[:num_zones], at
        turn += TURN
    return zones[:num_zones], num_records


@kernel
@typing.no_type_check
def _lower_bound(records, zones, num_sound, target):
    """A record at or after `target` whose predecessor is before it; -1: not in order."""
    low, high = -1, num_sound
    below, above = np.int64(-(1 << 62)), np.int64(1 << 62)
    while high - low > 1:
        middle = (low + high) // 2
        time = _time_at(records, zones, middle)
        if time < below - MAX_STEP_BACK or time > above + MAX_STEP_BACK:
            return -1
        if time < target:
            low, below = middle, max(below, time)
        else:
            high, above = middle, min(above, time)
    # An outlier can mislead the search to itself; the step back is then next to it.
    for i in range(max(high - 2, 0), min(high + 1, num_sound - 1)):
        if _time_at(records, zones, i + 1) < _time_at(records, zones, i) - MAX_STEP_BACK:
            return -1
    return high


@kernel
@typing.no_type_check
def _find_interval(records, zones, num_sound, first, end):
    low = _lower_bound(records, zones, num_sound, first - MAX_STEP_BACK)
    high = _lower_bound(records, zones, num_sound, end + MAX_STEP_BACK)
    if low < 0 or high < 0:
        return -1, -1
    # Shrink the margins for late records, which mostly lie outside the interval.
    while low < high and _time_at(records, zones, low) < first:
        low += 1
    while low < high and _time_at(records, zones, high - 1) >= end:
        high -= 1
    return low, max(low, high)


@kernel
@typing.no_type_check
def _earliest_time(records):
    clock = np.int64(records[0].t)
    beyond = clock + MAX_STEP_BACK
    latest = earliest = clock
    for i in range(1, len(records)):
        clock = unwrap(records[i].t, clock)
        if clock > beyond or clock < latest - MAX_STEP_BACK or earliest == 0:
            break
        latest = max(latest, clock)
        earliest = min(earliest, clock)
    return earliest


@kernel
@typing.no_type_check
def _latest_time(records, zones, num_sound):
    latest = _time_at(records, zones, num_sound - 1)
    beyond = latest - MAX_STEP_BACK
    for i in range(num_sound - 2, max(num_sound - _MAX_DISORDERED, 0) - 1, -1):
        time = _time_at(records, zones, i)
        if time < beyond:
            break
        latest = max(latest, time)
    return latest
