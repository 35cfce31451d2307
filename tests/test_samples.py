import numpy as np
import pytest

import evdet
from evdet.boxes import BOX_DTYPE
from evdet.detectors.checkpoints import CheckpointError
from evdet.events.recording import open_recording
from evdet.metrics import average_precision
from evdet.pipeline import detect
from evdet.samples import WEIGHTS, bundled_weights, sample_recording


def test_the_sample_is_ten_seconds_with_boxes_beside_it():
    recording = open_recording(sample_recording())
    assert recording.size == (128, 128)
    assert 9.9e6 < recording.duration < 10e6
    boxes = np.load(sample_recording().with_name("digits_bbox.npy"))
    assert set(boxes.dtype.names) == {*BOX_DTYPE.names, "still_us"}
    # What shows memory: objects that stand still for seconds.
    assert boxes["still_us"].max() > 2_000_000


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


def test_the_bundled_detector_finds_the_digits_of_the_sample():
    truth = np.load(sample_recording().with_name("digits_bbox.npy"))
    truths, detections = [], []
    for t, _, boxes in detect(sample_recording(), evdet.open_detector("events-digits")):
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
