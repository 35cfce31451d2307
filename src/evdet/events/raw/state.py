"""The state of a decoder of EVT words, and the handling of times and events they share.

Between two words a decoder needs only a row of integers, the *state*; the constants below name its
columns. Decoding can continue from a copy of a state, which makes these files seekable.
"""

import typing

import numpy as np
from jaxtyping import Int64, Shaped

from evdet.compiled import kernel
from evdet.events.files import MAX_STEP_BACK

__all__ = [
    "BAD_TIME",
    "BAD_X",
    "BAD_Y",
    "BEFORE_CLOCK",
    "BIT_POSITION",
    "CHECK_INTERVAL",
    "COLUMN",
    "COORDINATE_BITS",
    "DE_BRUIJN",
    "DROPPED",
    "HIGH",
    "HIGH_TIME",
    "LARGEST_STEP",
    "LATEST",
    "MAX_EVENTS_PER_WORD",
    "NUM_EVENTS",
    "NUM_SLOTS",
    "OK",
    "ORIGIN",
    "OTHERS",
    "OUTSIDE",
    "POLARITY",
    "ROW",
    "STATUS",
    "STEP_BACK",
    "STORE_DTYPE",
    "TIME",
    "TIME_HIGH",
    "WORD",
    "EvtFormat",
    "State",
    "Words",
    "keep_valid",
    "new_state",
    "unwrap",
]

COORDINATE_BITS = 11
"""Bits of x and of y in all three formats."""

MAX_EVENTS_PER_WORD = 32
"""An EVT2.1 word is a mask of 32 pixels; words of the other formats hold fewer."""

BEFORE_CLOCK = -(1 << 62)
"""The time before the first TIME_HIGH: events with it, or a little more, are dropped."""

# The columns of a state.
WORD = 0  # words consumed, from the end of the header
NUM_EVENTS = 1  # events decoded
DROPPED = 2  # events dropped: before the first TIME_HIGH, or in rows beyond the sensor
LATEST = 3  # the latest time of an event so far; -1 before the first
TIME = 4  # EVT3: the current time
HIGH_TIME = 5  # the time of the last TIME_HIGH, clock wraps undone
HIGH = 6  # its bits; -1 before the first
ROW = 7  # EVT3: the current row
COLUMN = 8  # EVT3: the column at which the next vector begins
POLARITY = 9  # EVT3: the polarity of vectors
OTHERS = 10  # EVT3: index of the last word of type OTHERS
ORIGIN = 11  # the time of the first TIME_HIGH; -1 before it
LARGEST_STEP = 12  # the largest step back in time so far
STATUS = 13  # what stopped the decoder, or OK
BAD_TIME = 14  # the event that stopped it
BAD_X = 15
BAD_Y = 16
NUM_SLOTS = 17

OK = 0
OUTSIDE = 1  # an event outside the sensor
STEP_BACK = 2  # an event more than MAX_STEP_BACK before LATEST

TIME_HIGH = 8
"""Words of this type have the high bits of the time, in all three formats."""

CHECK_INTERVAL = 4096
"""Words after which a decoder validates its events, while they are in the cache."""

State = Int64[np.ndarray, " S"]
Words = Shaped[np.ndarray, " W"]

# EVENT_DTYPE with x and y written at once: three stores an event instead of four.
STORE_DTYPE = np.dtype([("t", "<i8"), ("xy", "<u4"), ("p", "u1")])

# Position of the one set bit of a 32-bit number b: BIT_POSITION[(b * DE_BRUIJN) >> 27 & 31].
DE_BRUIJN = 0x077CB531
BIT_POSITION = np.zeros(32, np.int64)
BIT_POSITION[[((DE_BRUIJN << bit) & 0xFFFFFFFF) >> 27 for bit in range(32)]] = np.arange(32)


class EvtFormat(typing.NamedTuple):
    """How words are written."""

    name: str
    """EVT2, EVT2.1 or EVT3."""
    bytes_per_word: int
    halves_swapped: bool = False
    """EVT2.1 with "endianness legacy": the more significant half of a word comes first."""

    @property
    def dtype(self) -> np.dtype[typing.Any]:
        """The type that a file is read as; a word of EVT2.1 is two of these.

        Records of one field may lie at odd addresses, as words after a header do, so kernels are
        compiled once for all addresses.
        """
        return np.dtype([("bits", "<u2" if self.bytes_per_word == 2 else "<u4")])


def new_state() -> State:
    """The state before the first word."""
    state = np.zeros(NUM_SLOTS, np.int64)
    state[[LATEST, HIGH, ORIGIN]] = -1
    state[[TIME, HIGH_TIME]] = BEFORE_CLOCK
    state[OTHERS] = -2
    return state


@kernel
@typing.no_type_check
def unwrap(state, bits, high, high_time, num_bits, shift):
    """Time of a TIME_HIGH of `bits` after one of `high`, whose time was `high_time`."""
    if high < 0:
        state[ORIGIN] = bits << shift
        return bits, bits << shift
    wraps = (high_time >> (num_bits + shift)) + (high - bits >= 1 << (num_bits - 1))
    return bits, (wraps << (num_bits + shift)) + (bits << shift)


@kernel
@typing.no_type_check
def keep_valid(out, state, begin, end, width, height, drops_rows):
    """Keep the valid records from `begin` to `end`; stop at the first damage."""
    # All are valid nearly always, which is checked without a branch: an x or y that is too large
    # sets bit 15 or 31 of `over`, a time before the clock makes `sign` negative.
    margin = (0x8000 - width) | (0x8000 - height) << 16
    latest, step, over, sign = state[LATEST], -state[LARGEST_STEP], np.int64(0), np.int64(0)
    for i in range(begin, end):
        t = out[np.uintp(i)].t
        over |= np.int64(out[np.uintp(i)].xy) + margin
        sign |= t
        step = min(step, t - latest)
        latest = max(latest, t)
    if sign >= 0 and step >= -MAX_STEP_BACK and not over & 0x80008000:
        state[LATEST], state[LARGEST_STEP] = latest, -step
        state[NUM_EVENTS] += end - begin
        return end
    latest, kept = state[LATEST], begin
    for i in range(begin, end):
        t, xy = out[np.uintp(i)].t, np.int64(out[np.uintp(i)].xy)
        x, y = xy & 0xFFFF, xy >> 16
        if t < 0 or (drops_rows and y >= height):
            state[DROPPED] += 1
            continue
        if x >= width or y >= height or t < latest - MAX_STEP_BACK:
            state[STATUS] = OUTSIDE if x >= width or y >= height else STEP_BACK
            state[BAD_TIME], state[BAD_X], state[BAD_Y] = t, x, y
            break
        out[np.uintp(kept)] = out[np.uintp(i)]
        state[LARGEST_STEP] = max(state[LARGEST_STEP], latest - t)
        latest = max(latest, t)
        kept += 1
    state[LATEST] = latest
    state[NUM_EVENTS] += kept - begin
    return kept
