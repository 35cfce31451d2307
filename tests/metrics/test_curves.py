import json
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from evdet.boxes import BOX_DTYPE
from evdet.metrics import ScoredRecording, average_precision
from evdet.metrics.curves import performance_curves

NAMES = ("car", "bus")
DELTA_T = 50_000
TRUTH_DTYPE = np.dtype([*BOX_DTYPE.descr, ("still_us", "<i8"), ("num_events", "<i8")])
GROUP_CURVES = ("by_stillness", "by_size", "by_num_events", "by_latency")


def curves_of(*recordings, **options):
    return performance_curves(recordings, NAMES, size=(240, 304), delta_t=DELTA_T, **options)


def boxes_of(*rows, dtype=TRUTH_DTYPE):
    """Box events of (window, x, class id, track, seconds of stillness, events), 20 x 20 pixels."""
    boxes = np.zeros(len(rows), dtype)
    for box, (window, x, label, track, still, events) in zip(boxes, rows, strict=True):
        box["t"], box["x"], box["w"], box["h"] = window * DELTA_T, x, 20, 20
        box["class_id"], box["track_id"], box["class_confidence"] = label, track, 1
        if dtype is TRUTH_DTYPE:
            box["still_us"], box["num_events"] = still * 1e6, events
    return boxes


def recording(truth, found, labeled=None):
    times = np.unique(truth["t"]) if labeled is None else np.array(labeled) * DELTA_T
    return ScoredRecording("drive", truth, times, found)


def only(curve):
    """The points of a curve that have objects, by label."""
    return {point.label: point for point in curve.points if point.num_truths}


# A car that drives for two windows and then rests for four; a bus that moves on and on.
TRUTH = boxes_of(
    *[
        row
        for window in range(1, 7)
        for row in (
            (window, 10 * window, 1, 1, max(0, window - 2) / 20, 300 if window < 3 else 0),
            (window, 100, 2, 2, 0, 70),
        )
    ]
)


@pytest.mark.parametrize(
    "recordings", [(), (recording(boxes_of(), boxes_of(), labeled=[1, 2]),)], ids=["none", "empty"]
)
def test_without_objects_every_curve_is_absent_and_says_why(recordings):
    curves = curves_of(*recordings)

    for name in (*GROUP_CURVES, "first_detection"):
        assert getattr(curves, name) is None
        assert curves.reasons[name] == "the recordings have no labelled objects"


def test_labels_without_the_fields_say_what_is_missing():
    truth = boxes_of((1, 0, 1, 0, 0, 0), dtype=BOX_DTYPE)
    curves = curves_of(recording(truth, truth))

    assert curves.by_stillness is curves.by_num_events is curves.first_detection is None
    assert "field still_us" in curves.reasons["by_stillness"]
    assert "field num_events" in curves.reasons["by_num_events"]
    assert "track_id is 0" in curves.reasons["first_detection"]
    assert only(curves.by_size)["16–23 px"].ap == only(curves.by_latency)["0 ms"].ap == 1


def test_recordings_without_a_field_are_left_out_of_its_curve_alone():
    plain = boxes_of((1, 0, 1, 0, 0, 0), dtype=BOX_DTYPE)
    nothing_there = recording(plain[:0], plain, labeled=[1])
    curves = curves_of(nothing_there, recording(TRUTH, TRUTH), recording(plain, plain[:0]))

    assert sum(point.num_truths for point in curves.by_stillness.points) == len(TRUTH)
    assert sum(point.num_truths for point in curves.by_size.points) == len(TRUTH) + 1
    assert curves.reasons["by_stillness"].startswith("1 of 3 recordings are left out")
    # The recording without objects has nothing to group, and a false alarm that counts.
    assert only(curves.by_stillness)["moving"].recall50 == 1
    assert only(curves.by_stillness)["moving"].ap < 1


def test_a_perfect_detector_scores_one_everywhere():
    curves = curves_of(recording(TRUTH, TRUTH))

    for name in ("by_stillness", "by_size", "by_num_events"):
        for point in getattr(curves, name).points:
            if point.num_truths:
                assert (point.ap, point.ap50, point.recall50) == (1, 1, 1)
            else:
                assert math.isnan(point.ap)
                assert math.isnan(point.recall50)
    assert curves.by_latency.points[0].ap == 1
    assert curves.first_detection.p90_us == 0


def test_a_detector_without_memory_sees_nothing_that_rests():
    curves = curves_of(recording(TRUTH, TRUTH[TRUTH["still_us"] == 0]))
    groups = only(curves.by_stillness)

    assert list(groups) == ["moving", "up to 0.1 s", "0.1–0.2 s"]
    assert [group.num_truths for group in groups.values()] == [8, 2, 2]
    assert [group.ap for group in groups.values()] == [1, 0, 0]
    assert [group.recall50 for group in groups.values()] == [1, 0, 0]
    assert {label: group.ap for label, group in only(curves.by_num_events).items()} == {
        "0": 0,
        "64–127": 1,
        "256–511": 1,
    }


def test_latency_worked_by_hand():
    # The bus stays where it is, so old boxes serve it, but nothing is ready in the first windows.
    # The car moves by half its width a window and then rests: old boxes miss it (IoU 1/3).
    curves = curves_of(recording(TRUTH, TRUTH), latencies=(0, 1, 50_000, 50_001))

    recalls = [point.recall50 for point in curves.by_latency.points]
    assert recalls == [1, 5 / 12, 5 / 12, 4 / 12]


