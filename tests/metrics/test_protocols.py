import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from evdet.boxes import BOX_DTYPE
from evdet.metrics import (
    PROTOCOLS,
    ScoredRecording,
    get_protocol,
    keep_counted,
    score_recordings,
)

COCO, PEROT, RVT = (PROTOCOLS[name] for name in ("coco", "perot2020-gen1", "rvt-gen1"))
NAMES = ("car", "pedestrian")
SECOND = 1_000_000
WITH_CLASS_SCORE = np.dtype([*BOX_DTYPE.descr, ("class_score", "<f4")])


def boxes_of(*rows, dtype=BOX_DTYPE):
    """Rows t x y w h class_id score [class_score]."""
    boxes = np.zeros(len(rows), dtype)
    for box, (t, x, y, w, h, class_id, score, *rest) in zip(boxes, rows, strict=True):
        box["t"], box["x"], box["y"], box["w"], box["h"] = t, x, y, w, h
        box["class_id"], box["class_confidence"] = class_id, score
        if rest:
            box["class_score"] = rest[0]
    return boxes


def recording_of(truth, detections, times=None, name="one"):
    annotated = np.unique(truth["t"]) if times is None else np.array(times, np.int64)
    return ScoredRecording(name, truth, annotated.astype(np.int64), detections)


def score(protocol, truth, detections, times=None, **options):
    return score_recordings([recording_of(truth, detections, times)], NAMES, protocol, **options)


def test_no_recordings_have_no_score():
    for protocol in PROTOCOLS.values():
        result = score_recordings([], NAMES, protocol)
        assert np.isnan(result.map)
        assert (result.num_frames, result.protocol) == (0, protocol.name)


def test_a_recording_without_boxes_is_one_without_frames_to_score():
    assert score(PEROT, boxes_of(), boxes_of(), times=[SECOND]).num_frames == 0
    assert score(COCO, boxes_of(), boxes_of(), times=[SECOND]).num_frames == 1


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"'perot2020-gen2'.* coco, .*mean perot2020"):
        get_protocol("perot2020-gen2")
    assert get_protocol("coco") is COCO


def test_the_rules_travel_with_the_numbers():
    plain = score(PEROT, boxes_of(), boxes_of()).as_dict()
    assert plain["protocol"] == "perot2020-gen1"
    assert plain["rules"]["skip_until"] == 500_000
    assert plain["rules"]["classes"] == list(NAMES)
    assert plain["rules"]["iou_thresholds"][-1] == 0.95
    assert plain["rules"]["deviations"] == []
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


# Windows of 50 ms end at 0.95, 1.00 and 1.05 s; the object is labelled at 1.00 s and moves by 12
# pixels a window, so that only the window in the middle overlaps it by more than a half.
MOVING = boxes_of((SECOND, 100, 50, 40, 40, 1, 1))
WINDOWS = boxes_of(
    (950_000, 88, 50, 40, 40, 1, 0.9),
    (1_000_000, 100, 50, 40, 40, 1, 0.8),
    (1_050_000, 112, 50, 40, 40, 1, 0.7),
)


def test_perot2020_hands_a_label_three_windows_and_rvt_the_one_that_ends_with_it():
    # IoU of the first window with the label: 28 / 52 = 0.54. It has the best score, so at IoU 0.50
    # it takes the object; at the nine higher thresholds it is a false alarm before the right one.
    perot = score(PEROT, MOVING, WINDOWS)
    assert perot.num_detections == 3
    assert perot.map50 == pytest.approx(1)
    assert perot.map75 == pytest.approx(1 / 2)
    assert perot.map == pytest.approx((1 + 9 / 2) / 10)

    rvt = score(RVT, MOVING, WINDOWS, delta_t=50_000)
    assert rvt.num_detections == 1
    assert rvt.map == pytest.approx(1)


def test_the_span_of_perot2020_ends_after_exactly_50_ms():
    late = boxes_of((1_050_001, 100, 50, 40, 40, 1, 0.7))
    assert score(PEROT, MOVING, late).map == 0
    assert score(PEROT, MOVING, WINDOWS[[2]]).num_detections == 1


def test_dense_labels_are_handed_the_same_detection_several_times():
    truth = boxes_of(*((SECOND + k * 16_000, 100, 50, 40, 40, 1, 1) for k in range(4)))
    found = boxes_of((SECOND + 20_000, 100, 50, 40, 40, 1, 0.5))
    assert score(PEROT, truth, found).num_detections == 4
    # They lie in two bins, (0.95, 1.00] and (1.00, 1.05]; of the second only the last label counts.
    assert score(RVT, truth, found, delta_t=50_000).num_frames == 2
    assert score(RVT, truth, found, delta_t=50_000).num_detections == 1


def test_boxes_in_the_first_half_second_are_skipped():
    truth = boxes_of((500_000, 0, 0, 40, 40, 1, 1), (500_001, 0, 0, 40, 40, 1, 1))
    found = boxes_of((500_000, 0, 0, 40, 40, 1, 0.5))
    result = score(PEROT, truth, found)
    assert (result.num_truths, result.num_detections) == (1, 0)
    assert score(COCO, truth, found).num_truths == 2


