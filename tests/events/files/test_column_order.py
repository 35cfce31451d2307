"""Columns without names: time goes on, polarity has two values, x and y are pixels."""

import itertools

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.events.files import AmbiguousOrderError, order_from_option, order_of_columns

T, X, Y, P = range(4)
ORDERS = [o for o in itertools.permutations((T, X, Y, P)) if o.index(X) < o.index(Y)]


def table(order, num=500, *, seed=0, signs=False, late=0, start=0, scale=1.0):
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, 300_000, num)) - rng.integers(0, late + 1, num)
    p = rng.integers(0, 2, num)
    columns = {
        T: start + t * scale,
        X: rng.integers(0, 346, num),
        Y: rng.integers(0, 260, num),
        P: 2 * p - 1 if signs else p,
    }
    return np.stack([columns[role] for role in order], axis=1).astype(np.float64)


def test_without_rows_they_are_t_x_y_p():
    assert order_of_columns(np.empty((0, 4))) == (T, X, Y, P)


@pytest.mark.parametrize("order", ORDERS)
@given(
    seed=st.integers(0, 10**6),
    signs=st.booleans(),
    late=st.sampled_from([0, 3000]),
    start=st.sampled_from([0.0, 1.7e9]),
    scale=st.sampled_from([1.0, 1e-6]),
)
def test_any_order_is_found(order, seed, signs, late, start, scale):
    rows = table(order, seed=seed, signs=signs, late=late, start=start, scale=scale)
    assert order_of_columns(rows) == order


def test_times_within_the_range_of_pixels_are_still_times():
    rows = table((X, Y, T, P), scale=0.1)
    rows[:, 2] = rows[:, 2].round()
    assert order_of_columns(rows) == (X, Y, T, P)


def test_an_index_before_the_columns_is_skipped():
    rows = table((T, X, Y, P))
    numbered = np.column_stack([np.arange(len(rows)), rows])
    assert order_of_columns(numbered) == (-1, T, X, Y, P)
    with pytest.raises(ValueError, match="a row has 5 columns"):
        order_of_columns(np.column_stack([rows[:, 1], rows]))


def test_a_damaged_row_does_not_change_the_order():
    rows = table((X, Y, T, P))
    rows[70] = (-1, np.nan, 1e30, 7)
    assert order_of_columns(rows) == (X, Y, T, P)


def test_all_events_at_one_time_are_in_a_usual_order():
    rows = table((T, X, Y, P))
    rows[:, 0] = 7
    assert order_of_columns(rows) == (T, X, Y, P)
    assert order_of_columns(rows[:, [1, 2, 3, 0]]) == (X, Y, P, T)


def test_a_few_rows_are_in_a_usual_order_where_that_is_possible():
    assert order_of_columns(np.array([[10.0, 1, 1, 0], [11, 1, 0, 900]])) == (X, Y, P, T)
    with pytest.raises(AmbiguousOrderError, match="can be txyp or xypt"):
        order_of_columns(np.array([[10.0, 1, 1, 0], [11, 1, 0, 1]]))
    assert order_of_columns(np.array([[9.0, 5, 10, 1], [3, 4, 20, 0]])) == (X, Y, T, P)
    with pytest.raises(AmbiguousOrderError, match=r"can be x(yt|ty)p or x(yt|ty)p"):
        order_of_columns(np.array([[9.0, 5, 10, 1], [3, 7, 20, 0]]))


def test_two_columns_that_go_on_are_refused():
    rows = table((X, Y, T, P))
    rows[:, 0] = np.arange(len(rows)) // 2
    rows[:, 2] //= 10
    with pytest.raises(AmbiguousOrderError, match=r"can be .*xytp.*--columns"):
        order_of_columns(rows)


def test_no_column_that_goes_on_is_refused():
    rows = np.random.default_rng(0).permutation(table((T, X, Y, P)))
    with pytest.raises(AmbiguousOrderError, match="none of its columns goes on"):
        order_of_columns(rows)


def test_boxes_and_poses_are_no_events():
    rng = np.random.default_rng(0)
    for rows in (rng.integers(0, 500, (100, 4)), rng.normal(size=(100, 4))):
        with pytest.raises(ValueError, match="not t, x, y and p in any order"):
            order_of_columns(rows.astype(np.float64))


def test_an_option_spells_the_order():
    assert order_from_option("xy-tp") == (X, Y, -1, T, P)
