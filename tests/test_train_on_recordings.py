"""Folders of event recordings, laid out as they are published -> a trained detector."""

import dataclasses
import json

import numpy as np
import pytest

from evdet.boxes import BOX_DTYPE
from evdet.build import build_detector, build_loader, complete_config
from evdet.config import ConfigError, DetectionConfig
from evdet.configs import shipped_config
from evdet.data.mixed_loader import MixedLoader
from evdet.events.dat.reader import write_dat
from evdet.events.dtypes import EVENT_DTYPE, SensorSize
from evdet.frame_spec import SelectionThresholds

GEN1 = SensorSize(height=240, width=304)
ONE_MPX = SensorSize(height=720, width=1280)
GEN1_CLASSES = ("car", "pedestrian")
ONE_MPX_CLASSES = (
    "pedestrian", "two wheeler", "car", "truck", "bus", "traffic sign", "traffic light",
)  # fmt: skip
# Names as they are published.
GEN1_NAME = "17-03-30_12-53-58_{0}500000_{1}500000"
ONE_MPX_NAME = "moorea_2019-02-15_001_td_{0}500000_{1}500000"
SMALL = {
    "num_tbins": 2, "batch_size": 2, "num_workers": 0, "feature_base": 2,
    "feature_channels_out": 8, "head_channels": 8, "max_epochs": 1, "demo_every": 0,
    "accelerator": "cpu",
}  # fmt: skip


def write_recording(folder, name, size, num_classes, *, seed=0, num_events=2000, box_side=90):
    """Half a second of events, and boxes of each class at two times."""
    rng = np.random.default_rng(seed)
    events = np.zeros(num_events, EVENT_DTYPE)
    events["t"] = np.sort(rng.integers(0, 500_000, num_events))
    events["x"] = rng.integers(0, size.width, num_events)
    events["y"] = rng.integers(0, size.height, num_events)
    events["p"] = rng.integers(0, 2, num_events)
    folder.mkdir(parents=True, exist_ok=True)
    write_dat(folder / f"{name}_td.dat", [events], size)
    boxes = np.zeros(2 * num_classes, BOX_DTYPE)
    boxes["t"] = np.repeat([200_000, 450_000], num_classes)
    boxes["x"] = rng.uniform(0, size.width - box_side - 10, len(boxes))
    boxes["y"] = rng.uniform(0, size.height - box_side - 10, len(boxes))
    boxes["w"] = boxes["h"] = box_side
    boxes["class_id"] = np.tile(np.arange(num_classes), 2)
    np.save(folder / f"{name}_bbox.npy", boxes)


def write_dataset(root, pattern, size, classes):
    for k, split in enumerate(("train", "train", "val", "test")):
        write_recording(root / split, pattern.format(k, k + 60), size, len(classes), seed=k)
    text = json.dumps(dict(enumerate(classes)))
    (root / "label_map_dictionary.json").write_text(text)
    return root


@pytest.fixture
def gen1(tmp_path):
    return write_dataset(tmp_path / "gen1", GEN1_NAME, GEN1, GEN1_CLASSES)


def test_a_folder_says_what_the_config_leaves_open(gen1):
    config = complete_config(DetectionConfig(dataset_path=str(gen1)))
    assert config.classes == GEN1_CLASSES
    assert (config.height, config.width) == GEN1
    assert (config.preprocess, config.in_channels) == ("histogram", 2)
    assert complete_config(config) == config


def test_a_complete_config_needs_no_folder(gen1):
    config = complete_config(DetectionConfig(dataset_path=str(gen1)))
    elsewhere = dataclasses.replace(config, dataset_path="moved away")
    assert complete_config(elsewhere) == elsewhere


@pytest.mark.parametrize("build", [build_detector, lambda config: build_loader(config, "train")])
def test_only_a_complete_config_is_built(gen1, build):
    config = DetectionConfig(dataset_path=str(gen1), height=240)
    with pytest.raises(ConfigError, match=r"classes, width, in_channels, preprocess: .*gen1"):
        build(config)


def test_channels_that_contradict_the_representation_are_refused(gen1):
    with pytest.raises(
        ConfigError, match=r"in_channels is 3, but the frames of .* have 2 channels"
    ):
        complete_config(DetectionConfig(dataset_path=str(gen1), in_channels=3))
    with pytest.raises(ValueError, match=r"preprocess must be one of diff, .*, got 'histo'"):
        complete_config(DetectionConfig(dataset_path=str(gen1), preprocess="histo"))


@pytest.mark.parametrize("sampling", ["stream", "random", "mixed"])
def test_each_sampling_plays_the_training_recordings(gen1, sampling):
    config = complete_config(DetectionConfig(
        dataset_path=str(gen1), num_tbins=2, num_workers=0, sampling=sampling,
        batch_size=2, max_frames_per_epoch=8,
    ))  # fmt: skip
    loader = build_loader(config, "train")
    batches = list(loader)
    assert isinstance(loader, MixedLoader) == (sampling == "mixed")
    assert len(batches) == len(loader) > 0
    assert {tuple(b["inputs"].shape) for b in batches} == {(2, 2, 2, *GEN1)}
    assert sum(int(b["frame_is_labeled"].sum()) for b in batches) > 0
    if sampling == "random":
        assert not any(b["mask_keep_memory"].any() for b in batches)
    picture = loader.get_vis_func()(batches[0]["inputs"][0, 0])
    assert picture.shape == (*GEN1, 3)


