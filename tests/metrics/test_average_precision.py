import json
import math
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from evdet.metrics import RECALL_POINTS, average_precision

EMPTY_TRUTH = np.zeros((0, 5), np.float32)
NAMES = ("a", "b", "c")


def detection_of(*rows):
    table = np.array(list(rows), np.float32).reshape(-1, 6)
    return {"boxes": table[:, :4], "labels": table[:, 4].astype(np.int64), "scores": table[:, 5]}


def truth_of(*rows):
    return np.array(list(rows), np.float32).reshape(-1, 5)


def random_boxes(rng, count):
    """Boxes from nothing to large; a coarse grid makes many of them coincide or touch."""
    corner = rng.integers(0, 12, (count, 2)) * 16.0
    sides = rng.choice([0, 8, 16, 32, 33, 64, 96, 150], (count, 2))
    return np.concatenate([corner, corner + sides], axis=1).astype(np.float32)


def random_frame(rng, num_classes, *, most_truths=6, most_detections=12):
    boxes = random_boxes(rng, rng.integers(0, most_truths + 1))
    # The last class never occurs in the truth.
    truth = np.column_stack([boxes, rng.integers(1, num_classes, len(boxes))]).astype(np.float32)
    false = random_boxes(rng, rng.integers(0, most_detections + 1))
    near = boxes + rng.choice([0, 0, 1, 2.5, 4], boxes.shape).astype(np.float32)
    near[:, 2:] = np.maximum(near[:, :2], near[:, 2:])
    found = np.concatenate([near, near[: len(near) // 2], false])
    labels = rng.integers(1, num_classes + 1, len(found))
    labels[: len(near)] = np.where(rng.random(len(near)) < 0.8, truth[:, 4], labels[: len(near)])
    # Few different scores: ties within and across frames.
    scores = rng.integers(0, 8, len(found)).astype(np.float32) / 7
    return truth, {"boxes": found, "labels": labels, "scores": scores}


def random_set(seed, *, num_frames=8, num_classes=4, **limits):
    rng = np.random.default_rng(seed)
    frames = [random_frame(rng, num_classes, **limits) for _ in range(num_frames)]
    return [truth for truth, _ in frames], [detection for _, detection in frames]


@pytest.fixture(scope="session")
def assert_equals_pycocotools(pycocotools_evaluation):
    return partial(assert_equals, pycocotools_evaluation)


def assert_equals(pycocotools_evaluation, truths, detections, num_classes=4):
    names = tuple(f"class {k}" for k in range(num_classes))
    ours = average_precision(truths, detections, names)
    stats, precision = pycocotools_evaluation(truths, detections, num_classes)

    numbers = [
        ours.map, ours.map50, ours.map75, *ours.per_size.values(),
        *ours.recall.values(), *ours.recall_per_size.values(),
    ]  # fmt: skip
    np.testing.assert_allclose(np.nan_to_num(numbers, nan=-1), stats, rtol=0, atol=1e-9)
    for k, name in enumerate(names):
        mine, theirs = ours.per_class[name], precision[:, :, k, 0]
        if not mine.num_truths:
            assert math.isnan(mine.ap)
            assert (theirs == -1).all()
            continue
        np.testing.assert_allclose(mine.precision50, theirs[0], rtol=0, atol=1e-9)
        np.testing.assert_allclose(mine.precision75, theirs[5], rtol=0, atol=1e-9)
        np.testing.assert_allclose(
            [mine.ap, mine.ap50, mine.ap75],
            [theirs.mean(), theirs[0].mean(), theirs[5].mean()],
            rtol=0,
            atol=1e-9,
        )


def test_no_frames_at_all_have_no_score():
    result = average_precision([], [], NAMES)

    assert math.isnan(result.map)
    assert result.precision50 == ()
    assert (result.num_frames, result.num_truths, result.num_detections) == (0, 0, 0)


def test_false_alarms_without_any_truth_have_no_score_but_are_counted():
    result = average_precision([EMPTY_TRUTH], [detection_of((0, 0, 9, 9, 1, 0.9))], NAMES)

    assert math.isnan(result.map)
    assert result.num_detections == result.per_class["a"].num_detections == 1


def test_finding_nothing_scores_zero():
    result = average_precision([truth_of((0, 0, 9, 9, 2))], [detection_of()], NAMES)

    assert result.map == result.map50 == result.per_class["b"].ap == 0
    assert math.isnan(result.per_class["a"].ap)


def test_finding_everything_scores_one():
    truth = truth_of((0, 0, 9, 9, 1), (20, 20, 90, 90, 2))
    result = average_precision(
        [truth], [detection_of((0, 0, 9, 9, 1, 0.4), (20, 20, 90, 90, 2, 0.9))], NAMES
    )

    assert result.map == pytest.approx(1)
    assert result.per_size["small"] == pytest.approx(1)
    assert result.per_size["medium"] == pytest.approx(1)
    assert math.isnan(result.per_size["large"])
    np.testing.assert_allclose(result.precision50, 1)
    assert len(result.precision50) == len(RECALL_POINTS) == 101


def test_a_case_worked_by_hand():
    # Best first: right, false, right. Two objects: precision 1 to recall 0.5 (51 points),
    # then 2/3. The second right one has IoU 0.8: it counts at 0.50 ... 0.80, 7 of 10 thresholds.
    truth = truth_of((0, 0, 10, 10, 1), (50, 50, 60, 60, 1))
    found = detection_of((0, 0, 10, 10, 1, 0.9), (80, 80, 90, 90, 1, 0.8), (50, 50, 60, 58, 1, 0.7))
    result = average_precision([truth], [found], ("a",))

    both, one = (51 + 50 * 2 / 3) / 101, 51 / 101
    assert result.map50 == pytest.approx(both)
    assert result.map75 == pytest.approx(both)
    assert result.map == pytest.approx((7 * both + 3 * one) / 10)


def test_false_alarms_on_a_frame_annotated_as_empty_cost():
    truths = [truth_of((0, 0, 9, 9, 1)), EMPTY_TRUTH]
    right = detection_of((0, 0, 9, 9, 1, 0.5))

    quiet = average_precision(truths, [right, detection_of()], NAMES)
    loud = average_precision(truths, [right, detection_of((5, 5, 9, 9, 1, 0.9))], NAMES)

    assert quiet.map == pytest.approx(1)
    assert loud.map == pytest.approx(0.5)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(2, 5))
@settings(max_examples=30, deadline=None)
def test_random_sets_score_as_pycocotools_does(
    assert_equals_pycocotools, seed, num_frames, num_classes
):
    truths, detections = random_set(seed, num_frames=num_frames, num_classes=num_classes)
    assert_equals_pycocotools(truths, detections, num_classes)


def test_crowded_frames_score_as_pycocotools_does(assert_equals_pycocotools):
    # More than 100 detections of one class in a frame, nearly all of them tied.
    assert_equals_pycocotools(
        *random_set(5, num_frames=4, num_classes=2, most_truths=40, most_detections=500), 2
    )


def test_overlaps_computed_in_small_parts_give_the_same(monkeypatch):
    truths, detections = random_set(7)
    whole = average_precision(truths, detections, ("a", "b", "c", "d"))
    monkeypatch.setattr("evdet.metrics.matching._MAX_PAIRS", 3)
    assert average_precision(truths, detections, ("a", "b", "c", "d")) == whole


def test_recall_counts_the_best_1_10_and_all():
    # 20 objects of one class in a frame, found in turn: the best detection finds one of them.
    boxes = np.stack([np.arange(20), np.zeros(20), np.arange(20) + 1, np.ones(20)], axis=1)
    truth = np.column_stack([boxes, np.ones(20)]).astype(np.float32)
    found = {
        "boxes": boxes.astype(np.float32),
        "labels": np.ones(20, np.int64),
        "scores": np.linspace(1, 0.1, 20).astype(np.float32),
    }
    result = average_precision([truth], [found], ("a",))

    assert result.recall == pytest.approx({"1": 0.05, "10": 0.5, "100": 1})
    assert result.recall_per_size["small"] == pytest.approx(1)
    assert math.isnan(result.recall_per_size["large"])


def test_only_the_best_detections_of_a_class_in_a_frame_count():
    truth = truth_of((0, 0, 9, 9, 1))
    found = detection_of((50, 50, 59, 59, 1, 0.9), (0, 0, 9, 9, 1, 0.8), (50, 50, 59, 59, 2, 0.95))

    assert average_precision([truth], [found], NAMES, max_detections=2).map == pytest.approx(0.5)
    assert average_precision([truth], [found], NAMES, max_detections=1).map == 0


def test_tensors_and_arrays_score_alike():
    truths, detections = random_set(3)
    names = ("a", "b", "c", "d")
    tensors = average_precision(
        [torch.from_numpy(truth) for truth in truths],
        [{key: torch.from_numpy(value) for key, value in d.items()} for d in detections],
        names,
    )

    assert tensors.as_dict() == average_precision(truths, detections, names).as_dict()


def test_the_result_survives_json_with_none_for_what_has_no_truth():
    result = average_precision([truth_of((0, 0, 9, 9, 2))], [detection_of()], NAMES).as_dict()

    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["protocol"] == "coco"
    assert result["per_class"]["a"]["ap"] is None
    assert result["per_class"]["b"]["precision50"] == [0] * 101


def test_scoring_prints_nothing(capfd):
    average_precision(*random_set(1), ("a", "b", "c", "d"))

    assert capfd.readouterr() == ("", "")


def test_scoring_loads_neither_opencv_nor_a_compiler():
    code = (
        "import sys; from evdet.metrics import average_precision; average_precision([], [], ['a']);"
        "sys.exit(bool({'numba', 'cv2'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_lies_in_a_crowd_is_no_false_alarm():
    # A crowd of 100 x 100, two boxes in it, one half in it, and an object that is found last.
    truth = truth_of((0, 0, 100, 100, 1), (200, 0, 210, 10, 1))
    found = detection_of(
        (10, 10, 20, 20, 1, 0.9),
        (50, 50, 90, 90, 1, 0.8),
        (90, 0, 110, 10, 1, 0.7),
        (200, 0, 210, 10, 1, 0.6),
    )

    result = average_precision([truth], [found], NAMES, iscrowd=[np.array([1, 0])])

    # At IoU 0.50 half in the crowd is in it; from 0.55 on it is a false alarm.
    assert result.map50 == pytest.approx(1)
    assert result.map75 == pytest.approx(1 / 2)
    assert result.map == pytest.approx((1 + 9 / 2) / 10)
    assert result.num_truths == result.per_class["a"].num_truths == 1
    assert average_precision([truth], [found], NAMES).map50 < 0.5


def test_a_class_of_crowds_alone_has_no_score():
    truth, found = truth_of((0, 0, 100, 100, 1)), detection_of((0, 0, 9, 9, 1, 0.5))
    crowd = torch.ones(1, dtype=torch.bool)

    assert math.isnan(average_precision([truth], [found], NAMES, iscrowd=[crowd]).map)


def test_an_object_on_the_limit_of_two_sizes_is_of_both():
    truth = truth_of((0, 0, 32, 32, 1), (200, 0, 248, 192, 1))
    result = average_precision([truth], [detection_of((0, 0, 32, 32, 1, 0.9))], NAMES)

    assert result.per_size["small"] == pytest.approx(1)
    assert result.per_size["medium"] == pytest.approx(51 / 101)
    assert result.per_size["large"] == 0


@pytest.mark.parametrize(
    ("iscrowd", "message"),
    [
        ([], "truths for 1 frames and detections for 1 and iscrowd for 0"),
        ([np.zeros(2)], r"iscrowd of frame 0 must be \(1,\).*but is \(2,\)"),
        ([np.array([np.nan])], "iscrowd must be 0 or 1, got nan"),
    ],
)
def test_crowds_that_do_not_fit_are_refused(iscrowd, message):
    with pytest.raises(ValueError, match=message):
        average_precision([truth_of((0, 0, 9, 9, 1))], [detection_of()], NAMES, iscrowd=iscrowd)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", range(6))
def test_what_is_not_finite_is_refused_with_its_frame(bad, column):
    row = np.array([[0, 0, 9, 9, 1, 0.5]], np.float32)
    row[0, column] = bad
    found = {"boxes": row[:, :4], "labels": row[:, 4], "scores": row[:, 5]}
    with pytest.raises(ValueError, match=r"1 of 1 detections are not finite.* in frame 1"):
        average_precision([EMPTY_TRUTH] * 2, [detection_of(), found], NAMES)
    if column < 5:
        with pytest.raises(ValueError, match=r"1 of 1 ground-truth boxes .*finite.* in frame 0"):
            average_precision([row[:, :5]], [detection_of()], NAMES)


@pytest.mark.parametrize(
    ("truths", "detections", "message"),
    [
        ([EMPTY_TRUTH], [], "truths for 1 frames and detections for 0"),
        (
            [truth_of((0, 0, 9, 9, 4))],
            [detection_of()],
            r"1 of 1 ground-truth boxes have a label outside 1..3; the first in frame 0 is 4",
        ),
        (
            [EMPTY_TRUTH],
            [detection_of((0, 0, 9, 9, 0, 0.5))],
            "1 of 1 detections have a label .* in frame 0 is 0",
        ),
        ([EMPTY_TRUTH], [detection_of((0, 0, 9, 9, 1, np.nan))], "1 of 1 .* are not finite"),
        ([truth_of((9, 9, 0, 0, 1))], [detection_of()], "negative side.*x y width height"),
        (
            [EMPTY_TRUTH],
            [{**detection_of((0, 0, 9, 9, 1, 0.5)), "scores": np.zeros(2, np.float32)}],
            r"detections of frame 0 must be .* but are \(1, 4\), \(1,\), \(2,\)",
        ),
    ],
)
def test_sets_that_do_not_fit_are_refused(truths, detections, message):
    with pytest.raises(ValueError, match=message):
        average_precision(truths, detections, NAMES)


def test_class_names_must_differ():
    with pytest.raises(ValueError, match="all different"):
        average_precision([], [], ("a", "a"))


@pytest.mark.slow
def test_scoring_takes_at_most_a_fifteenth_of_the_time_of_pycocotools(pycocotools_evaluation):
    # As many boxes in a frame and a class as in benchmarks/scoring.py, which takes five times more.
    rng = np.random.default_rng(0)
    truths, detections = [], []
    for _ in range(1000):
        corner = rng.uniform(0, 100, (4, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(10, 60, (4, 2))], axis=1)
        labels = rng.integers(1, 11, 4)
        found = np.tile(boxes, (4, 1)) + np.clip(rng.normal(0, 2, (16, 4)), -4, 4)
        scores = rng.random(16).astype(np.float32)
        truths.append(np.column_stack([boxes, labels]).astype(np.float32))
        detections.append(
            {"boxes": found.astype(np.float32), "labels": np.tile(labels, 4), "scores": scores}
        )
    names = tuple(map(str, range(10)))

    def seconds(call):
        # Processor time: other processes do not count.
        start = time.process_time()
        call()
        return time.process_time() - start

    ours = min(seconds(lambda: average_precision(truths, detections, names)) for _ in range(3))
    theirs = seconds(lambda: pycocotools_evaluation(truths, detections, 10))
    assert ours <= theirs / 15


def test_scores_are_shown_in_one_line_and_as_a_table():
    scores = average_precision([], [], ["car", "<b>"])

    assert repr(scores) == (
        "AveragePrecision(coco: mAP nan, mAP50 nan; 0 frames, 0 objects, 0 detections)"
    )
    assert "<td" in scores._repr_html_()
    assert "&lt;b&gt;" in scores._repr_html_()
