import sys

import pytest
import torch
import yaml

import evdet
from evdet.build import build_detector
from evdet.config import DetectionConfig, config_to_yaml
from evdet.detectors import (
    CheckpointError,
    ExportError,
    OnnxDetector,
    find_checkpoint,
    open_detector,
    resolve_device,
)
from evdet.models import DetectorProtocol, device_of

TINY = DetectionConfig(
    classes=("3", "7"),
    height=32,
    width=48,
    feature_base=2,
    feature_channels_out=4,
    num_levels=2,
    head_channels=4,
)


def write_checkpoint(path, *, seed=0):
    torch.manual_seed(seed)
    weights = build_detector(TINY).state_dict()
    content = {
        "hyper_parameters": yaml.safe_load(config_to_yaml(TINY)),
        "state_dict": {f"detector.{name}": value for name, value in weights.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path


def weights_of(detector):
    return torch.cat([weight.flatten() for weight in detector.parameters()])


def test_an_empty_folder_has_no_checkpoint(tmp_path):
    for open_it in (open_detector, find_checkpoint):
        with pytest.raises(CheckpointError, match=r"\*\.ckpt"):
            open_it(tmp_path)


def test_what_is_not_there_is_said_to_be_missing(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.ckpt"):
        open_detector(tmp_path / "none.ckpt")
    with pytest.raises(ExportError, match=r"none\.onnx"):
        open_detector(tmp_path / "none.onnx")


def test_a_checkpoint_gives_a_detector_in_evaluation_mode(tmp_path):
    detector = open_detector(write_checkpoint(tmp_path / "a.ckpt"))
    assert isinstance(detector, DetectorProtocol)
    assert not detector.training
    assert detector.frame_spec.class_names == ("3", "7")
    assert device_of(detector) == torch.device("cpu")


def test_of_a_run_the_best_checkpoint_is_taken_else_the_newest(tmp_path):
    last = write_checkpoint(tmp_path / "checkpoints" / "last.ckpt", seed=1)
    assert find_checkpoint(tmp_path) == last
    assert torch.equal(weights_of(open_detector(tmp_path)), weights_of(open_detector(last)))

    best = write_checkpoint(tmp_path / "checkpoints" / "best.ckpt", seed=2)
    write_checkpoint(tmp_path / "checkpoints" / "epoch=9-step=9.ckpt", seed=3)
    assert find_checkpoint(str(tmp_path)) == best
    assert torch.equal(weights_of(open_detector(tmp_path)), weights_of(open_detector(best)))


def test_a_bundled_name_gives_its_detector():
    assert open_detector("events-digits").frame_spec.class_names == tuple("0123456789")


def test_an_exported_model_runs_on_the_cpu_alone(toy_path):
    for device in ("cpu", "auto"):
        assert isinstance(open_detector(toy_path, device=device), OnnxDetector)
    with pytest.raises(ValueError, match="runs on the CPU, not on 'cuda'"):
        open_detector(toy_path, device="cuda")


def test_the_device_is_looked_at_before_the_file(tmp_path):
    with pytest.raises(ValueError, match="device 'nonsense' is not available"):
        open_detector(tmp_path / "none.ckpt", device="nonsense")


def test_auto_is_the_cpu_where_there_is_no_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")
    assert resolve_device(torch.device("cpu")) == torch.device("cpu")


def test_a_device_that_can_compute_nothing_is_refused():
    with pytest.raises(ValueError, match="device 'meta' is not available"):
        resolve_device("meta")


def test_the_library_opens_what_the_commands_open(toy_path, tmp_path):
    write_checkpoint(tmp_path / "run" / "checkpoints" / "best.ckpt")
    for path in (tmp_path / "run", toy_path, "events-digits"):
        assert isinstance(evdet.load_detector(path, device="cpu"), DetectorProtocol)
    assert evdet.load_detector is evdet.open_detector


def test_a_missing_onnxruntime_is_named(toy_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ExportError, match="onnxruntime"):
        open_detector(toy_path)
