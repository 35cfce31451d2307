import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.events.dtypes import EVENT_DTYPE, SensorSize
from evdet.events.representations.functions import (
    REPRESENTATIONS,
    diff,
    event_cube,
    histogram,
    multi_channel_time_surface,
    stacked_histogram,
    time_surface,
    voxel_grid,
)

SIZE = SensorSize(height=3, width=4)
START, DELTA_T = 7_000, 1_000
SLICE = {"start": START, "delta_t": DELTA_T}
EVENT = st.tuples(
    st.integers(START, START + DELTA_T - 1),
    st.integers(0, SIZE.width - 1),
    st.integers(0, SIZE.height - 1),
    st.integers(0, 1),
)
# Few places and times make many events meet.
ROWS = st.lists(EVENT, max_size=30) | st.lists(
    st.sampled_from([(START, 0, 0, 1), (7_500, 3, 2, 0)])
)
OUT_SIZE = st.none() | st.tuples(st.integers(1, SIZE.height), st.integers(1, SIZE.width))
TIMED = sorted(set(REPRESENTATIONS) - {"histogram", "diff"})

every = pytest.mark.parametrize("name", sorted(REPRESENTATIONS))


def events_of(*rows):
    return np.array(list(rows), dtype=EVENT_DTYPE)


def reference(name, rows, out_size, count_scale=1.0):
    """The table of formats.md, event by event, with the default parameters."""
    height, width = out_size or SIZE
    channels, k = REPRESENTATIONS[name].num_channels, micro_bins_of(name)
    sums = np.zeros((channels, height, width))
    for t, x, y, p in rows:
        y_out, x_out = y * height // SIZE.height, x * width // SIZE.width
        share = (t - START) / DELTA_T
        micro_bin = (t - START) * k // DELTA_T

        def add(channel, value, y_out=y_out, x_out=x_out):
            sums[channel, y_out, x_out] += value

        def latest(channel, value, y_out=y_out, x_out=x_out):
            sums[channel, y_out, x_out] = max(sums[channel, y_out, x_out], value)

        if name == "histogram":
            add(p, 1)
        elif name == "diff":
            add(0, 2 * p - 1)
        elif name == "time_surface":
            latest(p, share)
        elif name == "multi_channel_time_surface":
            latest(2 * micro_bin + p, share)
        elif name == "stacked_histogram":
            add(p * k + micro_bin, 1)
        else:
            place = share * k - 0.5 if name == "event_cube" else share * (k - 1)
            for i in (math.floor(place), math.floor(place) + 1):
                if 0 <= i < k:
                    weight = max(0.0, 1 - abs(place - i))
                    if name == "event_cube":
                        add(2 * i + p, weight)
                    else:
                        add(i, (2 * p - 1) * weight)
    if "time_surface" in name:
        return sums
    sums *= count_scale
    if name in ("histogram", "event_cube", "diff"):
        return np.clip(sums / 5, -1, 1)
    return np.minimum(np.rint(sums), 10) if name == "stacked_histogram" else sums


def micro_bins_of(name):
    channels = REPRESENTATIONS[name].num_channels
    return channels if name == "voxel_grid" else channels // 2


@every
def test_an_empty_slice_is_an_empty_frame(name):
    make, num_channels, dtype = REPRESENTATIONS[name]
    frame = make(events_of(), SIZE, **SLICE)
    assert (frame.shape, frame.dtype) == ((num_channels, *SIZE), dtype)
    assert not frame.any()


@every
@given(rows=ROWS, out_size=OUT_SIZE)
def test_a_frame_is_what_the_definition_says(name, rows, out_size):
    make, num_channels, dtype = REPRESENTATIONS[name]
    frame = make(events_of(*rows), SIZE, **SLICE, out_size=out_size)
    assert (frame.shape, frame.dtype) == ((num_channels, *(out_size or SIZE)), dtype)
    np.testing.assert_allclose(frame, reference(name, rows, out_size), rtol=1e-6, atol=1e-6)


@every
@given(rows=ROWS, out_size=OUT_SIZE, count_scale=st.sampled_from([0.1, 0.7071, 2.2361, 50.0]))
def test_counts_are_scaled_before_they_saturate(name, rows, out_size, count_scale):
    make, _, dtype = REPRESENTATIONS[name]
    frame = make(events_of(*rows), SIZE, **SLICE, out_size=out_size, count_scale=count_scale)
    assert frame.dtype == dtype
    expected = reference(name, rows, out_size, count_scale)
    np.testing.assert_allclose(frame, expected, rtol=1e-6, atol=1e-6)


