import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.events.dtypes import SensorSize
from evdet.events.representations.grid import MAX_DELTA_T, even_edges, frame_grid, rvt_edges


@given(st.integers(1, 50), st.integers(1, 50), st.data())
def test_every_pixel_of_a_frame_gets_its_share_of_the_sensors(height, width, data):
    out_size = data.draw(st.tuples(st.integers(1, height), st.integers(1, width)))
    grid = frame_grid(SensorSize(height, width), out_size)
    assert grid.size == out_size
    assert grid.num_pixels == out_size[0] * out_size[1]
    for of_frame, sensor, out in (
        (grid.columns, width, out_size[1]),
        (grid.rows // out_size[1], height, out_size[0]),
    ):
        assert (np.diff(of_frame) >= 0).all()
        shares = np.bincount(of_frame, minlength=out)
        assert len(shares) == out
        assert set(shares) <= {sensor // out, -(-sensor // out)}


def test_half_the_size_merges_two_by_two():
    grid = frame_grid(SensorSize(4, 6), (2, 3))
    assert grid.rows.tolist() == [0, 0, 3, 3]
    assert grid.columns.tolist() == [0, 0, 1, 1, 2, 2]


@given(st.integers(1, 5000), st.integers(1, 20))
def test_even_edges_are_where_the_number_of_the_micro_bin_grows(delta_t, k):
    edges = even_edges(delta_t, k)
    times = np.arange(delta_t)
    numbers = np.searchsorted(edges, times, side="right") - 1
    np.testing.assert_array_equal(numbers, times * k // delta_t)
    assert edges[-1] == delta_t


@given(st.integers(0, 70_000), st.integers(1, 20))
def test_rvt_edges_are_where_the_number_in_single_precision_grows(span, k):
    times = np.arange(span + 1)
    share = times.astype(np.float32) / np.float32(max(span, 1)) * np.float32(k)
    numbers = np.minimum(share.astype(np.int64), k - 1)
    found = np.searchsorted(rvt_edges(span, k), times, side="right") - 1
    np.testing.assert_array_equal(found, numbers)


@given(st.integers(1, MAX_DELTA_T), st.integers(1, 20), st.integers(0, MAX_DELTA_T))
def test_rvt_edges_hold_in_long_windows(span, k, near):
    edges = rvt_edges(span, k)
    assert (edges[0], edges[-1]) == (0, span + 1)
    assert (np.diff(edges) >= 0).all()
    times = np.clip(np.concatenate([edges[1:-1], edges[1:-1] - 1, [near]]), 0, span)
    share = times.astype(np.float32) / np.float32(span) * np.float32(k)
    found = np.searchsorted(edges, times, side="right") - 1
    np.testing.assert_array_equal(found, np.minimum(share.astype(np.int64), k - 1))


def test_a_frame_is_not_larger_than_the_sensor():
    with pytest.raises(ValueError, match=r"sensor's 6x4 \(width x height\), got 7x4"):
        frame_grid(SensorSize(4, 6), (4, 7))
