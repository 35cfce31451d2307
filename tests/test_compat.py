"""The seed tutorial's names import from evdet and take the calls that the tutorial makes."""

import argparse
from inspect import signature

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

import evdet

CLASSES = [str(digit) for digit in range(10)]
LABEL_MAP = ["background", *CLASSES]
T, B, C, H, W = 2, 2, 3, 64, 64


@pytest.fixture(scope="module")
def tutorial_params():
    """The namespace as the tutorial writes it, at its full size."""
    return argparse.Namespace(
        in_channels=3,
        feature_base=8,
        feature_channels_out=128,
        anchor_list="MNIST_ANCHORS",
        loss="_focal_loss",
        act="softmax",
        feature_extractor="Vanilla",
        classes=CLASSES,
        dataset_path="toy_problem",
        lr=1e-3,
        num_tbins=12,
        batch_size=4,
        height=128,
        width=128,
        max_frames_per_epoch=30000,
        demo_every=2,
        preprocess="none",
        max_boxes_per_input=500,
        delta_t=50000,
        root_dir="toy_problem_experiment",
        num_workers=4,
        max_epochs=4,
        precision=16,
        lr_scheduler_step_gamma=0.98,
    )


@pytest.mark.parametrize(
    "name",
    [
        "Anchors", "BOX_DTYPE", "BoxHead", "DetectionLoss", "EventBbox", "LightningDetectionModel",
        "MovingMNISTDataset", "Vanilla", "box_api", "box_processing", "box_vectors_to_bboxes",
        "cxcywh_to_xyxy", "decode_boxes", "deltas_to_bbox", "draw_box_events", "make_moving_mnist",
        "search_latest_checkpoint", "to_box_events", "xywh2xyxy",
    ],
)  # fmt: skip
def test_the_name_imports_from_evdet(name):
    assert getattr(evdet, name) is not None
    assert name in evdet.__all__


def test_an_old_name_is_the_new_thing():
    assert evdet.xywh2xyxy is evdet.cxcywh_to_xyxy
    assert evdet.deltas_to_bbox is evdet.decode_boxes
    assert evdet.EventBbox is evdet.BOX_DTYPE
    assert evdet.MovingMNISTDataset is evdet.make_moving_mnist
    assert evdet.box_vectors_to_bboxes is evdet.to_box_events
    assert evdet.box_api.box_vectors_to_bboxes is evdet.to_box_events
    assert evdet.box_processing.box_vectors_to_bboxes is evdet.to_box_events


@pytest.mark.parametrize("make_loader", [evdet.make_moving_mnist, evdet.MovingMNISTDataset])
def test_the_mask_is_0_where_a_video_starts(make_loader):
    loader = make_loader(
        train=True,
        height=H,
        width=W,
        tbins=20,
        num_workers=0,
        batch_size=2,
        max_frames_per_video=80,
        max_frames_per_epoch=8000,
    )
    batches = iter(loader)
    masks = [next(batches)["mask_keep_memory"].view(-1).tolist() for _ in range(6)]

    assert masks == [[0, 0], [1, 1], [1, 1], [1, 1], [0, 0], [1, 1]]


def test_a_frame_without_objects_becomes_no_box_events():
    nothing = torch.zeros(0, 5)

    events = evdet.box_api.box_vectors_to_bboxes(boxes=nothing[:, :4], labels=nothing[:, 4])

    assert events.shape == (0,)
    assert events.dtype == evdet.EventBbox


def test_truth_and_detections_are_drawn_as_in_the_tutorial():
    truth = torch.tensor([[10.0, 12.0, 30.0, 40.0, 3.0]])
    frame = (torch.zeros(H, W, 3).numpy() * 255).copy()
    found = evdet.box_api.box_vectors_to_bboxes(
        truth[:, :4].numpy(), np.array([3]), np.array([0.9], np.float32)
    )
    events = evdet.box_api.box_vectors_to_bboxes(boxes=truth[:, :4], labels=truth[:, 4])

    frame = evdet.draw_box_events(frame, found, LABEL_MAP, draw_score=True, thickness=2)
    assert frame.any()
    white = evdet.draw_box_events(
        frame, events, LABEL_MAP, force_color=[255, 255, 255], draw_score=False, thickness=1
    )
    assert white[20, 10].tolist() == [255, 255, 255]


