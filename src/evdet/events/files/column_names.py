"""Names of columns, fields and datasets as other tools write them -> role and unit."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from evdet.events.dtypes import SensorSize

__all__ = [
    "NOTHING",
    "ROLES",
    "ColumnName",
    "find_roles",
    "group_columns",
    "missing_roles",
    "read_column_name",
    "size_in_names",
]

ROLES = {"t": 0, "x": 1, "y": 2, "p": 3}
"""What a column can hold, and its index among t, x, y, p."""
NOTHING = -1
"""The role of a column that is skipped."""

_TIME_NAMES = (
    "t", "ts", "time", "times", "timestamp", "timestamps", "time_stamp", "event_time",
    "event_timestamp", "t_event",
)  # fmt: skip
_NAMES = {
    **dict.fromkeys(_TIME_NAMES, 0),
    **dict.fromkeys(("x", "xs", "px", "pos_x", "x_pos", "x_coord", "x_coords", "x_coordinate",
                     "x_coordinates", "col", "cols", "column"), 1),
    **dict.fromkeys(("y", "ys", "py", "pos_y", "y_pos", "y_coord", "y_coords", "y_coordinate",
                     "y_coordinates", "row", "rows"), 2),
    **dict.fromkeys(("p", "ps", "pol", "pols", "polarity", "polarities", "on", "is_on",
                     "sign"), 3),
}  # fmt: skip
_UNITS = {
    **dict.fromkeys(("ns", "nsec", "nsecs", "nanosec", "nanosecond", "nanoseconds"), "ns"),
    **dict.fromkeys(("us", "µs", "μs", "\ufffds", "usec", "usecs", "microsec", "microsecond",
                     "microseconds"), "us"),
    **dict.fromkeys(("ms", "msec", "msecs", "millisec", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
}  # fmt: skip
_JOINED_UNITS = {"ns": "ns", "us": "us", "µs": "us", "μs": "us", "ms": "ms"}
_BRACKETS = re.compile(r"[\[({](.*?)[\])}]")
_SIDE = re.compile(r"@(\d{1,5})$")  # faery puts the sensor's width or height behind x and y
_BREAKS = re.compile(r"[\s_./:-]+")


class ColumnName(NamedTuple):
    """What a name says of its column."""

    role: int
    """0 t, 1 x, 2 y, 3 p, or `NOTHING`."""
    unit: str | None = None
    """The unit of a time, a key of `TIME_UNITS`, where the name has it."""


def read_column_name(text: str) -> ColumnName:
    """Read one name, such as `timestamp (us)`, `"t_ns"`, `time [s]`, `Polarity` or `x@1280`."""
    name = _SIDE.sub("", text.strip().strip("\"'").strip().lower())
    unit = None
    bracket = _BRACKETS.search(name)
    if bracket:
        unit = _UNITS.get(bracket[1].removeprefix("in ").strip())
        name = name[: bracket.start()]
    words = [word for word in _BREAKS.split(name) if word]
    stem = "_".join(words)
    if stem in _NAMES:
        return _named(_NAMES[stem], unit)
    if len(words) > 1 and words[-1] in _UNITS:
        stem = "_".join(words[:-1]).removesuffix("_in")
        if _NAMES.get(stem) == 0:
            return ColumnName(0, unit or _UNITS[words[-1]])
    if stem in _UNITS and len(stem) > 2:
        return ColumnName(0, _UNITS[stem])  # a column `microseconds`
    joined = next((ending for ending in _JOINED_UNITS if stem.endswith(ending)), None)
    if joined and _NAMES.get(stem.removesuffix(joined)) == 0:
        return ColumnName(0, _JOINED_UNITS[joined])
    if len(words) > 1 and words[-1] in ("px", "pixel", "pixels"):
        return _named(_NAMES.get("_".join(words[:-1]), NOTHING), None)
    return ColumnName(NOTHING)


def size_in_names(names: Sequence[str]) -> SensorSize | None:
    """The sensor's size where the names of x and y have it, as in `x@1280,y@720`."""
    sides = {
        read_column_name(name).role: int(side[1])
        for name in names
        if (side := _SIDE.search(name.strip().strip("\"'").strip()))
    }
    width, height = sides.get(ROLES["x"], 0), sides.get(ROLES["y"], 0)
    return SensorSize(height, width) if width and height else None


def find_roles(names: Sequence[str]) -> tuple[ColumnName, ...] | None:
    """The roles of columns with these names; None unless t, x, y and p are there once each."""
    found = tuple(map(read_column_name, names))
    roles = sorted(column.role for column in found if column.role != NOTHING)
    return found if roles == sorted(ROLES.values()) else None


def group_columns(names: Iterable[str]) -> dict[str, dict[int, str]]:
    """Put arrays that lie side by side, a column each, into groups of events.

    Args:
        names: paths such as events/t, left_x or y.

    Returns:
        For each group with all four roles, the name of each role: `events` for events/t and so on.
    """
    groups: dict[str, dict[int, str]] = {}
    for name in sorted(names, key=lambda name: (len(name), name)):
        place, _, last = name.rpartition("/")
        role = read_column_name(last).role
        if role == NOTHING:
            stem, _, last = last.rpartition("_")
            role, place = read_column_name(last).role, f"{place}/{stem}".strip("/")
        if role != NOTHING:
            groups.setdefault(place, {}).setdefault(role, name)
    return {group: found for group, found in groups.items() if len(found) == len(ROLES)}


def missing_roles(names: Sequence[str]) -> str:
    """What keeps columns with these names from being events, for messages."""
    found = [read_column_name(name).role for name in names]
    shown = ", ".join(name.strip() or "(no name)" for name in names[:12])
    more = ", ..." if len(names) > 12 else ""
    missing = [field for field, role in ROLES.items() if role not in found]
    double = [field for field, role in ROLES.items() if found.count(role) > 1]
    what = f"no column for {', '.join(missing)}" if missing else f"two for {', '.join(double)}"
    return f"the columns {shown}{more}: {what}"


def _named(role: int, unit: str | None) -> ColumnName:
    return ColumnName(role, unit if role == 0 else None)
