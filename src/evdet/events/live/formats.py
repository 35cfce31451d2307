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
    decoded_size,
    new_state,
    parse_evt_header,
    payload_header,
)
from evdet.events.text import (
    PROBLEMS,
    TextEncoding,
    TextLayout,
    TextRecoder,
    detect_encoding,
    find_layout,
    is_comment,
    is_event_table,
    is_text,
    parse_lines,
)

__all__ = ["LiveFormat", "open_format"]

_FOREVER = 1 << 60
_BLOCK_EVENTS = 1 << 15
_NUM_LINES = 64  # of text, from which the layout is detected
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
    is_raw_file: bool
    """Whether the bytes are a RAW file whose header states the sensor's size as it is."""

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
        size: the sensor's size where the source does not state it or states it incorrectly.

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
        return _EvtBody(name, header, size)
    is_raw = re.search(rb"^% *(evt|format)[ \t]", start, re.MULTILINE) is not None
    # Lines of % also come before lines of events, as in Metavision's CSV.
    if start.startswith(b"%") and (is_raw or not is_event_table(start)):
        if not (is_last or len(start) >= MAX_EVT_HEADER or _has_whole_header(start)):
            return None
        if not (is_raw or is_last) and is_text(start) and _has_only_comments(start):
            return None
        if options.format in ("raw", "dat") and is_raw != (options.format == "raw"):
            stated = "RAW" if is_raw else "DAT"
            raise RecordingError(
                f"{name} has a header of {stated}. Leave --format {options.format} out."
            )
        if is_raw:
            return _EvtBody(name, parse_evt_header(Path(name), start), size)
        dat_header = parse_header(Path(name), start)
        return _DatBody(name, dat_header._replace(size=size or dat_header.size))
    encoding = detect_encoding(start)
    if encoding.name == "utf-8" and b"\0" in start:
        raise RecordingError(
            f"cannot read {name} live: it starts with {start[:8]!r} (supported: DAT, RAW (EVT2, "
            "EVT2.1, EVT3) and text). Save it, and open the file; words without the header of a "
            "RAW file need --format evt2, evt2.1 or evt3, and --sensor-size WxH."
        )
    lines = encoding.decode(start).split(b"\n")
    if not is_last:
        if len(lines) <= _NUM_LINES and len(start) < MAX_EVT_HEADER:
            return None
        lines = lines[:-1][:_NUM_LINES]
    return _TextBody(name, find_layout(Path(name), lines, options), encoding)


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


def _has_only_comments(start: bytes) -> bool:
    """Whether complete lines are comments of a text file rather than the header of a DAT file."""
    lines = start.split(b"\n")[:-1]
    is_dat = re.search(rb"^% *(data|version|width|height|date)\b", start, re.MULTILINE | re.I)
    return is_dat is None and all(not line.strip() or is_comment(line) for line in lines)


class _EvtBody:
    """Words of a RAW file."""

    def __init__(self, name: str, header: EvtHeader, asked_size: SensorSize | None) -> None:
        self.format = header.encoding.name
        self.size = decoded_size(header.size, asked_size)
        self.num_header_bytes = header.num_bytes
        self.is_raw_file = header.num_bytes > 0 and asked_size in (None, header.size)
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

    is_raw_file = False

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

    is_raw_file = False

    def __init__(self, name: str, layout: TextLayout, encoding: TextEncoding) -> None:
        self.format = "text"
        self.num_header_bytes = encoding.num_mark_bytes
        self.size = layout.stated_size
        self.clock: int | None = None
        self._name = name
        self._layout = layout
        self._recoder = TextRecoder(encoding)
        self._num_to_skip = layout.num_skipped
        self._num_lines = 0
        self._rest = b""

    @property
    def num_left(self) -> int:
        return 0

    def decode(self, data: bytes, *, is_last: bool) -> tuple[Events, RecordingError | None]:
        data = self._rest + self._recoder.feed(data)
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
        layout = self._layout
        events, problem, num_lines, _ = parse_lines(
            data,
            np.array(layout.roles, np.int64),
            power=layout.scale.power,
            is_whole=layout.scale.is_whole,
            dialect=layout.dialect,
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
