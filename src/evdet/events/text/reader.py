"""CSV and other text, one event per line.

A header names the columns (`t`, `x`, `y`, `p` or their synonyms), in any order and among others,
and may have the unit of t. Without one the numbers tell the order of four columns, and the unit;
`ReadOptions` decides both. Separators are commas, semicolons, tabs or blanks. Lines that start
with # or % are comments, or the header; a first line of two whole numbers is the sensor's width and
height.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evdet.events.dtypes import Events, RecordingError, SensorSize
from evdet.events.files import AS_STATED, ForwardFile, OrderCount, ReadOptions, check_blocks
from evdet.events.text.dialect import shown
from evdet.events.text.encoding import TextEncoding, TextRecoder, detect_encoding, is_text
from evdet.events.text.layout import TextLayout, find_layout, has_event_names, has_events
from evdet.events.text.parser import PROBLEMS, parse_lines

__all__ = ["TextEventFile", "has_event_header", "is_event_table", "open_text"]

_PIECE = 1 << 20  # bytes read at a time
_HEAD = 1 << 20  # bytes read to detect the layout


def open_text(path: Path, options: ReadOptions = AS_STATED) -> "TextEventFile":
    """Open a text file of events; reads only its first lines.

    Raises:
        RecordingError: it has no events, or can be read in several ways.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror}") from None
    encoding, lines = _first_lines(head, is_all=len(head) < _HEAD)
    return TextEventFile(path, encoding, find_layout(path, lines, options))


def has_event_header(head: bytes) -> bool:
    """Whether the first bytes of a file are text whose header names t, x, y and p."""
    return is_text(head) and has_event_names(_first_lines(head, is_all=False)[1])


def is_event_table(head: bytes) -> bool:
    """Whether the first bytes of a file are text of events."""
    return is_text(head) and has_events(_first_lines(head, is_all=False)[1])


def _first_lines(head: bytes, *, is_all: bool) -> tuple[TextEncoding, list[bytes]]:
    encoding = detect_encoding(head)
    lines = encoding.decode(head).split(b"\n")
    if not is_all and len(lines) > 1:
        lines.pop()  # it may be incomplete
    return encoding, lines


@dataclass
class TextEventFile(ForwardFile):
    """The events of a text file.

    Args:
        path: the file.
        encoding: of its characters.
        layout: how its lines become events.
    """

    path: Path
    encoding: TextEncoding
    layout: TextLayout
    format: str = "text"

    @property
    def stated_size(self) -> SensorSize | None:
        """The sensor's size where the first lines state it."""
        return self.layout.stated_size

    def with_size(self, size: SensorSize) -> "TextEventFile":
        """The same file as of a sensor of this size, whatever it states."""
        return replace(self, layout=replace(self.layout, stated_size=size))

    def _read(self) -> Iterator[Events]:
        return check_blocks(
            self._parsed(), OrderCount(), name=str(self.path), size=self.stated_size
        )

    def _parsed(self) -> Iterator[Events]:
        layout = self.layout
        roles = np.array(layout.roles, np.int64)
        num_before = layout.num_skipped
        for piece in _whole_lines(self.path, self.encoding, layout.num_skipped):
            events, problem, num_lines, at = parse_lines(
                piece,
                roles,
                power=layout.scale.power,
                is_whole=layout.scale.is_whole,
                dialect=layout.dialect,
            )
            if len(events):
                yield events
            num_before += num_lines
            if problem:
                raise RecordingError(
                    f"{self.path}: line {num_before + 1} is not an event: {PROBLEMS[problem]}: "
                    f"{shown(piece[at : at + 200].splitlines()[0])}. Correct or remove it; the "
                    "events before can be read."
                )


def _whole_lines(path: Path, encoding: TextEncoding, num_skipped: int) -> Iterator[bytes]:
    """The file in pieces of complete lines, without the first `num_skipped` lines."""
    recoder = TextRecoder(encoding)
    with path.open("rb") as file:
        file.seek(encoding.num_mark_bytes)
        rest = b""
        while data := file.read(_PIECE):
            piece = recoder.feed(data)
            while num_skipped and b"\n" in rest + piece:
                rest, _, piece = (rest + piece).partition(b"\n")
                rest = b""
                num_skipped -= 1
            end = piece.rfind(b"\n") + 1
            if end and not num_skipped:
                yield rest + piece[:end]
                rest = piece[end:]
            else:
                rest += piece
            if len(rest) > _PIECE:
                raise RecordingError(
                    f"{path}: a line has over {_PIECE} bytes ({shown(rest[:40])}); each line is "
                    "one event. Is it a text file of events?"
                )
        if rest and not num_skipped:
            yield rest