def test_boxes_between_windows_are_late_by_a_part_of_one():
    truth = TRUTH.copy()
    truth["t"] -= 20_000
    found = TRUTH
    curves = curves_of(recording(truth, found), latencies=(0,))

    # In its own window every label is found; when it was made, the window had not ended.
    assert only(curves.by_size)["16–23 px"].recall50 == 1
    assert curves.by_latency.points[0].recall50 == 5 / 12
    assert curves.first_detection.median_us == 20_000


def test_the_dictionary_is_json_without_nan():
    curves = curves_of(recording(TRUTH, TRUTH[:0]))
    plain = json.loads(json.dumps(curves.as_dict(), allow_nan=False))

    assert plain["by_stillness"]["points"][3] == {
        "label": "0.2–0.5 s",
        "low": 200_000,
        "high": 500_000,
        "num_truths": 0,
        "ap": None,
        "ap50": None,
        "recall50": None,
    }
    assert plain["first_detection"]["median_us"] is None
    assert plain["first_detection"]["num_tracks"] == 2
    assert (plain["size"], plain["num_frames"], plain["num_truths"]) == ([240, 304], 6, 12)


def test_the_recordings_are_left_as_they_were():
    one = recording(TRUTH.copy(), TRUTH.copy())
    curves_of(one)

    np.testing.assert_array_equal(one.truth, TRUTH)
    np.testing.assert_array_equal(one.detections, TRUTH)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score_thresh": 2.0}, "score_thresh must be between 0 and 1, got 2.0"),
        ({"max_detections": 0}, "max_detections must be at least 1, got 0"),
        ({"latencies": (0, -5)}, r"latencies must not be negative, got [0, -5]"),
    ],
)
def test_arguments_out_of_range_are_named(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        curves_of(**options)


def test_a_box_of_an_unknown_class_is_named():
    with pytest.raises(ValueError, match=r"truth boxes of drive.*outside 1\.\.1"):
        performance_curves([recording(TRUTH, TRUTH)], ["car"], size=(9, 9), delta_t=DELTA_T)


def random_recording(seed):
    rng = np.random.default_rng(seed)
    rows = [
        (window, 25 * place, rng.integers(1, 3), place + 1, rng.choice([0, 0.1, 0.7, 9]), 2**place)
        for window in range(1, 7)
        for place in range(rng.integers(0, 5))
    ]
    truth = boxes_of(*rows)
    found = truth[rng.random(len(truth)) < 0.7]
    found["x"] += rng.choice([0, 2, 12], len(found))
    found["class_id"] = np.where(rng.random(len(found)) < 0.9, found["class_id"], 1)
    found["class_confidence"] = rng.integers(0, 6, len(found)) / 5
    return recording(truth, found, labeled=range(1, 7))


def coco(recordings):
    """The frames of the same windows, scored by COCO's rules."""
    truths, detections = [], []
    for one in recordings:
        for time in one.labeled_times:
            truth, found = (boxes[boxes["t"] == time] for boxes in (one.truth, one.detections))
            truths.append(np.column_stack([corners(truth), truth["class_id"]]))
            detections.append(
                {
                    "boxes": corners(found),
                    "labels": found["class_id"].astype(np.int64),
                    "scores": found["class_confidence"],
                }
            )
    return average_precision(truths, detections, NAMES)


def corners(boxes):
    x, y, w, h = (boxes[name].astype(float) for name in ("x", "y", "w", "h"))
    return np.stack([x, y, x + w, y + h], axis=1)


seeds = st.integers(0, 10**6)


@settings(max_examples=15)
@given(seeds)
def test_without_latency_it_is_the_average_precision_of_the_windows(seed):
    recordings = [random_recording(seed), random_recording(seed + 1)]
    curves, expected = curves_of(*recordings), coco(recordings)

    if expected.num_truths:
        assert curves.by_latency.points[0].ap == pytest.approx(expected.map)
        assert curves.by_latency.points[0].ap50 == pytest.approx(expected.map50)


@settings(max_examples=15)
@given(seeds)
def test_every_curve_counts_every_object_once(seed):
    curves = curves_of(random_recording(seed))

    if curves.num_truths:
        whole = curves.by_latency.points[0]
        for name in ("by_stillness", "by_size", "by_num_events"):
            points = [point for point in getattr(curves, name).points if point.num_truths]
            assert sum(point.num_truths for point in points) == curves.num_truths
            found = sum(point.num_truths * point.recall50 for point in points)
            assert found == pytest.approx(whole.num_truths * whole.recall50)


@settings(max_examples=15)
@given(seeds)
def test_objects_that_all_rest_alike_score_what_all_objects_do(seed):
    one = random_recording(seed)
    one.truth["still_us"] = 700_000
    curves = curves_of(one)

    if curves.num_truths:
        (group,) = only(curves.by_stillness).values()
        assert group.ap == pytest.approx(curves.by_latency.points[0].ap)


@settings(max_examples=15)
@given(seeds, st.integers(0, 200_000))
def test_latency_costs_nothing_where_nothing_moves_or_is_late_at_the_start(seed, latency):
    still = random_recording(seed)
    # The same scene in every window, and long before the first label.
    window = still.truth[still.truth["t"] == DELTA_T]
    windows = []
    for number in range(1, 12):
        windows.append(window.copy())
        windows[-1]["t"] = number * DELTA_T
    one = recording(np.concatenate(windows[5:]), np.concatenate(windows))
    curves = curves_of(one, latencies=(0, latency))

    if curves.by_latency is not None:
        first, second = curves.by_latency.points
        assert (first.ap, first.recall50) == (second.ap, second.recall50)
