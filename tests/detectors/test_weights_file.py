import json

import pytest
import torch
from safetensors.torch import load_file, save_file

import evdet
from evdet.build import build_detector
from evdet.config import DetectionConfig
from evdet.detectors import (
    CheckpointError,
    find_checkpoint,
    load_checkpoint,
    load_matching_weights,
    load_network,
    weights_config_to_json,
    weights_to_bytes,
)

TINY = DetectionConfig(
    dataset_path="/home/me/drives",
    root_dir="/home/me/runs/secret",
    classes=("car", "bike"),
    preprocess="histogram",
    in_channels=2,
    height=32,
    width=48,
    feature_base=2,
    feature_channels_out=4,
    num_levels=2,
    head_channels=4,
)


@pytest.fixture
def detector():
    torch.manual_seed(3)
    return build_detector(TINY).eval()


@pytest.fixture
def folder(tmp_path, detector):
    folder = tmp_path / "drives"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(weights_to_bytes(detector.state_dict()))
    (folder / "config.json").write_text(weights_config_to_json(TINY))
    return folder


def alter(folder, **changes):
    path = folder / "config.json"
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(content))


def test_an_empty_folder_has_no_weights(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint"):
        evdet.load_detector(tmp_path)


def test_weights_come_back_bit_by_bit_and_detect_the_same(folder, detector):
    clip = torch.rand(3, 2, 2, 32, 48)
    for path in (folder, folder / "model.safetensors", str(folder)):
        opened = evdet.load_detector(path)
        assert not opened.training
        for name, weight in detector.state_dict().items():
            assert torch.equal(opened.state_dict()[name], weight)
        (first, memory), (second, same) = opened.step(clip), detector.step(clip)
        assert all(torch.equal(one, other) for one, other in zip(memory, same, strict=True))
        for lanes, others in zip(first, second, strict=True):
            for lane, other in zip(lanes, others, strict=True):
                assert torch.equal(lane["boxes"], other["boxes"])
                assert torch.equal(lane["scores"], other["scores"])
    assert opened.frame_spec == TINY.frame_spec


def test_the_configuration_does_not_tell_about_the_machine(folder):
    text = (folder / "config.json").read_text()
    assert "/home" not in text
    assert "secret" not in text
    assert json.loads(text)["label_map"] == {"1": "car", "2": "bike"}


def test_a_training_starts_from_weights(folder, detector):
    fresh = build_detector(DetectionConfig(**{**vars(TINY), "classes": ("bike", "bus")}))
    for path in (folder, folder / "model.safetensors"):
        kept = load_matching_weights(fresh, load_checkpoint(path), ("bike", "bus"))
        assert kept == ["bike"]


def test_of_a_folder_the_hubs_name_is_taken_else_the_only_one(folder):
    other = folder / "other.safetensors"
    (folder / "model.safetensors").rename(other)
    assert find_checkpoint(folder) == other
    other.with_name("third.safetensors").write_bytes(other.read_bytes())
    for open_it in (find_checkpoint, load_network, load_checkpoint):
        with pytest.raises(CheckpointError, match="2 files of weights"):
            open_it(folder)
    other.rename(folder / "model.safetensors")
    assert find_checkpoint(folder).name == "model.safetensors"


def test_checkpoints_of_a_run_precede_weights_beside_them(folder):
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "last.ckpt").write_bytes(b"x")
    assert find_checkpoint(folder).name == "last.ckpt"


@pytest.mark.parametrize("num_bytes", [0, 4, 8, 100, 5000])
def test_truncated_weights_are_refused_in_a_line(folder, num_bytes):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:num_bytes])
    with pytest.raises(CheckpointError, match=r"model\.safetensors.*damaged") as refusal:
        load_network(folder)
    assert "\n" not in str(refusal.value)


def test_a_header_that_claims_more_than_the_file_has_is_refused(folder):
    header = json.dumps(
        {"huge": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}
    ).encode()
    path = folder / "model.safetensors"
    for content in (len(header).to_bytes(8, "little") + header, b"\xff" * 20):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="damaged"):
            load_network(folder)


def test_weights_of_another_detector_are_named(folder, detector):
    weights = load_file(folder / "model.safetensors")
    first, second = [name for name in weights if weights[name].is_floating_point()][:2]
    for altered, reason in (
        ({**weights, first: torch.zeros(7)}, "other shapes"),
        ({name: weights[name] for name in weights if name != second}, "lacks"),
        ({**weights, "more": torch.zeros(1)}, "also has"),
        ({**weights, first: torch.full_like(weights[first], torch.nan)}, "not finite"),
        ({**weights, first: weights[first].to(torch.int8)}, "other types"),
    ):
        save_file(altered, folder / "model.safetensors")
        with pytest.raises(CheckpointError, match=reason):
            load_network(folder)


def test_half_precision_is_read(folder, detector):
    halved = {
        name: w.half() if w.is_floating_point() else w for name, w in detector.state_dict().items()
    }
    (folder / "model.safetensors").write_bytes(weights_to_bytes(halved))
    opened = load_network(folder).state_dict()
    for name, weight in halved.items():
        assert torch.equal(opened[name], weight.to(opened[name].dtype))


def test_a_type_that_torch_lacks_is_refused(folder):
    header = json.dumps({"a": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}).encode()
    content = len(header).to_bytes(8, "little") + header + b"\0"
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"damaged|another model"):
        load_network(folder)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("[]", "not a configuration of evdet"),
        ('{"architectures": ["DetrForObjectDetection"], "id2label": {}}', "not a configuration"),
        ('{"library_name": "evdet", "format": 9}', "update evdet"),
        ('{"library_name": "evdet", "format": 1}', "has no configuration"),
        ('{"library_name": "evdet", "format": 1, "configuration": {"lr": "x"}}', "lr must be"),
        ('{"library_name": "evdet", "format": 1, "configuration": {"height": 1e9}}', "height"),
        (" " * (2 << 20), "more than"),
    ],
)
def test_a_configuration_that_is_not_of_evdet_is_refused_in_a_line(folder, text, reason):
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=reason) as refusal:
        load_network(folder)
    assert "config.json" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 500


def test_a_label_map_of_other_classes_is_refused(folder):
    alter(folder, label_map={"1": "bike", "2": "car"})
    with pytest.raises(CheckpointError, match="contradicts itself"):
        load_network(folder)


def test_weights_without_configuration_are_refused_with_what_writes_both(folder):
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config\.json, which describes model\.safetensors"):
        load_network(folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"none\.safetensors does not exist"):
        load_network(folder / "none.safetensors")
