import pytest
import torch
from hypothesis import given, strategies as st
from torch.testing import assert_close

from evdet.nms import nms, suppress

# Whole numbers: overlaps are ratios of small integers, often equal, often exactly a threshold.
SMALL_BOX = st.tuples(*[st.integers(0, 6)] * 4)


def tensor(*rows):
    return torch.tensor(list(rows), dtype=torch.float32).reshape(-1, 4)


def greedy(boxes, classes, valid, iou_thresh):
    """The definition, in plain Python: the best box left is kept and beats its rivals."""

    def iou(a, b):
        width = min(a[2], b[2]) - max(a[0], b[0])
        height = min(a[3], b[3]) - max(a[1], b[1])
        if width <= 0 or height <= 0:
            return 0
        both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
        return width * height / (both - width * height)

    kept = []
    for i, box in enumerate(boxes):
        if valid[i] and not any(
            classes[i] == classes[j] and iou(box, boxes[j]) > iou_thresh for j in kept
        ):
            kept.append(i)
    return [i in kept for i in range(len(boxes))]


def random_frames(generator, num_frames, num_boxes):
    """Boxes on a small grid (ties), every other frame a chain in which each overlaps the next."""

    def whole(low, high, *shape):
        return torch.randint(low, high, shape, generator=generator)

    corner, side = whole(0, 6, num_frames, num_boxes, 2), whole(0, 6, num_frames, num_boxes, 2)
    step = torch.arange(num_boxes)[None, :, None]
    corner[::2] = (step * whole(1, 4, num_frames, 1, 2) + whole(0, 2, num_frames, num_boxes, 2))[
        ::2
    ]
    side[::2] = whole(3, 9, num_frames, 1, 2)[::2]
    boxes = torch.cat([corner, corner + side], dim=-1)
    classes = whole(0, 3, num_frames, num_boxes).clamp(max=1)
    return boxes, classes, whole(0, 8, num_frames, num_boxes) > 0


# 10,000 sets in all.
@pytest.mark.parametrize("iou_thresh", [0.0, 0.25, 1 / 3, 0.5, 0.6])
def test_suppression_equals_the_definition_on_2000_random_frames(iou_thresh):
    generator = torch.Generator().manual_seed(int(100 * iou_thresh))
    for num_frames, num_boxes in ((1989, 12), (10, 70), (1, 600)):
        boxes, classes, valid = random_frames(generator, num_frames, num_boxes)
        keep = suppress(boxes.float(), classes, valid, iou_thresh)
        frames = zip(boxes.tolist(), classes.tolist(), valid.tolist(), strict=True)
        assert keep.tolist() == [greedy(*frame, iou_thresh) for frame in frames]


def test_no_candidates_none_kept():
    for num_frames, num_boxes in ((0, 3), (2, 0), (0, 0)):
        classes = torch.zeros(num_frames, num_boxes, dtype=torch.long)
        keep = suppress(torch.zeros(num_frames, num_boxes, 4), classes, classes > 0, 0.5)
        assert keep.shape == (num_frames, num_boxes)
    assert nms(tensor(), torch.zeros(0), 0.5).shape == (0,)


def test_padding_is_neither_kept_nor_a_rival():
    boxes = tensor((0, 0, 4, 4), (0, 0, 4, 4), (0, 0, 4, 4))[None]
    valid = torch.tensor([[False, True, False]])
    keep = suppress(boxes, torch.ones(1, 3, dtype=torch.long), valid, 0.5)
    assert keep.tolist() == [[False, True, False]]


def test_a_suppressed_box_suppresses_nothing():
    chain = tensor((0, 0, 4, 4), (2, 0, 6, 4), (4, 0, 8, 4), (6, 0, 10, 4))
    assert nms(chain, torch.tensor([0.9, 0.8, 0.7, 0.6]), 0.3).tolist() == [0, 2]
    assert nms(chain, torch.tensor([0.7, 0.9, 0.8, 0.6]), 0.3).tolist() == [1, 3]


def test_an_overlap_of_exactly_the_threshold_is_allowed():
    boxes = tensor((0, 0, 2, 2), (1, 0, 3, 2))
    assert nms(boxes, torch.tensor([0.9, 0.8]), 0.5).tolist() == [0, 1]
    half = tensor((0, 0, 2, 2), (0, 0, 2, 1))
    assert nms(half, torch.tensor([0.9, 0.8]), 0.5).tolist() == [0, 1]
    assert nms(half, torch.tensor([0.9, 0.8]), 0.49).tolist() == [0]


def test_suppression_equals_what_tensorflow_publishes():
    """Source: TensorFlow, core/kernels/non_max_suppression_op_test.cc (Apache-2.0)."""
    three_clusters = tensor(
        (0, 0, 1, 1),
        (0, 0.1, 1, 1.1),
        (0, -0.1, 1, 0.9),
        (0, 10, 1, 11),
        (0, 10.1, 1, 11.1),
        (0, 100, 1, 101),
    )
    scores = torch.tensor([0.9, 0.75, 0.6, 0.95, 0.5, 0.3])
    assert nms(three_clusters, scores, 0.5).tolist() == [3, 0, 5]
    assert nms(three_clusters, scores - 10, 0.5).tolist() == [3, 0, 5]
    assert nms(tensor((0, 0, 1, 1)).repeat(10, 1), torch.full((10,), 0.9), 0.5).tolist() == [0]


@given(st.lists(SMALL_BOX, max_size=8), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_suppressing_twice_is_suppressing_once(rows, iou_thresh):
    boxes = tensor(*rows)
    scores = torch.linspace(1, 0.5, len(boxes))
    kept = nms(boxes, scores, iou_thresh)
    assert_close(nms(boxes[kept], scores[kept], iou_thresh), torch.arange(len(kept)))
