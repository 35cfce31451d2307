"""Words of EVT2, EVT2.1 and EVT3 -> events: kernels that can stop and continue at any word."""

import typing

import numpy as np

from evdet.compiled import kernel
from evdet.events.dtypes import Events
from evdet.events.files import MAX_STEP_BACK
from evdet.events.raw.state import (
    BIT_POSITION,
    CHECK_INTERVAL,
    COLUMN,
    DE_BRUIJN,
    HIGH,
    HIGH_TIME,
    LARGEST_STEP,
    LATEST,
    MAX_EVENTS_PER_WORD,
    NUM_EVENTS,
    OK,
    OTHERS,
    POLARITY,
    ROW,
    STATUS,
    STORE_DTYPE,
    TIME,
    TIME_HIGH,
    WORD,
    EvtFormat,
    State,
    Words,
    keep_valid,
    unwrap,
)

__all__ = ["decode_words"]

# Bit k is set where EVT3 words of type k are unusual.
_UNUSUAL = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 14 | 1 << 15
# The same for those of all types that change the state.
_STATEFUL = _UNUSUAL | 1 << 0 | 1 << 6 | 1 << TIME_HIGH


def decode_words(
    words: Words,
    state: State,
    out: Events,
    *,
    encoding: EvtFormat,
    first: int,
    width: int,
    height: int,
    num: int = 0,
) -> int:
    """Decode words into `out` until one of the two is used up.

    Args:
        words: part of a file as records of `encoding.dtype`; complete words.
        state: the state before them; updated. `state[STATUS]` is not OK after damage: `out` holds
            the events before it, and decoding must not continue.
        out: buffer of events, of which the first `num` are used.
        encoding: how the words are written.
        first: index of the first of `words`, from the end of the header.
        width: columns of the sensor.
        height: rows of the sensor. EVT3 events below it are dropped; otherwise they are damage.
        num: events that `out` holds already.

    Returns:
        Number of events in `out`. Decoding stops before one word's events could overflow it, so
        `out` is seldom filled to its last record.
    """
    room = len(out) - MAX_EVENTS_PER_WORD
    if num > room:
        return num
    records = out.view(STORE_DTYPE)
    limits = (num, room, width, height)
    if encoding.bytes_per_word == 2:
        # Both give the same events; each is faster on its kind of words.
        is_dense = 2 * state[NUM_EVENTS] >= state[WORD]
        decode = _decode_dense_evt3 if is_dense else _decode_sparse_evt3
        return int(decode(words, state, records, first, limits))
    if encoding.bytes_per_word == 4:
        return int(_decode_evt2(words, state, records, first, limits))
    swap = int(encoding.halves_swapped)
    return int(_decode_evt21(words, state, records, first, limits, swap))


# In each kernel n <= room holds before a word is decoded, a word gives at most
# MAX_EVENTS_PER_WORD events, and `out` has that many records beyond `room`: nothing is written
# outside `out`. Words are only read at 0 <= i < len(words).


@kernel
@typing.no_type_check
def _decode_evt2(words, state, out, first, limits):
    n, room, width, height = limits
    i, end = state[WORD] - first, len(words)
    high_time, high = state[HIGH_TIME], state[HIGH]
    while i < end and n <= room and state[STATUS] == OK:
        begin, stop = n, min(end, i + CHECK_INTERVAL, i + 1 + room - n)
        # Nearly every word is an event here, so they are checked inline, as in keep_valid.
        latest, step, sign = state[LATEST], -state[LARGEST_STEP], np.int64(0)
        while i < stop:
            word = np.int64(words[np.uintp(i)].bits)
            i += 1
            kind = word >> 28
            if kind <= 1:
                t, x, y = high_time + ((word >> 22) & 0x3F), (word >> 11) & 0x7FF, word & 0x7FF
                sign |= (width - 1 - x) | (height - 1 - y) | t
                step = min(step, t - latest)
                latest = max(latest, t)
                record = out[np.uintp(n)]
                record.t = t
                record.xy = x | y << 16
                record.p = kind
                n += 1
            elif kind == TIME_HIGH:
                high, high_time = unwrap(state, word & 0xFFFFFFF, high, high_time, 28, 6)
        if sign < 0 or step < -MAX_STEP_BACK:
            n = keep_valid(out, state, begin, n, width, height, False)
        else:
            state[LATEST], state[LARGEST_STEP] = latest, -step
            state[NUM_EVENTS] += n - begin
    state[WORD] = first + i
    state[HIGH_TIME], state[HIGH] = high_time, high
    return n