@pytest.mark.parametrize("sampling", ["stream", "random", "mixed"])
@pytest.mark.parametrize("network", [{"feature_extractor": "VanillaS5"}, {"detector": "RVT-Tiny"}])
def test_every_network_and_sampling_reads_time_bins_of_drawn_durations(gen1, sampling, network):
    config = DetectionConfig(
        **SMALL, dataset_path=str(gen1), sampling=sampling, delta_t_range=(20_000, 100_000),
        height=120, width=152, max_frames_per_epoch=4, **network,
    )  # fmt: skip
    config = complete_config(config)
    detector, memory, durations = build_detector(config), None, set()
    for batch in build_loader(config, "train"):
        losses, memory = detector.compute_loss(batch, memory)
        memory = tuple(part.detach() for part in memory)
        durations |= set(batch["durations"].flatten().tolist())
        assert all(loss.isfinite() for loss in losses.values())
    assert len(durations) >= 2
    assert all(20_000 <= duration <= 100_000 for duration in durations)
    val = next(iter(build_loader(config, "val")))
    assert set(val["durations"].flatten().tolist()) == {50_000.0}


def test_classes_can_be_merged_and_renamed(gen1):
    config = DetectionConfig(
        dataset_path=str(gen1), classes=("car+pedestrian=moving",), num_tbins=10, batch_size=1
    )
    config = complete_config(config)
    assert config.class_names == ("moving",)
    batch = next(iter(build_loader(dataclasses.replace(config, num_workers=0), "val")))
    labels = {float(label) for lanes in batch["labels"] for boxes in lanes for label in boxes[:, 4]}
    assert labels == {1.0}


def test_validation_is_never_augmented_and_training_is(gen1):
    config = DetectionConfig(dataset_path=str(gen1), num_tbins=10, num_workers=0, hflip=1.0)
    config = complete_config(config)
    plain = dataclasses.replace(config, hflip=0.0)
    for split, is_same in (("train", False), ("val", True)):
        ours, theirs = (next(iter(build_loader(c, split)))["inputs"] for c in (config, plain))
        assert bool((ours == theirs).all()) == is_same


@pytest.mark.parametrize(
    ("name", "pattern", "size", "classes"),
    [
        pytest.param("gen1.yaml", GEN1_NAME, GEN1, GEN1_CLASSES),
        pytest.param(
            "one_mpx.yaml", ONE_MPX_NAME, ONE_MPX, ONE_MPX_CLASSES, marks=pytest.mark.slow
        ),
    ],
)
def test_the_recipe_of_a_published_data_set_runs_on_its_layout(
    tmp_path, name, pattern, size, classes
):
    from evdet.detectors.checkpoints import load_network
    from evdet.training import train

    folder = write_dataset(tmp_path / "data", pattern, size, classes)
    recipe = dataclasses.replace(
        shipped_config(name), dataset_path=str(folder), root_dir=str(tmp_path / "run"), **SMALL
    )
    result = train(recipe)
    # Two recordings of ten bins side by side, two bins a clip.
    assert result.num_frames == 2 * 10
    detector = load_network(result.last_checkpoint)
    batch = next(iter(build_loader(complete_config(recipe), "test")))
    found, _ = detector.step(
        batch["inputs"], None, thresholds=SelectionThresholds(score_thresh=0.0)
    )
    assert len(found) == 2
    labels = [int(label) for frame in found for lane in frame for label in lane["labels"]]
    assert set(labels) <= set(range(1, len(recipe.classes) + 1))


SMALL_SENSOR = SensorSize(height=64, width=64)


@pytest.mark.slow
@pytest.mark.parametrize("detector", ["SSD", "RVT-Tiny"])
def test_one_line_swaps_the_detector_and_all_of_the_recipe_holds(tmp_path, detector):
    """Mixed sampling, augmentation, AdamW, one cycle, accumulation, clipping, moving average."""
    from evdet.detectors.checkpoints import load_checkpoint, load_network
    from evdet.training import train

    root = tmp_path / "data"
    for k, split in enumerate(("train", "train", "val")):
        write_recording(root / split, f"scene{k}", SMALL_SENSOR, 2, seed=k, box_side=24)
    (root / "label_map_dictionary.json").write_text(json.dumps({"0": "car", "1": "person"}))
    common = {
        "dataset_path": str(root), "num_levels": 2, "sampling": "mixed", "hflip": 0.5,
        "zoom": 0.8, "stream_zoom_out": 0.5, "polarity_swap": 0.5, "optimizer": "adamw",
        "lr_schedule": "one_cycle_linear", "gradient_clip": 1.0, "gradient_clip_by": "value",
        "accumulate_batches": 2, "ema_decay": 0.9,
    }  # fmt: skip
    recipe = DetectionConfig(**SMALL, **common, detector=detector, root_dir=str(tmp_path / "run"))

    result = train(recipe)

    checkpoint = load_checkpoint(result.last_checkpoint)
    # Ten bins of a lane that plays a recording, in clips of two, two clips a step.
    assert result.num_frames > 0
    assert 0 < checkpoint["global_step"] == -(-result.num_frames // 4 // 2)
    averaged = load_network(result.last_checkpoint).state_dict()
    start = build_detector(complete_config(recipe)).state_dict()
    assert averaged.keys() == start.keys()
    assert all(value.isfinite().all() for value in averaged.values())
    assert any((averaged[name] != start[name]).any() for name in start)
    last = checkpoint["current_model_state"]
    assert any((last[f"detector.{name}"] != averaged[name]).any() for name in start)