def test_the_parts_fit_together_as_in_the_tutorial():
    x = torch.randn(T, B, C, H, W)
    rnn = evdet.Vanilla(C, base=2)
    features = rnn(x)
    box_coder = evdet.Anchors(num_levels=rnn.levels, variances=[0.1, 0.2])
    head = evdet.BoxHead(rnn.cout, box_coder.num_anchors, 10 + 1, 0)
    anchors_cxcywh = box_coder(features, x)

    assert [tuple(level.shape) for level in features] == [
        (T * B, 256, side, side) for side in (8, 4, 2, 1, 1)
    ]
    assert evdet.xywh2xyxy(anchors_cxcywh).shape == ((64 + 16 + 4 + 1 + 1) * 6, 4)

    loc_preds, cls_preds = head(features)
    boxes = evdet.deltas_to_bbox(loc_preds, anchors_cxcywh)
    assert_close(boxes, box_coder.decode(features, x, loc_preds))

    truths = [torch.tensor([[10.0, 10.0, 40.0, 40.0, 2.0]])] * (T * B)
    targets = box_coder.encode(features, x, truths)
    loss = evdet.DetectionLoss("softmax_focal_loss")(
        loc_preds, targets["loc"], cls_preds, targets["cls"]
    )
    assert list(targets) == ["loc", "cls"]
    assert list(loss) == ["loc_loss", "cls_loss"]
    # -ln 0.001, and a little for the background.
    assert 6.8 < loss["cls_loss"] < 7.1


def test_the_last_layers_of_the_head_are_those_that_the_tutorial_prints():
    head = evdet.BoxHead(256, 6, 11, 0)

    for tower, channels in ((head.box_head, 6 * 4), (head.cls_head, 6 * 11)):
        convs = [layer for layer in tower.modules() if isinstance(layer, nn.Conv2d)]
        assert [(conv.in_channels, conv.out_channels) for conv in convs] == [
            (256, 256),
            (256, channels),
        ]


def test_the_tutorials_namespace_makes_a_model_and_its_checkpoint_makes_it_again(tutorial_params):
    model = evdet.LightningDetectionModel(tutorial_params)

    assert model.config.loss == "softmax_focal_loss"
    assert model.detector.num_classes == 10

    again = evdet.LightningDetectionModel(argparse.Namespace(**model.hparams))
    assert again.config == model.config


def test_get_boxes_takes_the_thresholds_by_name(tutorial_params):
    small = argparse.Namespace(
        **{**vars(tutorial_params), "feature_base": 2, "feature_channels_out": 8}
    )
    detector = evdet.LightningDetectionModel(small).detector.eval()

    found = detector.get_boxes(torch.rand(T, B, C, H, W), score_thresh=0.3)

    assert [len(lanes) for lanes in found] == [B] * T
    assert set(found[0][0]) == {"boxes", "labels", "scores"}


def test_the_tutorials_parameter_names_are_ours():
    wanted = {
        evdet.BoxHead: ["cin", "num_anchors", "num_logits", "nlayers"],
        evdet.DetectionLoss: ["name"],
        evdet.Vanilla: ["cin", "base"],
        evdet.draw_box_events: [
            "frame", "box_events", "label_map", "draw_score", "thickness", "force_color",
        ],
    }  # fmt: skip
    for function, names in wanted.items():
        assert list(signature(function).parameters)[: len(names)] == names


def test_the_newest_checkpoint_of_a_folder_is_found(tmp_path):
    checkpoint = tmp_path / "checkpoints" / "epoch=3-step=40.ckpt"
    checkpoint.parent.mkdir()
    checkpoint.touch()

    assert evdet.search_latest_checkpoint(str(tmp_path)) == checkpoint


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = evdet.nonsense
