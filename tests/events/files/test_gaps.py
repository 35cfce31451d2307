"""Long gaps: only their first empty time bins are played, and one line says so."""

import logging

import numpy as np
from hypothesis import given, strategies as st

from evdet.events import EVENT_DTYPE, TimeBin
from evdet.events.files import MAX_EMPTY_BINS, skip_gaps
from evdet.events.live.time_bins import BinCutter


def bins_of(counts):
    return [TimeBin(10 * k, 10, np.zeros(n, EVENT_DTYPE)) for k, n in enumerate(counts)]


def test_no_bins_stay_none():
    assert list(skip_gaps([], "a")) == []


@given(st.lists(st.integers(0, 2), max_size=50))
def test_bins_without_a_long_gap_stay_as_they_are(counts):
    assert len(list(skip_gaps(bins_of(counts), "a"))) == len(counts)


def test_of_a_long_gap_the_first_bins_and_all_events_are_kept(caplog):
    counts = [1, *[0] * (MAX_EMPTY_BINS + 70), 2, 0, 1]
    with caplog.at_level(logging.WARNING):
        kept = list(skip_gaps(bins_of(counts), "a.dat"))
    assert [len(one.events) for one in kept] == [1, *[0] * MAX_EMPTY_BINS, 2, 0, 1]
    assert kept[MAX_EMPTY_BINS + 1].start == 10 * (MAX_EMPTY_BINS + 71)
    (line,) = caplog.messages
    assert line.startswith(f"a.dat: 70 empty time bins are skipped: from t={10 * 1001} us on")


def events_at(*times):
    events = np.zeros(len(times), EVENT_DTYPE)
    events["t"] = times
    return events


def test_a_live_jump_keeps_the_bin_of_the_next_event():
    cutter = BinCutter(10)
    cutter.add(events_at(5, 20_005, 20_011), clock=None, now=0.0)
    assert cutter.pop().time_bin.start == 0
    assert cutter.skip_gap(3) == (40, 1996)
    starts = []
    while (one := cutter.pop()) is not None:
        starts.append((one.time_bin.start, len(one.time_bin.events)))
    assert starts == [(20_000, 1)]


def test_a_live_pause_without_events_keeps_its_last_bin():
    cutter = BinCutter(10)
    cutter.add(events_at(5), clock=None, now=0.0)
    cutter.pop()
    cutter.close_until(50_000, now=1.0)
    cutter.pop()
    assert cutter.skip_gap(0) is not None
    assert cutter.pop().time_bin.start == 49_990
    assert cutter.pop() is None
