"""Signs that an output's encoding lacks -> signs that it has, so that printing never fails."""

import codecs
import io
import sys

__all__ = ["allow_any_encoding", "in_plain_signs"]

_NAME = "evdet.plain_signs"
_PLAIN = {
    **dict(zip("▁▂▃▄▅▆▇█", ".:-=+*%#", strict=True)),  # the columns of the rate
    **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯╒╕╘╛╞╡╔╗╚╝╠╣╦╩╬┏┓┗┛┣┫┳┻╋", "+"),
    **dict.fromkeys("─━═╌╍┄┅╴╶╸╺", "-"),
    **dict.fromkeys("│┃║┆┇╎╏", "|"),
    **dict.fromkeys("–—−‐‑", "-"),
    **dict.fromkeys("‘’", "'"),
    **dict.fromkeys("“”", '"'),
    **dict.fromkeys("µμ", "u"),
    "×": "x",
    "·": ".",
    "•": "*",
    "…": "...",
    "→": "->",
    "≤": "<=",
    "≥": ">=",
    "±": "+-",
    "²": "^2",
    "\N{NO-BREAK SPACE}": " ",
}
# The errors of Python's own streams; others were chosen by the user.
_USUAL = ("strict", "backslashreplace", "surrogateescape")


def allow_any_encoding() -> None:
    """Let standard output and standard error print any text, whatever their encoding.

    A file on Windows has a code page, and a system without a locale has ASCII.
    """
    codecs.register_error(_NAME, in_plain_signs)
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper) or stream.errors not in _USUAL:
            continue
        is_utf8 = codecs.lookup(stream.encoding).name == "utf-8"
        if not (is_utf8 and stream.errors == "surrogateescape"):  # it writes names as they are
            stream.reconfigure(errors=_NAME)


def in_plain_signs(error: UnicodeError) -> tuple[str, int]:
    r"""Write in ASCII what an encoding lacks; a handler of errors, as `codecs` takes it.

    Letters without a counterpart become escapes such as \xfc, which keep names distinct.

    Raises:
        UnicodeError: the error is not one of encoding.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(sign: str) -> str:
    if sign in _PLAIN:
        return _PLAIN[sign]
    # A byte of a file's name that is not valid in the system's encoding.
    code = ord(sign) - 0xDC00 if 0xDC80 <= ord(sign) <= 0xDCFF else ord(sign)
    width, letter = (2, "x") if code < 0x100 else (4, "u") if code < 0x10000 else (8, "U")
    return f"\\{letter}{code:0{width}x}"