@every
@given(rows=ROWS, seed=st.integers(0, 99))
def test_the_order_of_events_does_not_matter(name, rows, seed):
    events = events_of(*rows)
    shuffled = np.random.default_rng(seed).permutation(events)
    make = REPRESENTATIONS[name].make
    np.testing.assert_array_equal(make(events, SIZE, **SLICE), make(shuffled, SIZE, **SLICE))


@every
@given(rows=ROWS)
def test_values_keep_to_their_range(name, rows):
    frame = REPRESENTATIONS[name].make(events_of(*rows), SIZE, **SLICE)
    assert np.isfinite(frame).all()
    if name in ("time_surface", "multi_channel_time_surface"):
        assert (frame >= 0).all()
        assert (frame < 1).all()
    elif name != "voxel_grid":
        assert (frame >= (-1 if name == "diff" else 0)).all()
        assert (frame <= (10 if name == "stacked_histogram" else 1)).all()


@every
@given(rows=ROWS)
def test_the_events_are_left_as_they_were(name, rows):
    events = events_of(*rows)
    before = events.copy()
    REPRESENTATIONS[name].make(events, SIZE, **SLICE)
    np.testing.assert_array_equal(events, before)
    assert events.flags.writeable


@every
@given(rows=ROWS)
def test_the_sensors_size_is_the_default(name, rows):
    make, events = REPRESENTATIONS[name].make, events_of(*rows)
    np.testing.assert_array_equal(
        make(events, SIZE, **SLICE), make(events, SIZE, **SLICE, out_size=SIZE)
    )


@every
def test_events_may_be_read_only_or_every_second_one(name):
    events = events_of((START, 1, 1, 0), (START, 3, 2, 1), (START + 9, 0, 1, 1))
    every_second = events[::2]
    copied = every_second.copy()
    every_second.flags.writeable = False
    make = REPRESENTATIONS[name].make
    np.testing.assert_array_equal(make(every_second, SIZE, **SLICE), make(copied, SIZE, **SLICE))


@every
def test_an_event_outside_the_sensor_is_named(name):
    events = events_of((START, 1, 1, 0), (START + 7, 4, 0, 1))
    with pytest.raises(ValueError, match=r"1 of 2 events lie outside the sensor 4x3.*x=4, y=0"):
        REPRESENTATIONS[name].make(events, SIZE, **SLICE)
    with pytest.raises(ValueError, match="width and height swapped"):
        REPRESENTATIONS[name].make(events_of((START, 0, 3, 0)), SIZE, **SLICE)


@every
def test_another_polarity_is_named(name):
    with pytest.raises(ValueError, match=r"1 of 1 events .*p=255.*\(p > 0\)"):
        REPRESENTATIONS[name].make(events_of((START, 0, 0, 255)), SIZE, **SLICE)


@pytest.mark.parametrize("name", TIMED)
@pytest.mark.parametrize("t", [START - 1, START + DELTA_T, 0, 1 << 50])
def test_an_event_outside_the_slice_is_named(name, t):
    with pytest.raises(ValueError, match=f"1 of 2 .* from 7000 to 8000 us .*first is at t={t} us"):
        REPRESENTATIONS[name].make(events_of((START, 0, 0, 1), (t, 0, 0, 1)), SIZE, **SLICE)


@every
@pytest.mark.parametrize("out_size", [(0, 4), (4, 4), (3, 5), (3, -1)])
def test_a_frame_has_between_one_pixel_and_the_sensors(name, out_size):
    with pytest.raises(ValueError, match="out_size must be between 1x1 and the sensor's 4x3"):
        REPRESENTATIONS[name].make(events_of(), SIZE, **SLICE, out_size=out_size)


@pytest.mark.parametrize("name", TIMED)
def test_a_slice_has_a_duration(name):
    for delta_t in (0, -5, 2**31):
        with pytest.raises(ValueError, match=f"delta_t must be at .* got {delta_t}"):
            REPRESENTATIONS[name].make(events_of(), SIZE, start=0, delta_t=delta_t)


