"""The live formats: words of RAW, records of DAT, lines of text, split anywhere."""

import re
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from evdet.events.dat import (
    MAX_DAT_SIDE,
    OUTSIDE as DAT_OUTSIDE,
    RECORD_DTYPE,
    DatHeader,
    decode,
    parse_header,
)
from evdet.events.dtypes import EVENT_DTYPE, Events, RecordingError, SensorSize
from evdet.events.files import AS_STATED, ReadOptions, join_events
from evdet.events.raw import (
    BAD_TIME,
    BAD_X,
    BAD_Y,
    BEFORE_CLOCK,
    COORDINATE_BITS,
    HIGH_TIME,
    LATEST,
    MAX_EVT_HEADER,
    MIN_PAYLOAD,
    OK,
    OUTSIDE,
    PAYLOADS,
    STATUS,
    TIME,
    WORD,
    EvtHeader,
    decode_words,
    new_state,
    parse_evt_header,
    payload_header,
)
from evdet.events.text import PROBLEMS, TEXT_MARK, TextEventFile, look_at_lines, parse_lines

__all__ = ["LiveFormat", "open_format"]

_FOREVER = 1 << 60
_BLOCK_EVENTS = 1 << 15
_NUM_LINES = 32  # of text, from which the layout is detected
_MAX_LINE = 1 << 20
_LIVE = ("dat", "raw", "text")
_NO_EVENTS = np.empty(0, EVENT_DTYPE)


@runtime_checkable
class LiveFormat(Protocol):
    """The part of a source after its beginning."""

    format: str
    """Its name, for display."""
    size: SensorSize | None
    """The sensor's size, where the beginning states it."""
    num_header_bytes: int
    """Length of the beginning: the events start here."""
    clock: int | None
    """No event that comes now is earlier, but for small steps back; in microseconds."""

    @property
    def num_left(self) -> int:
        """Bytes that are not decoded yet, because their event is incomplete."""

    def decode(self, data: bytes, *, is_last: bool) -> tuple[Events, RecordingError | None]:
        """Decode the next bytes.

        Args:
            data: the bytes.
            is_last: whether the source ends with them.

        Returns:
            Their events, and what is wrong after the last of them.
        """


def open_format(
    name: str,
    start: bytes,
    *,
    is_last: bool,
    options: ReadOptions = AS_STATED,
    size: SensorSize | None = None,
) -> LiveFormat | None:
    """Detect the format of a source.

    Args:
        name: the source, for messages.
        start: its first bytes.
        is_last: whether the source ends with them.
        options: how to read what the source leaves open.
        size: the sensor's size where the source does not state it.

    Returns:
        Its format; None while too few bytes have arrived.

    Raises:
        RecordingError: the format cannot be read live.
    """
    if not start:
        if is_last:
            raise RecordingError(f"{name} ended without data: is its sender running?")
        return None
    if options.format not in (None, *_LIVE, *PAYLOADS):
        raise RecordingError(
            f"cannot read {name} live as {options.format} (supported: {', '.join(_LIVE)}, "
            f"{', '.join(PAYLOADS)}). Save it, and open the file."
        )
    if options.format in PAYLOADS:
        if not (is_last or len(start) >= MIN_PAYLOAD):
            return None
        if start.startswith(b"%") and not (
            is_last or len(start) >= MAX_EVT_HEADER or _has_whole_header(start)
        ):
            return None
        header = payload_header(Path(name), start, options.format)
        is_fitting = size is not None and max(size) <= 1 << COORDINATE_BITS
        return _EvtBody(name, header._replace(size=header.size or (size if is_fitting else None)))
    if start.startswith(b"%"):
        if not (is_last or len(start) >= MAX_EVT_HEADER or _has_whole_header(start)):
            return None
        is_raw = re.search(rb"^% *(evt|format)[ \t]", start, re.MULTILINE) is not None
        if options.format in ("raw", "dat") and is_raw != (options.format == "raw"):
            stated = "RAW" if is_raw else "DAT"
            raise RecordingError(
                f"{name} has a header of {stated}. Leave --format {options.format} out."
            )
        if is_raw:
            return _EvtBody(name, parse_evt_header(Path(name), start))
        return _DatBody(name, parse_header(Path(name), start))
    if b"\0" in start:
        raise RecordingError(
            f"cannot read {name} live: it starts with {start[:8]!r} (supported: DAT, RAW (EVT2, "
            "EVT2.1, EVT3) and text). Save it, and open the file; words without the header of a "
            "RAW file need --format evt2, evt2.1 or evt3, and --sensor-size WxH."
        )
    lines = start.removeprefix(TEXT_MARK).split(b"\n")
    if not is_last:
        if len(lines) <= _NUM_LINES and len(start) < MAX_EVT_HEADER:
            return None
        lines = lines[:-1][:_NUM_LINES]
    return _TextBody(name, look_at_lines(Path(name), lines), start.startswith(TEXT_MARK))


def _has_whole_header(start: bytes) -> bool:
    """Whether a header of % lines is complete, and two bytes follow."""
    at, is_raw, has_end = 0, False, False
    while start[at : at + 1] == b"%":
        stop = start.find(b"\n", at)
        if is_raw and start[at + 1 : at + 2] not in (b" ", b""):
            return True  # words that begin so
        if stop < 0:
            return False
        line = start[at + 1 : stop].strip()
        is_raw = is_raw or line.startswith((b"evt", b"format"))
        at = stop + 1
        if line == b"end":
            has_end = True
            break
    # Without a line `% end`, a few words could still be text.
    return len(start) >= at + (64 if is_raw and not has_end else 2)


