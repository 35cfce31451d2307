"""A training without a single object ends before its first step, and says why."""

import json

import numpy as np
import pytest

from evdet.boxes import BOX_DTYPE
from evdet.build import build_loader, complete_config
from evdet.config import DetectionConfig
from evdet.data import NoObjectsError
from evdet.events.dat.reader import write_dat
from evdet.events.dtypes import EVENT_DTYPE, SensorSize
from evdet.training import TrainingError, train

SIZE = SensorSize(height=32, width=48)
SMALL = {
    "num_tbins": 2, "batch_size": 2, "num_workers": 0, "feature_base": 2, "max_epochs": 1,
    "feature_channels_out": 8, "head_channels": 8, "demo_every": 0, "accelerator": "cpu",
}  # fmt: skip


@pytest.fixture
def dataset(tmp_path):
    """Make a data set whose splits have these boxes, each 10x8 pixels at 100 and 200 ms."""

    def make(**changes):
        for split in ("train", "val", "test"):
            folder = tmp_path / "set" / split
            folder.mkdir(parents=True)
            events = np.zeros(100, EVENT_DTYPE)
            events["t"] = np.arange(100) * 3000
            write_dat(folder / f"{split}_td.dat", [events], SIZE)
            boxes = np.zeros(2, BOX_DTYPE)
            boxes["t"] = [100_000, 200_000]
            boxes["x"], boxes["y"], boxes["w"], boxes["h"] = 3, 4, 10, 8
            change = changes.get(split, {})
            if change is None:
                boxes = boxes[:0]
            else:
                for name, value in change.items():
                    boxes[name] = value
            np.save(folder / f"{split}_bbox.npy", boxes)
        (tmp_path / "set" / "label_map_dictionary.json").write_text(json.dumps({0: "car"}))
        return tmp_path / "set"

    return make


def config_of(folder, **fields):
    run = folder.parent / "run"
    return DetectionConfig(dataset_path=str(folder), root_dir=str(run), **SMALL | fields)


def refusal(folder, **fields):
    with pytest.raises(TrainingError, match="nothing to train with") as caught:
        train(config_of(folder, **fields))
    assert not list((folder.parent / "run").rglob("*.ckpt"))
    return str(caught.value)


def test_empty_label_files_everywhere_are_named_with_their_counts(dataset):
    text = refusal(dataset(train=None, val=None))
    assert "train has 0 boxes in 1 recording, of which 0 have labels" in text
    assert "val has 0 boxes in 1 recording" in text
    assert "evdet check" in text


def test_a_validation_without_objects_is_refused_before_the_first_step(dataset):
    text = refusal(dataset(val=None))
    assert "val has 0 boxes" in text
    assert "train has" not in text


def test_classes_that_the_label_map_lacks_are_the_reason(dataset):
    assert "2" in refusal(dataset(train={"class_id": 5})).partition("boxes left out: ")[2]


def test_the_rules_that_drop_every_box_are_the_reason(dataset):
    text = refusal(dataset(), min_box_diag=500.0)
    assert "train has 0 boxes in 1 recording, of which 1 has labels, in 2 time bins" in text
    assert "diagonal too short: 2" in text


def test_boxes_outside_the_sensor_are_the_reason(dataset):
    assert "outside the sensor: 2" in refusal(dataset(train={"x": 400}))


def test_boxes_after_the_recording_are_the_reason(dataset):
    assert "outside the recording: 2" in refusal(dataset(train={"t": 10**9}))


def test_random_clips_are_refused_too(dataset):
    assert "train has 0 boxes" in refusal(dataset(train=None), sampling="random")


def test_a_loader_of_a_split_without_objects_is_refused(dataset):
    config = complete_config(config_of(dataset(test=None)))
    build_loader(config, "train")
    with pytest.raises(NoObjectsError, match="test has 0 boxes in 1 recording"):
        build_loader(config, "test")
