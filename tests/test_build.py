import dataclasses

import pytest
import torch

from evdet.build import (
    ANCHORS,
    DETECTORS,
    FEATURE_EXTRACTORS,
    build_detector,
    build_loader,
    complete_config,
)
from evdet.config import ConfigError, DetectionConfig

CONFIG = DetectionConfig(
    feature_base=1, feature_channels_out=2, num_levels=2, head_channels=2, height=32, width=32,
    num_tbins=2, batch_size=2, max_frames_per_video=4, max_frames_per_epoch=16, val_frames=8,
    test_frames=12, num_workers=0,
)  # fmt: skip


def change(**fields):
    return dataclasses.replace(CONFIG, **fields)


@pytest.mark.parametrize("name", sorted(FEATURE_EXTRACTORS))
def test_every_feature_extractor_makes_a_detector(name):
    detector = build_detector(change(feature_extractor=name))
    assert detector.num_classes == 10
    assert len(detector.memory_names) == len(set(detector.memory_names))


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_one_field_swaps_the_detector(name):
    detector = build_detector(change(detector=name, classes=("1", "7", "8")))
    assert detector.num_classes == 3
    assert detector.frame_spec.class_names == ("1", "7", "8")
    out, memory = detector.eval().step(torch.rand(1, 2, 3, 32, 32))
    assert [len(lanes) for lanes in out] == [2]
    assert len(memory) == len(detector.memory_names)


@pytest.mark.parametrize("name", sorted(ANCHORS))
def test_every_anchor_set_makes_a_detector(name):
    detector = build_detector(change(anchor_list=name))
    assert detector.head.num_anchors == len(ANCHORS[name])


def test_the_weights_are_a_function_of_the_seed_and_leave_the_random_state_alone():
    before = torch.get_rng_state()
    first, again = (build_detector(CONFIG).state_dict() for _ in range(2))
    other = build_detector(change(seed=1)).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_channels_last_is_an_order_of_the_same_weights():
    plain, last = build_detector(CONFIG), build_detector(change(channels_last=True))
    for (name, one), other in zip(plain.named_parameters(), last.parameters(), strict=True):
        assert torch.equal(one, other), name
    stem = last.feature_extractor.stem[0][0].weight
    assert stem.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("split", "frames"), [("train", 16), ("val", 8), ("test", 12)])
def test_every_split_plays_its_number_of_frames(split, frames):
    batches = list(build_loader(CONFIG, split))
    assert sum(int(batch["frame_is_labeled"].sum()) for batch in batches) == frames


def test_an_evaluation_rounds_up_to_whole_videos():
    batches = list(build_loader(change(test_frames=9), "test"))
    assert sum(int(batch["frame_is_labeled"].sum()) for batch in batches) == 12


def test_the_classes_name_the_digits_that_play():
    loader = build_loader(change(classes=("8", "1"), max_frames_per_epoch=64), "train")
    labels = [f[:, 4] for batch in loader for lanes in batch["labels"] for f in lanes]
    assert set(torch.cat(labels).tolist()) == {1.0, 2.0}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"detector": "RVT"}, "detector must be one of EvRT-DETR-Nano, .*, RVT-Base, RVT-Small"),
        ({"feature_extractor": "Vanila"}, "feature_extractor must be one of Vanilla, VanillaGRU"),
        ({"anchor_list": "MINE"}, "anchor_list must be one of COCO_ANCHORS"),
        ({"loss": "focal"}, "loss must be one of sigmoid_focal_loss"),
    ],
)
def test_an_unknown_part_is_answered_with_the_list(fields, message):
    with pytest.raises(ValueError, match=message):
        build_detector(change(**fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {
                "dataset_path": "/data/gen1",
                "preprocess": "none",
                "classes": ("a",),
                "in_channels": 1,
            },
            "/data/gen1",
        ),
        ({"classes": ("car",)}, "are the digits 0 to 9, got 'car'"),
    ],
)
def test_data_that_there_is_not_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        build_loader(change(**fields), "train")


@pytest.mark.parametrize(
    ("name", "value"),
    [("format", "dat"), ("time_unit", "ms"), ("columns", "txyp"), ("sensor_size", "64x48")],
)
def test_how_to_read_recordings_is_refused_where_there_are_none(name, value):
    config = dataclasses.replace(DetectionConfig(), **{name: value})
    with pytest.raises(ConfigError, match=f"{name} is for recordings, and toy_problem has none"):
        complete_config(config)


def test_the_toy_problem_fills_in_what_is_not_given():
    config = complete_config(DetectionConfig())
    assert config.classes == tuple("0123456789")
    assert (config.preprocess, config.in_channels) == ("none", 3)
    assert (config.height, config.width) == (128, 128)
    assert complete_config(config) == config
