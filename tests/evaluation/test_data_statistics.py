import json

import numpy as np
import pytest

from evdet.boxes import BOX_DTYPE
from evdet.data import open_folder
from evdet.evaluation import data_statistics, describe_folder, describe_truth
from evdet.events import EVENT_DTYPE, SensorSize
from evdet.events.dat import write_dat
from evdet.metrics import ScoredRecording

SENSOR = SensorSize(height=64, width=96)


def boxes_of(class_ids, side=16):
    boxes = np.zeros(len(class_ids), BOX_DTYPE)
    boxes["t"], boxes["w"], boxes["h"] = 100_000, side, side
    boxes["class_id"] = class_ids
    return boxes


def add(folder, split, name, class_ids, num_events=1000, side=16, last=999_999):
    """Events, by default in one second, and boxes at one time."""
    (folder / split).mkdir(exist_ok=True)
    events = np.zeros(num_events, EVENT_DTYPE)
    events["t"] = np.linspace(0, last, num_events)
    write_dat(folder / split / f"{name}_td.dat", [events], SENSOR)
    np.save(folder / split / f"{name}_bbox.npy", boxes_of(class_ids, side))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "label_map_dictionary.json").write_text(json.dumps({0: "car", 1: "bus"}))
    add(tmp_path, "train", "a", [0, 0, 1])
    add(tmp_path, "train", "b", [0], num_events=4000, side=40)
    add(tmp_path, "test", "c", [])
    return tmp_path


def splits_of(path, classes=(), names=("car", "bus")):
    return describe_folder(open_folder(path), classes, names).splits


def test_a_split_without_objects_has_zeros(folder):
    test = splits_of(folder)["test"]

    assert test.objects == {"car": 0, "bus": 0}
    assert (test.num_recordings, test.sides) == (1, [])


def test_objects_rates_and_sizes_are_counted_by_split(folder):
    splits = splits_of(folder)

    assert list(splits) == ["train", "test"]
    assert splits["train"].objects == {"car": 3, "bus": 1}
    assert splits["train"].rates == pytest.approx([1000, 4000], rel=1e-4)
    assert splits["train"].sides == [(16.0, 3), (32.0, 1)]


def test_merged_classes_are_counted_together_and_others_left_out(folder):
    assert splits_of(folder, ["car+bus=vehicle"], ["vehicle"])["train"].objects == {"vehicle": 4}
    assert splits_of(folder, ["bus"], ["bus"])["train"].objects == {"bus": 1}


def test_a_recording_that_cannot_be_read_is_left_out(folder):
    (folder / "train" / "a_td.dat").write_bytes(b"% Width 9\nnonsense")
    train = splits_of(folder)["train"]

    assert (train.num_recordings, train.num_read) == (2, 1)
    assert train.objects == {"car": 1, "bus": 0}


def test_of_many_recordings_evenly_spaced_ones_are_read(folder, monkeypatch):
    monkeypatch.setattr(data_statistics, "_MAX_READ", 2)
    for index in range(5):
        add(folder, "val", f"v{index}", [0] * index)
    val = splits_of(folder)["val"]

    assert (val.num_recordings, val.num_read) == (5, 2)
    assert val.objects["car"] == 4


def test_frames_made_on_the_fly_have_objects_and_no_recordings():
    times = np.array([50_000, 100_000])
    recording = ScoredRecording("a", boxes_of([1, 1, 2]), times, boxes_of([]))
    described = describe_truth([recording], ["car", "bus"], "test").as_dict()["splits"]["test"]

    assert described["objects"] == {"car": 2, "bus": 1}
    assert (described["num_frames"], described["num_recordings"], described["rates"]) == (2, 0, [])


def test_the_rate_of_a_long_recording_is_that_of_its_first_seconds(folder):
    add(folder, "val", "long", [0], num_events=90_001, last=9_000_000)
    add(folder, "val", "one time", [0], num_events=3, last=0)

    assert splits_of(folder)["val"].rates == pytest.approx([10_000])
