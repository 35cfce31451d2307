"""Bytes of text in any usual encoding -> UTF-8 with lines that end with a newline."""

import codecs
from dataclasses import dataclass

__all__ = ["TextEncoding", "TextRecoder", "detect_encoding", "is_text"]

_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


@dataclass(frozen=True)
class TextEncoding:
    """How a text file is encoded.

    Args:
        name: of Python's codec.
        num_mark_bytes: length of the byte order mark.
        has_cr_ends: whether lines end with a carriage return alone.
    """

    name: str
    num_mark_bytes: int
    has_cr_ends: bool

    def decode(self, start: bytes) -> bytes:
        """The beginning of a file as UTF-8; its last character may be incomplete."""
        return TextRecoder(self).feed(start[self.num_mark_bytes :])


class TextRecoder:
    """Makes UTF-8 of what follows the byte order mark, in pieces that may end anywhere."""

    def __init__(self, encoding: TextEncoding) -> None:
        self._has_cr_ends = encoding.has_cr_ends
        self._decoder = None
        if encoding.name != "utf-8":
            self._decoder = codecs.getincrementaldecoder(encoding.name)("replace")

    def feed(self, data: bytes) -> bytes:
        """The next bytes, as far as their characters are complete."""
        if self._decoder is not None:
            data = self._decoder.decode(data).encode("utf-8", "replace")
        return data.replace(b"\r", b"\n") if self._has_cr_ends else data


def detect_encoding(start: bytes) -> TextEncoding:
    """Detect the encoding from the first bytes of a file: by its mark, or by its zeros."""
    name, mark = "utf-8", b""
    for candidate, encoding in _MARKS.items():
        if start.startswith(candidate):
            name, mark = encoding, candidate
            break
    else:
        name = _without_mark(start)
    plain = TextEncoding(name, len(mark), has_cr_ends=False)
    text = plain.decode(start)
    return TextEncoding(name, len(mark), has_cr_ends=b"\r" in text[:-1] and b"\n" not in text)


def is_text(start: bytes) -> bool:
    """Whether the first bytes of a file are text; a few bytes of another encoding pass."""
    start = detect_encoding(start).decode(start)
    # The last character may be incomplete.
    text = start.decode("utf-8", errors="ignore")
    return len(text.encode()) >= len(start) - 3 and all(
        character.isprintable() or character in "\r\n\t\ufeff\ufffd" for character in text
    )


def _without_mark(start: bytes) -> str:
    """Numbers in UTF-16 have a zero in every other byte."""
    even, odd = start[0:256:2], start[1:256:2]
    if len(odd) >= 4 and b"\0" not in even and odd.count(0) == len(odd):
        return "utf-16-le"
    if len(odd) >= 4 and b"\0" not in odd and even.count(0) == len(even):
        return "utf-16-be"
    return "utf-8"
