"""Words of EVT2, EVT2.1 and EVT3 -> external triggers, in a pass of their own.

The kernels that decode events stay as fast as they are: they pass over the words of triggers.
"""

import typing
from collections.abc import Iterable

import numpy as np

from evdet.compiled import kernel
from evdet.events.dtypes import TRIGGER_DTYPE, Triggers
from evdet.events.raw.state import HIGH, HIGH_TIME, TIME_HIGH, EvtFormat, Words, new_state, unwrap

__all__ = ["find_triggers"]

_EXT_TRIGGER = 10
_TIME_LOW = 6
_OTHERS = 14
_CONTINUED = 15
# What is kept between pieces of words, beside the slots of the decoder.
_T, _AFTER_OTHERS, _NUM_SKIPPED = range(3)


def find_triggers(pieces: Iterable[Words], encoding: EvtFormat) -> Triggers:
    """Find the external triggers of a whole file; those before its first TIME_HIGH have no time.

    Args:
        pieces: all words, in pieces, as records of `encoding.dtype`.
        encoding: how they are written.
    """
    # Of an EVT2.1 word only the more significant half, which is like a word of EVT2.
    is_double = encoding.bytes_per_word == 8
    first, step = (0 if encoding.halves_swapped else 1, 2) if is_double else (0, 1)
    shift = 12 if encoding.bytes_per_word == 2 else 28
    state, kept = new_state(), np.zeros(3, np.int64)
    found = [np.empty(0, TRIGGER_DTYPE)]
    for words in pieces:
        kinds = words["bits"][first::step] >> shift
        out = np.empty(int(np.count_nonzero(kinds == _EXT_TRIGGER)), TRIGGER_DTYPE)
        if encoding.bytes_per_word == 2:
            num = _find_in_evt3(words, state, kept, out)
        else:
            num = _find_in_evt2(words, state, out, first, step)
        if num:
            found.append(out[: int(num)])
    return np.concatenate(found)


@kernel
@typing.no_type_check
def _find_in_evt2(words, state, out, first, step):
    high_time, high, n = state[HIGH_TIME], state[HIGH], 0
    for i in range(first, len(words), step):
        word = np.int64(words[i].bits)
        kind = word >> 28
        if kind == TIME_HIGH:
            high, high_time = unwrap(state, word & 0xFFFFFFF, high, high_time, 28, 6)
        elif kind == _EXT_TRIGGER and high >= 0:
            out[n].t = high_time + ((word >> 22) & 0x3F)
            out[n].id = (word >> 8) & 0x1F
            out[n].p = word & 1
            n += 1
    state[HIGH_TIME], state[HIGH] = high_time, high
    return n


@kernel
@typing.no_type_check
def _find_in_evt3(words, state, kept, out):
    high_time, high, n = state[HIGH_TIME], state[HIGH], 0
    t, is_after_others, num_skipped = kept[_T], kept[_AFTER_OTHERS] == 1, kept[_NUM_SKIPPED]
    for i in range(len(words)):
        if num_skipped:
            num_skipped -= 1
            continue
        word = np.int64(words[i].bits)
        kind, value = word >> 12, word & 0xFFF
        if kind == _TIME_LOW:
            t = high_time + value
        elif kind == TIME_HIGH and value != high:
            high, high_time = unwrap(state, value, high, high_time, 12, 12)
            t = high_time
        elif kind == _CONTINUED and is_after_others:
            num_skipped = 2  # as the decoder of events does
        elif kind == _EXT_TRIGGER and high >= 0:
            out[n].t = t
            out[n].id = (value >> 8) & 0xF
            out[n].p = value & 1
            n += 1
        is_after_others = kind == _OTHERS
    state[HIGH_TIME], state[HIGH] = high_time, high
    kept[_T], kept[_AFTER_OTHERS], kept[_NUM_SKIPPED] = t, is_after_others, num_skipped
    return n
