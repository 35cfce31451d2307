"""Records of a DAT file -> events, in compiled loops."""

import typing

import numpy as np

from evdet.compiled import kernel
from evdet.events.dat.clock import HALF_TURN, TURN, unwrap
from evdet.events.dat.records import Records
from evdet.events.dtypes import EVENT_DTYPE, Events
from evdet.events.files import MAX_STEP_BACK

__all__ = ["OUTSIDE", "STEP_BACK", "Decoded", "decode"]

STEP_BACK = 1
"""A flaw: a record lies more than `MAX_STEP_BACK` before an earlier one."""
OUTSIDE = 2
"""A flaw: a record lies outside the sensor."""

_COORDINATE = (1 << 14) - 1
_PIECE = 2048


class Decoded(typing.NamedTuple):
    """Decoded records, and the reason and index where decoding stopped."""

    events: Events
    """The requested events, up to a flaw."""
    stop: int
    """The first record that was not decoded."""
    flaw: int
    """0, `STEP_BACK` or `OUTSIDE`: what is wrong with record `stop`."""
    clock: int
    """Time of the last record that was read, in microseconds."""
    latest: int
    """Latest time so far, in microseconds."""


def decode(
    records: Records,
    low: int,
    high: int,
    *,
    clock: int,
    latest: int,
    first: int,
    end: int,
    width: int,
    height: int,
) -> Decoded:
    """Decode the records low ... high - 1 and keep those with first <= t < end.

    Args:
        records: all records of the file.
        low: the first to decode.
        high: one after the last.
        clock: time of the record before, or of the first one, in microseconds.
        latest: latest time of the records before, in microseconds.
        first: start of the interval, in microseconds.
        end: end of the interval (exclusive), in microseconds.
        width: columns of the sensor; an event of the interval beyond is a flaw.
        height: rows of the sensor; likewise.

    Returns:
        The events in the order of the file.
    """
    # Buffers of a few sizes reuse freed memory. Others would be returned to the system each time,
    # and its zeroed pages cost as much as decoding.
    events = np.empty(1 << max(high - low - 1, 1).bit_length(), EVENT_DTYPE)
    count, stop, flaw, clock, latest = _decode(
        records, low, high, clock, latest, first, end, width, height, events
    )
    return Decoded(events[:count], stop, flaw, clock, latest)


@kernel
@typing.no_type_check
def _decode(records, low, high, clock, latest, first, end, width, height, events):
    """Decode in pieces, with the fast loop where a piece is in order and within bounds."""
    count, flaw = 0, 0
    while low < high and not flaw:
        stop = min(low + _PIECE, high)
        turn = clock & ~np.int64(TURN - 1)
        begins = turn + np.int64(records[low].t)
        ends = turn + np.int64(records[stop - 1].t)
        is_plain = (
            begins >= max(first, latest - MAX_STEP_BACK, clock - HALF_TURN)
            and ends < min(end, clock + HALF_TURN)
            and _decode_plain(records, low, stop, turn, width, height, events[count:])
        )
        if is_plain:
            count += stop - low
            low, clock, latest = stop, ends, max(latest, ends)
        else:
            low, flaw, clock, latest, num_new = _decode_odd(
                records, low, stop, clock, latest, first, end, width, height, events[count:]
            )
            count += num_new
    return count, low, flaw, clock, latest


@kernel
@typing.no_type_check
def _decode_plain(records, low, high, turn, width, height, events):
    """Decode all; return whether all lie within the sensor and in order of time."""
    signs = 0  # negative once one of the differences is; without a branch
    before = np.int64(records[low].t)
    for i in range(low, high):
        time = np.int64(records[i].t)
        word = np.int64(records[i].word)
        x = word & _COORDINATE
        y = (word >> 14) & _COORDINATE
        signs |= (time - before) | (width - 1 - x) | (height - 1 - y)
        before = time
        event = events[i - low]
        event.t = turn + time
        event.x = x
        event.y = y
        event.p = (word >> 28) & 1
    return signs >= 0


@kernel
@typing.no_type_check
def _decode_odd(records, low, high, clock, latest, first, end, width, height, events):
    """Decode and check every record; return where and why it ended, and the number kept."""
    count = 0
    for i in range(low, high):
        clock = unwrap(records[i].t, clock)
        if clock < latest - MAX_STEP_BACK:
            return i, STEP_BACK, clock, latest, count
        latest = max(latest, clock)
        word = np.int64(records[i].word)
        x = word & _COORDINATE
        y = (word >> 14) & _COORDINATE
        is_wanted = (clock >= first) & (clock < end)
        if ((x >= width) | (y >= height)) & is_wanted:
            return i, OUTSIDE, clock, latest, count
        event = events[count]  # written in any case: no branch to mispredict
        event.t = clock
        event.x = x
        event.y = y
        event.p = (word >> 28) & 1
        count += is_wanted
    return high, 0, clock, latest, count
