"""Events -> EVT3, words and RAW files: keeps the order of events, uses vectors where shorter."""

import typing
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from evdet.atomic_file import replacing
from evdet.compiled import kernel
from evdet.events.bounds import raise_if_outside, readable
from evdet.events.dtypes import Events, SensorSize
from evdet.events.files import MAX_STEP_BACK
from evdet.events.raw.state import COORDINATE_BITS

__all__ = ["Evt3Encoder", "evt3_header", "write_evt3"]

_MAX_PAUSE = 86_400_000_000  # a day takes 70,000 words of time
_WORDS_AT_ONCE = 1 << 16

# The columns of the encoder's state.
_DONE = 0  # events of the block that are written
_HIGH = 1  # the time of the last TIME_HIGH, in 4096 us, clock wraps undone; -1 before the first
_LOW = 2  # the low time of the last TIME_LOW
_ROW = 3  # its row
_SINCE_HIGH = 4  # words since the last TIME_HIGH
_LATEST = 5  # the latest time so far
_PROBLEM = 6

_OK = 0
_BAD_EVENT = 1  # outside the sensor, or an invalid polarity
_NEGATIVE = 2
_BACK = 3  # a step back that no reader accepts
_BACK_OVER_WRAP = 4
_PAUSE = 5

# TIME_HIGH has 12 bits.
_TURN = 1 << 12
# A reader misses a wrap of the clock if the high bits change by half; some see it only if they
# change by a few.
_HIGH_STEP = 1024
# Cameras repeat TIME_HIGH, so that a reader can start anywhere; so does this writer.
_REPEAT_HIGH = 256
_MAX_WORDS_PER_EVENT = 8


def write_evt3(path: Path, blocks: Iterable[Events], size: SensorSize) -> int:
    """Write events, in the order in which they come, as an EVT3 RAW file.

    The file appears under its name when it is complete.

    Args:
        path: the file; an existing one is replaced.
        blocks: the events, in any number of arrays.
        size: the sensor's size, at most 2048x2048.

    Returns:
        Number of events written.

    Raises:
        ValueError: the format cannot hold such a sensor, event or time.
        OSError: the file cannot be written.
    """
    encoder = Evt3Encoder(size)
    num_events = 0
    with replacing(path) as part, part.open("wb") as file:
        file.write(evt3_header(size))
        for block in blocks:
            events = readable(block)
            for words in encoder.encode(events):
                file.write(words)
            num_events += len(events)
    return num_events


def evt3_header(
    size: SensorSize, *, date: datetime | None = None, serial: str | None = None
) -> bytes:
    """Make the header of an EVT3 RAW file.

    Args:
        size: the sensor's size.
        date: when the recording begins.
        serial: serial number of the camera.
    """
    lines = (
        *([] if date is None else [f"date {date:%Y-%m-%d %H:%M:%S}"]),
        "evt 3.0",
        f"format EVT3;height={size.height};width={size.width}",
        f"geometry {size.width}x{size.height}",
        *([] if serial is None else [f"serial_number {serial}"]),
        "end",
    )
    return "".join(f"% {line}\n" for line in lines).encode("ascii", errors="replace")


class Evt3Encoder:
    """Encodes events that come in parts as one stream of words.

    Args:
        size: the sensor's size, at most 2048x2048.

    Raises:
        ValueError: the sensor is larger.
    """

    def __init__(self, size: SensorSize) -> None:
        largest = 1 << COORDINATE_BITS
        if not (0 < size.height <= largest and 0 < size.width <= largest):
            raise ValueError(
                f"cannot write EVT3: the sensor is {size}, the format holds sizes from 1x1 to "
                f"{largest}x{largest}. Write another format (.h5), or crop the events."
            )
        self._size = size
        self._state = np.array([0, -1, -1, -1, 0, 0, _OK], np.int64)
        self._words = np.empty(_WORDS_AT_ONCE, "<u2")

    def encode(self, events: Events) -> Iterator[bytes]:
        """Encode the next events.

        Returns:
            Their words, in parts.

        Raises:
            ValueError: the format cannot hold an event or its time; the words before it are
                returned first.
        """
        state, words = self._state, self._words
        state[_DONE] = 0
        while state[_DONE] < len(events):
            num_words = int(_encode_evt3(events, state, words, self._size.width, self._size.height))
            yield words[:num_words].tobytes()
            if state[_PROBLEM] != _OK:
                raise _refusal(events, state, self._size)


