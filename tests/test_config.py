import argparse
import dataclasses
import math
from importlib import resources

import pytest
import torch

from evdet.build import build_detector, complete_config
from evdet.config import (
    ConfigError,
    DetectionConfig,
    config_from_params,
    config_to_yaml,
    read_config,
    write_config,
)
from evdet.configs import shipped_config
from evdet.events.representations.names import get_representation

SEED_TUTORIAL = argparse.Namespace(
    in_channels=3,
    feature_base=8,
    feature_channels_out=128,
    anchor_list="MNIST_ANCHORS",
    loss="_focal_loss",
    act="softmax",
    feature_extractor="Vanilla",
    classes=[str(i) for i in range(10)],
    dataset_path="toy_problem",
    lr=1e-3,
    num_tbins=12,
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
    batch_size=4,
    height=128,
    width=128,
)


def test_no_fields_give_the_defaults():
    assert config_from_params({}) == DetectionConfig()


def test_the_tutorials_namespace_is_a_config():
    config = config_from_params(SEED_TUTORIAL)
    assert config.loss == "softmax_focal_loss"
    assert config.classes == tuple("0123456789")
    assert config.precision == "16"
    assert SEED_TUTORIAL.act == "softmax", "the caller's namespace is left as it was"


@pytest.mark.parametrize("loss", ["_focal_loss", "softmax_focal_loss"])
def test_act_and_loss_are_joined_in_both_spellings(loss):
    config = config_from_params({"act": "softmax", "loss": loss})
    assert config.loss == "softmax_focal_loss"


def test_act_and_loss_that_disagree_are_refused():
    with pytest.raises(ConfigError, match="act is 'sigmoid', but the loss is 'softmax_ohem_loss'"):
        config_from_params({"act": "sigmoid", "loss": "softmax_ohem_loss"})


def test_a_config_survives_its_file(tmp_path):
    config = DetectionConfig(classes=("car", "7"), lr=3e-4, color=False, precision="16")
    write_config(config, tmp_path / "config.yaml")
    assert read_config(tmp_path / "config.yaml") == config


def test_a_config_survives_the_plain_dict_of_a_checkpoint():
    config = DetectionConfig(classes=("a", "b"))
    assert config_from_params(dataclasses.asdict(config)) == config


def test_a_config_leaves_open_what_its_data_set_will_say():
    config = DetectionConfig()
    assert config.classes == ()
    assert (config.preprocess, config.in_channels, config.height) == ("auto", 0, 0)


RVT_CONFIGS = [
    f"rvt_{size}_{data}.yaml" for size in ("tiny", "small", "base") for data in ("gen1", "1mpx")
]


RT_DETR_CONFIGS = [
    f"{family}_{size}_{data}.yaml"
    for family in ("rtdetr", "evrtdetr")
    for size in ("r18", "r50")
    for data in ("gen1", "1mpx")
]
SHAPES_CONFIGS = ["rtdetr_shapes_quick.yaml", "evrtdetr_shapes_quick.yaml"]


@pytest.mark.parametrize("name", [*RT_DETR_CONFIGS, *SHAPES_CONFIGS])
def test_the_recipes_of_rt_detr_build_the_detector_of_their_name_without_suppression(name):
    config = shipped_config(name)
    config = dataclasses.replace(
        config,
        classes=config.classes or ("square",),
        in_channels=get_representation(config.preprocess).num_channels,
        height=config.height or 128,
        width=config.width or 128,
    )
    with torch.device("meta"):
        detector = build_detector(config)
    assert config.detector.lower().replace("-", "").startswith(name.split("_")[0])
    assert config.nms_thresh == 1
    assert config.max_boxes_per_input == detector.decoder.num_queries
    has_memory = name.startswith("ev")
    trained = {name for name, weight in detector.named_parameters() if weight.requires_grad}
    assert all(name.startswith("adapter.") for name in trained) == has_memory


@pytest.mark.parametrize(
    "name",
    ["gen1.yaml", "one_mpx.yaml", "events_digits_quick.yaml", "rvt_events_digits_quick.yaml"],
)
def test_the_configs_for_recordings_are_valid(name):
    assert shipped_config(name).dataset_path != "toy_problem"


def build_shapes(name):
    """The detector of a configuration, without numbers in it and without its data set."""
    config = shipped_config(name)
    num_channels = get_representation(config.preprocess).num_channels
    config = dataclasses.replace(config, in_channels=num_channels)
    with torch.device("meta"):
        return config, build_detector(config).eval()


@pytest.mark.parametrize("name", RVT_CONFIGS)
def test_the_recipes_of_rvt_build_the_detector_of_their_name(name):
    config, detector = build_shapes(name)
    assert config.detector == "RVT-" + name.split("_")[1].capitalize()
    assert detector.num_classes == len(config.classes) == (2 if "gen1" in name else 3)


# The cells of the padded frame, 256x320 or 384x640, at strides 8, 16 and 32.
@pytest.mark.parametrize(("data", "num_candidates"), [("gen1", 1680), ("1mpx", 5040)])
def test_the_recipes_of_rvt_have_as_many_candidates_as_published(data, num_candidates):
    config, detector = build_shapes(f"rvt_tiny_{data}.yaml")
    size = (config.in_channels, config.height, config.width)
    boxes, _, _ = detector.predict(torch.zeros(1, 1, *size, device="meta"))
    assert boxes.shape == (1, num_candidates, 4)


