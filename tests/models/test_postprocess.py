from itertools import chain

import pytest
import torch
from torch.testing import assert_close

from evdet.boxes import clip_boxes
from evdet.frame_spec import SelectionThresholds
from evdet.models.postprocess import select_boxes, to_detections
from evdet.models.ssd.anchors import Anchors
from evdet.nms import nms

SIZE = (100, 200)


USUAL = SelectionThresholds(score_thresh=0.1, nms_thresh=0.5)


def detect(boxes, scores, *, num_lanes=1, **thresholds):
    selection = select_boxes(boxes, scores, SIZE, USUAL.but(**thresholds))
    return to_detections(selection, num_lanes)


def detect_one(boxes, scores, **options):
    """One frame, of which boxes and the scores of each class are given as lists."""
    boxes = torch.tensor(boxes, dtype=torch.float32)
    [[found]] = detect(boxes[None], torch.tensor(scores)[None], **options)
    return found


def random_frames(num_frames, num_anchors, num_classes):
    generator = torch.Generator().manual_seed(0)
    boxes = torch.rand(num_frames, num_anchors, 4, generator=generator) * 80
    boxes[..., 2:] += boxes[..., :2]
    # Few different scores: ties are common.
    scores = torch.randint(0, 20, (num_frames, num_anchors, num_classes), generator=generator)
    return boxes, scores / 20


def by_definition(boxes, scores, score_thresh, nms_thresh, max_boxes, agnostic):
    """One frame, step by step, in the order of the definition."""
    pairs = [(-s, a, c) for a, row in enumerate(scores.tolist()) for c, s in enumerate(row)]
    best = [p for p in sorted(pairs)[:max_boxes] if -p[0] >= score_thresh]
    kept = []
    groups = [range(scores.shape[1])] if agnostic else [[c] for c in range(scores.shape[1])]
    for labels in groups:
        of_class = [p for p in best if p[2] in labels]
        candidates = boxes[[p[1] for p in of_class]].reshape(-1, 4)
        order = nms(candidates, torch.tensor([-p[0] for p in of_class]), nms_thresh)
        kept += [of_class[i] for i in order.tolist()]
    kept.sort()
    return (
        clip_boxes(boxes[[p[1] for p in kept]].reshape(-1, 4), SIZE),
        torch.tensor([p[2] + 1 for p in kept], dtype=torch.long),
        torch.tensor([-p[0] for p in kept]),
    )


def test_nothing_found_is_empty_tensors():
    [[nothing]] = detect(torch.zeros(1, 5, 4), torch.zeros(1, 5, 3))
    assert nothing["boxes"].shape == (0, 4)
    assert nothing["labels"].shape == nothing["scores"].shape == (0,)
    assert nothing["labels"].dtype == torch.int64
    [[no_anchors]] = detect(torch.zeros(1, 0, 4), torch.zeros(1, 0, 3))
    assert no_anchors["boxes"].shape == (0, 4)
    assert detect(torch.zeros(0, 5, 4), torch.zeros(0, 5, 3)) == []


def test_one_anchor_may_hold_several_classes_but_a_class_only_once():
    found = detect_one(
        [(0, 0, 10, 10), (1, 0, 11, 10), (50, 50, 60, 60)],
        [[0.9, 0.3], [0.8, 0.4], [0.05, 0.7]],
    )
    assert found["labels"].tolist() == [1, 2, 2]
    assert_close(found["scores"], torch.tensor([0.9, 0.7, 0.4]))
    assert found["boxes"].tolist() == [[0, 0, 10, 10], [50, 50, 60, 60], [1, 0, 11, 10]]


def test_a_score_that_equals_the_threshold_stays_and_nan_does_not():
    boxes = [(0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10)]
    found = detect_one(boxes, [[0.25], [0.2], [float("nan")]], score_thresh=0.25)
    assert found["boxes"].tolist() == [[0, 0, 10, 10]]


def test_of_equal_scores_the_lower_index_is_better():
    boxes = [(0, 0, 10, 10), (0, 0, 10, 9), (50, 50, 60, 60)]
    found = detect_one(boxes, [[0.5], [0.5], [0.5]])
    assert found["boxes"].tolist() == [[0, 0, 10, 10], [50, 50, 60, 60]]
    assert len(detect_one(boxes, [[0.5], [0.5], [0.5]], max_boxes=2)["boxes"]) == 1


def test_boxes_are_clipped_after_they_competed():
    # Clipped to the frame, the two would overlap by more than half.
    found = detect_one([(0, 0, 10, 10), (-30, 0, 10, 10)], [[0.9], [0.8]])
    assert found["boxes"].tolist() == [[0, 0, 10, 10], [0, 0, 10, 10]]


