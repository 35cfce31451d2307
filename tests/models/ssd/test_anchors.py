import pytest
import torch
from torch.testing import assert_close

from evdet.boxes import cxcywh_to_xyxy
from evdet.models.ssd.anchors import (
    COCO_ANCHORS,
    DIGIT_ANCHORS,
    MNIST_ANCHORS,
    PSEE_ANCHORS,
    Anchors,
)


def maps(num_frames, height, width, levels=5, device="cpu"):
    """Empty feature maps, each half as large as the one before, rounded up."""
    shapes = [(-(-height // (8 << n)), -(-width // (8 << n))) for n in range(levels)]
    return [torch.zeros(num_frames, 1, h, w, device=device) for h, w in shapes]


def frames(height, width):
    return torch.zeros(1, 1, 3, height, width)


def labels(*rows):
    return torch.tensor(list(rows), dtype=torch.float32).reshape(-1, 5)


X = frames(128, 128)


def test_the_tutorial_has_2046_anchors_and_targets_for_80_frames():
    anchors, features = Anchors(num_levels=5, variances=[0.1, 0.2]), maps(80, 128, 128)
    assert anchors.num_anchors == 6
    assert anchors(features, X).shape == (2046, 4)

    targets = anchors.encode(features, X, [labels((10, 10, 40, 40, 3))] * 80)
    assert list(targets) == ["loc", "cls"]
    assert targets["loc"].shape == (80, 2046, 4)
    assert targets["cls"].shape == (80, 2046)


def test_anchors_stand_in_the_order_level_row_column_anchor():
    grid = Anchors(num_levels=2, anchor_list=MNIST_ANCHORS)(maps(1, 16, 24, 2), frames(16, 24))
    expected = [
        *[(x, y, s, s) for y in (4, 12) for x in (4, 12, 20) for s in (32, 48)],
        *[(x, 8, s, s) for x in (8, 24) for s in (64, 96)],
    ]
    assert_close(grid, torch.tensor(expected, dtype=torch.float32))


def test_ratios_are_width_to_height_and_scales_keep_them():
    features, x = maps(1, 8, 8, 1), frames(8, 8)
    lists = ((PSEE_ANCHORS, 6), (COCO_ANCHORS, 9), (DIGIT_ANCHORS, 3), (MNIST_ANCHORS, 2))
    for anchor_list, num in lists:
        anchors = Anchors(num_levels=1, anchor_list=anchor_list)
        size = anchors(features, x)[:, 2:]
        assert anchors.num_anchors == len(size) == num
        ratio, scale = torch.tensor(anchor_list).T
        assert_close(size[:, 0] / size[:, 1], ratio)
        assert_close(size.prod(dim=1).sqrt(), 32 * scale)


def test_strides_are_powers_of_two_also_where_maps_are_rounded_up():
    features = maps(1, 240, 304)
    assert [tuple(m.shape[2:]) for m in features] == [(30, 38), (15, 19), (8, 10), (4, 5), (2, 3)]
    grid = Anchors(anchor_list=MNIST_ANCHORS)(features, frames(240, 304))
    last = grid[-12:].view(2, 3, 2, 4)
    assert last[:, 0, 0, 1].tolist() == [64, 192]
    assert last[0, :, 0, 0].tolist() == [64, 192, 320]


def test_maps_that_do_not_fit_the_frame_are_named():
    with pytest.raises(ValueError, match="4 feature maps for 5 levels"):
        Anchors()(maps(1, 128, 128, 4), X)
    with pytest.raises(ValueError, match=r"level 0 has stride 8, but its map is 16x16 .* 256x128"):
        Anchors()(maps(1, 128, 128), frames(256, 128))


def test_frames_without_objects_are_all_background():
    anchors, features = Anchors(), maps(2, 128, 128)
    nowhere = anchors.encode(features, X, [labels(), labels()])
    beside = anchors.encode(features, X, [labels(), labels((8, 8, 40, 40, 1))])
    assert not nowhere["cls"].any()
    assert not nowhere["loc"].any()
    assert not beside["cls"][0].any()
    assert (beside["cls"][1] == 1).any()


def test_frames_that_nobody_labelled_are_all_ignored():
    boxes, some = labels((8, 8, 40, 40, 1)), torch.tensor([True, False, False])
    targets = Anchors().encode(maps(3, 128, 128), X, [boxes, boxes, labels()], labeled=some)
    assert (targets["cls"][0] == 1).any()
    assert (targets["cls"][1:] == -1).all()
    none = Anchors().encode(maps(1, 128, 128), X, [labels()], labeled=torch.tensor([False]))
    assert (none["cls"] == -1).all()


def test_decoding_the_targets_gives_the_boxes_back():
    anchors, features = Anchors(), maps(2, 128, 128)
    truth = [
        labels((8, 8, 40, 40, 1), (60, 20, 100, 120, 4)),
        labels((3, 50, 30, 70, 10), (90, 90, 92, 93, 2), (0, 0, 128, 128, 7)),
    ]
    targets = anchors.encode(features, X, truth)
    decoded = anchors.decode(features, X, targets["loc"])
    for frame, boxes in enumerate(truth):
        classes = targets["cls"][frame]
        assert set(classes[classes > 0].tolist()) == set(boxes[:, 4].int().tolist())
        for *box, label in boxes.tolist():
            found = decoded[frame][classes == label]
            assert_close(found, torch.tensor(box).expand_as(found), atol=1e-3, rtol=1e-4)


def test_targets_are_finite_whatever_the_boxes():
    odd = labels((5, 5, 5, 5, 1), (9, 9, 3, 3, 2), (500, 500, 600, 600, 3), (1, 1, 1.001, 90, 4))
    targets = Anchors().encode(maps(1, 128, 128), X, [odd])
    assert targets["loc"].isfinite().all()
    # Without area, inside out, far outside: no anchor; a sliver still gets its best one.
    assert set(targets["cls"].unique().tolist()) == {0, 4}


def test_a_frame_does_not_depend_on_the_others():
    anchors = Anchors()
    truth = [labels((8, 8, 40, 40, 1)), labels(), labels((60, 20, 99, 90, 4), (1, 1, 9, 9, 2))]
    together = anchors.encode(maps(3, 128, 128), X, truth)
    for frame, boxes in enumerate(truth):
        alone = anchors.encode(maps(1, 128, 128), X, [boxes])
        assert_close(together["cls"][frame], alone["cls"][0])
        assert_close(together["loc"][frame], alone["loc"][0])


def test_no_corrections_decode_to_the_anchors_in_float32():
    anchors, features = Anchors(), maps(2, 128, 128)
    decoded = anchors.decode(features, X, torch.zeros(2, 2046, 4, dtype=torch.bfloat16))
    assert decoded.dtype == torch.float32
    assert_close(decoded[1], cxcywh_to_xyxy(anchors(features, X)))


def test_as_many_targets_as_frames():
    with pytest.raises(ValueError, match="1 targets for 2 frames"):
        Anchors().encode(maps(2, 128, 128), X, [labels()])


def test_nothing_is_read_back_from_the_device():
    # A meta tensor has no values: whatever asks for one raises.
    features, x = maps(2, 128, 128, device="meta"), X.to("meta")
    boxes = labels((8, 8, 40, 40, 1)).to("meta")
    targets = Anchors().encode(
        features, x, [boxes, boxes[:0]], labeled=torch.ones(2, dtype=torch.bool, device="meta")
    )
    assert Anchors().decode(features, x, targets["loc"]).shape == (2, 2046, 4)
