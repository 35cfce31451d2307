import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from torch.testing import assert_close

from evdet.boxes import (
    BOX_DTYPE,
    box_area,
    clip_boxes,
    cxcywh_to_xyxy,
    decode_boxes,
    encode_boxes,
    from_box_events,
    pairwise_iou,
    to_box_events,
    xyxy_to_cxcywh,
)

COORDINATE = st.floats(-1000, 1000, width=32)
SIDE = st.floats(0.5, 1000, width=32)
CXCYWH = st.tuples(COORDINATE, COORDINATE, SIDE, SIDE)


def tensor(*rows, width=4):
    return torch.tensor(list(rows), dtype=torch.float32).reshape(-1, width)


# --- overlap ---


def test_no_boxes_have_no_overlaps():
    assert pairwise_iou(tensor(), tensor((0, 0, 1, 1))).shape == (0, 1)
    assert pairwise_iou(torch.zeros(3, 2, 4), torch.zeros(3, 0, 4)).shape == (3, 2, 0)
    assert box_area(tensor()).shape == (0,)
    assert clip_boxes(tensor(), (4, 4)).shape == (0, 4)


def test_overlaps_worked_by_hand():
    box = tensor((0, 0, 2, 2))
    others = tensor(
        (0, 0, 2, 2),  # itself
        (1, 1, 3, 3),  # 1 of 4 + 4 - 1
        (1, 0, 3, 2),  # 2 of 4 + 4 - 2
        (0, 0, 1, 1),  # inside: 1 of 4
        (2, 0, 4, 2),  # shares an edge
        (5, 5, 6, 6),  # far away
    )
    assert_close(pairwise_iou(box, others), torch.tensor([[1, 1 / 7, 1 / 3, 1 / 4, 0, 0]]))


def test_overlaps_equal_those_published_with_torchvision():
    """Source: torchvision, test/test_ops.py, TestBoxIou (BSD-3-Clause)."""
    boxes = tensor((0, 0, 100, 100), (0, 0, 50, 50), (200, 200, 300, 300), (0, 0, 25, 25))
    expected = torch.tensor([[1, 0.25, 0], [0.25, 1, 0], [0, 0, 1], [0.0625, 0.25, 0]])
    assert_close(pairwise_iou(boxes, boxes[:3]), expected)

    boxes = tensor(
        (285.3538, 185.5758, 1193.5110, 851.4551),
        (285.1472, 188.7374, 1192.4984, 851.0669),
        (279.2440, 197.9812, 1189.4746, 849.2019),
    )
    expected = torch.tensor([[1, 0.9933, 0.9673], [0.9933, 1, 0.9737], [0.9673, 0.9737, 1]])
    assert_close(pairwise_iou(boxes, boxes), expected, atol=5e-5, rtol=0)
    assert_close(box_area(boxes), torch.tensor([604723.0806, 600965.4666, 592761.0085]))


def test_a_box_without_area_overlaps_nothing_not_even_itself():
    boxes = tensor((1, 1, 1, 5), (3, 3, 3, 3), (5, 5, 2, 2), (0, 0, 9, 9))
    assert_close(pairwise_iou(boxes, boxes), torch.diag(torch.tensor([0.0, 0, 0, 1])))
    huge = tensor((-1e30, -1e30, 1e30, 1e30))
    assert pairwise_iou(huge, huge).isfinite().all()


@given(st.lists(CXCYWH, max_size=5), st.lists(CXCYWH, max_size=5))
def test_overlap_is_symmetric_bounded_and_1_with_itself(first, second):
    a, b = cxcywh_to_xyxy(tensor(*first)), cxcywh_to_xyxy(tensor(*second))
    iou = pairwise_iou(a, b)
    assert_close(iou, pairwise_iou(b, a).T)
    assert ((iou >= 0) & (iou <= 1)).all()
    assert_close(pairwise_iou(a, a).diagonal(), torch.ones(len(a)))


