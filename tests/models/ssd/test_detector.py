import pytest
import torch
from torch.testing import assert_close

from evdet.build import build_detector
from evdet.config import DetectionConfig
from evdet.models import PSEE_ANCHORS, SSD, Anchors, BoxHead, DetectionLoss, Vanilla

T, B, SIZE = 3, 2, 32
SMALL = {
    "feature_base": 2, "feature_channels_out": 4, "num_levels": 2, "head_channels": 4,
    "classes": ("cat", "dog"), "height": SIZE, "width": SIZE,
}  # fmt: skip


def make(**fields):
    return build_detector(DetectionConfig(**{**SMALL, **fields}))


@pytest.fixture(params=["Vanilla", "VanillaGRU", "VanillaS5", "VggLike"])
def detector(request):
    detector = make(feature_extractor=request.param).eval()
    # A fresh head finds nothing; this one finds something everywhere.
    torch.nn.init.zeros_(detector.head.cls_head[-1].bias)
    torch.nn.init.normal_(detector.head.cls_head[-1].weight, std=20.0)
    return detector


def batch_of(labels, **more):
    inputs = torch.rand(len(labels), len(labels[0]), 3, SIZE, SIZE)
    return {"inputs": inputs, "labels": labels, **more}


def one_box(label=1.0):
    return torch.tensor([[4.0, 6.0, 28.0, 30.0, label]])


NOTHING = torch.zeros(0, 5)


def test_frames_without_objects_give_a_loss_and_no_boxes():
    detector = make()
    losses, _ = detector.compute_loss(batch_of([[NOTHING] * B] * T))

    assert losses["loc_loss"] == 0
    assert 0 < losses["cls_loss"] < 1
    for lanes in detector.eval().get_boxes(torch.rand(T, B, 3, SIZE, SIZE)):
        for frame in lanes:
            assert frame["boxes"].shape == (0, 4)
            assert frame["labels"].shape == frame["scores"].shape == (0,)


def test_boxes_stay_inside_the_frame_and_scores_fall(detector):
    for lanes in detector.get_boxes(torch.rand(T, B, 3, SIZE, SIZE), score_thresh=0.05):
        for frame in lanes:
            assert ((frame["boxes"] >= 0) & (frame["boxes"] <= SIZE)).all()
            assert (frame["scores"].diff() <= 0).all()
            assert set(frame["labels"].tolist()) <= {1, 2}


@pytest.mark.parametrize("loss", ["softmax_focal_loss", "sigmoid_focal_loss", "softmax_ohem_loss"])
def test_training_on_one_batch_lowers_the_loss(loss):
    detector = make(loss=loss)
    optimizer = torch.optim.Adam(detector.parameters(), lr=1e-2)
    batch = batch_of([[one_box(1.0), one_box(2.0)]] * T)
    history = []
    for _ in range(25):
        losses, _ = detector.compute_loss(batch)
        total = losses["loc_loss"] + losses["cls_loss"]
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append(total.item())
    assert history[-1] < 0.8 * history[0]


def test_gradients_reach_every_weight():
    detector = make()
    losses, memory = detector.compute_loss(batch_of([[one_box()] * B] * T))
    (losses["loc_loss"] + losses["cls_loss"]).backward()
    unreached = [n for n, p in detector.named_parameters() if p.grad is None or not p.grad.any()]
    assert not unreached
    assert len(memory) == len(detector.memory_names)


def test_frames_that_nobody_labelled_enter_no_loss():
    detector = make().eval()
    batch = batch_of([[one_box(), NOTHING]] * T)
    labelled = torch.ones(T, B, dtype=torch.bool)
    labelled[:, 1] = False

    half = detector.compute_loss({**batch, "frame_is_labeled": labelled})[0]
    alone = detector.compute_loss({"inputs": batch["inputs"][:, :1], "labels": [[one_box()]] * T})[
        0
    ]
    none = detector.compute_loss({**batch, "frame_is_labeled": labelled & False})[0]

    assert_close(half, alone)
    assert none["loc_loss"] == none["cls_loss"] == 0


def test_the_number_of_positives_can_be_agreed_on_by_several_processes():
    detector = make().eval()
    batch = batch_of([[one_box()]])
    alone = detector.compute_loss(batch)[0]
    shared = detector.compute_loss(batch, average=lambda count: 2 * count)[0]
    assert_close(shared["cls_loss"], alone["cls_loss"] / 2)


def test_frozen_features_do_not_move():
    detector = make(freeze_features=True).train()
    before = {k: v.clone() for k, v in detector.feature_extractor.state_dict().items()}
    losses, _ = detector.compute_loss(batch_of([[one_box()]] * T))
    losses["cls_loss"].backward()
    for name, value in detector.feature_extractor.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(p.grad is None for p in detector.feature_extractor.parameters())
    assert detector.head.training


def test_parts_that_do_not_fit_are_refused():
    features = Vanilla(3, 2, 4, 2)
    with pytest.raises(ValueError, match="a background logit"):
        SSD(features, Anchors(2), BoxHead(4, 6, 3), DetectionLoss("sigmoid_focal_loss"))
    with pytest.raises(ValueError, match="2 anchors per cell, but there are 6"):
        SSD(
            features,
            Anchors(2, anchor_list=PSEE_ANCHORS),
            BoxHead(4, 2, 3),
            DetectionLoss("softmax_focal_loss"),
        )
