"""One ECF chunk of a Metavision HDF5 file -> events.

A chunk starts with the number of events and their packing (four bytes) and the first time (eight).
Then come all times as steps and runs, and after them all rows, columns and polarities, each as
runs of its own kind, or two or all three of them packed into fixed bits.
"""

import typing

import numpy as np
from jaxtyping import UInt8

from evdet.compiled import kernel
from evdet.events.dtypes import EVENT_DTYPE, Events

__all__ = ["MAX_CHUNK_EVENTS", "chunk_start", "decode_chunk"]

MAX_CHUNK_EVENTS = 65_535
"""An ECF chunk cannot hold more: its encoder counts runs in two bytes."""

_HEADER = 12  # bytes: number of events with two flags, time of the first
_XP_PACKED, _YXP_PACKED = 1, 2
_MAX_TIME = 1 << 62
_DONE = 0
_PROBLEMS = {
    1: "the bytes end in the {part}",
    2: "a run of {part} continues after the last event",
    3: "a step in time has too many digits",
}
_PARTS = {1: "times", 2: "rows", 3: "columns", 4: "polarities", 5: "packed pixels"}

Bytes = UInt8[np.ndarray, " N"]


def chunk_start(chunk: bytes) -> int:
    """Time of a chunk's first event, in microseconds, from its first 12 bytes.

    Raises:
        ValueError: these are not the first bytes of an ECF chunk.
    """
    if len(chunk) < _HEADER:
        raise ValueError(f"an ECF chunk starts with {_HEADER} bytes, got {len(chunk)}")
    start = int.from_bytes(chunk[4:_HEADER], "little", signed=True)
    if abs(start) >= _MAX_TIME:
        raise ValueError(f"invalid first time {start} us")
    return start


def decode_chunk(chunk: bytes, max_events: int) -> Events:
    """The events of one chunk.

    Args:
        chunk: the chunk's bytes.
        max_events: most events that the chunk may state; also bounds the allocated memory.

    Returns:
        The events, in file order. A chunk has no steps back: the encoder moves an event that is
        earlier than the one before it to that one's time.

    Raises:
        ValueError: the bytes are not an ECF chunk, or damaged.
    """
    start = chunk_start(chunk)
    word = int.from_bytes(chunk[:4], "little")
    count, packing = word >> 2, word & 3
    if count > min(max_events, MAX_CHUNK_EVENTS):
        raise ValueError(f"it states {count} events, more than {min(max_events, MAX_CHUNK_EVENTS)}")
    events = np.empty(count, EVENT_DTYPE)
    data = np.frombuffer(chunk, np.uint8)
    problem, part, at, num_done = _decode(data, start, packing, events)
    if problem != _DONE:
        what = _PROBLEMS[problem].format(part=_PARTS[part])
        raise ValueError(f"{what}, at its byte {at}, after {num_done} of {count} events")
    return events


@kernel
@typing.no_type_check
def _decode(data: Bytes, start: int, packing: int, events: Events) -> tuple[int, int, int, int]:
    """Fill `events`; return the problem (0: none), and its part, byte and event."""
    problem, at, i = _decode_times(data, start, events)
    if problem != _DONE:
        return problem, 1, at, i
    if packing & _YXP_PACKED:
        problem, at, i = _decode_packed(data, at, 8, events)
        return problem, 5, at, i
    problem, at, i = _decode_rows(data, at, events)
    if problem != _DONE:
        return problem, 2, at, i
    if packing & _XP_PACKED:
        problem, at, i = _decode_packed(data, at, 4, events)
        return problem, 5, at, i
    problem, at, i = _decode_columns(data, at, events)
    if problem != _DONE:
        return problem, 3, at, i
    problem, at, i = _decode_polarities(data, at, events)
    return problem, 4, at, i