@pytest.mark.parametrize(
    ("protocol", "w", "h", "kept"),
    [
        ("perot2020-gen1", 10, 40, True),
        ("perot2020-gen1", 9.99, 40, False),
        ("perot2020-gen1", 18, 24, True),  # its diagonal is 30
        ("perot2020-gen1", 18, 23.9, False),
        ("perot2020-1mpx", 36, 48, True),
        ("perot2020-1mpx", 36, 47.9, False),
        ("perot2020-1mpx", 19.9, 90, False),
        ("rvt-1mpx", 18, 24, True),  # in pixels of twice the size
        ("coco", 0, 1, True),
    ],
)
def test_small_boxes_are_left_out_of_truth_and_detections(protocol, w, h, kept):
    box = boxes_of((SECOND, 0, 0, w, h, 1, 0.5))
    result = score(PROTOCOLS[protocol], box, box)
    assert (result.num_truths, result.num_detections) == (kept, kept)


def test_times_without_objects_count_only_under_coco():
    truth = boxes_of((SECOND, 0, 0, 40, 40, 1, 1), (2 * SECOND, 0, 0, 5, 5, 1, 1))
    found = boxes_of(
        (SECOND, 0, 0, 40, 40, 1, 0.5),
        (2 * SECOND, 50, 50, 40, 40, 1, 0.9),
        (3 * SECOND, 50, 50, 40, 40, 1, 0.9),
    )
    times = [SECOND, 2 * SECOND, 3 * SECOND]
    # At 2 s the only object is too small, so perot2020 does not look there.
    assert score(PEROT, truth, found, times).map == pytest.approx(1)
    assert score(PEROT, truth, found, times).num_frames == 1
    loud = score(COCO, truth[:1], found, times)
    assert loud.num_frames == 3
    assert loud.map == pytest.approx(1 / 3)


def test_a_frame_that_nobody_labelled_costs_nothing():
    found = boxes_of((SECOND, 100, 50, 40, 40, 1, 0.5), (5 * SECOND, 0, 0, 90, 90, 1, 0.9))
    for protocol in (COCO, PEROT, RVT):
        assert score(protocol, MOVING, found).map == pytest.approx(1)


def test_rvt_ranks_by_the_score_of_the_class_alone():
    right = (SECOND, 100, 50, 40, 40, 1, 0.3, 0.9)
    wrong = (SECOND, 10, 150, 40, 40, 1, 0.6, 0.8)  # a better objectness
    found = boxes_of(right, wrong, dtype=WITH_CLASS_SCORE)
    assert score(RVT, MOVING, found).map == pytest.approx(1)
    assert score(RVT, MOVING, found).rules["ranking"] == "class_score"
    assert score(PEROT, MOVING, found).map == pytest.approx(1 / 2)


def test_without_class_scores_rvt_ranks_by_the_score_and_says_so():
    result = score(RVT, MOVING, WINDOWS[[1]])
    assert result.rules["ranking"] == "score"
    assert "class score" in result.rules["deviations"][0]
    # A recording in which nothing was found says nothing about what detections have.
    both = [
        recording_of(MOVING, boxes_of((SECOND, 0, 0, 40, 40, 1, 0.5, 0.5), dtype=WITH_CLASS_SCORE)),
        recording_of(MOVING, boxes_of()),
    ]
    assert score_recordings(both, NAMES, RVT).rules["deviations"] == []


def test_recordings_are_scored_together_and_not_averaged():
    # One right detection of score 0.5 and one false alarm of score 0.9, each in its recording.
    good = recording_of(MOVING, boxes_of((SECOND, 100, 50, 40, 40, 1, 0.5)), name="good")
    bad = recording_of(MOVING, boxes_of((SECOND, 0, 0, 40, 40, 1, 0.9)), name="bad")
    assert score_recordings([good, bad], NAMES, PEROT).map == pytest.approx(51 / 101 / 2)


def test_what_counts_keeps_all_fields_of_the_boxes():
    dtype = np.dtype([*BOX_DTYPE.descr, ("still_us", "<i8")])
    truth = boxes_of((10, 0, 0, 40, 40, 1, 1), (SECOND, 0, 0, 40, 40, 1, 1), dtype=dtype)
    truth["still_us"] = [7, 8]
    counted = keep_counted(recording_of(truth, WINDOWS, [10, SECOND, 2 * SECOND]), PEROT)
    assert counted.truth["still_us"].tolist() == [8]
    assert counted.labeled_times.tolist() == [SECOND]
    assert len(counted.detections) == 3


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((SECOND, 0, 0, 40, 40, 3, 0.5), "1 of 1 detections have a label outside 1..2.* is 3"),
        ((SECOND, 0, np.nan, 40, 40, 1, 0.5), "1 of 1 detections are not finite"),
    ],
)
def test_boxes_that_mean_nothing_are_refused(box, message):
    with pytest.raises(ValueError, match=message):
        score(COCO, MOVING, boxes_of(box))