def test_frames_do_not_see_each_other_and_one_frame_serves_all():
    a, b = torch.rand(3, 4, 4), torch.rand(3, 5, 4)
    a[..., 2:] += a[..., :2]
    b[..., 2:] += b[..., :2]
    assert_close(pairwise_iou(a, b)[1], pairwise_iou(a[1], b[1]))
    assert_close(pairwise_iou(a, b[:1])[2], pairwise_iou(a[2], b[0]))


def test_gradients_flow_through_the_overlap():
    a = torch.tensor([[0.0, 0, 2, 2], [1, 1, 4, 3]], dtype=torch.float64, requires_grad=True)
    b = torch.tensor([[0.5, 0.25, 3, 2]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(pairwise_iou, (a, b))


# --- conversions ---


@given(st.lists(CXCYWH, max_size=5))
def test_centre_and_size_survive_the_corners(rows):
    boxes = tensor(*rows)
    assert_close(xyxy_to_cxcywh(cxcywh_to_xyxy(boxes)), boxes, atol=1e-3, rtol=1e-4)


def test_clipping_keeps_rows_and_columns_apart():
    boxes = tensor((-1, -2, 5, 9), (1, 2, 3, 4), (20, 20, 30, 30))
    expected = tensor((0, 0, 5, 6), (1, 2, 3, 4), (8, 6, 8, 6))
    assert_close(clip_boxes(boxes, (6, 8)), expected)


# --- the code between boxes and anchors ---


def test_corrections_worked_by_hand():
    anchor, box = tensor((10, 10, 8, 4)), tensor((14, 9, 16, 4))
    expected = tensor((4 / 8 / 0.1, -1 / 4 / 0.1, np.log(2) / 0.2, 0))
    assert_close(encode_boxes(box, anchor), expected)
    assert_close(encode_boxes(box, anchor, (1.0, 1.0)), tensor((0.5, -0.25, np.log(2), 0)))


@given(CXCYWH, st.tuples(COORDINATE, COORDINATE, st.floats(20, 200), st.floats(20, 200)))
def test_decoding_inverts_encoding(box, anchor):
    box, anchor = tensor(box), tensor(anchor)
    decoded = decode_boxes(encode_boxes(box, anchor), anchor)
    assert_close(decoded, cxcywh_to_xyxy(box), atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_absurd_corrections_decode_to_finite_boxes(dtype):
    deltas = torch.tensor([[0, 0, 1e4, 1e4], [0, 0, -1e4, -1e4]], dtype=dtype)
    decoded = decode_boxes(deltas, torch.tensor([[64, 64, 512, 512]], dtype=dtype))
    assert decoded.isfinite().all()


def test_one_set_of_anchors_serves_all_frames():
    anchors, deltas = torch.rand(5, 4) + 1, torch.randn(3, 5, 4)
    assert_close(decode_boxes(deltas, anchors)[2], decode_boxes(deltas[2], anchors))


# --- box events ---


def test_no_boxes_give_no_box_events():
    box_events = to_box_events(np.zeros((0, 4)), np.zeros(0))
    assert box_events.shape == (0,)
    assert box_events.dtype == BOX_DTYPE
    assert from_box_events(box_events).shape == (0, 5)


def test_box_events_hold_the_top_left_corner_and_the_size():
    boxes, labels = tensor((1, 2, 4, 8), (0, 0, 3, 3)), torch.tensor([3, 1])
    box_events = to_box_events(boxes, labels, torch.tensor([0.5, 0.25]), t=7)
    assert box_events.tolist() == [(7, 1, 2, 3, 6, 3, 0, 0.5), (7, 0, 0, 3, 3, 1, 0, 0.25)]
    assert to_box_events(boxes, labels)["class_confidence"].tolist() == [1, 1]


@given(st.lists(st.tuples(*[st.integers(-99, 99)] * 4, st.integers(0, 9)), max_size=4))
def test_box_events_survive_the_way_there_and_back(rows):
    labels = tensor(*rows, width=5)
    for array in (labels, labels.numpy()):
        back = from_box_events(to_box_events(array[:, :4], array[:, 4]))
        np.testing.assert_array_equal(back, labels.numpy())


def test_a_negative_label_is_named():
    with pytest.raises(ValueError, match="a label is -1: labels start at 0"):
        to_box_events(np.zeros((1, 4)), np.array([-1.0]))
