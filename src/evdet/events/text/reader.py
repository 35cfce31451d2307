"""CSV and other text, one event per line.

A header names the columns (`t`, `x`, `y`, `p` or their synonyms), in any order and among others;
without one there are four, t x y p, or x y p t where only that is possible. Separators are commas,
semicolons, tabs or blanks. Times that are whole numbers are microseconds, times with a decimal
point or an exponent are seconds, unless the header gives the unit (`t_ns`). Lines that start with
# are comments, or the header; a first line of two whole numbers is the sensor's width and height.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evdet.events.dtypes import Events, RecordingError, SensorSize
from evdet.events.files import AS_STATED, ForwardFile, OrderCount, ReadOptions, check_blocks
from evdet.events.text.parser import PROBLEMS, parse_lines

__all__ = ["TEXT_MARK", "TextEventFile", "look_at_lines", "open_text"]

_NAMES = {
    "t": 0, "ts": 0, "time": 0, "timestamp": 0, "timestamps": 0,
    "x": 1, "y": 2,
    "p": 3, "pol": 3, "polarity": 3, "on": 3,
}  # fmt: skip
_POWERS = {"ns": -3, "us": 0, "ms": 3, "s": 6}
TEXT_MARK = b"\xef\xbb\xbf"
"""Byte order mark at the start of some UTF-8 files."""
_PIECE = 1 << 20  # bytes read at a time
_HEAD = 1 << 16  # bytes read to detect the layout
_BREAK = re.compile(rb"\s*[,;]\s*|\s+")
_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def open_text(path: Path, options: ReadOptions = AS_STATED) -> "TextEventFile":
    """Open a text file of events; reads only its first lines.

    Raises:
        RecordingError: it has no events.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror}") from None
    lines = head.removeprefix(TEXT_MARK).split(b"\n")
    if len(head) == _HEAD:
        lines.pop()  # it may be incomplete
    return look_at_lines(path, lines)


@dataclass
class TextEventFile(ForwardFile):
    """The events of a text file.

    Args:
        path: the file.
        stated_size: the sensor's size where the first line states it.
        num_skipped: lines before the first event.
        roles: the role of each column, as `parse_lines` takes it.
        power: the unit of t is 10 ** power microseconds.
        is_whole: times are whole numbers.
    """

    path: Path
    stated_size: SensorSize | None
    num_skipped: int
    roles: tuple[int, ...]
    power: int
    is_whole: bool
    format: str = "text"

    def _read(self) -> Iterator[Events]:
        return check_blocks(
            self._parsed(), OrderCount(), name=str(self.path), size=self.stated_size
        )

    def _parsed(self) -> Iterator[Events]:
        roles = np.array(self.roles, np.int64)
        num_before = self.num_skipped
        for piece in _whole_lines(self.path, self.num_skipped):
            events, problem, num_lines, at = parse_lines(
                piece, roles, power=self.power, is_whole=self.is_whole
            )
            if len(events):
                yield events
            num_before += num_lines
            if problem:
                raise RecordingError(
                    f"{self.path}: line {num_before + 1} is not an event: {PROBLEMS[problem]}: "
                    f"{_shown(piece[at : at + 200].splitlines()[0])}. Correct or remove it; the "
                    "events before can be read."
                )


def _whole_lines(path: Path, num_skipped: int) -> Iterator[bytes]:
    """The file in pieces of complete lines, without the first `num_skipped` lines."""
    with path.open("rb") as file:
        if file.read(len(TEXT_MARK)) != TEXT_MARK:
            file.seek(0)
        for _ in range(num_skipped):
            file.readline(_PIECE)
        rest = b""
        while piece := file.read(_PIECE):
            end = piece.rfind(b"\n") + 1
            if end:
                yield rest + piece[:end]
                rest = piece[end:]
            else:
                rest += piece
            if len(rest) > _PIECE:
                raise RecordingError(
                    f"{path}: a line has over {_PIECE} bytes ({_shown(rest[:40])}); each line is "
                    "one event. Is it a text file of events?"
                )
        if rest:
            yield rest


