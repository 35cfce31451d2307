import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.events.dtypes import EVENT_DTYPE, RecordingError, SensorSize
from evdet.events.recording import Recording
from evdet.events.summary import LONG_GAP, PEAK_WINDOW, summarize

SIZE = SensorSize(height=3, width=4)


class Blocks:
    """A file whose blocks stand in memory; `damage` is said after the last."""

    path = Path("some.dat")
    format = "made up"
    num_dropped = 0
    incomplete_end = ""
    time_origin = 0

    def __init__(self, *blocks, size=SIZE, damage=None):
        self.parts = [np.array(block, EVENT_DTYPE) for block in blocks]
        self.stated_size = size
        self.damage = damage

    @property
    def num_events(self):
        return sum(len(part) for part in self.parts)

    @property
    def start(self):
        return min((int(t) for part in self.parts for t in part["t"]), default=None)

    @property
    def end(self):
        return max((int(t) for part in self.parts for t in part["t"]), default=None)

    def blocks(self, since=None):
        yield from self.parts
        if self.damage:
            raise RecordingError(self.damage)


def summary_of(*blocks, **file):
    return summarize(Recording(Blocks(*blocks, **file)))


def test_a_recording_without_events_has_nothing_to_tell():
    summary = summary_of()
    assert (summary.num_events, summary.num_on, summary.duration) == (0, 0, 0)
    assert summary.start is summary.end is summary.problem is None
    assert summary.mean_rate == summary.peak_rate == 0
    assert not summary.rate.resample(10).counts.any()
    assert summary.pixel_counts.shape == SIZE


def test_one_event_has_no_duration():
    summary = summary_of([(7, 1, 2, 1)])
    assert (summary.start, summary.end, summary.num_on) == (7, 7, 1)
    assert summary.mean_rate == 0
    assert summary.peak_rate == 1e6 / PEAK_WINDOW
    assert summary.rate.counts.tolist() == [[0], [1]]


def test_events_are_counted_by_pixel_and_polarity():
    summary = summary_of([(0, 3, 1, 0), (5, 3, 1, 1)], [(6, 0, 2, 1)])
    expected = np.zeros(SIZE, int)
    expected[1, 3], expected[2, 0] = 2, 1
    np.testing.assert_array_equal(summary.pixel_counts, expected)
    assert summary.num_on == 2
    assert summary.rate.counts.sum(axis=1).tolist() == [1, 2]


def test_without_a_stated_size_pixels_reach_as_far_as_events():
    summary = summary_of([(0, 9, 1, 0)], [(1, 2, 7, 0)], size=None)
    assert summary.pixel_counts.shape == (8, 10)
    assert summary.pixel_counts.sum() == 2


def test_coordinates_from_noise_ask_for_no_memory():
    summary = summary_of([(0, 65535, 65535, 0)], [(1, 1, 1, 0)], size=None)
    assert summary.pixel_counts.size == 0
    assert summary.num_events == 2


def test_steps_back_are_counted_and_measured_from_the_latest_event():
    summary = summary_of([(100, 0, 0, 0), (90, 0, 0, 0)], [(95, 0, 0, 0), (40, 0, 0, 0)])
    assert summary.num_steps_back == 2
    assert summary.largest_step_back == 60
    assert (summary.start, summary.end) == (40, 100)


def test_gaps_are_found_across_blocks():
    long = LONG_GAP + 1
    summary = summary_of([(0, 0, 0, 0)], [(long, 0, 0, 0), (long + LONG_GAP, 0, 0, 0)])
    assert (summary.num_gaps, summary.gaps_duration) == (1, long)
    assert (summary.longest_gap, summary.longest_gap_start) == (long, 0)


def test_the_peak_is_that_of_the_fullest_window():
    quiet = [(k * PEAK_WINDOW, 0, 0, 0) for k in range(20)]
    busy = [(12 * PEAK_WINDOW + k, 0, 0, 1) for k in range(50)]
    events = sorted(quiet + busy)
    # The window of an event that comes late is still open.
    late = [(events[-1][0] - 19_000, 0, 0, 0)]
    summary = summary_of(events, late)
    assert summary.peak_rate == pytest.approx(51 / PEAK_WINDOW * 1e6)


def test_a_recording_shorter_than_a_window_has_its_mean_as_the_peak():
    summary = summary_of([(k, 0, 0, 0) for k in range(101)])
    assert summary.peak_rate == summary.mean_rate == pytest.approx(1.01e6)


def test_of_a_damaged_file_the_events_before_are_counted():
    summary = summary_of([(0, 0, 0, 1), (9, 0, 0, 0)], damage="some.dat: the last byte is missing")
    assert summary.num_events == 2
    assert summary.problem == "some.dat: the last byte is missing"


TIMES = st.lists(st.integers(0, 10**7), min_size=1, max_size=30)


@given(TIMES, st.integers(-(10**15), 10**16), st.integers(1, 4), st.integers(1, 40))
def test_rates_over_time_hold_every_event_once_whatever_the_blocks(times, origin, parts, num_bins):
    times = np.sort(np.array(times)) + origin
    events = np.zeros(len(times), EVENT_DTYPE)
    events["t"], events["p"] = times, np.arange(len(times)) % 2
    summary = summary_of(*np.array_split(events, parts))

    for rate in (summary.rate, summary.rate.resample(num_bins)):
        assert rate.counts.sum(axis=1).tolist() == np.bincount(events["p"], minlength=2).tolist()
        assert (np.diff(rate.edges) > 0).all()
        assert (rate.edges[0], rate.edges[-1]) == (times[0], times[-1] + 1)
    assert len(summary.rate.resample(num_bins).edges) <= num_bins + 1
    # Unless bins are shared out, each holds exactly the events between its edges.
    found, _ = np.histogram(times, np.append(summary.rate.edges[:-1], times[-1] + 1))
    np.testing.assert_array_equal(summary.rate.counts.sum(axis=0), found)


def test_progress_is_told_of_every_event():
    told = []
    summarize(Recording(Blocks([(0, 0, 0, 0)] * 3, [(1, 0, 0, 0)])), progress=told.append)
    assert told == [3, 1]


def test_memory_does_not_grow_with_the_recording():
    class Long(Blocks):
        def blocks(self, since=None):
            for k in range(300):
                block = np.zeros(20_000, EVENT_DTYPE)
                block["t"] = np.arange(k * 20_000, (k + 1) * 20_000)
                yield block

    recording = Recording(Long())
    tracemalloc.start()
    try:
        assert summarize(recording).num_events == 6_000_000
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
