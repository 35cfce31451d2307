"""Columns of any type to events, and the first row that is not one."""

import re

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.events.files import NumberColumns, TimeScale, precision_note, to_events


def convert(t, x=None, y=None, p=None, *, unit="us", is_whole=False, offset=0):
    t = np.asarray(t)
    zeros = np.zeros(len(t), np.uint8)
    columns = [zeros if column is None else np.asarray(column) for column in (x, y, p)]
    return to_events(NumberColumns(t, *columns), TimeScale(unit, is_whole), offset=offset)


def test_no_rows_are_no_events():
    events, problem = convert([])
    assert (len(events), problem) == (0, None)


@pytest.mark.parametrize("kind", [np.int64, np.float64])
@given(t=st.integers(-(10**9), 10**9))
def test_any_unit_gives_microseconds_rounded_half_away_from_zero(kind, t):
    def found(unit):
        return convert(np.array([t], kind), unit=unit, offset=5)[0]["t"].tolist()

    assert found("us") == [t + 5]
    assert found("ms") == [t * 1000 + 5]
    assert found("s") == [t * 10**6 + 5]
    assert found("ns") == [(1 if t >= 0 else -1) * ((abs(t) + 500) // 1000) + 5]


def test_nanoseconds_since_1970_are_exact_in_64_bits():
    t = 1_700_000_000_123_456_789
    assert convert([t], unit="ns")[0]["t"].tolist() == [1_700_000_000_123_457]
    assert convert(np.array([t], np.uint64), unit="ns")[0]["t"].tolist() == [1_700_000_000_123_457]


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"p": [0, 255]}, "p=255, not a whole number from -1 to 1"),
        ({"p": [1, 2]}, "p=2"),
        ({"p": [0.0, 0.5]}, "p=0.5"),
        ({"x": [0, 70_000]}, "x=70000"),
        ({"y": [0.0, 1.5]}, "y=1.5"),
        ({"y": [0, -3]}, "y=-3"),
        ({"t": [5.0, np.nan]}, "t=nan, not a number"),
        ({"t": [5.0, 6.5], "is_whole": True}, "t=6.5, a fraction.*--time-unit"),
    ],
)
def test_the_first_row_that_is_no_event_is_named(columns, problem):
    events, found = convert(**{"t": [5, 6], **columns})
    assert events["t"].tolist() == [5]
    assert found is not None
    assert re.search(problem, found)


@pytest.mark.parametrize("polarity", [[True, False], [1, -1], [1.0, -1.0], [1, 0]])
def test_polarities_are_signs_or_truth(polarity):
    assert convert([5, 6], p=polarity)[0]["p"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("times", "unit", "note"),
    [
        (np.array([2**24], np.float32), "us", "float32.* 2 us"),
        (np.array([100.0], np.float32), "s", r"float32.* 7\.63 us"),
        (np.array([2000], np.float16), "ms", "float16"),
        (np.array([2**24 - 1], np.float32), "us", None),
        (np.array([1.0], np.float32), "s", None),
        (np.array([2**60], np.int64), "us", None),
        (np.array([1.7e9]), "s", None),
        (np.array([np.nan], np.float32), "s", None),
    ],
)
def test_precision_that_short_floats_lost_is_noted(times, unit, note):
    found = precision_note(times, TimeScale(unit))
    assert (found is None) == (note is None)
    assert note is None or re.search(note, str(found))