def look_at_lines(path: Path, lines: list[bytes]) -> TextEventFile:
    """Detect the layout of a text file from its first lines.

    Args:
        path: the file.
        lines: complete lines; without a header, more lines are more reliable.

    Raises:
        RecordingError: the lines are not events.
    """
    header: list[str] | None = None
    size = None
    rows: list[list[bytes]] = []
    num_skipped = 0
    for i, line in enumerate(lines):
        words = _words(line)
        if not words:
            continue
        if words[0].startswith(b"#") or not rows:
            names = [_name(word) for word in _words(line.lstrip(b"# \t"))]
            if set(map(_role, names)) >= {0, 1, 2, 3}:
                header, num_skipped = names, i + 1
                continue
        if words[0].startswith(b"#"):
            continue
        if not rows and size is None and len(words) == 2 and all(map(bytes.isdigit, words)):
            size = SensorSize(height=int(words[1]), width=int(words[0]))
            num_skipped = i + 1
            continue
        if not rows and not _NUMBER.fullmatch(words[0]):
            raise _refusal(path, f"line {i + 1} is {_shown(line)}")
        rows.append(words)
    if header is None and not rows and size is None:
        raise _refusal(path, "it has no line with an event")
    roles = _roles(path, header, rows)
    t_column = roles.index(0)
    is_whole = not any(re.search(rb"[.eE]", row[t_column]) for row in rows[:1])
    power = 0 if is_whole else _POWERS["s"]
    unit = header[t_column].rpartition("_")[2] if header else ""
    if unit in _POWERS:
        power, is_whole = _POWERS[unit], False
    return TextEventFile(path, size, num_skipped, roles, power, is_whole)


def _roles(path: Path, header: list[str] | None, rows: list[list[bytes]]) -> tuple[int, ...]:
    if header is not None:
        if rows and len(rows[0]) < len(header):
            raise _refusal(path, f"its header has {len(header)} columns, a line {len(rows[0])}")
        return tuple(_role(name) for name in header)
    if not rows:
        return 0, 1, 2, 3
    if len(rows[0]) != 4:
        raise _refusal(path, f"it has no header, and a line has {len(rows[0])} columns")
    # The second order is that of Metavision's CSV.
    fitting = [order for order in ((0, 1, 2, 3), (1, 2, 3, 0)) if _fits(rows[0], order)]
    if not fitting:
        raise _refusal(path, f"the line {_shown(b' '.join(rows[0]))} is not t x y p")
    # Early times look like polarities, later ones do not.
    return next((order for order in fitting if _fits(rows[-1], order)), fitting[0])


def _fits(row: list[bytes], order: tuple[int, ...]) -> bool:
    """Whether the values of a row are valid x, y and p in this order of columns."""
    if len(row) != 4:
        return False
    x, y, p = (row[order.index(role)] for role in (1, 2, 3))
    are_pixels = all(_NUMBER.fullmatch(word) and 0 <= float(word) <= 0xFFFF for word in (x, y))
    return are_pixels and (
        p.lower() in (b"true", b"false")
        or (_NUMBER.fullmatch(p) is not None and float(p) in (-1, 0, 1))
    )


def _refusal(path: Path, what: str) -> RecordingError:
    return RecordingError(
        f"{path} is not a text file of events: {what}. A line is one event: `t x y p`, with t in "
        "microseconds or (with decimals) seconds, or the columns that a header names."
    )


def _words(line: bytes) -> list[bytes]:
    line = line.strip()
    return _BREAK.split(line) if line else []


def _name(word: bytes) -> str:
    return word.decode("utf-8", "replace").strip("\"'").lower()


def _role(name: str) -> int:
    stem, _, unit = name.rpartition("_")
    if unit in _POWERS and _NAMES.get(stem) == 0:
        return 0
    return _NAMES.get(name, -1)


def _shown(line: bytes) -> str:
    text = line.decode("utf-8", "replace")
    return repr(text if len(text) <= 60 else text[:60] + "...")
