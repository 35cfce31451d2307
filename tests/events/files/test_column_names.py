"""Names of columns in files of other tools."""

import pytest

from evdet.events import SensorSize
from evdet.events.files import (
    ColumnName,
    find_roles,
    group_columns,
    missing_roles,
    read_column_name,
    size_in_names,
)

NAMES = {
    "": (-1, None), "frame": (-1, None), "t": (0, None), "ts": (0, None), "Timestamp": (0, None),
    "timestamp (us)": (0, "us"), "timestamp(µs)": (0, "us"), "t [s]": (0, "s"), "t[ns]": (0, "ns"),
    "time [ms]": (0, "ms"), "t_us": (0, "us"), "t_ns": (0, "ns"), "time_s": (0, "s"),
    "timestamp_ns": (0, "ns"), "time in us": (0, "us"), "t_sec": (0, "s"), "tUs": (0, "us"),
    "timestampNs": (0, "ns"), "microseconds": (0, "us"), "'t'": (0, None), '" t_ms "': (0, "ms"),
    "Time (microseconds)": (0, "us"), "x": (1, None), "XS": (1, None), "px": (1, None),
    "x [px]": (1, None), "x_px": (1, None), "y_pos": (2, None), "row": (2, None), "Py": (2, None),
    "pol": (3, None), "Polarity": (3, None), "on": (3, None), "polarity (1=ON)": (3, None),
    "ms_to_idx": (-1, None), "x_us": (-1, None), "width": (-1, None), "t_offset": (-1, None),
    "track_id": (-1, None), "us": (-1, None), "x@1280": (1, None), "Y@720": (2, None),
    "x_coords": (1, None), "y_coordinates": (2, None), "rows": (2, None),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_says_role_and_unit(name):
    assert read_column_name(name) == ColumnName(*NAMES[name])


def test_events_have_each_role_once():
    assert find_roles([]) is None
    assert find_roles(["t", "x", "y"]) is None
    assert find_roles(["t", "timestamp", "x", "y", "p"]) is None
    names = ["id", "Y", "X", "polarity", "t [ns]"]
    assert [column.role for column in find_roles(names) or ()] == [-1, 2, 1, 3, 0]


def test_what_keeps_names_from_being_events_is_said():
    assert (
        missing_roles(["a", "", "t", "y"]) == "the columns a, (no name), t, y: no column for x, p"
    )
    assert missing_roles(["t", "x", "y", "p", "ts"]).endswith("p, ts: two for t")


def test_columns_that_lie_together_are_a_group():
    assert group_columns([]) == {}
    assert group_columns(["t", "x", "y", "p", "imu/t"]) == {"": {0: "t", 1: "x", 2: "y", 3: "p"}}
    names = [f"{eye}_{field}" for eye in ("left", "right") for field in ("ts", "xs", "ys", "ps")]
    assert list(group_columns(names)) == ["left", "right"]
    nested = [f"a/b/{field}" for field in ("t", "x", "y", "p", "ms_map_idx")]
    assert list(group_columns(nested)) == ["a/b"]


def test_a_size_behind_the_names_needs_both_sides():
    assert size_in_names([]) is None
    assert size_in_names(["t", "x", "y", "on"]) is None
    assert size_in_names(["t", "x@64", "y", "on"]) is None
    assert size_in_names(["t", "x@64", "y@0", "on"]) is None
    assert size_in_names(["on", " Y@48 ", '"x@64"', "t"]) == SensorSize(height=48, width=64)
