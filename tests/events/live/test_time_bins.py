import itertools

import numpy as np
from hypothesis import given, strategies as st

from evdet.events.dtypes import EVENT_DTYPE
from evdet.events.files import cut_bins
from evdet.events.live.time_bins import BinCutter

STEPS = st.lists(st.integers(-30, 400), min_size=1, max_size=60)


def events_at(*times):
    events = np.zeros(len(times), EVENT_DTYPE)
    events["t"], events["x"] = times, range(len(times))
    return events


def pop_all(cutter):
    windows = []
    while window := cutter.pop():
        windows.append(window)
    return windows


def found(windows):
    return [(w.time_bin.start, w.time_bin.events["x"].tolist()) for w in windows]


def test_nothing_gives_nothing():
    cutter = BinCutter(10)
    cutter.add(events_at(), clock=None, now=0.0)
    cutter.add(events_at(), clock=99, now=0.0)
    cutter.close_until(1000, now=1.0)
    cutter.finish(now=1.0)
    assert cutter.pop() is None
    assert (cutter.latest, cutter.next_end, cutter.num_waiting) == (None, None, 0)


def test_a_window_closes_with_the_first_event_after_it():
    cutter = BinCutter(10)
    cutter.add(events_at(25, 29), clock=None, now=1.0)
    assert cutter.pop() is None
    cutter.add(events_at(30), clock=None, now=2.0)
    window = cutter.pop()
    assert found([window]) == [(20, [0, 1])]
    assert window.arrived == 2.0
    assert window.time_bin.delta_t == 10
    assert cutter.pop() is None
    cutter.add(events_at(61), clock=None, now=3.0)
    cutter.finish(now=4.0)
    windows = pop_all(cutter)
    assert found(windows) == [(30, [0]), (40, []), (50, []), (60, [0])]
    assert [w.arrived for w in windows] == [3.0, 3.0, 3.0, 4.0]


def test_a_clock_word_closes_a_window_without_an_event():
    cutter = BinCutter(10)
    cutter.add(events_at(25), clock=25, now=1.0)
    cutter.add(events_at(), clock=29, now=2.0)
    assert cutter.num_waiting == 0
    cutter.add(events_at(), clock=41, now=3.0)
    assert found(pop_all(cutter)) == [(20, [0]), (30, [])]
    assert cutter.next_end == 50


def test_late_events_are_left_out_and_counted():
    cutter = BinCutter(10)
    assert cutter.add(events_at(25, 31, 28, 30), clock=None, now=0.0) == 2
    assert cutter.add(events_at(19, 35), clock=None, now=0.0) == 11
    cutter.finish(now=0.0)
    assert found(pop_all(cutter)) == [(20, [0]), (30, [3, 1, 1])]
    assert cutter.num_late == 2


def test_disorder_is_waited_for():
    cutter = BinCutter(10, max_disorder=5)
    cutter.add(events_at(25, 31, 28, 19), clock=None, now=0.0)
    assert cutter.num_waiting == 0
    cutter.add(events_at(36), clock=None, now=0.0)
    assert found(pop_all(cutter)) == [(20, [0, 2])]
    assert cutter.num_late == 1  # 12 us back


def test_windows_closed_by_the_wall_clock_are_ahead_of_the_stream():
    cutter = BinCutter(10)
    cutter.add(events_at(25), clock=None, now=0.0)
    assert not cutter.is_ahead
    cutter.close_until(40, now=7.0)
    assert cutter.is_ahead
    assert found(pop_all(cutter)) == [(20, [0]), (30, [])]
    assert cutter.add(events_at(27, 41), clock=None, now=8.0) == 13
    assert cutter.num_late == 1
    assert not cutter.is_ahead


def test_windows_can_be_skipped():
    cutter = BinCutter(10)
    cutter.add(events_at(5, 15, 25, 35), clock=None, now=0.0)
    assert cutter.num_waiting == 3
    cutter.skip(0)
    cutter.skip(2)
    assert found(pop_all(cutter)) == [(20, [2])]
    cutter.finish(now=0.0)
    assert found(pop_all(cutter)) == [(30, [3])]


def test_bins_can_be_taken_as_one():
    cutter = BinCutter(10)
    assert (cutter.pop(3), cutter.arrivals, cutter.num_events) == (None, None, 0)
    cutter.add(events_at(5, 15), clock=None, now=1.0)
    cutter.add(events_at(31, 52), clock=None, now=2.0)
    assert (cutter.num_waiting, cutter.num_events) == (5, 4)
    assert cutter.arrivals == (1.0, 2.0)
    first = cutter.pop(2)
    assert found([first]) == [(0, [0, 1])]
    assert (first.time_bin.delta_t, first.arrived) == (20, 2.0)
    # The bins that are not complete stay.
    rest = cutter.pop(99)
    assert found([rest]) == [(20, [0])]
    assert rest.time_bin.delta_t == 30
    assert (cutter.pop(2), cutter.num_events, cutter.arrivals) == (None, 1, None)