def _refusal(events: Events, state: Int64[np.ndarray, " S"], size: SensorSize) -> ValueError:
    """Why the event at which the encoder stopped cannot be written."""
    event = events[state[_DONE]]
    t, latest, problem = int(event["t"]), int(state[_LATEST]), state[_PROBLEM]
    if problem == _BAD_EVENT:
        try:
            raise_if_outside(events[state[_DONE] :], size)
        except ValueError as error:
            return error
    if problem == _NEGATIVE:
        return ValueError(
            f"cannot write EVT3: t={t} us is before 0. Add a constant to all times first."
        )
    if problem == _PAUSE:
        return ValueError(
            f"cannot write EVT3: no events from {latest} to t={t} us, which its clock of 24 bits "
            "would fill with time words. If the recording begins so late, open it with shift_time "
            "(evdet convert: --shift-time); otherwise split it at the gap."
        )
    if problem == _BACK_OVER_WRAP:
        return ValueError(
            f"cannot write EVT3: time steps back from {latest} to t={t} us, over a multiple of "
            "2^24 us, where its clock wraps. Sort the events by time, or write another format "
            "(.h5, .dat)."
        )
    return ValueError(
        f"cannot write EVT3: time steps back from {latest} to t={t} us, by more than "
        f"{MAX_STEP_BACK} us. Sort the events by time, or write the parts to separate files."
    )


# n <= room holds whenever words are written, at most _MAX_WORDS_PER_EVENT at once, and `words` is
# that much longer than `room`. Events are only read at DONE <= i, j < len(events).


@kernel
@typing.no_type_check
def _encode_evt3(events, state, words, width, height):
    """Write words until the events or the room are exhausted; return their number."""
    n, room = 0, len(words) - _MAX_WORDS_PER_EVENT
    i, num_events = state[_DONE], len(events)
    high, low, row = state[_HIGH], state[_LOW], state[_ROW]
    since_high, latest = state[_SINCE_HIGH], state[_LATEST]
    problem = _OK
    while i < num_events and n <= room:
        event = events[i]
        t, x, y, p = event.t, np.int64(event.x), np.int64(event.y), np.int64(event.p)
        problem = _problem_of(t, x, y, p, high, latest, width, height)
        if problem != _OK:
            break
        if t >> 12 != high or since_high >= _REPEAT_HIGH:
            new_high = t >> 12
            if high < 0 and new_high >= _TURN:
                new_high = 0
            elif high >= 0 and new_high > high:
                # Never past the end of a turn, and from there to the start of the next.
                end = high | (_TURN - 1)
                new_high = min(new_high, high + 1 if high == end else min(high + _HIGH_STEP, end))
            # A TIME_LOW after every TIME_HIGH, as cameras write: decoders differ in what the low
            # bits are in between.
            high, since_high = new_high, 0
            low = t & 0xFFF if high == t >> 12 else 0
            words[n], words[n + 1] = 0x8000 | (high & 0xFFF), 0x6000 | low
            n += 2
            continue
        before = n
        if t & 0xFFF != low:
            low = t & 0xFFF
            words[n] = 0x6000 | low
            n += 1
        if y != row:
            row = y
            words[n] = row
            n += 1
        n, i = _encode_run(events, i, words, n, width)
        latest = max(latest, t)
        since_high += n - before
    state[_DONE], state[_HIGH], state[_LOW], state[_ROW] = i, high, low, row
    state[_SINCE_HIGH], state[_LATEST], state[_PROBLEM] = since_high, latest, problem
    return n


@kernel
@typing.no_type_check
def _problem_of(t, x, y, p, high, latest, width, height):
    if x >= width or y >= height or p > 1:
        return _BAD_EVENT
    if t < 0:
        return _NEGATIVE
    if t < latest - MAX_STEP_BACK:
        return _BACK
    if t >> 24 < high >> 12:
        return _BACK_OVER_WRAP
    if t > latest + _MAX_PAUSE:
        return _PAUSE
    return _OK


@kernel
@typing.no_type_check
def _encode_run(events, i, words, n, width):
    """Write event i and those after it that fit into one vector of up to 32 columns."""
    event = events[i]
    base, p = np.int64(event.x), np.int64(event.p)
    mask, last, j = np.int64(1), np.int64(0), i + 1
    while j < len(events):
        other = events[j]
        column = np.int64(other.x) - base
        if other.t != event.t or other.y != event.y or other.p != event.p:
            break
        if column <= last or column >= 32 or other.x >= width:
            break
        mask, last, j = mask | np.int64(1) << column, column, j + 1
    num_vectors = 1 if last < 12 else (2 if last < 24 else 3)
    if j - i <= 1 + num_vectors:
        words[n] = 0x2000 | p << 11 | base
        return n + 1, i + 1
    words[n] = 0x3000 | p << 11 | base
    n += 1
    while mask:
        if mask >> 8:
            words[n] = 0x4000 | (mask & 0xFFF)
            mask >>= 12
        else:
            words[n] = 0x5000 | mask
            mask >>= 8
        n += 1
    return n, j
