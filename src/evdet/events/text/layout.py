"""The first lines of a text file -> its sensor size, columns and unit of time."""

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from evdet.events.dtypes import RecordingError, SensorSize
from evdet.events.files import (
    AS_STATED,
    NOTHING,
    ROLES,
    SAMPLE_ROWS,
    AmbiguousOrderError,
    ColumnName,
    ReadOptions,
    TimeScale,
    choose_time_scale,
    find_roles,
    fits_order,
    missing_roles,
    order_from_option,
    order_of_columns,
    size_in_names,
)
from evdet.events.text.dialect import (
    BLANK,
    Dialect,
    detect_dialect,
    has_thousands,
    is_comment,
    read_word,
    shown,
)

__all__ = ["TextLayout", "find_layout", "has_event_names", "has_events"]

_GEOMETRY = re.compile(rb"[#%]\s*geometry\s*[:=]?\s*(\d{1,5})\s*[,x]\s*(\d{1,5})\s*", re.IGNORECASE)
_SIZE = re.compile(rb"(\d{1,5})[\s,;]+(\d{1,5})")
_SEPARATORS = (ord(","), ord(";"), ord("|"), ord("\t"), BLANK)
_STARTS_AS_NUMBER = re.compile(rb"[\s\"']*[+-]?\.?\d")
_METAVISION = (1, 2, 3, 0)  # x y p t

Numbers = Float64[np.ndarray, " N"]


@dataclass(frozen=True)
class TextLayout:
    """How the lines of a file become events.

    Args:
        stated_size: the sensor's size where the first lines state it.
        num_skipped: lines before the first event.
        roles: the role of each column, as `parse_lines` takes it.
        scale: the unit of t.
        dialect: how the lines are cut.
    """

    stated_size: SensorSize | None
    num_skipped: int
    roles: tuple[int, ...]
    scale: TimeScale
    dialect: Dialect


@dataclass
class _Lines:
    """The first lines, sorted by what they are."""

    header: bytes | None
    size: SensorSize | None
    num_skipped: int
    rows: list[bytes]
    is_metavision: bool = False
    """Whether it has the line %geometry of Metavision's CSV."""


def find_layout(path: Path, lines: list[bytes], options: ReadOptions = AS_STATED) -> TextLayout:
    """Find the layout of a text file in its first lines.

    Args:
        path: the file.
        lines: complete lines, as UTF-8; more lines are more reliable.
        options: what the user says of columns and unit.

    Raises:
        RecordingError: the lines are not events, or can be read in several ways.
    """
    found = _sort_lines(path, lines)
    dialect = detect_dialect(found.rows)
    header: tuple[ColumnName, ...] | None = None
    if found.header is not None and options.columns is None:
        header, dialect = _header(path, found, dialect)
    split = [dialect.split(row) for row in found.rows]
    try:
        roles = _roles(path, header, split, found, dialect, options)
    except AmbiguousOrderError as error:
        raise RecordingError(f"{path}: {error}.") from None
    except ValueError as error:
        raise _refusal(path, str(error)) from None
    times = _column(split, roles.index(ROLES["t"]), dialect)
    named = next((name.unit for name in header or () if name.role == ROLES["t"]), None)
    try:
        scale = choose_time_scale(times, chosen=options.time_unit, named=named)
    except ValueError as error:
        raise RecordingError(f"{path}: {error}") from None
    words = [row[place] for row in split if (place := roles.index(ROLES["t"])) < len(row)]
    # Of milliseconds and seconds, the same figures are thousandths.
    if scale.power <= 0 and has_thousands(words):
        raise _refusal(
            path,
            f"its times, such as {shown(max(words, key=len))}, are grouped by thousands, or have "
            f"fractions of the unit {scale.unit}: write them as whole numbers without separators",
        )
    return TextLayout(found.size, found.num_skipped, roles, scale, dialect)


def has_event_names(lines: list[bytes]) -> bool:
    """Whether the first lines have a header that names t, x, y and p."""
    try:
        found = _sort_lines(Path(), lines)
    except RecordingError:
        return False
    return found.header is not None and _names(found.header) is not None


def has_events(lines: list[bytes]) -> bool:
    """Whether lines have a header of events, or a line of four numbers."""
    try:
        found = _sort_lines(Path(), lines)
    except RecordingError:
        return False
    if found.header is not None and _names(found.header) is not None:
        return True
    dialect = detect_dialect(found.rows)
    words = dialect.split(found.rows[0]) if found.rows else []
    return len(words) >= 4 and all(np.isfinite(read_word(w, dialect.decimal)) for w in words[:4])


def _sort_lines(path: Path, lines: list[bytes]) -> _Lines:
    found = _Lines(None, None, 0, [])
    for i, line in enumerate(lines):
        text = line.strip()
        if not text:
            continue
        if is_comment(line):
            if not found.rows:
                _note_comment(found, text, i + 1)
        elif found.rows or _is_row(text, found):
            found.rows.append(line)
            if len(found.rows) == SAMPLE_ROWS:
                break
        elif size := _SIZE.fullmatch(text):
            found.size = SensorSize(height=int(size[2]), width=int(size[1]))
            found.num_skipped = i + 1
        elif found.header is None or _names(text) is not None or _is_numbering(text):
            found.header, found.num_skipped = text, i + 1
        else:
            odd = found.header if _names(found.header) is None else line
            raise _refusal(path, f"a line is {shown(odd)}")
    if found.header is None and not found.rows and found.size is None:
        raise _refusal(path, "it has no line with an event")
    return found


