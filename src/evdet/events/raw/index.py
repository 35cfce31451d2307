"""The index of a RAW file: decoder states at intervals, from which any time can be reached.

A first pass decodes the file and stores a state every N words. The index is kept in RAM and, where
the folder is writable, in a small file beside the recording, so that the pass is made once. That
file is not trusted: it is used only if its checksum, the recording's size and date, and the range
of every number are right, and decoding at some places gives what it says; otherwise the pass is
repeated.
"""

import logging
import os
import typing
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from evdet.atomic_file import replacing
from evdet.events.files import MAX_STEP_BACK
from evdet.events.raw.state import (
    COLUMN,
    DROPPED,
    HIGH,
    HIGH_TIME,
    LARGEST_STEP,
    LATEST,
    MAX_EVENTS_PER_WORD,
    NUM_EVENTS,
    NUM_SLOTS,
    OK,
    ORIGIN,
    OTHERS,
    POLARITY,
    ROW,
    STATUS,
    TIME,
    WORD,
    EvtFormat,
    State,
    new_state,
)

__all__ = ["EvtIndex", "Stamp", "agrees", "make_index", "read_sidecar", "stamp_of", "write_sidecar"]

_log = logging.getLogger(__name__)

_MAGIC = b"evdet-index 1\n"
_STAMPED_BYTES = 1 << 12
_MAX_STATES = 1 << 14
_NUM_REPLAYED = 8  # places of an index that are compared with the recording
_BYTES_PER_STATE = 1 << 17  # at first; it doubles whenever the states become too many


class Stamp(typing.NamedTuple):
    """Identifies a version of a file."""

    num_bytes: int
    modified_ns: int
    checksum: int
    """Of its first and last bytes, since file systems have coarse clocks."""


class EvtIndex(typing.NamedTuple):
    """The result of one pass over a file."""

    states: Int64[np.ndarray, "N S"]
    """In file order; the first one is that before the first word."""
    last: State
    """The state at the end of the file, or at the damage that ends it."""
    start: int
    """Time of the earliest event, in microseconds; -1 without events."""

    def before(self, t: int) -> State:
        """A copy of the last state before which no event has a time of t or later."""
        number = int(np.searchsorted(self.states[:, LATEST], t, side="left")) - 1
        state: State = self.states[max(number, 0)].copy()
        return state


