import itertools

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.events.dtypes import EVENT_DTYPE, RecordingError, SensorSize
from evdet.events.files import (
    MAX_GAP,
    MAX_STEP_BACK,
    OrderCount,
    check_blocks,
    cut_bins,
    cut_by_count,
    sort_by_time,
)


def events_at(*times):
    """Events at these times; x is their number in the file."""
    events = np.zeros(len(times), EVENT_DTYPE)
    events["t"] = times
    events["x"] = np.arange(len(times))
    return events


def split(events, places):
    return np.split(events, sorted(places))


def checked(blocks, **options):
    return check_blocks(blocks, OrderCount(), name="drive.dat", **options)


# Blocks of steps in time, short ones and such that pass over whole bins or as far back as allowed.
STEP = st.integers(-900, 5000) | st.integers(-MAX_STEP_BACK, 50_000)
BLOCKS = st.lists(st.lists(STEP, max_size=10), max_size=10)


def wandering(blocks, start):
    """Events whose distance below their running maximum stays within the limit."""
    times, latest, t = [], start, start
    for step in itertools.chain(*blocks):
        t = max(t + step, latest - MAX_STEP_BACK)
        latest = max(latest, t)
        times.append(t)
    return split(events_at(*times), np.cumsum([len(steps) for steps in blocks[:-1]], dtype=int))


def test_no_blocks_make_no_bins():
    assert list(cut_bins([], 10)) == []
    assert list(cut_by_count([], 10)) == []


def test_bins_lie_on_the_grid_and_empty_ones_are_there():
    bins = list(cut_bins([events_at(25, 29, 30, 61)], 10))

    assert [b.start for b in bins] == [20, 30, 40, 50, 60]
    assert [len(b.events) for b in bins] == [2, 1, 0, 0, 1]
    assert {b.delta_t for b in bins} == {10}


# The first bin is 50 ms long and ends at 3 s; the last event but one comes late, in a new block.
@pytest.mark.parametrize("step_back", [1003, MAX_STEP_BACK])
def test_an_event_that_comes_late_in_the_next_block_is_in_the_bin_of_its_time(step_back):
    late = 3_000_000 - 3
    blocks = [events_at(2_970_000, late + step_back), events_at(late, 3_050_000)]

    bins = list(cut_bins(checked(blocks), 50_000))

    assert [b.start for b in bins] == [2_950_000, 3_000_000, 3_050_000]
    assert [b.events["t"].tolist() for b in bins] == [
        [2_970_000, late], [late + step_back], [3_050_000],
    ]  # fmt: skip


@given(BLOCKS, st.integers(0, 10**15), st.integers(300, 60_000))
def test_every_event_is_in_the_bin_of_its_time_however_the_blocks_fall(blocks, start, dt):
    blocks = wandering(blocks, start)
    events = np.concatenate(blocks)
    bins = list(cut_bins(checked(blocks), dt))

    joined = np.concatenate([b.events for b in bins]) if bins else events
    np.testing.assert_array_equal(joined, events[np.argsort(events["t"], kind="stable")])
    for before, after in itertools.pairwise(bins):
        assert after.start == before.start + dt
    for b in bins:
        assert b.start % dt == 0
        assert ((b.events["t"] >= b.start) & (b.events["t"] < b.start + dt)).all()
    if bins:
        assert bins[0].events.size
        assert bins[-1].events.size


@given(BLOCKS, st.integers(0, 300_000))
def test_starting_late_gives_the_same_bins_from_there_on(blocks, since):
    blocks = wandering(blocks, 0)
    whole = {b.start: b.events.tolist() for b in cut_bins(blocks, 1000)}
    late = {b.start: b.events.tolist() for b in cut_bins(blocks, 1000, since=since)}

    wanted = {start: found for start, found in whole.items() if start > since - 1000}
    assert {start: late[start] for start in wanted} == wanted
    assert all(not late[start] for start in set(late) - set(wanted))


def test_damage_is_reported_after_the_bins_before_it():
    def damaged():
        yield events_at(1, 5, 12)
        raise RecordingError("drive.dat: broken")

    bins = cut_bins(damaged(), 10)

    assert next(bins).events["t"].tolist() == [1, 5]
    assert next(bins).events["t"].tolist() == [12]
    with pytest.raises(RecordingError, match="broken"):
        next(bins)


def test_windows_hold_so_many_events_and_report_damage_last():
    def damaged():
        yield events_at(1, 5, 12)
        yield events_at(13, 14)
        raise RecordingError("drive.dat: broken")

    windows = cut_by_count(damaged(), 2)

    assert [next(windows)[:2] for _ in range(3)] == [(1, 5), (12, 2), (14, 1)]
    with pytest.raises(RecordingError, match="broken"):
        next(windows)


def test_steps_back_are_counted():
    count = OrderCount()
    blocks = split(events_at(10, 7, 8, 20, 19), [2])

    assert len(list(check_blocks(blocks, count, name="drive.dat"))) == 2
    assert count == OrderCount(num_steps_back=2, largest_step_back=3)


@pytest.mark.parametrize("places", [[], [2], [1, 2, 3, 4, 5]])
def test_late_events_of_one_time_step_back_once(places):
    count = OrderCount()
    blocks = split(events_at(10, 7, 7, 8, 8, 10, 10), places)

    assert len(list(check_blocks(blocks, count, name="drive.dat"))) == len(places) + 1
    assert count == OrderCount(num_steps_back=1, largest_step_back=3)


def test_a_jump_back_that_no_camera_makes_is_damage_and_the_rest_is_delivered():
    events = events_at(0, MAX_STEP_BACK + 1, 0, 5)
    delivered = []
    with pytest.raises(RecordingError, match=r"drive\.dat: time steps back by 20001 us"):
        delivered.extend(checked([events]))
    assert np.concatenate(delivered)["t"].tolist() == [0, MAX_STEP_BACK + 1]


def test_strict_takes_any_step_back_for_damage():
    with pytest.raises(RecordingError, match=r"steps back by 3 us.*Without strict"):
        list(checked([events_at(10, 7)], strict=True))


def test_a_gap_of_hours_is_damage():
    assert list(checked([events_at(7, 7 + MAX_GAP)]))
    with pytest.raises(RecordingError, match="120 minutes later"):
        list(checked([events_at(7, 8 + MAX_GAP)]))


def test_the_first_event_may_have_any_time():
    assert list(checked([events_at(1_700_000_000_000_000)]))


def test_an_event_outside_the_sensor_is_named():
    with pytest.raises(RecordingError, match=r"t=9 us lies at x=1, y=0, outside the sensor 1x4"):
        list(checked([events_at(7, 9)], size=SensorSize(4, 1)))


def test_sorting_keeps_the_order_of_equal_times_and_leaves_sorted_events_alone():
    ordered = events_at(1, 1, 2)
    assert sort_by_time(ordered) is ordered
    assert sort_by_time(events_at(5, 3, 5, 3))["x"].tolist() == [1, 3, 0, 2]
