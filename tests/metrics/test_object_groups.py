import numpy as np
from hypothesis import given, strategies as st

from evdet.metrics.object_groups import group_by_events, group_by_size, group_by_stillness

NONE = np.zeros(0)


def labels(grouping):
    return [group.label for group in grouping.groups]


def test_without_objects_there_are_no_sizes_and_no_counts():
    assert group_by_size(NONE, NONE).groups == ()
    assert group_by_events(NONE.astype(np.int64)).groups == ()
    assert len(group_by_stillness(NONE.astype(np.int64)).groups) == 8


def test_stillness_has_groups_with_their_upper_ends():
    still = np.array([-1, 0, 1, 100_000, 100_001, 200_000, 3_000_000, 3_000_001])
    grouping = group_by_stillness(still)

    assert grouping.truths.tolist() == [-1, 0, 1, 1, 2, 2, 6, 7]
    assert labels(grouping) == [
        "moving",
        "up to 0.1 s",
        "0.1–0.2 s",
        "0.2–0.5 s",
        "0.5–1 s",
        "1–2 s",
        "2–3 s",
        "over 3 s",
    ]


def test_from_one_size_to_the_next_the_area_doubles():
    grouping = group_by_size(np.array([255.9, 256, 511, 512]), np.array([1.0, 300, 5000]))

    assert labels(grouping) == ["11–16 px", "16–23 px", "23–32 px"]
    assert [group.low for group in grouping.groups[1:]] == [16, 512**0.5]
    assert grouping.truths.tolist() == [0, 1, 1, 2]
    assert grouping.detections.tolist() == [-1, 1, -1]


def test_a_box_without_area_is_among_the_smallest():
    grouping = group_by_size(np.array([0.0, 1.5]), NONE)

    assert labels(grouping) == ["0–1 px"]
    assert grouping.truths.tolist() == [0, 0]


def test_events_have_a_group_of_none_and_octaves():
    grouping = group_by_events(np.array([0, 1, 2, 3, 4, 1023, -1]))

    assert labels(grouping)[:4] == ["0", "1", "2–3", "4–7"]
    assert labels(grouping)[-1] == "512–1,023"
    assert grouping.truths.tolist() == [0, 1, 2, 2, 3, 10, -1]


def test_groups_begin_where_the_objects_do():
    assert labels(group_by_events(np.array([5, 40]))) == ["4–7", "8–15", "16–31", "32–63"]


numbers = st.lists(st.integers(0, 10**7), min_size=1).map(lambda values: np.array(values))


@given(numbers)
def test_every_object_lies_within_its_group(values):
    for grouping in (group_by_stillness(values), group_by_events(values)):
        for value, number in zip(values, grouping.truths, strict=True):
            group = grouping.groups[number]
            assert group.low <= value
            assert group.high is None or value <= group.high


@given(numbers)
def test_every_size_lies_within_its_group(areas):
    grouping = group_by_size(areas.astype(float), NONE)
    for area, number in zip(areas, grouping.truths, strict=True):
        group = grouping.groups[number]
        assert group.low**2 * (1 - 1e-9) <= area <= group.high**2
