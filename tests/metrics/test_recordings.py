import re

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.boxes import BOX_DTYPE
from evdet.metrics import ScoredRecording, without_ignored
from evdet.metrics.recordings import check_recordings, pair_late, pair_own_bin

DELTA_T = 50


def boxes_at(*times):
    boxes = np.zeros(len(times), BOX_DTYPE)
    boxes["t"], boxes["class_id"], boxes["w"], boxes["h"] = times, 1, 9, 9
    # Which one it is.
    boxes["x"] = np.arange(len(times))
    return boxes


def recording(labeled, stamps, truth=()):
    return ScoredRecording(
        "drive", boxes_at(*truth), np.array(labeled, np.int64), boxes_at(*stamps)
    )


def answers(frames):
    """The stamps that answer each frame."""
    stamps = frames.found.times
    return [stamps[frames.found.frames == k].tolist() for k in range(frames.num_frames)]


def test_no_recordings_are_no_frames():
    frames = pair_own_bin([], delta_t=DELTA_T)

    assert frames.num_frames == len(frames.truth.frames) == len(frames.found.frames) == 0


def test_a_label_is_answered_by_the_window_that_it_lies_in():
    one = recording([1, 50, 51, 100, 101], [50, 50, 100])

    assert answers(pair_own_bin([one], delta_t=DELTA_T)) == [
        [50, 50],
        [50, 50],
        [100],
        [100],
        [],
    ]


def test_a_label_at_time_zero_belongs_to_the_first_window():
    assert answers(pair_own_bin([recording([0], [50])], delta_t=DELTA_T)) == [[50]]


def test_a_window_that_found_nothing_leaves_its_label_unanswered():
    one = recording([50, 100, 150], [50, 150])

    assert answers(pair_own_bin([one], delta_t=DELTA_T)) == [[50], [], [150]]
    assert answers(pair_late([one], delta_t=DELTA_T, latency=0)) == [[50], [], [150]]
    assert answers(pair_late([one], delta_t=DELTA_T, latency=1)) == [[], [50], []]


def test_a_late_window_answers_from_when_it_is_ready_until_the_next_one_is():
    one = recording([50, 69, 70, 119, 120], [50, 100])

    assert answers(pair_late([one], delta_t=DELTA_T, latency=20)) == [[], [], [50], [50], [100]]


def test_recordings_keep_apart_and_frames_count_on():
    first = recording([50, 100], [100], truth=[50, 50, 100])
    second = recording([50], [50], truth=[50])
    frames = pair_own_bin([first, second], delta_t=DELTA_T)

    assert frames.truth.frames.tolist() == [0, 0, 1, 2]
    assert frames.starts.tolist() == [0, 2]
    assert frames.found.frames.tolist() == [1, 2]


times = st.lists(st.integers(1, 400), max_size=8, unique=True).map(sorted)


@given(times, st.lists(st.integers(1, 8), max_size=12).map(sorted), st.integers(0, 300))
def test_detections_that_are_late_are_those_stamped_later(labeled, windows, latency):
    stamps = [window * DELTA_T for window in windows]
    late = pair_late([recording(labeled, stamps)], delta_t=DELTA_T, latency=latency)
    moved = recording(labeled, [stamp + latency for stamp in stamps])
    on_time = pair_late([moved], delta_t=DELTA_T, latency=0)

    assert late.found.xywh.tolist() == on_time.found.xywh.tolist()
    assert late.found.frames.tolist() == on_time.found.frames.tolist()


@given(
    st.lists(st.integers(1, 8), max_size=8, unique=True).map(sorted), st.lists(st.integers(1, 8))
)
def test_without_latency_labels_at_the_ends_of_windows_have_their_own(labeled, windows):
    one = recording([k * DELTA_T for k in labeled], [k * DELTA_T for k in sorted(windows)])

    own, late = (
        pair_own_bin([one], delta_t=DELTA_T),
        pair_late([one], delta_t=DELTA_T, latency=0),
    )
    assert answers(own) == answers(late)
    assert answers(own) == [[k * DELTA_T] * windows.count(k) for k in labeled]


def spoil(boxes, **values):
    boxes = boxes.copy()
    for name, value in values.items():
        boxes[name][-1] = value
    return boxes


GOOD = boxes_at(50, 100)


@pytest.mark.parametrize(
    ("truth", "labeled", "found", "message"),
    [
        (GOOD, [100, 50], GOOD, "labeled_times of drive must increase"),
        (GOOD, [50], GOOD, "1 ground-truth boxes of drive .*labeled_times.*t=100 us"),
        (GOOD, [50, 100], GOOD[::-1], "detections of drive are not in order of time"),
        (
            GOOD,
            [50, 100],
            spoil(GOOD, class_id=3),
            r"1 of 2 detections of drive.*outside 1..2.*t=100 us is 3",
        ),
        (
            spoil(GOOD, class_id=0),
            [50, 100],
            GOOD,
            r"1 of 2 ground-truth boxes .*drive.* 1..2",
        ),
        (
            spoil(GOOD, w=-1),
            [50, 100],
            GOOD,
            "1 of 2 ground-truth boxes of drive.*negative side.*t=100 us",
        ),
        (
            GOOD,
            [50, 100],
            spoil(GOOD, class_confidence=np.nan),
            "1 of 2 detections of drive are not",
        ),
    ],
)
def test_what_makes_no_sense_is_named(truth, labeled, found, message):
    one = ScoredRecording("drive", truth, np.array(labeled), found)

    with pytest.raises(ValueError, match=message):
        check_recordings([one], num_classes=2, delta_t=DELTA_T)


def test_a_window_lasts():
    with pytest.raises(
        ValueError, match=re.escape("delta_t must be at least 1 microsecond, got 0")
    ):
        check_recordings([], num_classes=2, delta_t=0)


# --- what does not count ---


def test_without_flags_nothing_is_left_out():
    one = recording([100], [100], [100])
    assert without_ignored(one, delta_t=100) is one
    assert without_ignored(recording([], []), delta_t=0).truth.shape == (0,)
