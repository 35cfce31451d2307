import itertools

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.boxes import BOX_DTYPE
from evdet.labels.binning import LabeledTimes, bin_boxes, bins_of, describe_counts

DT = 50
TIMES = st.lists(st.integers(-20, 520), max_size=30)


def labeled(times, empty=()):
    boxes = np.zeros(len(times), BOX_DTYPE)
    boxes["t"] = sorted(times)
    boxes["track_id"] = np.arange(len(times))
    boxes["class_id"] = 1
    return LabeledTimes(boxes, np.array(sorted(empty), np.int64))


def tracks(binned):
    return [boxes["track_id"].tolist() for boxes in binned.boxes]


def test_without_labels_every_bin_is_unlabelled():
    binned = bin_boxes(LabeledTimes.empty(), first_bin=3, num_bins=2, delta_t=DT)

    assert tracks(binned) == [[], []]
    assert binned.is_labeled.tolist() == [False, False]
    assert (binned.num_superseded, binned.num_outside) == (0, 0)


def test_no_bins_leave_every_box_outside():
    binned = bin_boxes(labeled([1, 2]), first_bin=0, num_bins=0, delta_t=DT)

    assert binned.boxes == []
    assert binned.num_outside == 2


def test_a_bin_takes_its_end_but_not_its_start():
    binned = bin_boxes(labeled([50, 51, 100]), first_bin=0, num_bins=3, delta_t=DT)

    assert tracks(binned) == [[0], [2], []]
    assert binned.num_superseded == 1


def test_time_zero_belongs_to_bin_zero():
    assert tracks(bin_boxes(labeled([0]), first_bin=0, num_bins=1, delta_t=DT)) == [[0]]
    assert bin_boxes(labeled([0]), first_bin=-1, num_bins=1, delta_t=DT).num_outside == 1


def test_the_last_time_in_a_bin_is_used_with_all_its_boxes():
    binned = bin_boxes(labeled([10, 10, 40, 40, 40, 60]), first_bin=0, num_bins=2, delta_t=DT)

    assert tracks(binned) == [[2, 3, 4], [5]]
    assert binned.num_superseded == 2


def test_an_annotated_empty_frame_is_not_an_unlabelled_one():
    binned = bin_boxes(labeled([], empty=[70]), first_bin=0, num_bins=2, delta_t=DT)

    assert tracks(binned) == [[], []]
    assert binned.is_labeled.tolist() == [False, True]


def test_an_empty_time_supersedes_earlier_boxes_of_its_bin_and_no_later_ones():
    binned = bin_boxes(labeled([10, 70], empty=[20, 60]), first_bin=0, num_bins=2, delta_t=DT)

    assert tracks(binned) == [[], [1]]
    assert binned.is_labeled.all()
    assert binned.num_superseded == 1


def test_boxes_at_an_empty_time_stay():
    binned = bin_boxes(labeled([20], empty=[20]), first_bin=0, num_bins=1, delta_t=DT)

    assert tracks(binned) == [[0]]


def test_bins_follow_the_clock_of_recordings_that_start_late():
    t = 1_674_050_002_130_795
    binned = bin_boxes(labeled([t]), first_bin=t // 50_000, num_bins=1, delta_t=50_000)

    assert tracks(binned) == [[0]]


@given(TIMES, TIMES, st.integers(-1, 4), st.integers(0, 12))
def test_every_box_is_in_one_bin_used_or_superseded_or_outside(times, empty, first, num_bins):
    binned = bin_boxes(labeled(times, empty), first_bin=first, num_bins=num_bins, delta_t=DT)

    used = list(itertools.chain(*tracks(binned)))
    assert len(set(used)) == len(used)
    assert len(used) + binned.num_superseded + binned.num_outside == len(times)


@given(TIMES, TIMES, st.integers(-1, 4), st.integers(0, 12))
def test_a_used_box_lies_in_its_bin_and_has_its_last_time(times, empty, first, num_bins):
    given_labels = labeled(times, empty)
    binned = bin_boxes(given_labels, first_bin=first, num_bins=num_bins, delta_t=DT)

    for k, boxes in enumerate(binned.boxes, start=first):
        # No bin ends at 0: time 0 is in bin 0.
        inside = [
            t for t in [*times, *empty] if (t and k * DT < t <= (k + 1) * DT) or (k == t == 0)
        ]
        assert binned.is_labeled[k - first] == bool(inside)
        assert all(t == max(inside) for t in boxes["t"])
        if inside and max(inside) in times:
            assert len(boxes) == times.count(max(inside))


@given(TIMES, TIMES, st.integers(0, 5), st.integers(1, 4), st.integers(0, 4))
def test_consecutive_clips_have_what_the_whole_has(times, empty, first, clip, num_clips):
    whole = bin_boxes(labeled(times, empty), first_bin=first, num_bins=clip * num_clips, delta_t=DT)
    parts = [
        bin_boxes(labeled(times, empty), first_bin=first + clip * i, num_bins=clip, delta_t=DT)
        for i in range(num_clips)
    ]

    assert list(itertools.chain(*map(tracks, parts))) == tracks(whole)
    assert [x for part in parts for x in part.is_labeled] == whole.is_labeled.tolist()
    assert sum(part.num_superseded for part in parts) == whole.num_superseded


def test_the_extra_field_goes_along():
    boxes = np.zeros(1, [*BOX_DTYPE.descr, ("still_us", "<i8")])
    boxes["t"], boxes["still_us"] = 7, 99

    binned = bin_boxes(LabeledTimes(boxes), first_bin=0, num_bins=1, delta_t=DT)

    assert binned.boxes[0]["still_us"] == 99


def test_bins_need_a_duration():
    with pytest.raises(ValueError, match=r"delta_t > 0, got num_bins=1, delta_t=0"):
        bin_boxes(labeled([]), first_bin=0, num_bins=1, delta_t=0)


def test_no_times_are_in_no_bins():
    assert len(bins_of(np.zeros(0, np.int64), DT)) == 0


def test_counts_agree_with_what_they_count():
    counts = {
        "rotated boxes": 1,
        "shapes that are not boxes (polygon)": 1,
        "boxes of confidence 0": 1,
        "ignored rows": 2,
    }
    assert describe_counts(counts) == [
        "1 rotated box is not counted",
        "1 shape that is not a box (polygon) is not counted",
        "1 box of confidence 0 is not counted",
        "2 ignored rows are not counted",
    ]