@kernel
@typing.no_type_check
def _decode_times(data: Bytes, start: int, events: Events) -> tuple[int, int, int]:
    num_bytes = len(data)
    at, i, t = _HEADER, 0, start
    step, num_bits = 0, 0  # a long step in time, four bits at a time
    while i < len(events):
        if at >= num_bytes:
            return 1, at, i
        high, run = data[at] >> 4, np.int64(data[at] & 15)
        at += 1
        if high == 15:
            if num_bits > 56:
                return 3, at, i
            step |= run << num_bits
            num_bits += 4
            continue
        t += step + high
        step, num_bits = 0, 0
        if t >= _MAX_TIME:
            return 3, at, i
        if run == 15:
            if at + 2 > num_bytes:
                return 1, at, i
            run = np.int64(data[at]) | np.int64(data[at + 1]) << 8
            at += 2
        if run > len(events) - i:
            return 2, at, i
        for _ in range(run):
            events[i].t = t
            i += 1
    return _DONE, at, i


@kernel
@typing.no_type_check
def _decode_rows(data: Bytes, at: int, events: Events) -> tuple[int, int, int]:
    i = 0
    while i < len(events):
        if at + 2 > len(data):
            return 1, at, i
        word = np.int64(data[at]) | np.int64(data[at + 1]) << 8
        at += 2
        y, run = word >> 5, word & 31
        if run == 31:
            if at + 2 > len(data):
                return 1, at, i
            run = np.int64(data[at]) | np.int64(data[at + 1]) << 8
            at += 2
        if run > len(events) - i:
            return 2, at, i
        for _ in range(run):
            events[i].y = y
            i += 1
    return _DONE, at, i


@kernel
@typing.no_type_check
def _decode_columns(data: Bytes, at: int, events: Events) -> tuple[int, int, int]:
    i = 0
    while i < len(events):
        if at + 2 > len(data):
            return 1, at, i
        word = np.int64(data[at]) | np.int64(data[at + 1]) << 8
        at += 2
        x = word >> 5
        events[i].x = x
        i += 1
        for bit in range(4, -1, -1):
            x += 1
            # The encoder leaves bits of earlier chunks after the last event.
            if word >> bit & 1 and i < len(events):
                events[i].x = x
                i += 1
    return _DONE, at, i


@kernel
@typing.no_type_check
def _decode_polarities(data: Bytes, at: int, events: Events) -> tuple[int, int, int]:
    i = 0
    while i < len(events):
        if at >= len(data):
            return 1, at, i
        p, run = data[at] >> 7, np.int64(data[at] & 127)
        at += 1
        if run == 127:
            if at + 2 > len(data):
                return 1, at, i
            run = np.int64(data[at]) | np.int64(data[at + 1]) << 8
            at += 2
        if run > len(events) - i:
            return 2, at, i
        for _ in range(run):
            events[i].p = p
            i += 1
    return _DONE, at, i


@kernel
@typing.no_type_check
def _decode_packed(data: Bytes, at: int, quarter: int, events: Events) -> tuple[int, int, int]:
    """Four fields (y x p or x p) of three quarters of a word each, in every three words.

    The second and the third field lie in two words each, with their low bits in the first.
    """
    word_bytes = quarter // 2
    i = 0
    while i < len(events):
        if at + 3 * word_bytes > len(data):
            return 1, at, i
        a, b, c = np.int64(0), np.int64(0), np.int64(0)
        for k in range(word_bytes):
            a |= np.int64(data[at + k]) << 8 * k
            b |= np.int64(data[at + word_bytes + k]) << 8 * k
            c |= np.int64(data[at + 2 * word_bytes + k]) << 8 * k
        at += 3 * word_bytes
        low = (1 << quarter) - 1
        fields = (
            a >> quarter,
            a & low | b >> 2 * quarter << quarter,
            b & (1 << 2 * quarter) - 1 | c >> 3 * quarter << 2 * quarter,
            c & (1 << 3 * quarter) - 1,
        )
        for field in fields:
            if i < len(events):
                events[i].p = field & 1
                events[i].x = field >> 1 & 2047
                if quarter == 8:
                    events[i].y = field >> 12 & 2047
                i += 1
    return _DONE, at, i
