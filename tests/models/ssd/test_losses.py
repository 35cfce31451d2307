import math

import pytest
import torch
from torch.testing import assert_close

from evdet.models.ssd.losses import (
    LOSSES,
    DetectionLoss,
    sigmoid_focal_loss,
    smooth_l1_loss,
    softmax_focal_loss,
    softmax_ohem_loss,
)

CLASSES = torch.tensor([[0, 2, -1, 1], [3, 0, 0, -1]])


def logits(num=4, *, scale=2.0):
    generator = torch.Generator().manual_seed(0)
    return scale * torch.randn(2, 4, num, generator=generator, dtype=torch.float64)


def naive_softmax_focal(logits, classes):
    total = 0
    for row, label in zip(logits.flatten(0, 1), classes.flatten().tolist(), strict=True):
        if label >= 0:
            p = row[label].exp() / row.exp().sum()
            total = total - (1 - p) ** 2 * p.log()
    return total


def naive_sigmoid_focal(logits, classes):
    total = 0
    for row, label in zip(logits.flatten(0, 1), classes.flatten().tolist(), strict=True):
        for number, logit in enumerate(row, start=1):
            if label < 0:
                continue
            p = 1 / (1 + (-logit).exp())
            p, alpha = (p, 0.25) if number == label else (1 - p, 0.75)
            total = total - alpha * (1 - p) ** 2 * p.log()
    return total


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_without_positives_the_divisor_is_1_and_nothing_is_nan(name):
    loc, cls = torch.randn(2, 4, 4, requires_grad=True), torch.randn(2, 4, 5, requires_grad=True)
    for classes in (torch.zeros(2, 4, dtype=torch.long), -torch.ones(2, 4, dtype=torch.long)):
        losses = DetectionLoss(name)(loc, torch.zeros(2, 4, 4), cls, classes)
        assert losses["loc_loss"] == 0
        (losses["loc_loss"] + losses["cls_loss"]).backward()
        assert cls.grad.isfinite().all()
    assert losses["cls_loss"] == 0


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_no_frames_and_no_anchors_are_no_loss(name):
    for num_frames, num_anchors in ((0, 3), (2, 0)):
        boxes = torch.zeros(num_frames, num_anchors, 4)
        classes = torch.zeros(num_frames, num_anchors, dtype=torch.long)
        losses = DetectionLoss(name)(boxes, boxes, boxes, classes)
        assert losses["loc_loss"] == losses["cls_loss"] == 0


@pytest.mark.parametrize(
    ("loss", "naive", "num_logits"),
    [(softmax_focal_loss, naive_softmax_focal, 4), (sigmoid_focal_loss, naive_sigmoid_focal, 3)],
)
def test_focal_losses_and_their_gradients_are_the_formula(loss, naive, num_logits):
    ours = logits(num_logits).requires_grad_()
    theirs = logits(num_logits).requires_grad_()
    value, expected = loss(ours, CLASSES), naive(theirs, CLASSES)
    value.backward()
    expected.backward()
    assert_close(value, expected)
    assert_close(ours.grad, theirs.grad)
    assert not ours.grad[CLASSES < 0].any()


def test_a_fresh_head_of_ten_classes_costs_6_89_per_positive():
    """Source: the bias that says background with p = 0.99, and the seed tutorial's 6.8745."""
    fresh = torch.zeros(1, 1000, 11)
    fresh[..., 0] = math.log(10 * 0.99 / 0.01)
    classes = torch.zeros(1, 1000, dtype=torch.long)
    classes[0, :10] = torch.arange(1, 11)
    zeros = torch.zeros(1, 1000, 4)
    cls_loss = DetectionLoss("softmax_focal_loss")(zeros, zeros, fresh, classes)["cls_loss"]
    assert_close(cls_loss.item(), -(0.999**2) * math.log(0.001), atol=2e-3, rtol=0)
    assert abs(cls_loss.item() - 6.89) < 0.01


def test_hard_negatives_are_three_per_positive_over_all_frames():
    # The loss of a negative here is ln(1 + e^x): it grows with x.
    x = torch.tensor([[0.0, 1, 2, 3], [4, 5, -1, 9]])
    classes = torch.tensor([[1, 0, 0, 0], [0, 0, 0, -1]])
    value = softmax_ohem_loss(torch.stack([torch.zeros_like(x), x], dim=-1), classes)
    expected = math.log(2) + sum(math.log1p(math.exp(hard)) for hard in (5, 4, 3))
    assert_close(value.item(), expected, atol=1e-5, rtol=0)