def random_boxes(rng, times, *, num_classes, most, scored):
    """Boxes from nothing to large on a coarse grid, many of them alike and with equal scores."""
    rows = []
    for t in times:
        for _ in range(rng.integers(0, most + 1)):
            corner, sides = rng.integers(0, 4, 2) * 16, rng.choice([0, 8, 31, 64, 150], 2)
            rank = rng.integers(1, 5) / 4 if scored else 1
            rows.append((t, *corner, *sides, rng.integers(1, num_classes + 1), rank))
    return boxes_of(*rows)


@given(st.integers(0, 2**32 - 1), st.sampled_from([4, 130]))
@settings(max_examples=25, deadline=None)
def test_coco_scores_as_pycocotools_does_on_nasty_sets(
    pycocotools_evaluation, seed, most_detections
):
    rng = np.random.default_rng(seed)
    recordings = []
    for name in ("one", "two"):
        annotated = np.unique(rng.integers(0, 12, 4)) * 50_000
        # Some detections lie at times that nobody labelled, and some labelled times have none.
        found_at = np.unique(rng.integers(0, 12, 3)) * 50_000
        truth = random_boxes(rng, annotated, num_classes=2, most=3, scored=False)
        found = random_boxes(rng, found_at, num_classes=3, most=most_detections, scored=True)
        recordings.append(ScoredRecording(name, truth, annotated, found))
    ours = score_recordings(recordings, ("a", "b", "c"), COCO)

    frames = [(one, t) for one in recordings for t in one.labeled_times]
    truths = [to_corners(one.truth[one.truth["t"] == t]) for one, t in frames]
    found = [to_corners(one.detections[one.detections["t"] == t]) for one, t in frames]
    if not any(len(truth) for truth in truths):
        assert np.isnan(ours.map)
        return
    stats, precision = pycocotools_evaluation(
        [truth[:, :5] for truth in truths],
        [{"boxes": d[:, :4], "labels": d[:, 4], "scores": d[:, 5]} for d in found],
        3,
    )
    assert_numbers(ours, stats)
    for k, part in enumerate(ours.per_class.values()):
        reference = precision[:, :, k, 0]
        if part.num_truths:
            assert part.ap == pytest.approx(reference.mean(), abs=1e-9)


def to_corners(boxes):
    x, y, w, h = (boxes[name].astype(np.float64) for name in ("x", "y", "w", "h"))
    return np.stack([x, y, x + w, y + h, boxes["class_id"], boxes["class_confidence"]], axis=1)


def assert_numbers(ours, stats):
    """The twelve numbers of pycocotools, -1 where there is none."""
    numbers = [
        ours.map, ours.map50, ours.map75, *ours.per_size.values(),
        *ours.recall.values(), *ours.recall_per_size.values(),
    ]  # fmt: skip
    np.testing.assert_allclose(np.nan_to_num(numbers, nan=-1), stats, rtol=0, atol=1e-9)


def golden(folder, name, expected):
    arrays = np.load(folder / f"{name}.npz")
    for i in range(expected["recordings"]):
        truth, found = arrays[f"gt{i}"].copy(), arrays[f"dt{i}"].copy()
        truth["class_id"] += 1
        found["class_id"] += 1
        yield recording_of(truth, found, name=f"{name} {i}")


def test_perot2020_scores_as_the_toolbox_of_the_data_sets_does(event_data):
    folder = event_data / "protocol_golden"
    cases = json.loads((folder / "expected.json").read_text())
    assert len(cases) == 5
    for name, expected in cases.items():
        protocol = PROTOCOLS[expected["protocol"]]
        assert protocol.classes == tuple(expected["classes"])
        ours = score_recordings(list(golden(folder, name, expected)), expected["classes"], protocol)
        assert_numbers(ours, expected["stats"])
        np.testing.assert_allclose(
            [part.ap for part in ours.per_class.values()], expected["per_class"], rtol=0, atol=1e-9
        )


def test_the_table_is_the_one_of_the_documentation():
    page = (Path(__file__).parents[2] / "docs" / "concepts" / "scores.md").read_text()
    table = page[page.index("| | `coco`") :].split("\n\n")[0]
    head, _, *rows = (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()
    )
    columns = {name.strip("`"): values for name, *values in zip(head, *rows, strict=True)}
    del columns[""]
    assert list(columns) == list(PROTOCOLS)
    for name, row in PROTOCOLS.items():
        assert row.skip_until in (None, 500_000)
        assert row.tolerance in (None, 50_000)
        assert columns[name] == [
            "counts" if row.skip_until is None else "left out",
            f"{row.min_diag:g}",
            f"{row.min_side:g}",
            row.pixels,
            "of its time bin" if row.tolerance is None else "within 50 ms",
            "count" if row.counts_empty else "left out",
            row.ranking.replace("_", " "),
            "all" if row.start_before_label is None else str(row.start_before_label),
            "carried" if row.reset_every is None else f"emptied every {row.reset_every} frames",
            ", ".join(row.classes) or "all",
        ]
        assert row.max_detections == 100
        assert f"- `{name}`" in page or f"and `{name}`" in page
