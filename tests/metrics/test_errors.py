import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from evdet.metrics import confusion_matrix, worst_frames

NAMES = ("a", "b")
HERE, THERE, NEAR = (0, 0, 10, 10), (50, 50, 60, 60), (0, 0, 10, 8)  # NEAR and HERE: IoU 0.8


def truth_of(*rows):
    return np.array([(*box, label) for box, label in rows], np.float32).reshape(-1, 5)


def detection_of(*rows):
    return {
        "boxes": np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4),
        "labels": np.array([label for _, label, _ in rows], np.int64),
        "scores": np.array([score for _, _, score in rows], np.float32),
    }


def confusion(truth, detection, **thresholds):
    return confusion_matrix([truth], [detection], NAMES, **thresholds).tolist()


def test_no_frames_and_empty_frames_give_zeros():
    assert not confusion_matrix([], [], NAMES).any()
    assert not confusion_matrix([truth_of()], [detection_of()], NAMES).any()


def test_right_wrong_missed_and_false_have_their_cells():
    # rows: background, a, b; columns the same
    assert confusion(truth_of((HERE, 1)), detection_of((NEAR, 1, 0.9)))[1] == [0, 1, 0]
    assert confusion(truth_of((HERE, 1)), detection_of((NEAR, 2, 0.9)))[1] == [0, 0, 1]
    assert confusion(truth_of((HERE, 1)), detection_of())[1] == [1, 0, 0]
    assert confusion(truth_of(), detection_of((NEAR, 2, 0.9)))[0] == [0, 0, 1]


def test_the_best_score_chooses_first_and_an_object_is_found_once():
    found = detection_of((HERE, 1, 0.5), (NEAR, 2, 0.8))

    assert confusion(truth_of((HERE, 1)), found) == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]


def test_of_equal_scores_the_earlier_chooses_first():
    found = detection_of((NEAR, 2, 0.5), (HERE, 1, 0.5))

    assert confusion(truth_of((HERE, 1)), found) == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]


def test_a_detection_takes_the_closest_object_that_is_free():
    truth = truth_of((NEAR, 2), (HERE, 1))
    found = detection_of((HERE, 1, 0.9), (HERE, 2, 0.8))

    assert confusion(truth, found) == [[0, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_thresholds_include_their_values():
    truth, found = truth_of((HERE, 1)), detection_of((NEAR, 1, 0.5))

    assert confusion(truth, found, score_thresh=0.5, iou_thresh=0.8)[1] == [0, 1, 0]
    assert confusion(truth, found, score_thresh=0.51)[1] == [1, 0, 0]
    assert confusion(truth, found, iou_thresh=0.81) == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]


ROW = st.tuples(st.sampled_from([HERE, THERE, NEAR]), st.integers(1, 2), st.floats(0, 1, width=32))


@given(st.lists(st.tuples(st.lists(ROW, max_size=5), st.lists(ROW, max_size=5)), max_size=4))
@settings(max_examples=50, deadline=None)
def test_every_object_and_every_detection_is_counted_once(frames):
    truths = [truth_of(*((box, label) for box, label, _ in truth)) for truth, _ in frames]
    detections = [detection_of(*found) for _, found in frames]
    matrix = confusion_matrix(truths, detections, NAMES, score_thresh=0.3)

    for label in (1, 2):
        assert matrix[label].sum() == sum((truth[:, 4] == label).sum() for truth in truths)
        assert matrix[:, label].sum() == sum(
            ((found["labels"] == label) & (found["scores"] >= 0.3)).sum() for found in detections
        )
    assert matrix[0, 0] == 0


def test_thresholds_out_of_range_are_refused():
    with pytest.raises(ValueError, match="score_thresh must be between 0 and 1"):
        confusion_matrix([], [], NAMES, score_thresh=2.0)
    with pytest.raises(ValueError, match="iou_thresh must be above 0 and at most 1"):
        confusion_matrix([], [], NAMES, iou_thresh=0.0)


def test_of_equal_overlaps_the_earlier_object_is_found():
    truth = truth_of((HERE, 1), (HERE, 2))

    assert confusion(truth, detection_of((NEAR, 1, 0.9))) == [[0, 0, 0], [0, 1, 0], [1, 0, 0]]


def test_no_frames_and_frames_without_errors_are_no_failures():
    assert worst_frames([], []) == []
    frame = truth_of((HERE, 1))
    assert worst_frames([frame, truth_of()], [detection_of((HERE, 1, 0.9)), detection_of()]) == []


def test_missed_false_and_wrong_are_told_apart():
    truth = truth_of((HERE, 1), ((20, 20, 30, 30), 2))
    found = detection_of((HERE, 2, 0.75), (THERE, 1, 0.5), (THERE, 1, 0.1))

    (failure,) = worst_frames([truth], [found])

    assert (failure.missed, failure.false_alarms, failure.wrong_class) == (1, 1, 1)
    assert failure.total == 3
    assert failure.confidence == 1.25


def test_the_worst_come_first_then_the_surest_then_the_earliest():
    truths = [truth_of()] * 4 + [truth_of((HERE, 1), (THERE, 1))]
    detections = [
        detection_of((HERE, 1, 0.4)),
        detection_of((HERE, 1, 0.9)),
        detection_of((HERE, 1, 0.4)),
        detection_of(),
        detection_of(),
    ]

    assert [f.index for f in worst_frames(truths, detections)] == [4, 1, 0, 2]
    assert [f.index for f in worst_frames(truths, detections, max_frames=2)] == [4, 1]
