"""The first row of a table: which column is which, in the spellings of the tools."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

__all__ = ["MOT_COLUMNS", "Table", "is_mot_header", "open_table"]

MOT_COLUMNS = "frame,id,bb_left,bb_top,bb_width,bb_height,conf,class,visibility"
"""The order of MOT's values."""

_UNITS = {
    **dict.fromkeys(("us", "µs", "μs", "usec", "microseconds"), "us"),
    **dict.fromkeys(("ms", "msec", "milliseconds"), "ms"),
    **dict.fromkeys(("s", "sec", "seconds"), "s"),
}
_TIMES = ("t", "ts", "time", "timestamp")
# A name, and a unit in brackets, after a slash or after @: `time (ms)`, `x [px]`, `t / us`.
_WITH_UNIT = re.compile(r"(.+?)\s*(?:\[(.*)\]|\((.*)\)|[/@]\s*(\w+))$")
_SPELLINGS = {
    **dict.fromkeys(("frameid", "frame id"), "frame_id"),
    **dict.fromkeys(("frameno", "frame no", "frame number", "framenumber"), "frame_number"),
    **dict.fromkeys(("frame index", "frameindex", "frame_idx", "frameidx"), "frame_index"),
    **dict.fromkeys(("trackid", "track id", "tracker_id", "trackerid"), "track_id"),
    **dict.fromkeys(("objectid", "object id"), "object_id"),
    **dict.fromkeys(("classid", "class id"), "class_id"),
    **dict.fromkeys(("classname", "class name"), "class_name"),
    **dict.fromkeys(("labelname", "label name", "label_name"), "label"),
    **dict.fromkeys(("imagename", "image name"), "image_name"),
}
_MOT = (
    ("frame", "frame_id"),
    ("id", "track_id", "object_id"),
    ("bb_left", "bbleft", "x", "left"),
    ("bb_top", "bbtop", "y", "top"),
    ("bb_width", "bbwidth", "w", "width"),
    ("bb_height", "bbheight", "h", "height"),
    ("conf", "confidence", "score"),
)


class Table(NamedTuple):
    """A table whose columns have names."""

    names: list[str]
    """In lower case, one spelling for those of several, units of time in the name: `t_ms`."""
    delimiter: str
    rows: Iterator[tuple[int, list[str]]]
    """The number of the line, and the cells, stripped; without empty rows."""


def open_table(text: str) -> Table | None:
    """Find the names of a table's columns.

    `sep=;` of Excel, a `#` of numpy.savetxt before the names and units in brackets are understood.

    Args:
        text: the file.

    Returns:
        The table; None if the file is empty.

    Raises:
        csv.Error: it is not a table.
    """
    text = text.lstrip("\r\n")
    first, _, rest = text.partition("\n")
    num_before = 0
    stated = re.fullmatch(r'"?sep=(.)"?[;,\t]*\s*', first)
    if stated:
        text, num_before = rest, 1
        first, _, _ = text.partition("\n")
    delimiter = stated[1] if stated else max(";\t,", key=first.count)
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    for cells in table:
        if any(cell.strip() for cell in cells):
            names = _names(cells)
            return Table(names, delimiter, _rows(table, num_before))
    return None


def is_mot_header(names: Sequence[str]) -> bool:
    """Whether columns are those of MOT text, in its order: frames and pixels count from 1."""
    if len(names) < len(_MOT) or any(
        name not in known for name, known in zip(names, _MOT, strict=False)
    ):
        return False
    return names[2] in ("bb_left", "bbleft") or "visibility" in names


def _names(cells: Sequence[str]) -> list[str]:
    # A cell in quotes may hold line breaks, and messages are one line.
    names = [" ".join(cell.split()).lower()[:40] for cell in cells]
    names[0] = names[0].lstrip("#%").strip()
    return [_name(name) for name in names]


def _name(name: str) -> str:
    found = _WITH_UNIT.fullmatch(name)
    if found is not None:
        base = found[1].strip()
        unit = next((part for part in found.groups()[1:] if part is not None), "").strip(" .")
        if base in _TIMES and unit in _UNITS:
            return f"t_{_UNITS[unit]}"
        if unit in ("px", "pixel", "pixels", "pix"):
            name = base
    return _SPELLINGS.get(name, name)


def _rows(table: Iterator[list[str]], num_before: int) -> Iterator[tuple[int, list[str]]]:
    for cells in table:
        if any(cell.strip() for cell in cells):
            yield table.line_num + num_before, [cell.strip() for cell in cells]  # type: ignore[attr-defined]
