r"""Control characters in what is printed -> escapes such as \x1b, which a terminal does not obey.

Names of files and classes come from elsewhere. On a terminal, an escape sequence in one could hide
lines, forge others, or rename the window.
"""

import contextlib
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from evdet.cli.terminal.standard_output import Nowhere, errors_of_output

__all__ = ["escape_controls", "escaped_output", "unescaped_output"]

# All of Unicode's controls but the tabulator and the ends of lines, and what reverses or breaks a
# line: https://www.unicode.org/reports/tr9/#Directional_Formatting_Codes
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
# A progress bar returns to its line's start, and one of several moves up in a write of its own.
_OF_PROGRESS_BAR = re.compile("\r|(?:\x1b\\[A)+$")


def escape_controls(text: str) -> str:
    r"""Replace control characters, those of bidirectional text included, by escapes.

    Args:
        text: of any origin; tabulators and ends of lines are kept.

    Example:
        >>> escape_controls("a\x1b[31mb")
        'a\\x1b[31mb'
    """
    return _CONTROLS.sub(_escape, text)


@contextlib.contextmanager
def escaped_output() -> Iterator[None]:
    """Escape control characters in all that is printed meanwhile, errors and logs included.

    What a library writes to move a progress bar passes.
    """
    out, err = _Escaping(sys.stdout), _Escaping(sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):  # type: ignore[type-var]
        yield


@contextlib.contextmanager
def unescaped_output() -> Iterator[None]:
    """Print as it is meanwhile: for a library that colours its own words on a terminal."""
    with (
        errors_of_output(),
        contextlib.redirect_stdout(_original(sys.stdout)),
        contextlib.redirect_stderr(_original(sys.stderr)),
    ):
        yield


def _original(stream: Any) -> Any:
    return stream.stream if isinstance(stream, _Escaping) else stream


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class _Escaping:
    """A stream of text that escapes what is written to it, and is otherwise the given one."""

    def __init__(self, stream: Any) -> None:  # whatever `sys.stdout` is
        self.stream = Nowhere() if stream is None else _original(stream)

    def write(self, text: str) -> int:
        """Write a text; returns its length, as streams do."""
        start = _OF_PROGRESS_BAR.match(text)
        kept = start[0] if start else ""
        with errors_of_output():
            self.stream.write(kept + escape_controls(text[len(kept) :]))
        return len(text)

    def flush(self) -> None:
        """Write out what was kept back."""
        with errors_of_output():
            self.stream.flush()

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        """Its encoding, its buffer of bytes, and whether it is a terminal are the stream's."""
        return getattr(self.stream, name)
