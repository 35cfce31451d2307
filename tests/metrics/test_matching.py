import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.boxes import BOX_DTYPE
from evdet.metrics import average_precision
from evdet.metrics.frame_table import FrameTable, to_box_table
from evdet.metrics.grouped_precision import score_groups
from evdet.metrics.matching import IOU_THRESHOLDS, match_boxes

NAMES = ("a", "b", "c")


def boxes_of(*rows):
    """Box events of (x, y, w, h, class id, score)."""
    boxes = np.zeros(len(rows), BOX_DTYPE)
    for box, (x, y, w, h, label, score) in zip(boxes, rows, strict=True):
        box["x"], box["y"], box["w"], box["h"] = x, y, w, h
        box["class_id"], box["class_confidence"] = label, score
    return boxes


def frames_of(*frames):
    """Each frame is (truths, detections)."""
    truths, detections = zip(*frames, strict=True)

    def table_of(parts):
        frames = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        return to_box_table(np.concatenate([boxes_of(), *parts]), frames)

    return FrameTable(
        table_of(truths), table_of(detections), len(frames), starts=np.zeros(1, np.int64)
    )


def found(*frames, max_detections=100, area="all", crowds=()):
    """At each threshold, what each detection found, in the detections' own order."""
    table = frames_of(*frames)
    is_crowd = np.isin(np.arange(len(table.truth.frames)), crowds)
    table = table._replace(truth=table.truth._replace(is_crowd=is_crowd))
    matches = match_boxes(table, max_detections=max_detections, areas=("all", area))
    result = np.full((len(table.found.frames), len(IOU_THRESHOLDS)), -2)
    result[matches.rows] = matches.objects[1].T
    return result


def test_no_frames_and_empty_frames_are_nothing():
    assert found((boxes_of(), boxes_of())).shape == (0, 10)
    assert (found((boxes_of(), boxes_of((0, 0, 9, 9, 1, 0.5)))) == -1).all()
    assert found((boxes_of((0, 0, 9, 9, 1, 1)), boxes_of())).shape == (0, 10)


def test_a_detection_takes_an_object_up_to_its_overlap():
    # 80 of 100 shared, union 100: IoU 0.8.
    table = found((boxes_of((0, 0, 10, 10, 1, 1)), boxes_of((0, 0, 10, 8, 1, 0.5))))

    assert table[0].tolist() == [0] * 7 + [-1] * 3


def test_the_better_score_chooses_first_and_the_worse_takes_what_is_left():
    truth = boxes_of((0, 0, 10, 10, 1, 1), (0, 2, 10, 10, 1, 1))
    # Both overlap both objects by more than a half; the second detection sits on the first object.
    boxes = boxes_of((0, 0, 10, 10, 1, 0.4), (0, 0, 10, 10, 1, 0.9))

    assert found((truth, boxes))[:, 0].tolist() == [1, 0]


def test_each_class_and_each_frame_is_on_its_own():
    truth, other = boxes_of((0, 0, 10, 10, 1, 1)), boxes_of((0, 0, 10, 10, 2, 0.9))
    here = boxes_of((0, 0, 10, 10, 1, 0.3))

    assert found((truth, other), (truth, here))[:, 0].tolist() == [-1, 1]


def test_boxes_without_area_take_nothing():
    point = boxes_of((5, 5, 0, 0, 1, 1))

    assert (found((point, point)) == -1).all()


def test_only_the_best_of_a_frame_and_class_count():
    truth = boxes_of((0, 0, 10, 10, 1, 1))
    boxes = boxes_of((50, 50, 10, 10, 1, 0.9), (0, 0, 10, 10, 1, 0.8), (0, 0, 9, 9, 2, 0.1))

    assert found((truth, boxes), max_detections=1)[:, 0].tolist() == [-1, -2, -1]


def test_of_equal_overlaps_the_later_object_is_found():
    truth = boxes_of((0, 0, 10, 10, 1, 1), (0, 0, 10, 10, 1, 1))
    boxes = boxes_of((0, 0, 10, 8, 1, 0.9), (0, 0, 10, 10, 1, 0.8))

    assert found((truth, boxes))[:, 0].tolist() == [1, 0]