def test_with_few_negatives_all_of_them_count():
    classes = torch.tensor([[1, 2, 0, -1]])
    value = softmax_ohem_loss(torch.zeros(1, 4, 3), classes)
    assert_close(value.item(), 3 * math.log(3), atol=1e-6, rtol=0)


def test_box_loss_worked_by_hand():
    preds = torch.tensor([[[0.05, -0.11, 1.0, 0.0], [9, 9, 9, 9]]])
    targets = torch.zeros(1, 2, 4)
    expected = 0.5 * 0.05**2 / 0.11 + 0.055 + (1 - 0.055)
    assert_close(smooth_l1_loss(preds, targets, torch.tensor([[1, 0]])).item(), expected)


def test_both_losses_are_divided_by_the_positives():
    loc, classes = torch.ones(1, 4, 4), torch.tensor([[1, 2, 0, -1]])
    cls = torch.randn(1, 4, 3)
    criterion = DetectionLoss("softmax_focal_loss")
    losses = criterion(loc, torch.zeros(1, 4, 4), cls, classes)
    assert_close(losses["cls_loss"], softmax_focal_loss(cls, classes) / 2)
    assert_close(losses["loc_loss"].item(), 2 * 4 * (1 - 0.055) / 2)


def test_the_mean_of_two_processes_is_one_process_with_all_frames():
    criterion, classes = DetectionLoss("softmax_focal_loss"), torch.tensor([[1, 2, 0], [0, 3, -1]])
    preds = torch.randn(2, 3, 4), torch.randn(2, 3, 4), torch.randn(2, 3, 5), classes
    whole = criterion(*preds)
    halves = [
        criterion(*(part[i : i + 1] for part in preds), num_positives=torch.tensor(1.5))
        for i in range(2)
    ]
    for name, value in whole.items():
        assert_close((halves[0][name] + halves[1][name]) / 2, value)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_extreme_logits_give_finite_losses_and_gradients(name):
    extreme = torch.tensor([[[1e4, -1e4, 0], [-1e4, 1e4, 0], [0, 0, 1e4], [50, -50, 50]]])
    for classes in (torch.tensor([[1, 2, 0, 1]]), torch.tensor([[0, 1, 2, -1]])):
        cls = extreme.clone().requires_grad_()
        zeros = torch.zeros(1, 4, 4)
        loss = DetectionLoss(name)(zeros, zeros, cls, classes)["cls_loss"]
        loss.backward()
        assert loss.isfinite()
        assert cls.grad.isfinite().all()


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_half_precision_is_summed_in_float32(name):
    cls, loc = logits().bfloat16(), torch.randn(2, 4, 4).bfloat16()
    criterion = DetectionLoss(name)
    half = criterion(loc, torch.zeros(2, 4, 4), cls, CLASSES)
    whole = criterion(loc.float(), torch.zeros(2, 4, 4), cls.float(), CLASSES)
    for key, value in whole.items():
        assert half[key].dtype == torch.float32
        assert_close(half[key], value)


def test_infinite_targets_beside_the_positives_do_no_harm():
    preds = torch.ones(1, 2, 4, requires_grad=True)
    targets = torch.tensor([[[0.0, 0, 0, 0], [0, 0, -math.inf, 0]]])
    smooth_l1_loss(preds, targets, torch.tensor([[1, 0]])).backward()
    assert preds.grad.isfinite().all()


def test_only_the_sigmoid_loss_has_no_background():
    assert [name for name in LOSSES if not DetectionLoss(name).has_background] == [
        "sigmoid_focal_loss"
    ]


def test_an_unknown_loss_is_answered_with_the_list():
    with pytest.raises(ValueError, match=r"unknown loss 'focal': choose one of sigmoid_focal_"):
        DetectionLoss("focal")


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_nothing_is_read_back_from_the_device(name):
    loc, cls = torch.zeros(2, 4, 4, device="meta"), torch.zeros(2, 4, 5, device="meta")
    classes = torch.zeros(2, 4, dtype=torch.long, device="meta")
    assert DetectionLoss(name)(loc, loc, cls, classes)["cls_loss"].shape == ()