def _note_comment(found: _Lines, text: bytes, num_lines: int) -> None:
    """Look for names of columns and for the sensor's size."""
    if size := _GEOMETRY.fullmatch(text):
        found.size = SensorSize(height=int(size[2]), width=int(size[1]))
        found.is_metavision = True
    elif _names(text.lstrip(b"#% \t")) is not None:
        found.header, found.num_skipped = text.lstrip(b"#% \t"), num_lines


def _is_row(text: bytes, found: _Lines) -> bool:
    has_names = found.header is not None and _names(found.header) is not None
    if _is_numbering(text) or (has_names and _names(text) is not None):
        return False
    if not has_names and not _STARTS_AS_NUMBER.match(text):
        return False
    return found.size is not None or _SIZE.fullmatch(text) is None


def _is_numbering(text: bytes) -> bool:
    """Whether it is the header that pandas gives to columns without names: 0,1,2,3."""
    words = text.lstrip(b",;\t ").replace(b",", b" ").replace(b";", b" ").split()
    return len(words) >= 4 and words == [b"%d" % k for k in range(len(words))]


def _names(text: bytes, separator: int | None = None) -> list[str] | None:
    """The names in a header, if they are those of events."""
    for mark in _SEPARATORS if separator is None else (separator,):
        # Between blanks, a unit in brackets belongs to the name before it.
        line = re.sub(rb"\s+(?=[\[({])", b"", text) if mark == BLANK else text
        names = [word.decode("utf-8", "replace") for word in Dialect(mark).split(line)]
        if find_roles(names) is not None:
            return names
    return None


def _header(
    path: Path, found: _Lines, dialect: Dialect
) -> tuple[tuple[ColumnName, ...] | None, Dialect]:
    """The columns that a header names, and the dialect if it tells more of it."""
    text = found.header or b""
    if _is_numbering(text):
        return None, dialect
    names = _names(text, dialect.separator)
    by_tabs = _names(text, ord("\t"))
    # `time (s)` is one name where tabs separate, as they do if as many fields follow.
    if by_tabs and dialect.separator == BLANK:
        tabbed = Dialect(ord("\t"), dialect.decimal)
        if not found.rows or tabbed.width(found.rows[0]) >= len(by_tabs):
            dialect = tabbed
        names = by_tabs
    names = names or _names(text)
    columns = find_roles(names) if names else None
    found.size = found.size or (size_in_names(names) if names else None)
    if names is None or columns is None:
        split = next((s for s in _SEPARATORS if len(Dialect(s).split(text)) > 1), BLANK)
        words = [word.decode("utf-8", "replace") for word in Dialect(split).split(text)]
        raise _refusal(
            path,
            f"its header has {missing_roles(words)}. Name them in the header, or by their order: "
            "--columns txyp (- skips one)",
        )
    return columns, dialect


def _roles(
    path: Path,
    header: tuple[ColumnName, ...] | None,
    rows: list[list[bytes]],
    found: _Lines,
    dialect: Dialect,
    options: ReadOptions,
) -> tuple[int, ...]:
    width = len(rows[0]) if rows else 0
    if options.columns is not None:
        roles = order_from_option(options.columns)
        if rows and width != len(roles):
            raise _refusal(
                path,
                f"a line has {width} columns, and --columns {options.columns} names {len(roles)}",
            )
        return roles
    if header is not None:
        roles = tuple(name.role for name in header)
        if rows and dialect.width(found.rows[0]) < len(roles):
            raise _refusal(path, f"its header has {len(roles)} columns, a line {width}")
        if width == len(roles) + 1 and _counts(_column(rows, 0, dialect)):
            return NOTHING, *roles  # R writes the number of a row without a name
        return roles
    if not rows:
        return tuple(ROLES.values())
    matrix = np.stack([_column(rows, k, dialect) for k in range(width)], axis=1)
    if found.is_metavision and width == 4 and fits_order(matrix, _METAVISION):
        return _METAVISION
    return order_of_columns(matrix)


def _column(rows: list[list[bytes]], place: int, dialect: Dialect) -> Numbers:
    words = [row[place] if place < len(row) else b"" for row in rows]
    if dialect.decimal == ord("."):
        with contextlib.suppress(ValueError):  # the usual case, ten times as fast
            return np.array(words, np.bytes_).astype(np.float64)
    return np.array([read_word(word, dialect.decimal) for word in words], np.float64)


def _counts(column: Numbers) -> bool:
    return bool(column[0] in (0, 1) and (np.diff(column) == 1).all())


def _refusal(path: Path, what: str) -> RecordingError:
    return RecordingError(
        f"{path} is not a text file of events: {what}. A line is one event: `t x y p`, or the "
        "columns that a header names."
    )
