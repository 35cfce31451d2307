import numpy as np

from evdet.metrics import worst_frames

HERE, THERE = (0, 0, 10, 10), (50, 50, 60, 60)


def truth_of(*rows):
    return np.array([(*box, label) for box, label in rows], np.float32).reshape(-1, 5)


def detection_of(*rows):
    return {
        "boxes": np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4),
        "labels": np.array([label for _, label, _ in rows], np.int64),
        "scores": np.array([score for _, _, score in rows], np.float32),
    }


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