def test_a_stretch_of_empty_bins_is_found():
    cutter = BinCutter(10)
    assert cutter.first_gap(1) is None
    cutter.add(events_at(5), clock=None, now=1.0)
    cutter.close_until(40, now=2.0)
    assert (cutter.first_gap(1), cutter.first_gap(4)) == ((1, 3), None)
    cutter.pop()
    assert cutter.first_gap(2) == (0, 3)
    cutter.add(events_at(53, 95, 128), clock=None, now=3.0)
    assert cutter.num_waiting == 11
    assert (cutter.first_gap(1), cutter.first_gap(5), cutter.first_gap(6)) == ((0, 4), None, None)
    cutter.pop(5)
    # The event of an incomplete bin does not count.
    assert (cutter.first_gap(1), cutter.first_gap(3)) == ((0, 3), (0, 3))


def play(events, delta_t, max_disorder, sizes):
    cutter, windows = BinCutter(delta_t, max_disorder=max_disorder), []
    place = 0
    for size in [*sizes, len(events)]:
        piece = events[place : place + size]
        place += size
        cutter.add(piece, clock=None, now=0.0)
        windows += pop_all(cutter)
    cutter.finish(now=0.0)
    return found(windows + pop_all(cutter)), cutter.num_late


@given(STEPS, st.lists(st.integers(0, 20), max_size=9), st.integers(1, 300), st.integers(0, 50))
def test_how_a_stream_is_cut_makes_no_difference(steps, sizes, delta_t, max_disorder):
    events = events_at(*np.cumsum(steps))
    assert play(events, delta_t, max_disorder, sizes) == play(events, delta_t, max_disorder, [])


@given(STEPS, st.lists(st.integers(0, 20), max_size=9), st.integers(1, 300))
def test_windows_are_the_bins_of_a_recording(steps, sizes, delta_t):
    times = np.cumsum(steps)
    events = events_at(*times)
    largest = int((np.maximum.accumulate(times) - times).max())
    bins = [(b.start, b.events["x"].tolist()) for b in cut_bins([events], delta_t)]
    assert play(events, delta_t, largest, sizes) == (bins, 0)


@given(STEPS, st.integers(1, 300), st.integers(0, 20))
def test_every_event_is_in_one_window_or_late(steps, delta_t, max_disorder):
    events = events_at(*np.cumsum(steps))
    windows, num_late = play(events, delta_t, max_disorder, [1] * len(events))
    shown = [x for _, places in windows for x in places]
    assert len(set(shown)) == len(shown) == len(events) - num_late


@given(
    STEPS,
    st.lists(st.integers(0, 20), max_size=9),
    st.lists(st.integers(1, 9), max_size=30),
    st.integers(1, 300),
    st.integers(0, 50),
)
def test_bins_taken_as_one_divide_time_and_events_as_single_ones_do(
    steps, sizes, counts, delta_t, max_disorder
):
    events = events_at(*np.cumsum(steps))
    cutter, merged, counts = BinCutter(delta_t, max_disorder=max_disorder), [], iter(counts)
    place = 0
    for now, size in enumerate([*sizes, len(events)]):
        cutter.add(events[place : place + size], clock=None, now=float(now))
        place += size
        merged.append(cutter.pop(next(counts, 1)))
    cutter.finish(now=float(now))
    while window := cutter.pop(next(counts, 3)):
        merged.append(window)
    merged = [window for window in merged if window is not None]

    single, num_late = play(events, delta_t, max_disorder, sizes)
    bins = [window.time_bin for window in merged]
    # Time has no gap, and lasts as long.
    assert all(a.start + a.delta_t == b.start for a, b in itertools.pairwise(bins))
    assert sum(one.delta_t for one in bins) == len(single) * delta_t
    assert bins[0].start == single[0][0]
    # Each event is in the bin of its time, once.
    assert all(
        one.start <= t < one.start + one.delta_t for one in bins for t in one.events["t"].tolist()
    )
    shown = [x for one in bins for x in one.events["x"].tolist()]
    assert shown == [x for _, places in single for x in places]
    assert (cutter.num_late, cutter.num_events) == (num_late, 0)
    arrivals = [window.arrived for window in merged]
    assert arrivals == sorted(arrivals)