class _EvtBody:
    """Words of a RAW file."""

    def __init__(self, name: str, header: EvtHeader) -> None:
        self.format = header.encoding.name
        self.size = header.size
        self.num_header_bytes = header.num_bytes
        self.clock: int | None = None
        self._name = name
        self._encoding = header.encoding
        self._state = new_state()
        self._num_words = 0
        self._rest = b""

    @property
    def num_left(self) -> int:
        return len(self._rest)

    def decode(self, data: bytes, *, is_last: bool) -> tuple[Events, RecordingError | None]:
        encoding, state = self._encoding, self._state
        largest = 1 << COORDINATE_BITS
        height, width = self.size or (largest, largest)
        data = self._rest + data
        num_new, num_left = divmod(len(data), encoding.bytes_per_word)
        self._rest = data[len(data) - num_left :]
        words = np.frombuffer(data[: len(data) - num_left], encoding.dtype)
        first, end = self._num_words, self._num_words + num_new
        blocks, problem = [], None
        while state[WORD] < end and problem is None:
            out = np.empty(_BLOCK_EVENTS, EVENT_DTYPE)
            num = decode_words(
                words, state, out, encoding=encoding, first=first, width=width, height=height
            )
            blocks.append(out[:num])
            if state[STATUS] != OK:
                problem = self._damage()
        self._num_words = end
        clock = int(max(state[LATEST], state[TIME], state[HIGH_TIME]))
        self.clock = clock if clock > BEFORE_CLOCK // 2 else None
        return join_events(blocks), problem

    def _damage(self) -> RecordingError:
        state = self._state
        t, byte = (
            int(state[BAD_TIME]),
            self.num_header_bytes + int(state[WORD]) * (self._encoding.bytes_per_word),
        )
        what = (
            f"an event at x={state[BAD_X]}, y={state[BAD_Y]}, t={t} us lies outside the sensor "
            f"{self.size or 'of 2048x2048 that the format allows'}"
            if state[STATUS] == OUTSIDE
            else f"time steps back from {state[LATEST]} to {t} us"
        )
        return RecordingError(
            f"{self._name}: before byte {byte} {what}: bytes were lost or changed in transit, or "
            "the header is wrong"
        )


class _DatBody:
    """Records of a DAT file."""

    def __init__(self, name: str, header: DatHeader) -> None:
        self.format = "DAT"
        self.size = header.size
        self.num_header_bytes = header.num_bytes
        self.clock: int | None = None
        self._name = name
        self._last: int | None = None
        self._num_records = 0
        self._rest = b""

    @property
    def num_left(self) -> int:
        return len(self._rest)

    def decode(self, data: bytes, *, is_last: bool) -> tuple[Events, RecordingError | None]:
        data = self._rest + data
        num_left = len(data) % RECORD_DTYPE.itemsize
        self._rest = data[len(data) - num_left :]
        records = np.frombuffer(data[: len(data) - num_left], RECORD_DTYPE)
        if not len(records):
            return _NO_EVENTS, None
        first = int(records["t"][0])
        height, width = self.size or (MAX_DAT_SIDE, MAX_DAT_SIDE)
        decoded = decode(
            records,
            0,
            len(records),
            clock=first if self._last is None else self._last,
            latest=first if self.clock is None else self.clock,
            first=-_FOREVER,
            end=_FOREVER,
            width=width,
            height=height,
        )
        self._last, self.clock = decoded.clock, decoded.latest
        problem = None
        if decoded.flaw:
            what = (
                f"lies outside the sensor {self.size}"
                if decoded.flaw == DAT_OUTSIDE
                else f"steps back in time from {decoded.latest} to {decoded.clock} us"
            )
            problem = RecordingError(
                f"{self._name}: event {self._num_records + decoded.stop} {what}: bytes were lost "
                "or changed in transit, or the header is wrong"
            )
        self._num_records += len(records)
        return decoded.events, problem


class _TextBody:
    """Lines of a table."""

    def __init__(self, name: str, table: TextEventFile, has_mark: bool) -> None:
        self.format = "text"
        self.num_header_bytes = len(TEXT_MARK) * has_mark
        self.size = table.stated_size
        self.clock: int | None = None
        self._name = name
        self._table = table
        self._num_to_skip = table.num_skipped
        self._num_lines = 0
        self._rest = b""

    @property
    def num_left(self) -> int:
        return 0

    def decode(self, data: bytes, *, is_last: bool) -> tuple[Events, RecordingError | None]:
        data = self._rest + data
        stop = len(data) if is_last else data.rfind(b"\n") + 1
        data, self._rest = data[:stop], data[stop:]
        if len(self._rest) > _MAX_LINE:
            return _NO_EVENTS, RecordingError(
                f"{self._name}: a line has over {_MAX_LINE} bytes; each line is one event"
            )
        while self._num_to_skip and data:
            _, newline, data = data.partition(b"\n")
            self._num_to_skip -= 1
            self._num_lines += len(newline)
        table = self._table
        events, problem, num_lines, _ = parse_lines(
            data, np.array(table.roles, np.int64), power=table.power, is_whole=table.is_whole
        )
        self._num_lines += num_lines
        if len(events):
            latest = int(events["t"].max())
            self.clock = latest if self.clock is None else max(self.clock, latest)
        if not problem:
            return events, None
        return events, RecordingError(
            f"{self._name}: line {self._num_lines + 1} is not an event: {PROBLEMS[problem]}"
        )