@kernel
@typing.no_type_check
def _decode_evt21(words, state, out, first, limits, swap):
    n, room, width, height = limits
    i, end = state[WORD] - first, len(words) // 2
    high_time, high = state[HIGH_TIME], state[HIGH]
    while i < end and n <= room and state[STATUS] == OK:
        begin, stop = n, min(end, i + CHECK_INTERVAL)
        while i < stop and n <= room:
            mask = np.int64(words[np.uintp(2 * i + swap)].bits)
            word = np.int64(words[np.uintp(2 * i + 1 - swap)].bits)
            i += 1
            kind = word >> 28
            if kind <= 1:
                t = high_time + ((word >> 22) & 0x3F)
                n = _write_mask(out, n, mask, t, (word >> 11) & 0x7FF, word & 0x7FF, kind)
            elif kind == TIME_HIGH:
                high, high_time = unwrap(state, word & 0xFFFFFFF, high, high_time, 28, 6)
        n = keep_valid(out, state, begin, n, width, height, False)
    state[WORD] = first + i
    state[HIGH_TIME], state[HIGH] = high_time, high
    return n


@kernel
@typing.no_type_check
def _decode_dense_evt3(words, state, out, first, limits):
    n, room, width, height = limits
    i, end = state[WORD] - first, len(words)
    t, high_time, high = state[TIME], state[HIGH_TIME], state[HIGH]
    y, base, polarity, others = state[ROW], state[COLUMN], state[POLARITY], state[OTHERS] - first
    unusual = _UNUSUAL if high >= 0 else _UNUSUAL | 1 << TIME_HIGH
    known_high = TIME_HIGH << 12 | high if high >= 0 else np.int64(-1)
    while i < end and n <= room and state[STATUS] == OK:
        begin, stop = n, min(end, i + CHECK_INTERVAL, i + 1 + (room - n) // 12)
        while i < stop:
            word = np.int64(words[np.uintp(i)].bits)
            kind = word >> 12
            i += 1
            # The second condition: a TIME_HIGH that differs from the last.
            if (unusual >> kind) & 1 or np.uint64((word ^ known_high) - 1) < np.uint64(0xFFF):
                if kind == 3:
                    base, polarity = word & 0x7FF, (word >> 11) & 1
                elif kind <= 5:
                    mask = word & 0xFFF if kind == 4 else word & 0xFF
                    n = _write_mask(out, n, mask, t, base, y, polarity)
                    # Bounded, so that x does not run into the bits of y.
                    base = min(base + (12 if kind == 4 else 8), 0x4000)
                elif kind == TIME_HIGH:
                    high, high_time = unwrap(state, word & 0xFFF, high, high_time, 12, 12)
                    t, known_high, unusual = high_time, word, _UNUSUAL
                elif kind == 14:
                    others = i
                elif others == i - 1:
                    # A continued OTHERS has four words. Cameras sometimes omit the last;
                    # Prophesee's decoder consumes the next word all the same.
                    i += 2
                continue
            # The order of the others is unpredictable, so there is no branch here: each is
            # written as if it were an event, and the next overwrites it if it is not.
            is_y = (kind - 1) >> 63
            y = (y & ~is_y) | (word & 0x7FF & is_y)
            is_low = -np.int64(kind == 6)
            t = (t & ~is_low) | ((high_time + (word & 0xFFF)) & is_low)
            record = out[np.uintp(n)]
            record.t = t
            record.xy = (word & 0x7FF) | y << 16
            record.p = (word >> 11) & 1
            n += kind == 2
        n = keep_valid(out, state, begin, n, width, height, True)
    state[WORD] = first + i
    state[TIME], state[HIGH_TIME], state[HIGH] = t, high_time, high
    state[ROW], state[COLUMN], state[POLARITY], state[OTHERS] = y, base, polarity, others + first
    return n


@kernel
@typing.no_type_check
def _decode_sparse_evt3(words, state, out, first, limits):
    n, room, width, height = limits
    i, end = state[WORD] - first, len(words)
    t, high_time, high = state[TIME], state[HIGH_TIME], state[HIGH]
    y, base, polarity, others = state[ROW], state[COLUMN], state[POLARITY], state[OTHERS] - first
    known_high = TIME_HIGH << 12 | high if high >= 0 else np.int64(-1)
    while i < end and n <= room and state[STATUS] == OK:
        begin, stop = n, min(end, i + CHECK_INTERVAL, i + 1 + (room - n) // 12)
        while i < stop:
            # Without branches: a repeated TIME_HIGH, a TIME_LOW and an ADDR_Y, as far as present,
            # and the word after them, which is written as if it were an event.
            while i < stop - 3:
                a, b = np.int64(words[np.uintp(i)].bits), np.int64(words[np.uintp(i + 1)].bits)
                c, d = np.int64(words[np.uintp(i + 2)].bits), np.int64(words[np.uintp(i + 3)].bits)
                is_high = -np.int64(a == known_high)
                a = (b & is_high) | (a & ~is_high)
                b = (c & is_high) | (b & ~is_high)
                c = (d & is_high) | (c & ~is_high)
                is_low = -np.int64(a >> 12 == 6)
                t = ((high_time + (a & 0xFFF)) & is_low) | (t & ~is_low)
                a = (b & is_low) | (a & ~is_low)
                b = (c & is_low) | (b & ~is_low)
                is_y = (a - 0x1000) >> 63
                y = (a & 0x7FF & is_y) | (y & ~is_y)
                a = (b & is_y) | (a & ~is_y)
                i -= is_high + is_low + is_y
                if (_STATEFUL >> (a >> 12)) & 1 and a != known_high:
                    break
                i += 1
                record = out[np.uintp(n)]
                record.t = t
                record.xy = (a & 0x7FF) | y << 16
                record.p = (a >> 11) & 1
                n += a >> 12 == 2
            if i >= stop:
                break
            word = np.int64(words[np.uintp(i)].bits)
            kind, value = word >> 12, word & 0xFFF
            i += 1
            if kind == 0:
                y = value & 0x7FF
            elif kind == 3:
                base, polarity = value & 0x7FF, value >> 11
            elif kind == 6:
                t = high_time + value
            elif kind == TIME_HIGH and value != high:
                high, high_time = unwrap(state, value, high, high_time, 12, 12)
                t, known_high = high_time, word
            elif kind == 14:
                others = i
            elif kind == 15:
                i += 2 * (others == i - 1)
            elif kind == 2 or kind == 4 or kind == 5:
                x, p = (value & 0x7FF, value >> 11) if kind == 2 else (base, polarity)
                mask = 1 if kind == 2 else (value if kind == 4 else value & 0xFF)
                n = _write_mask(out, n, mask, t, x, y, p)
                base = min(base + (12 * (kind == 4) + 8 * (kind == 5)), 0x4000)
        n = keep_valid(out, state, begin, n, width, height, True)
    state[WORD] = first + i
    state[TIME], state[HIGH_TIME], state[HIGH] = t, high_time, high
    state[ROW], state[COLUMN], state[POLARITY], state[OTHERS] = y, base, polarity, others + first
    return n


@kernel
@typing.no_type_check
def _write_mask(out, n, mask, t, x, y, p):
    """Write an event for each set bit of a mask whose first bit is column x."""
    while mask:
        bit = ((mask & -mask) * DE_BRUIJN >> 27) & 31
        mask &= mask - 1
        record = out[np.uintp(n)]
        record.t = t
        record.xy = (x + BIT_POSITION[np.uintp(bit)]) | y << 16
        record.p = p
        n += 1
    return n
