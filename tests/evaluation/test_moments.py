import itertools

import pytest

from evdet.evaluation.moments import FrameQuality, choose_moments
from evdet.metrics import FrameErrors


def frame(video, time, *, objects=2, missed=0, false_alarms=0, wrong_class=0, activity=0.5):
    return FrameQuality(
        key=(video, time),
        index=0,
        num_objects=objects,
        errors=FrameErrors(
            index=0,
            missed=missed,
            false_alarms=false_alarms,
            wrong_class=wrong_class,
            confidence=float(false_alarms),
        ),
        activity=activity,
    )


def keys_of(rated, kind, *, num_good=2, num_failures=8):
    chosen = choose_moments(rated, num_good=num_good, num_failures=num_failures)
    return [one.key for one in chosen[kind]]


@pytest.mark.parametrize("kind", ["best", "typical", "failures"])
def test_no_frames_are_no_moments(kind):
    assert keys_of([], kind) == []


def test_the_best_has_most_objects_and_no_errors():
    rated = [frame(0, 0, objects=1), frame(0, 1, objects=3), frame(1, 0, objects=4, missed=1)]

    assert keys_of(rated, "best", num_good=1) == [(0, 1)]


def test_the_typical_has_the_median_quality():
    rated = [
        frame(video, 0, objects=4, missed=missed) for video, missed in enumerate((0, 1, 2, 3, 4))
    ]

    assert keys_of(rated, "typical", num_good=1) == [(2, 0)]


def test_failures_are_sorted_by_errors_and_show_each_video_once():
    rated = [frame(v, t, objects=4, missed=m) for v, t, m in [(0, 0, 3), (0, 1, 4), (1, 0, 2)]]
    rated += [frame(v, 0, objects=4, missed=1) for v in (2, 3)]
    rated += [frame(v, 0) for v in (4, 5, 6, 7, 8, 9)]

    assert keys_of(rated, "failures") == [(0, 1), (1, 0), (2, 0), (3, 0)]


def test_no_frame_is_shown_twice():
    rated = [frame(0, time, objects=4, missed=time % 5) for time in range(60)]
    chosen = choose_moments(rated, num_good=2, num_failures=8)

    keys = [one.key for kind in chosen.values() for one in kind]
    assert len(keys) == len(set(keys)) == 8


def test_a_frame_far_from_the_median_is_not_typical():
    assert keys_of([frame(0, 0), frame(1, 0, missed=2)], "typical") == []


def test_a_single_video_is_shown_at_times_far_apart():
    rated = [frame(0, time, missed=1) for time in range(61)]

    times = sorted(time for _, time in keys_of(rated, "failures"))
    assert len(times) == 4
    assert min(b - a for a, b in itertools.pairwise(times)) >= 10


def test_a_detector_that_finds_nothing_has_failures_only():
    rated = [frame(video, 0, missed=2) for video in range(3)]

    assert keys_of(rated, "best") == keys_of(rated, "typical") == []
    assert len(keys_of(rated, "failures")) == 3


def test_a_detector_without_errors_has_no_failures():
    assert keys_of([frame(0, 0), frame(1, 0)], "failures") == []


def test_objects_at_rest_are_shown_where_nothing_else_is_as_good():
    moving, resting = frame(0, 5), frame(0, 1, activity=0.0)

    assert resting.is_at_rest
    assert keys_of([resting, moving], "best", num_good=1) == [(0, 5)]
    assert keys_of([resting], "best") == [(0, 1)]


def test_a_frame_without_objects_is_a_failure_if_something_is_found_in_it():
    empty, haunted = frame(0, 0, objects=0), frame(1, 0, objects=0, false_alarms=2)

    assert keys_of([empty, haunted], "failures") == [(1, 0)]
    assert keys_of([empty, haunted], "best") == []
    assert not empty.is_at_rest
