import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.labels.binning import bins_of
from evdet.metrics.time_pairing import last_of_bins, rows_in_bins, rows_within

NONE = np.zeros(0, np.int64)
TIMES = st.lists(st.integers(0, 60), max_size=12)


def times_of(*values):
    return np.array(values, np.int64)


def rising(values):
    return np.array(sorted(set(values)), np.int64)


def pairs_of(pairing):
    return list(zip(pairing.frames.tolist(), pairing.rows.tolist(), strict=True))


def test_without_labels_or_boxes_nothing_is_paired():
    for pairing in (
        rows_within(NONE, times_of(1, 2), 5),
        rows_within(times_of(1, 2), NONE, 5),
        rows_in_bins(NONE, NONE, 5),
    ):
        assert pairs_of(pairing) == []
    assert last_of_bins(NONE, 5).tolist() == []


def test_both_ends_of_the_span_belong_to_it():
    assert pairs_of(rows_within(times_of(100), times_of(49, 50, 100, 150, 151), 50)) == [
        (0, 1),
        (0, 2),
        (0, 3),
    ]


def test_a_box_goes_to_every_label_near_it():
    assert pairs_of(rows_within(times_of(0, 10, 100), times_of(5), 10)) == [(0, 0), (1, 0)]


def test_a_bin_takes_what_lies_behind_its_start_up_to_its_end():
    # Bins of 50: (0, 50], (50, 100], ...; what lies at 0 belongs to the first.
    assert pairs_of(rows_in_bins(times_of(0, 51, 150), times_of(50, 100, 150, 151), 50)) == [
        (0, 0),
        (1, 1),
        (2, 2),
    ]


def test_without_a_duration_only_the_same_time_pairs():
    assert pairs_of(rows_in_bins(times_of(10, 20), times_of(10, 10, 19, 21), 0)) == [(0, 0), (0, 1)]


def test_the_last_label_of_a_bin_stays():
    assert last_of_bins(times_of(0, 10, 50, 51, 120, 150), 50).tolist() == [50, 51, 150]
    assert last_of_bins(times_of(0, 10, 50), 0).tolist() == [0, 10, 50]


@given(TIMES, TIMES, st.integers(0, 20))
def test_pairs_are_those_that_a_double_loop_finds(labels, boxes, tolerance):
    times, box_times = rising(labels), np.array(sorted(boxes), np.int64)
    expected = [
        (i, j)
        for i, t in enumerate(times)
        for j, box_t in enumerate(box_times)
        if abs(t - box_t) <= tolerance
    ]
    assert pairs_of(rows_within(times, box_times, tolerance)) == expected


@given(TIMES, TIMES, st.integers(1, 20))
def test_bins_are_those_of_the_labels_in_training(labels, boxes, delta_t):
    times, box_times = rising(labels), np.array(sorted(boxes), np.int64)
    expected = [
        (i, j)
        for i, label_bin in enumerate(bins_of(times, delta_t))
        for j, box_bin in enumerate(bins_of(box_times, delta_t))
        if label_bin == box_bin
    ]
    assert pairs_of(rows_in_bins(times, box_times, delta_t)) == expected


@pytest.mark.parametrize("delta_t", [1, 7, 50])
def test_at_most_one_label_of_a_bin_stays(delta_t):
    times = np.arange(0, 200, 3)
    kept = bins_of(last_of_bins(times, delta_t), delta_t)
    assert kept.tolist() == np.unique(bins_of(times, delta_t)).tolist()
