"""The unit of a column of times: what numbers tell, and what they leave open."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.events.files import TimeScale, choose_time_scale

EPOCH = 1_700_000_000  # seconds since 1970


def spread(num=400, seconds=0.5, seed=0):
    """Times of a camera in whole microseconds, as floats."""
    times = np.sort(np.random.default_rng(seed).integers(0, int(seconds * 1e6), num))
    return times.astype(np.float64)


def unit(times, **named):
    return choose_time_scale(np.asarray(times, np.float64), **named).unit


def test_no_times_are_microseconds():
    assert choose_time_scale(np.empty(0)) == TimeScale("us", is_whole=True)
    assert choose_time_scale(np.array([np.nan, np.inf])) == TimeScale("us", is_whole=True)


def test_whole_numbers_are_microseconds():
    assert unit(spread()) == "us"
    assert unit(spread() + EPOCH * 1e6) == "us"


def test_fractions_are_seconds():
    assert unit(spread() / 1e6) == "s"
    assert unit(spread() / 1e6 + EPOCH) == "s"


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6])
def test_fractions_since_1970_tell_their_unit(scale):
    times = (spread() / 1e6 + EPOCH) * scale + 0.25
    assert unit(times) == {1.0: "s", 1e3: "ms", 1e6: "us"}[scale]


def test_nanoseconds_since_1970_are_no_microseconds():
    assert choose_time_scale(spread() * 1e3 + EPOCH * 1e9) == TimeScale("ns", is_whole=True)


@pytest.mark.parametrize(
    ("times", "why"),
    [
        (spread() * 1e3, "0.76 events a second as us or 761 events a second as ns"),
        (spread() / 1e3, "as s, .* as ms"),
        (spread() + 0.25, "as s, .* as ms or .* as us"),
        (np.round(spread(seconds=0.002) / 1e3, 3), "three decimals or fewer"),
        (np.arange(0, 400) / 1e3, "three decimals or fewer"),
        (np.arange(40_000) // 400, "40. events in each"),
        ((spread() / 1e3 + EPOCH * 1e3).round(), "milliseconds since 1970"),
        ([1134.5, 2065.25, 3374.75], "too far for seconds"),
    ],
)
def test_what_fits_two_units_is_refused_with_the_option(times, why):
    times = np.asarray(times, np.float64)
    with pytest.raises(ValueError, match=why) as caught:
        choose_time_scale(times)
    assert "--time-unit us, ms, s or ns" in str(caught.value)
    for choice in ("ns", "us", "ms", "s"):
        assert choose_time_scale(times, chosen=choice) == TimeScale(choice)


def test_the_user_decides_before_the_name_and_the_name_before_the_numbers():
    assert unit(spread(), named="ns") == "ns"
    assert unit(spread(), named="ns", chosen="ms") == "ms"


def test_a_fraction_among_whole_numbers_does_not_change_the_unit():
    times = spread()
    times[7] += 0.5
    assert choose_time_scale(times) == TimeScale("us", is_whole=True)


def test_an_outlier_does_not_change_the_unit():
    times = spread()
    times[7] = 1e30
    assert unit(times) == "us"
    assert unit(np.append(spread() / 1e6, 1e12)) == "s"


@given(
    st.integers(0, 10**15),
    st.floats(1, 5e3),
    st.integers(32, 500),
    st.integers(0, 100),
    st.booleans(),
)
def test_recordings_at_usual_rates_are_read_in_their_unit(start, step, num, seed, in_seconds):
    steps = np.random.default_rng(seed).exponential(step, num).round()
    times = start % 10**9 + np.cumsum(steps)
    # A few whole milliseconds in a row could have another unit.
    times[::2] += times[::2] % 10 == 0
    assert unit(times / 1e6 if in_seconds else times) == ("s" if in_seconds else "us")
