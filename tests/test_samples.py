import re
from pathlib import Path

import numpy as np
import pytest

import evdet
from evdet.boxes import BOX_DTYPE
from evdet.cli import main
from evdet.data import labels_beside
from evdet.detectors.checkpoints import CheckpointError
from evdet.events.recording import open_recording
from evdet.metrics import average_precision
from evdet.pipeline import detect
from evdet.samples import (
    SAMPLES,
    WEIGHTS,
    bundled_weights,
    find_recording,
    sample_recording,
)

NMNIST = "nmnist/nmnist_train1000.zip"


@pytest.mark.parametrize(("name", "seconds"), [("sample", 10), ("sample-nmnist", 9)])
def test_a_sample_has_the_boxes_of_its_objects_beside_it(name, seconds):
    recording = open_recording(sample_recording(name))
    assert recording.size == (128, 128)
    assert seconds - 0.1 < recording.duration / 1e6 < seconds
    (labels,) = labels_beside(sample_recording(name))
    boxes = np.load(labels)
    assert set(boxes.dtype.names) == {*BOX_DTYPE.names, "still_us"}
    assert boxes["t"].max() == pytest.approx(seconds * 1e6, abs=1e5)
    # What shows memory: objects that stand still for seconds.
    assert boxes["still_us"].max() > 2_000_000
    # The boxes belong to the recording: most of its events lie in them.
    inside = total = 0
    for t in np.unique(boxes["t"]).tolist():
        events = recording.slice(t - 10_000, t)
        total += len(events)
        is_inside = np.zeros(len(events), bool)
        for box in boxes[boxes["t"] == t]:
            x, y = events["x"] - box["x"], events["y"] - box["y"]
            is_inside |= (x > -3) & (x < box["w"] + 2) & (y > -3) & (y < box["h"] + 2)
        inside += is_inside.sum()
    assert inside > 0.8 * total


@pytest.mark.parametrize("name", SAMPLES)
def test_the_command_beside_a_sample_makes_it_of_unseen_digits(name, event_data, tmp_path):
    # `--test` plays digits of the test split, which no training plays.
    text = sample_recording(name).with_name("SOURCE.md").read_text().replace("\\\n", " ")
    (command,) = re.findall(rf"^evdet (simulate {name} --kind .* --train 0 .*)$", text, re.M)
    words = command.replace("nmnist_train1000.zip", str(event_data / NMNIST)).split()
    folder = tmp_path / name
    assert main([words[0], str(folder), *words[2:]]) == 0
    (made,) = folder.rglob("*_td.dat")
    assert made.read_bytes() == sample_recording(name).read_bytes()
    (boxes,), (bundled,) = folder.rglob("*_bbox.npy"), labels_beside(sample_recording(name))
    np.testing.assert_array_equal(np.load(boxes), np.load(bundled))


def test_the_first_sample_needs_no_name_and_a_typo_gets_the_list():
    assert sample_recording() == sample_recording("sample")
    with pytest.raises(ValueError, match="'sample-mnist': choose one of sample, sample-nmnist"):
        sample_recording("sample-mnist")


def test_a_file_of_the_users_comes_before_a_sample(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_recording(Path("sample-nmnist")) == sample_recording("sample-nmnist")
    Path("sample-nmnist").touch()
    for name in ("sample-nmnist", "no/sample", "no.dat", "."):
        assert find_recording(Path(name)) == Path(name)


@pytest.mark.parametrize("command", ["info", "convert", "view", "detect", "bench"])
def test_a_command_lists_the_samples_where_one_is_misspelt(command, tmp_path, capsys):
    output = {"view": ["--output", f"{tmp_path}/x.png"], "convert": [f"{tmp_path}/x.h5"]}
    words = ["events-digits", "--source"] if command == "bench" else []
    assert main([command, *words, "sample-nmist", *output.get(command, [])]) == 2
    said = capsys.readouterr().err
    assert re.search(r"sample-nmist does not exist \(.*bundled.*: sample, sample-nmnist\)", said)


def test_info_and_view_take_the_name_of_a_sample(tmp_path, capsys):
    assert main(["info", *SAMPLES]) == 0
    said = capsys.readouterr().out
    assert [said.count(sample_recording(name).name) for name in SAMPLES] == [1, 1]
    picture = tmp_path / "look.png"
    assert main(["view", "sample-nmnist", "--output", str(picture), "--pictures", "1"]) == 0
    assert "nmnist_bbox.npy, 540" in capsys.readouterr().out


def test_there_are_no_weights_of_another_name():
    with pytest.raises(ValueError, match="'digits': choose one of events-digits"):
        bundled_weights("digits")
    with pytest.raises(CheckpointError, match="digits does not exist"):
        evdet.open_detector("digits")


@pytest.mark.parametrize("name", WEIGHTS)
def test_bundled_weights_are_small_and_say_what_they_detect(name):
    assert bundled_weights(name).stat().st_size < 5_000_000
    spec = evdet.open_detector(name).frame_spec
    assert spec.class_names == tuple("0123456789")
    assert (spec.height, spec.width, spec.preprocess) == (128, 128, "histogram")


def test_a_file_of_the_users_comes_before_bundled_weights(tmp_path, monkeypatch):
    (tmp_path / "events-digits").write_text("mine")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="not a PyTorch file"):
        evdet.open_detector("events-digits")


@pytest.mark.parametrize("name", SAMPLES)
def test_the_bundled_detector_finds_the_digits_of_the_samples(name):
    (labels,) = labels_beside(sample_recording(name))
    truth = np.load(labels)
    truths, detections = [], []
    for t, _, boxes in detect(sample_recording(name), evdet.open_detector("events-digits")):
        there = truth[truth["t"] == t]
        corners = [there["x"], there["y"], there["x"] + there["w"], there["y"] + there["h"]]
        truths.append(np.stack([*corners, there["class_id"] + 1.0], axis=1).astype(np.float32))
        corners = [boxes["x"], boxes["y"], boxes["x"] + boxes["w"], boxes["y"] + boxes["h"]]
        detections.append(
            {
                "boxes": np.stack(corners, axis=1),
                "labels": boxes["class_id"].astype(np.int64),
                "scores": boxes["class_confidence"],
            }
        )
    assert average_precision(truths, detections, tuple("0123456789")).map50 > 0.5