def test_across_classes_one_object_has_one_box():
    boxes = [(0, 0, 10, 10), (1, 0, 11, 10), (50, 50, 60, 60)]
    scores = [[0.9, 0.3], [0.2, 0.8], [0.05, 0.7]]

    found = detect_one(boxes, scores, agnostic=True)

    assert found["labels"].tolist() == [1, 2]
    assert found["boxes"].tolist() == [[0, 0, 10, 10], [50, 50, 60, 60]]


def test_a_box_that_another_class_suppressed_suppresses_none():
    boxes = [(0, 0, 10, 10), (4, 0, 14, 10), (8, 0, 18, 10)]
    scores = [[0.9, 0.0], [0.0, 0.8], [0.0, 0.7]]

    found = detect_one(boxes, scores, agnostic=True, nms_thresh=0.3)

    assert found["boxes"].tolist() == [[0, 0, 10, 10], [8, 0, 18, 10]]


@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("max_boxes", [1, 20, 500])
def test_all_frames_at_once_are_each_frame_by_definition(max_boxes, agnostic):
    boxes, scores = random_frames(6, 40, 3)
    scores[4] = 0
    options = {"score_thresh": 0.3, "nms_thresh": 0.4, "max_boxes": max_boxes, "agnostic": agnostic}
    out = detect(boxes, scores, num_lanes=2, **options)
    assert [len(lanes) for lanes in out] == [2, 2, 2]
    for frame in range(6):
        found = out[frame // 2][frame % 2]
        expected = by_definition(boxes[frame], scores[frame], **options)
        for name, value in zip(("boxes", "labels", "scores"), expected, strict=True):
            assert_close(found[name], value)


def test_the_selection_is_padded_to_a_size_that_shapes_decide():
    boxes, scores = random_frames(2, 7, 3)
    options = SelectionThresholds(score_thresh=0.5, nms_thresh=0.5)
    assert select_boxes(boxes, scores, SIZE, options).keep.shape == (2, 21)
    assert select_boxes(boxes, scores, SIZE, options.but(max_boxes=5)).boxes.shape == (2, 5, 4)


def test_half_precision_scores_are_taken():
    boxes, scores = random_frames(2, 10, 3)
    [[found], _] = detect(boxes.bfloat16(), scores.bfloat16())
    assert found["scores"].dtype == found["boxes"].dtype == torch.float32


def test_class_scores_go_along_and_decide_nothing():
    boxes, scores = random_frames(4, 30, 3)
    options = SelectionThresholds(score_thresh=0.5, nms_thresh=0.5, max_boxes=100)
    # Each is told from its candidate and class, so it can be found again.
    class_scores = torch.arange(scores.numel()).view(scores.shape) / 1000
    plain = to_detections(select_boxes(boxes, scores, SIZE, options), 2)
    both = to_detections(select_boxes(boxes, scores, SIZE, options, class_scores=class_scores), 2)
    for f, (frame, same) in enumerate(zip(chain(*both), chain(*plain), strict=True)):
        second = frame.pop("class_scores")
        assert_close(frame, same)
        assert len(second)
        for label, score, value in zip(frame["labels"], frame["scores"], second, strict=True):
            assert (
                scores[f].flatten()[(value * 1000).round().long() - f * scores[f].numel()] == score
            )
            assert (value * 1000).round().long() % 3 + 1 == label


def test_nothing_is_read_back_from_the_device():
    # A meta tensor has no values: whatever asks for one raises.
    boxes, scores = (part.to("meta") for part in random_frames(2, 60, 3))
    options = SelectionThresholds(score_thresh=0.5, nms_thresh=0.5, max_boxes=100)
    assert select_boxes(boxes, scores, SIZE, options).keep.shape == (2, 100)


@pytest.mark.gpu
def test_an_accelerator_selects_the_same_without_being_waited_for():
    boxes, scores = random_frames(6, 400, 3)
    options = SelectionThresholds(score_thresh=0.3, nms_thresh=0.4, max_boxes=300)
    there = boxes.cuda(), scores.cuda()
    features = [torch.zeros(6, 1, 16 >> n, 16 >> n, device="cuda") for n in range(5)]
    targets = [torch.tensor([[8.0, 8, 40, 40, 1]])] * 6
    torch.cuda.set_sync_debug_mode("error")
    try:
        selection = select_boxes(*there, SIZE, options)
        Anchors().encode(features, torch.zeros(1, 128, 128), targets)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for mine, expected in zip(
        selection[:4], select_boxes(boxes, scores, SIZE, options)[:4], strict=True
    ):
        assert_close(mine.cpu(), expected)
