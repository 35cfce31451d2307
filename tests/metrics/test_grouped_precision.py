import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.metrics.grouped_precision import score_groups
from evdet.metrics.matching import IOU_THRESHOLDS, Matches


def matches_of(*taken, scores=None):
    """One detection per entry, best first; what it took, the same at every threshold."""
    count = len(taken)
    return Matches(
        rows=np.arange(count),
        labels=np.ones(count, np.int64),
        scores=np.linspace(1, 0.6, count) if scores is None else np.array(scores, float),
        ranks=np.arange(count),
        objects=np.tile(np.array(taken, np.int64), (1, len(IOU_THRESHOLDS), 1)),
    )


def score(matches, groups, *, num_groups=2, labels=None, **options):
    groups = np.array(groups, np.int64)
    labels = np.ones(len(groups), np.int64) if labels is None else np.array(labels)
    return score_groups(matches, labels, groups, num_groups=num_groups, score_thresh=0.5, **options)


def test_without_objects_there_is_no_number():
    for one in score(matches_of(-1, -1), []):
        assert one.num_truths == 0
        assert all(math.isnan(value) for value in one[1:])


def test_objects_that_nothing_finds_score_zero():
    first, second = score(matches_of(), [0, 0])

    assert first == (2, 0, 0, 0)
    assert second.num_truths == 0


def test_a_detection_of_another_group_is_neither_right_nor_wrong():
    first, second = score(matches_of(1, 0), [0, 1])

    assert first == second == (1, 1, 1, 1)


def test_a_false_alarm_is_shared_out_by_the_number_of_objects():
    # Objects 0 1 2 are of group 0, object 3 of group 1; the false alarm has the best score.
    first, second = score(matches_of(-1, 0, 1, 2, 3), [0, 0, 0, 1])

    # At every recall the best precision to its right: 3 found, 3/4 of the false alarm.
    assert first.ap == pytest.approx(3 / 3.75)
    assert second.ap == pytest.approx(1 / 1.25)


def test_a_false_alarm_with_a_group_of_its_own_counts_there_alone():
    groups = np.array([1, 0, 0])
    first, second = score(matches_of(-1, 0, 1), [0, 1], detection_groups=groups)

    assert first.ap == pytest.approx(1)
    assert second.ap == pytest.approx(1 / 2)


def test_a_false_alarm_below_everything_costs_nothing():
    assert score(matches_of(0, -1), [0])[0].ap == pytest.approx(1)


def test_recall_counts_detections_from_the_threshold_on():
    first, second = score(matches_of(0, 2, 1, scores=[0.9, 0.5, 0.4]), [0, 0, 1])

    assert first.recall50 == 0.5
    assert second.recall50 == 1
    assert first.ap == pytest.approx(1)  # while precision looks at every detection


def test_objects_in_no_group_change_nothing():
    assert score(matches_of(0, 1), [0, -1])[0] == (1, 1, 1, 1)


def test_classes_count_alike_and_only_where_they_occur():
    # Class 1 is found, class 2 is not, and occurs in group 0 only.
    first, second = score(matches_of(0, 2), [0, 0, 1], labels=[1, 2, 1])

    assert (first.ap, second.ap) == (pytest.approx(0.5), pytest.approx(1))
    assert first.recall50 == 0.5


def test_the_iou_of_what_is_found_matters():
    matches = matches_of(0)
    matches.objects[:, 5:] = -1
    (only,) = score(matches, [0], num_groups=1)

    assert (only.ap, only.ap50, only.recall50) == (pytest.approx(0.5), 1, 1)


@st.composite
def cases(draw):
    """Objects in groups, and detections that each take another object or none."""
    groups = draw(st.lists(st.integers(0, 2), min_size=1, max_size=8))
    order = draw(st.permutations([*range(len(groups)), *[-1] * draw(st.integers(0, 6))]))
    return groups, order[: draw(st.integers(0, len(order)))]


@given(cases())
def test_the_groups_recalls_add_up_to_that_of_all(case):
    groups, taken = case
    parts = score(matches_of(*taken), groups, num_groups=3)
    (whole,) = score(matches_of(*taken), [0] * len(groups), num_groups=1)

    found = sum(part.num_truths * part.recall50 for part in parts if part.num_truths)
    assert found == pytest.approx(whole.num_truths * whole.recall50)
    assert sum(part.num_truths for part in parts) == whole.num_truths


@given(cases(), st.integers(1, 4))
def test_groups_that_are_found_alike_score_what_all_of_them_do_whatever_their_sizes(case, times):
    _, taken = case
    count = max([*taken, 0]) + 1
    # The same recording 1 + times over: the first is group 0, all the others are group 1.
    copies = [
        [one if one < 0 else one + copy * count for copy in range(1 + times)] for one in taken
    ]
    groups = [0] * count + [1] * count * times
    # Detections that are alike have the same score, so that which comes first must not matter:
    # false alarms do not stand between those that are right.
    together = [one for copy in copies for one in copy]
    first, second = score(matches_of(*together), groups)
    (whole,) = score(matches_of(*taken), [0] * count, num_groups=1)

    assert first.ap == pytest.approx(whole.ap)
    assert second.ap == pytest.approx(whole.ap)


@given(cases())
def test_a_group_of_everything_is_everything(case):
    groups, taken = case
    own = score(
        matches_of(*taken),
        [0] * len(groups),
        num_groups=1,
        detection_groups=np.zeros(len(taken), np.int64),
    )
    assert own == score(matches_of(*taken), [0] * len(groups), num_groups=1)