def stamp_of(path: Path) -> Stamp:
    """The stamp of a file as it is now."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        checksum = zlib.crc32(file.read(_STAMPED_BYTES))
        file.seek(max(status.st_size - _STAMPED_BYTES, 0))
        checksum = zlib.crc32(file.read(_STAMPED_BYTES), checksum)
    return Stamp(status.st_size, status.st_mtime_ns, checksum)


def make_index(progress: Iterator[tuple[State, int]], encoding: EvtFormat) -> EvtIndex:
    """Collect states during a pass over a file.

    Args:
        progress: after each block the decoder's state, and the time of the earliest event so far
            (-1 without events). The last item is the end.
        encoding: of the file.

    Returns:
        The index, with few enough states to stay below a megabyte.
    """
    states = [new_state()]
    spacing = _BYTES_PER_STATE // encoding.bytes_per_word
    last, start = new_state(), -1
    for state, earliest in progress:
        last, start = state.copy(), earliest
        if state[STATUS] == OK and state[WORD] >= states[-1][WORD] + spacing:
            states.append(last)
        if len(states) > _MAX_STATES:
            states, spacing = states[::2], 2 * spacing
    return EvtIndex(np.stack(states), last, start)


def write_sidecar(path: Path, index: EvtIndex, stamp: Stamp) -> None:
    """Write an index beside its recording, completely or not at all; a failure is only logged."""
    head = np.array([*stamp, index.start], "<i8")
    numbers = np.concatenate([head, index.last, index.states.ravel()]).astype("<i8").tobytes()
    try:
        # Workers that share a recording may write at the same time, each to its own `part`.
        with replacing(_sidecar_of(path)) as part:
            part.write_bytes(_MAGIC + zlib.crc32(numbers).to_bytes(4, "little") + numbers)
    except OSError as error:
        _log.debug("cannot write the index of %s, it is kept in RAM: %s", path, error)


def read_sidecar(path: Path, encoding: EvtFormat, stamp: Stamp) -> EvtIndex | None:
    """The index beside a recording; None if it is missing or not valid."""
    num_before = len(stamp) + 1 + NUM_SLOTS  # numbers before the states
    largest = len(_MAGIC) + 4 + 8 * (num_before + NUM_SLOTS * (_MAX_STATES + 1))
    try:
        with _sidecar_of(path).open("rb") as file:
            content = file.read(largest + 1)
    except OSError:
        return None
    numbers = content[len(_MAGIC) + 4 :]
    checksum = int.from_bytes(content[len(_MAGIC) : len(_MAGIC) + 4], "little")
    if not content.startswith(_MAGIC) or len(content) > largest or zlib.crc32(numbers) != checksum:
        return None
    num_states, spare = divmod(len(numbers) - 8 * num_before, 8 * NUM_SLOTS)
    if num_states < 1 or spare:
        return None
    values = np.frombuffer(numbers, "<i8").astype(np.int64)
    if tuple(values[: len(stamp)].tolist()) != stamp:
        return None
    last, states = values[len(stamp) + 1 : num_before], values[num_before:]
    index = EvtIndex(states.reshape(-1, NUM_SLOTS), last, int(values[len(stamp)]))
    return index if _is_sound(index, encoding, stamp) else None


def agrees(
    index: EvtIndex,
    replay: Callable[[State, int | None], State],
    start: tuple[int, int],
) -> bool:
    """Whether decoding gives what an index says, at its ends and at some places between.

    Args:
        index: read from a file, in which anyone may have written.
        replay: decodes from a state to a word, or to the end where that is None.
        start: time of the earliest event, and of the first TIME_HIGH, found in the recording.
    """
    if start != (index.start, int(index.last[ORIGIN])):
        return False
    states = index.states
    num_pairs = len(states) - 1
    chosen = np.arange(num_pairs)
    if num_pairs > _NUM_REPLAYED:
        between = np.random.default_rng().choice(num_pairs - 1, _NUM_REPLAYED - 1, replace=False)
        chosen = np.append(0, between + 1)
    return all(
        np.array_equal(replay(states[i], int(states[i + 1, WORD])), states[i + 1]) for i in chosen
    ) and np.array_equal(replay(states[-1], None), index.last)


def _sidecar_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.evdet-index")


def _is_sound(index: EvtIndex, encoding: EvtFormat, stamp: Stamp) -> bool:
    """Whether every number is in the range of the decoder's."""
    states, last = index.states, index.last
    num_words = stamp.num_bytes // encoding.bytes_per_word
    times = states[:, [LATEST, TIME, HIGH_TIME]]
    ranges: list[tuple[int, int, int]] = [
        (WORD, 0, num_words + 2),  # OTHERS may extend two words beyond the end
        (NUM_EVENTS, 0, int(last[NUM_EVENTS])),
        (DROPPED, 0, int(last[DROPPED])),
        (LATEST, -1, int(last[LATEST])),
        (HIGH, -1, (1 << 28) - 1),
        (ROW, 0, (1 << 11) - 1),
        (COLUMN, 0, 1 << 14),
        (POLARITY, 0, 1),
        (OTHERS, -2, num_words),
        (LARGEST_STEP, 0, int(last[LARGEST_STEP])),
        (STATUS, OK, OK),
        (ORIGIN, -1, 1 << 34),
    ]
    return (
        bool((states[0] == new_state()).all())
        and all(
            bool(((low <= states[:, slot]) & (states[:, slot] <= high)).all())
            for slot, low, high in ranges
        )
        and all(
            bool((np.diff(states[:, slot]) >= 0).all())
            for slot in (WORD, NUM_EVENTS, DROPPED, LATEST, LARGEST_STEP)
        )
        and bool((np.abs(times) <= 1 << 62).all())
        and int(last[LARGEST_STEP]) <= MAX_STEP_BACK
        and -1 <= index.start <= int(last[LATEST])
        and int(last[NUM_EVENTS]) <= MAX_EVENTS_PER_WORD * num_words
    )