def test_records_of_another_layout_are_refused():
    other = np.zeros(2, [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
    with pytest.raises(ValueError, match="must be records of EVENT_DTYPE"):
        histogram(other, SIZE)


# --- each by hand ---


def test_counts_land_on_their_pixel_and_polarity():
    frame = histogram(events_of((0, 3, 1, 0), (1, 3, 1, 0), (2, 0, 2, 1)), SIZE, max_count=4)

    expected = np.zeros((2, 3, 4), np.float32)
    expected[0, 1, 3] = 2 / 4
    expected[1, 2, 0] = 1 / 4
    np.testing.assert_array_equal(frame, expected)


@given(st.lists(EVENT), st.lists(EVENT))
def test_counts_add_up(first, second):
    def count(rows):
        return histogram(events_of(*rows), SIZE, max_count=1000)

    np.testing.assert_allclose(count(first + second), count(first) + count(second), rtol=1e-6)


def test_counts_saturate_after_pixels_are_merged():
    rows = [(0, 0, 0, 1)] * 4 + [(0, 1, 1, 1)] * 3
    assert histogram(events_of(*rows), SIZE)[1, 0, 0] == np.float32(4 / 5)
    assert histogram(events_of(*rows), SIZE, out_size=(1, 2))[1].tolist() == [[1.0, 0.0]]


def test_more_events_than_a_byte_or_two_can_count():
    events = np.zeros(70_000, EVENT_DTYPE)
    assert histogram(events, SIZE, max_count=100_000)[0, 0, 0] == np.float32(0.7)
    assert stacked_histogram(events, SIZE, start=0, delta_t=10, max_count=255)[0, 0, 0] == 255


def test_on_and_off_cancel():
    rows = [(0, 2, 2, 1)] * 3 + [(0, 2, 2, 0)] + [(0, 0, 0, 0)] * 9
    frame = diff(events_of(*rows), SIZE, max_count=4)
    assert (frame[0, 2, 2], frame[0, 0, 0], np.count_nonzero(frame)) == (0.5, -1.0, 2)


def test_the_latest_event_makes_the_time_surface():
    frame = time_surface(
        events_of((START + 750, 1, 1, 1), (START + 250, 1, 1, 1), (START, 2, 1, 0)), SIZE, **SLICE
    )
    assert frame[1, 1, 1] == 0.75
    assert np.count_nonzero(frame) == 1, "an event at the very start leaves no trace"


def test_a_time_surface_stays_below_one_in_a_long_slice():
    frame = time_surface(events_of((2**30 - 1, 0, 0, 1)), SIZE, start=0, delta_t=2**30)
    assert 0.9999999 < frame[1, 0, 0] < 1


def test_micro_bins_have_time_surfaces_of_their_own():
    rows = [(START + t, 0, 0, 1) for t in (100, 333, 334, 900)] + [(START + 666, 0, 0, 0)]
    frame = multi_channel_time_surface(events_of(*rows), SIZE, **SLICE)
    # Micro-bins end at 1000/3 and 2000/3 us; channels are OFF, ON, OFF, ON ...
    np.testing.assert_allclose(frame[:, 0, 0], [0, 0.333, 0.666, 0.334, 0, 0.9], rtol=1e-6)


def test_the_event_cube_shares_events_out():
    # Centres of the micro-bins at 1/6, 3/6 and 5/6 of the slice.
    cube = {t: event_cube(events_of((t, 0, 0, 1)), SIZE, start=0, delta_t=600, max_count=1)
            for t in (100, 200, 300, 350, 0, 599)}  # fmt: skip
    on = {t: cube[t][1::2, 0, 0].tolist() for t in cube}
    assert on[100] == [1, 0, 0]
    assert on[200] == [0.5, 0.5, 0]
    assert on[300] == [0, 1, 0]
    assert on[350] == [0, 0.75, 0.25]
    assert on[0] == [0.5, 0, 0], "half of it would fall before the slice"
    np.testing.assert_allclose(on[599], [0, 0, 0.505], rtol=1e-6)
    assert not any(frame[0::2].any() for frame in cube.values())


def test_the_voxel_grid_keeps_all_of_an_event():
    def voxels(*rows):
        return voxel_grid(events_of(*rows), SIZE, start=0, delta_t=400)[:, 0, 0].tolist()

    assert voxels((0, 0, 0, 1)) == [1, 0, 0, 0, 0]
    assert voxels((150, 0, 0, 1)) == [0, 0.5, 0.5, 0, 0]
    assert voxels((399, 0, 0, 0)) == [0, 0, 0, np.float32(-0.01), np.float32(-0.99)]
    assert voxels((150, 0, 0, 1), (150, 0, 0, 0)) == [0, 0, 0, 0, 0]


@given(ROWS)
def test_a_voxel_grid_sums_to_the_polarities(rows):
    grid = voxel_grid(events_of(*rows), SIZE, **SLICE)
    total = sum(2 * p - 1 for _, _, _, p in rows)
    assert grid.sum(dtype=np.float64) == pytest.approx(total, abs=1e-4)


def test_one_grid_time_takes_everything():
    frame = voxel_grid(events_of((399, 0, 0, 1)), SIZE, start=0, delta_t=400, num_micro_bins=1)
    assert frame[:, 0, 0].tolist() == [1]


def test_more_micro_bins_than_microseconds():
    slice_of_two = {"start": 0, "delta_t": 2, "num_micro_bins": 5}
    events = events_of((0, 0, 0, 1), (1, 0, 0, 1))
    assert stacked_histogram(events, SIZE, **slice_of_two)[5:, 0, 0].tolist() == [1, 0, 1, 0, 0]
    surface = multi_channel_time_surface(events, SIZE, **slice_of_two)
    assert surface[1::2, 0, 0].tolist() == [0, 0, 0.5, 0, 0]


def test_the_stacked_histogram_counts_polarity_by_polarity():
    rows = [(START + 150, 1, 0, 0)] * 2 + [(START + 999, 1, 0, 1)] * 12
    frame = stacked_histogram(events_of(*rows), SIZE, **SLICE)
    assert (frame[1, 0, 1], frame[19, 0, 1], np.count_nonzero(frame)) == (2, 10, 2)


# --- RVT's variant ---


def rvt(rows, **options):
    return stacked_histogram(events_of(*rows), SIZE, **SLICE, variant="rvt", **options)


def test_rvt_divides_the_time_from_the_first_event_to_the_last():
    frame = rvt([(START + t, 0, 0, 1) for t in (400, 401, 499, 500, 600)], num_micro_bins=2)
    assert frame[2:, 0, 0].tolist() == [3, 2], "the last event is in the last micro-bin"
    assert rvt([(START + 7, 0, 0, 1)])[10, 0, 0] == 1
    assert not rvt([]).any()


@given(
    st.lists(st.integers(0, 60_000), min_size=1, max_size=40), st.integers(1, 12), st.integers(0, 9)
)
def test_rvt_micro_bins_are_those_of_its_arithmetic(times, k, origin):
    """RVT computes in float32 on tensors; an edge may fall to either side of the exact one."""
    torch = pytest.importorskip("torch")
    times = torch.tensor(sorted(times)) + origin
    share = (times - times[0]) / max((times[-1] - times[0]), 1)
    expected = torch.bincount((share * k).floor().clamp(max=k - 1).long(), minlength=k)
    rows = [(int(t), 0, 0, 0) for t in times]
    frame = stacked_histogram(
        events_of(*rows), SIZE, start=0, delta_t=1, variant="rvt", num_micro_bins=k, max_count=255
    )
    assert frame[:k, 0, 0].tolist() == expected.tolist()


def test_rvt_adds_up_merged_pixels_unless_it_replays():
    rows = [(START, x, y, 1) for x in range(4) for y in range(3)]
    assert rvt(rows, out_size=(1, 2))[10].tolist() == [[6, 6]]
    assert rvt(rows, out_size=(1, 2), replay=True)[10].tolist() == [[1, 1]]


def test_replay_keeps_odd_pixels_only():
    odd = rvt([(START, 3, 1, 1)], out_size=(1, 2), replay=True)
    assert np.argwhere(odd).tolist() == [[10, 0, 1]]
    for x, y in ((2, 1), (3, 0), (3, 2)):
        assert not rvt([(START, x, y, 1)], out_size=(1, 2), replay=True).any()


@pytest.mark.parametrize(("count", "expected"), [(9, 9), (10, 10), (255, 10), (256, 0), (260, 4)])
def test_replay_wraps_at_256_before_it_clips(count, expected):
    rows = [(START, 1, 1, 1)] * count
    assert rvt(rows, replay=True)[10, 1, 1] == expected
    assert rvt(rows)[10, 1, 1] == min(count, 10)


def test_replay_needs_rvts_variant_and_sizes():
    with pytest.raises(ValueError, match="needs variant='rvt', got 'edges'"):
        stacked_histogram(events_of(), SIZE, **SLICE, replay=True)
    with pytest.raises(ValueError, match=r"4x3 .* or half of it, 2x1 .*got 1x1"):
        rvt([], out_size=(1, 1), replay=True)
    with pytest.raises(ValueError, match="variant must be 'edges' or 'rvt', got 'RVT'"):
        stacked_histogram(events_of(), SIZE, **SLICE, variant="RVT")


@pytest.mark.parametrize("max_count", [0, -1])
def test_max_count_must_be_positive(max_count):
    for make in (histogram, diff, event_cube, stacked_histogram):
        with pytest.raises(ValueError, match=f"max_count must be at least 1, got {max_count}"):
            make(events_of(), SIZE, **SLICE, max_count=max_count)


def test_bytes_hold_counts_up_to_255():
    with pytest.raises(ValueError, match="max_count must be at most 255, got 256"):
        stacked_histogram(events_of(), SIZE, **SLICE, max_count=256)


@pytest.mark.parametrize(
    "make", [multi_channel_time_surface, event_cube, voxel_grid, stacked_histogram]
)
def test_there_is_a_micro_bin(make):
    with pytest.raises(ValueError, match="num_micro_bins must be at least 1, got 0"):
        make(events_of(), SIZE, **SLICE, num_micro_bins=0)