def test_an_object_of_another_size_is_found_only_where_no_other_can_be():
    # 40 x 40 is medium, 30 x 40 is not; the first detection overlaps the medium one more.
    truth = boxes_of((0, 0, 40, 40, 1, 1), (0, 0, 25, 40, 1, 1))
    boxes = boxes_of((0, 0, 40, 38, 1, 0.9), (0, 0, 40, 40, 1, 0.8))

    assert found((truth, boxes))[:, 0].tolist() == [0, 1]
    # The second has what is left, although it does not count.
    assert found((truth, boxes), area="small")[:, 0].tolist() == [1, 0]
    assert found((truth, boxes), area="large")[:, 0].tolist() == [0, 1]


def test_a_crowd_is_found_by_any_number_but_objects_come_first():
    truth = boxes_of((0, 0, 100, 100, 1, 1), (0, 0, 10, 10, 1, 1))
    boxes = boxes_of((0, 0, 10, 6, 1, 0.9), (0, 0, 10, 10, 1, 0.8), (50, 50, 9, 9, 1, 0.7))

    # The share of the detection in the crowd counts, at every threshold; the first finds the
    # object as far as it overlaps by 0.6.
    result = found((truth, boxes), crowds=[0])
    assert result[0].tolist() == [1] * 3 + [0] * 7
    assert result[1].tolist() == [0] * 3 + [1] * 7
    assert result[2].tolist() == [0] * 10
    assert (found((truth, boxes))[2] == -1).all()


def test_half_in_a_crowd_is_in_it_at_one_half():
    crowd = boxes_of((0, 0, 100, 100, 1, 1))

    assert found((crowd, boxes_of((90, 0, 20, 9, 1, 1))), crowds=[0])[0].tolist() == [0] + [-1] * 9


def random_frames(seed, *, num_frames=5):
    """Coarse boxes and few scores: many ties and boxes that coincide."""
    rng = np.random.default_rng(seed)

    def some(count, scores):
        corner, sides = (
            rng.integers(0, 5, (count, 2)) * 8,
            rng.choice([0, 8, 16, 20, 33], (count, 2)),
        )
        table = np.column_stack([corner, sides, rng.integers(1, 4, count), scores(count)])
        return boxes_of(*table.tolist())

    frames = []
    for _ in range(num_frames):
        truth = some(rng.integers(0, 7), np.ones)
        found = some(rng.integers(0, 12), lambda count: rng.integers(0, 5, count) / 4)
        near = truth.copy()
        near["w"] += rng.choice([0, 1, 3], len(near))
        near["class_confidence"] = rng.integers(0, 5, len(near)) / 4
        frames.append((truth, np.concatenate([found, near])))
    return frames


def corners(boxes):
    return np.stack(
        [boxes["x"], boxes["y"], boxes["x"] + boxes["w"], boxes["y"] + boxes["h"]], axis=1
    )


def coco(frames, max_detections):
    return average_precision(
        [np.column_stack([corners(truth), truth["class_id"]]) for truth, _ in frames],
        [
            {
                "boxes": corners(found),
                "labels": found["class_id"].astype(np.int64),
                "scores": found["class_confidence"],
            }
            for _, found in frames
        ],
        NAMES,
        max_detections=max_detections,
    )


@given(st.integers(0, 10**6), st.sampled_from([2, 100]))
def test_average_precision_is_that_of_coco(seed, max_detections):
    frames = random_frames(seed)
    joined = frames_of(*frames)
    expected = coco(frames, max_detections)

    (score,) = score_groups(
        match_boxes(joined, max_detections=max_detections),
        joined.truth.labels,
        np.zeros(len(joined.truth.frames), np.int64),
        num_groups=1,
        score_thresh=0.5,
    )

    assert score.ap == pytest.approx(expected.map, abs=1e-12, nan_ok=True)
    assert score.ap50 == pytest.approx(expected.map50, abs=1e-12, nan_ok=True)


@given(st.integers(0, 10**6))
def test_pairs_compared_in_small_parts_give_the_same(seed):
    frames = frames_of(*random_frames(seed))
    whole = match_boxes(frames, max_detections=100, areas=("all", "small"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evdet.metrics.matching._MAX_PAIRS", 3)
        parts = match_boxes(frames, max_detections=100, areas=("all", "small"))

    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)


@given(st.integers(0, 10**6), st.integers(1, 12))
def test_frames_matched_in_blocks_give_the_same(seed, size):
    frames = frames_of(*random_frames(seed))
    whole = match_boxes(frames, max_detections=3, areas=("all", "small"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evdet.metrics.matching._MAX_BLOCK", size)
        blocks = match_boxes(frames, max_detections=3, areas=("all", "small"))

    for one, other in zip(whole, blocks, strict=True):
        np.testing.assert_array_equal(one, other)
