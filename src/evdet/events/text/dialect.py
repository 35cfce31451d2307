"""How the lines of a text file are cut: separator, decimal point or comma, quotes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "BLANK",
    "Dialect",
    "detect_dialect",
    "has_thousands",
    "is_comment",
    "read_word",
    "shown",
]

BLANK = 32
"""As a separator: any number of blanks and tabs."""

_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_COMMA_NUMBER = re.compile(rb"[+-]?\d*,\d+([eE][+-]?\d+)?")
_GROUPED = re.compile(rb"[+-]?\d{1,3}(,\d{3})+|[+-]?\d{1,3}(\.\d{3})+")
_WORDS = {b"true": 1.0, b"on": 1.0, b"false": 0.0, b"off": 0.0}
_QUOTES = b"\"'"


@dataclass(frozen=True)
class Dialect:
    """How lines are cut.

    Args:
        separator: its byte, or `BLANK`.
        decimal: the byte between whole part and fraction.
    """

    separator: int = BLANK
    decimal: int = ord(".")

    def width(self, line: bytes) -> int:
        """The number of fields of a line, empty ones at its end included."""
        if self.separator == BLANK:
            return len(self.split(line))
        return len(_cut(line.strip(b" \r\n"), self.separator))

    def split(self, line: bytes) -> list[bytes]:
        """The fields of a line, without quotes; empty ones at its end are left out."""
        line = line.strip(b" \r\n" if self.separator == 9 else b" \t\r\n")
        if not line:
            return []
        if self.separator == BLANK:
            return [_unquoted(word) for word in _cut(line, None)]
        fields = [_unquoted(word) for word in _cut(line, self.separator)]
        while len(fields) > 1 and not fields[-1]:
            fields.pop()
        return fields


def detect_dialect(lines: Sequence[bytes]) -> Dialect:
    """Detect the dialect of lines that are events.

    A comma between digits is a decimal comma where semicolons, tabs or blanks separate.
    """
    text = b"\n".join(lines)
    if b";" in text:
        return Dialect(ord(";"), _decimal([line.split(b";") for line in lines]))
    if b"|" in text:
        return Dialect(ord("|"), _decimal([line.split(b"|") for line in lines]))
    by_blanks = [line.split() for line in lines]
    if b"," not in text:
        return Dialect()
    if all(len(words) >= 4 and not any(map(_has_loose_comma, words)) for words in by_blanks):
        return Dialect(BLANK, _decimal(by_blanks))
    quoted = [line for line in lines if b'"' in line or b"'" in line]
    return Dialect(ord(","), _decimal([_cut(line.strip(), ord(",")) for line in quoted]))


def read_word(word: bytes, decimal: int) -> float:
    """The number that a field stands for; NaN where it is not one."""
    if decimal == ord(","):
        word = word.replace(b",", b".")
    if _NUMBER.fullmatch(word):
        return float(word)
    return _WORDS.get(word.lower(), float("nan"))


def has_thousands(words: Sequence[bytes]) -> bool:
    """Whether the numbers of a column are grouped by thousands: 987, 1,228 and 5,001,228."""
    grouped = [word for word in words if _GROUPED.fullmatch(word)]
    others = [word for word in words if b"," in word or b"." in word or len(word) > 3]
    return bool(grouped) and len(grouped) == len(others)


def is_comment(line: bytes) -> bool:
    """Whether a line starts with # or %."""
    return line.lstrip().startswith((b"#", b"%"))


def shown(line: bytes) -> str:
    """A line for messages."""
    text = line.decode("utf-8", "replace")
    return repr(text if len(text) <= 60 else text[:60] + "...")


def _cut(line: bytes, separator: int | None) -> list[bytes]:
    """Split outside quotes."""
    if b'"' not in line and b"'" not in line:
        return line.split() if separator is None else line.split(bytes([separator]))
    mark = rb"[ \t]+" if separator is None else re.escape(bytes([separator]))
    pieces = re.findall(rb"(\"[^\"]*\"|'[^']*'|" + mark + rb"|[^\"']|[\"'])", line)
    words = [b""]
    for piece in pieces:
        if re.fullmatch(mark, piece):
            words.append(b"")
        else:
            words[-1] += piece
    return words


def _unquoted(word: bytes) -> bytes:
    word = word.strip()
    if len(word) >= 2 and word[0] == word[-1] and word[0] in _QUOTES:
        return word[1:-1].strip()
    return word


def _decimal(rows: list[list[bytes]]) -> int:
    words = [_unquoted(word) for row in rows for word in row]
    has_comma = any(_COMMA_NUMBER.fullmatch(word) for word in words)
    return ord(",") if has_comma else ord(".")


def _has_loose_comma(word: bytes) -> bool:
    """Whether a comma of this word separates rather than starting a fraction."""
    return b"," in word and _COMMA_NUMBER.fullmatch(word) is None
