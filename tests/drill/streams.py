"""Streams through standard input: jumps of the clock, garbage, stalls."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from drill.attack import Answer, Attack, Command, evdet
from drill.recordings import events_of, write_recording

__all__ = ["STREAMS"]

_STREAMS = "streams"
_DETECT = ("detect", "--device", "cpu", "--threads", "1")
_HEADER = b"% Version 2\n% Width 304\n% Height 240\n\x0c\x08"


def _dat(events: np.ndarray) -> bytes:
    words = events["x"].astype("<u4") | events["y"].astype("<u4") << 14
    words |= events["p"].astype("<u4") << 28
    return np.stack([(events["t"] % (1 << 32)).astype("<u4"), words], axis=1).tobytes()


def _fed(folder: Path, pieces: Iterable[bytes], *more: str, wait: float = 0.0) -> Answer:
    """What `evdet detect -` makes of bytes that come in pieces, `wait` seconds apart."""
    words = (*_DETECT, "-", "--output", "x.csv", *more)
    command = Command(words, folder, stdin=subprocess.PIPE)

    def feed() -> None:
        try:
            with command.process.stdin as pipe:
                for piece in pieces:
                    pipe.write(piece)
                    pipe.flush()
                    time.sleep(wait)
        except (BrokenPipeError, ValueError):
            pass

    threading.Thread(target=feed, daemon=True).start()
    return command.answer()


def _jump(
    ahead: int, status: int, *says: str, more: tuple[str, ...] = ()
) -> Callable[[Path], str | None]:
    def run(folder: Path) -> str | None:
        events = events_of(20_000, last=1_000_000)
        events["t"][-1] = 1_000_000 + ahead
        answer = _fed(folder, [_HEADER + _dat(events)], *more)
        return answer.unlike(status, *says, max_lines=3, max_seconds=40)

    return run


def _file_jump(ahead: int, status: int, *says: str) -> Callable[[Path], str | None]:
    def run(folder: Path) -> str | None:
        events = events_of(20_000, last=1_000_000)
        events["t"][-1] = 1_000_000 + ahead
        np.save(folder / "a.npy", events)
        answer = evdet(*_DETECT, "a.npy", "--output", "x.csv", folder=folder)
        return answer.unlike(status, *says, max_lines=3, max_seconds=40)

    return run


def _garbage(folder: Path) -> str | None:
    rng = np.random.default_rng(0)
    events = events_of(20_000, last=1_000_000)
    pieces = [_HEADER + _dat(events), *(rng.bytes(1 << 16) for _ in range(50)), _dat(events)]
    return _fed(folder, pieces, wait=0.01).unlike(2, "event 20000", max_lines=3)


def _only(make: Callable[[int], bytes], *says: str) -> Callable[[Path], str | None]:
    """Endless bytes that are no recording."""

    def run(folder: Path) -> str | None:
        pieces = (make(i) for i in range(100_000))
        return _fed(folder, pieces).unlike(2, *says, max_mb=1500, max_seconds=40, max_lines=3)

    return run


def _stalls(folder: Path) -> str | None:
    """The pipe stalls within an event; its boxes before the stall come all the same."""
    data = _HEADER + _dat(events_of(20_000, last=1_000_000))
    return _fed(folder, [data[:-3], b""], wait=3).unlike(0, "ends within an event")


def _backward(folder: Path) -> str | None:
    events = events_of(20_000, last=1_000_000)
    events["t"][10_000:] -= 400_000
    return _fed(folder, [_HEADER + _dat(events)]).unlike(2, "steps back", max_lines=3)


def _evt3(folder: Path) -> str | None:
    write_recording(folder / "a.raw", 50_000)
    data = bytearray((folder / "a.raw").read_bytes())
    middle = len(data) // 4 * 2
    data[middle : middle + 400] = np.random.default_rng(1).bytes(400)
    answer = _fed(folder, [bytes(data)])
    # A RAW decoder goes on after words that it does not know, unless an event is impossible.
    status = 2 if answer.status == 2 else 0
    return answer.unlike(status, max_seconds=40, max_lines=3)


def _text_line(folder: Path) -> str | None:
    pieces = (b"1 2 3 1\n" * 1000, *(b"7" * 65536 for _ in range(200)))
    more = ("--sensor-size", "304x240")
    return _fed(folder, pieces, *more).unlike(2, "a line has over", max_lines=3)


STREAMS = (
    Attack(_STREAMS, "one event 2,000 s ahead", _jump(2_000_000_000, 0, "skipped")),
    Attack(
        _STREAMS,
        "one event an hour ahead, none may be skipped",
        _jump(3_600_000_000, 0, "empty time bins are skipped", more=("--max-backlog", "0")),
    ),
    Attack(
        _STREAMS,
        "in a file one event 2,000 s ahead",
        _file_jump(2_000_000_000, 0, "empty time bins are skipped"),
    ),
    Attack(_STREAMS, "in a file one event 2^40 us ahead", _file_jump(1 << 40, 2, "minutes later")),
    Attack(_STREAMS, "garbage in the middle of a DAT stream", _garbage),
    Attack(_STREAMS, "garbage in the middle of an EVT3 stream", _evt3),
    Attack(_STREAMS, "a step back", _backward),
    Attack(
        _STREAMS,
        "only random bytes",
        _only(lambda i: np.random.default_rng(i).bytes(65536), "cannot read"),
    ),
    Attack(_STREAMS, "only zeros", _only(lambda _: bytes(65536), "cannot read")),
    Attack(_STREAMS, "only comments", _only(lambda _: b"% nothing\n" * 6000, "hold no event")),
    Attack(_STREAMS, "only one line of text", _only(lambda _: b"1 " * 32768)),
    Attack(_STREAMS, "a line of text without an end", _text_line),
    Attack(_STREAMS, "a stall within an event", _stalls),
)
