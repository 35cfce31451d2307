"""RAW words without a header: the format that the user names, checked against the words."""

from pathlib import Path

import numpy as np

from evdet.events.dtypes import RecordingError
from evdet.events.raw.header import EvtHeader, parse_evt_header
from evdet.events.raw.state import TIME_HIGH, EvtFormat

__all__ = ["MIN_PAYLOAD", "PAYLOADS", "guess_payload", "payload_header"]

PAYLOADS = {
    "evt2": EvtFormat("EVT2", 4),
    "evt2.1": EvtFormat("EVT2.1", 8),
    "evt3": EvtFormat("EVT3", 2),
}
"""How words are written, by the values of `ReadOptions.format`."""
MIN_PAYLOAD = 64
"""Bytes from which a format is checked."""

# Types of words that the formats define.
_TYPES = {
    "evt2": (0, 1, 8, 10, 14, 15),
    "evt2.1": (0, 1, 8, 10, 14, 15),
    "evt3": (0, 2, 3, 4, 5, 6, 7, 8, 10, 14, 15),
}
# Cameras write unknown words seldom, and a time every few microseconds or events.
_MOST_UNKNOWN = 1 / 50
_MOST_UNKNOWN_IN_GUESS = 1 / 500
_WORDS_WITHOUT_TIME = 4096
# Words of time that step back: those of another format do so every second time.
_MOST_BACK = 1 / 10


def payload_header(path: Path, start: bytes, name: str) -> EvtHeader:
    """The header that stands for the missing one.

    Args:
        path: the file, for messages.
        start: its first bytes.
        name: the format, a key of `PAYLOADS`.

    Returns:
        A header of 0 bytes; the file's own where it has one of the same format.

    Raises:
        RecordingError: the file has a header of another format, or its words are of another one.
    """
    encoding = PAYLOADS[name]
    if _has_header(start):
        header = parse_evt_header(path, start)
        if header.encoding.name != encoding.name:
            raise RecordingError(
                f"{path} has a header of {header.encoding.name}, not {encoding.name}. Leave "
                f"--format {name} out."
            )
        return header
    problem = _doubt(start, name)
    if problem:
        other = guess_payload(start)
        hint = f" They look like {PAYLOADS[other].name}: --format {other}." if other else ""
        raise RecordingError(f"{path} holds no {encoding.name} words: {problem}.{hint}")
    return EvtHeader(encoding, None, 0)


def guess_payload(start: bytes) -> str | None:
    """The one format whose words the bytes can be; None where there are none or several."""
    if len(start) < MIN_PAYLOAD:
        return None
    fitting = [name for name in PAYLOADS if not _doubt(start, name, is_guess=True)]
    return fitting[0] if len(fitting) == 1 else None


def _has_header(start: bytes) -> bool:
    """Whether the bytes begin with a line of text after a percent sign."""
    line, newline, _ = start[:1000].partition(b"\n")
    if not line.startswith(b"%") or not newline:
        return False
    text = line.decode("utf-8", errors="replace").strip()
    return "\ufffd" not in text and text.replace("\t", " ").isprintable()


def _doubt(start: bytes, name: str, *, is_guess: bool = False) -> str:
    """Why the bytes are not words of this format; empty if they can be."""
    num_bytes = PAYLOADS[name].bytes_per_word
    words = np.frombuffer(start, f"<u{num_bytes}", len(start) // num_bytes).astype(np.uint64)
    kinds = (words >> np.uint64(8 * num_bytes - 4)).astype(np.int64)
    num_unknown = int((~np.isin(kinds, _TYPES[name])).sum())
    if num_unknown > len(words) * (_MOST_UNKNOWN_IN_GUESS if is_guess else _MOST_UNKNOWN):
        return f"{num_unknown} of its first {len(words)} words have a type that it does not define"
    is_time = kinds == TIME_HIGH
    if not is_time.any():
        if len(words) >= _WORDS_WITHOUT_TIME or (is_guess and len(words)):
            return f"none of its first {len(words)} words has a time"
        return ""
    shift, bits = (0, 12) if name == "evt3" else (8 * (num_bytes - 4), 28)
    times = (words[is_time] >> np.uint64(shift)).astype(np.int64) & ((1 << bits) - 1)
    steps = np.diff(times)
    num_back = int(((steps < 0) & (steps > -(1 << (bits - 1)))).sum())
    if num_back > 1 + len(times) * _MOST_BACK:
        return f"its time steps back at {num_back} of its first {len(times)} words of time"
    return _doubt_of_width(words, is_time, times, name)


def _doubt_of_width(words: np.ndarray, is_time: np.ndarray, times: np.ndarray, name: str) -> str:
    """EVT2 and EVT2.1 have the same types, in words of 4 and of 8 bytes."""
    if name == "evt2":
        places = np.flatnonzero(is_time)
        odd = places[places % 2 == 1]
        if len(odd) >= 4 and (words[odd - 1] == 0).mean() > 0.9:
            return "its words of time follow words of zeros, as in words of 8 bytes"
    if name == "evt2.1":
        low = (words & np.uint64(0xFFFFFFFF)).astype(np.int64)
        places = np.flatnonzero(low >> 28 == TIME_HIGH)
        inner = low[places] & 0xFFFFFFF
        # The words of time around each of these masks.
        after = np.searchsorted(np.flatnonzero(is_time), places)
        earlier, later = times[np.maximum(after - 1, 0)], times[np.minimum(after, len(times) - 1)]
        num_between = int(((inner >= earlier) & (inner <= later)).sum())
        if 2 * num_between > len(places) and len(np.unique(inner)) > 1:
            return "half of its words of time lie in the masks, as in words of 4 bytes"
    return ""