def test_every_shipped_config_is_tested():
    shipped = {
        entry.name
        for entry in (resources.files("evdet") / "configs").iterdir()
        if entry.name.endswith(".yaml")
    }
    assert shipped == {
        "gen1.yaml", "one_mpx.yaml", "events_digits_quick.yaml", "rvt_events_digits_quick.yaml",
        "moving_mnist.yaml", "moving_mnist_quick.yaml", *RVT_CONFIGS, *RT_DETR_CONFIGS,
        *SHAPES_CONFIGS,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["moving_mnist.yaml", "moving_mnist_quick.yaml"])
def test_the_shipped_configs_are_valid(name):
    assert shipped_config(name).dataset_path == "toy_problem"


def test_the_seeds_config_is_the_seeds():
    shipped = complete_config(shipped_config("moving_mnist.yaml"))
    seed = complete_config(config_from_params(SEED_TUTORIAL))
    differing = {
        field.name
        for field in dataclasses.fields(shipped)
        if getattr(shipped, field.name) != getattr(seed, field.name)
    }
    assert differing == {"precision", "root_dir"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_tbin": 3}, "unknown field num_tbin in the configuration. Did you mean num_tbins?"),
        ({"zzz": 3}, "unknown field zzz in the configuration."),
        ({"lr": "fast"}, "lr must be of type float, got 'fast' (str)"),
        ({"num_tbins": 2.5}, "num_tbins must be of type int, got 2.5 (float)"),
        ({"num_tbins": True}, "num_tbins must be of type int, got True (bool)"),
        ({"classes": "car"}, "classes must be a list of names, got 'car'"),
        ({"num_tbins": 0}, "num_tbins must be at least 1, got 0"),
        ({"num_workers": -1}, "num_workers must be 0 or more, got -1"),
        ({"lr": 0.0}, "lr must be positive, got 0.0"),
        ({"lr": float("nan")}, "lr must be positive, got nan"),
        ({"score_thresh": 1.5}, "score_thresh must be between 0 and 1, got 1.5"),
        *(
            ({name: value}, f"{name} must be in [0, 1), got {value}")
            for name in ("lr_warmup", "ema_decay")
            for value in (-1e-9, 1.0)
        ),
        ({"preprocess": "histogram"}, "preprocess must be none for toy_problem, got histogram"),
        ({"sampling": "all"}, "sampling must be one of stream, random, mixed, got all"),
        ({"classes": ["a", "a"]}, "classes must be all different (twice: a), got ('a', 'a')"),
        ({"precision": "64"}, "precision must be one of auto, 32, 16, bf16, got 64"),
        (
            {"max_frames_per_video": 5, "num_tbins": 8},
            "max_frames_per_video (5) is smaller than num_tbins (8): a video must hold at least "
            "one clip. Lengthen the videos or shorten the clips.",
        ),
    ],
)
def test_a_wrong_field_is_named_with_its_value(fields, message):
    with pytest.raises(ConfigError) as raised:
        config_from_params(fields)
    assert str(raised.value) == message


@pytest.mark.parametrize("name", ["lr_warmup", "ema_decay"])
@pytest.mark.parametrize("value", [0.0, math.nextafter(1, 0)])
def test_a_share_may_be_nothing_and_all_but_everything(name, value):
    assert getattr(config_from_params({name: value}), name) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a configuration"),
        ("just words", "is not a configuration"),
        ("lr: [", "cannot be read as a configuration"),
        ("lr: fast", "lr must be of type float"),
        ("5: 3", "unknown field 5"),
    ],
)
def test_a_file_that_is_no_config_is_named(tmp_path, text, message):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as raised:
        read_config(path)
    assert "run.yaml" in str(raised.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml cannot be read"):
        read_config(tmp_path / "nowhere.yaml")


def test_yaml_names_every_field():
    text = config_to_yaml(DetectionConfig())
    assert all(f"{field.name}:" in text for field in dataclasses.fields(DetectionConfig))


@pytest.mark.parametrize("text", ["346", "346x", "0x260", "346 260", "346x-2"])
def test_a_sensor_size_is_two_numbers(text):
    with pytest.raises(ConfigError, match="sensor_size must be WIDTHxHEIGHT"):
        DetectionConfig(sensor_size=text)


def test_a_field_by_its_name_of_version_0_1_0_is_read():
    assert config_from_params({"noise_window": 700}).background_filter == 700


@pytest.mark.parametrize("ends", [[10_000], [10_000, 50_000, 100_000], [0, 10], [20, 10], [-5, -1]])
def test_a_range_of_time_bins_is_two_durations_in_order(ends):
    with pytest.raises(ConfigError, match="delta_t_range must be two durations in microseconds"):
        config_from_params({"delta_t_range": ends})


@pytest.mark.parametrize(
    "ends", ["10000", 10_000, [10_000, "x"], [1.5, 2], [True, 2], [1, 1 << 70]]
)
def test_what_is_no_list_of_integers_is_no_range(ends):
    with pytest.raises(ConfigError, match="delta_t_range must be a list of integers, got"):
        config_from_params({"delta_t_range": ends})


def test_a_range_of_time_bins_survives_its_file(tmp_path):
    config = DetectionConfig(delta_t_range=(10_000, 100_000))
    write_config(config, tmp_path / "config.yaml")
    assert read_config(tmp_path / "config.yaml") == config
