import os
import pickle
import time

import pytest
import torch

from evdet.build import build_detector
from evdet.config import DetectionConfig
from evdet.detectors.checkpoints import (
    CheckpointError,
    load_checkpoint,
    load_matching_weights,
    load_network,
    search_latest_checkpoint,
)

SMALL = {
    "feature_base": 2,
    "feature_channels_out": 4,
    "num_levels": 2,
    "head_channels": 4,
}
CLIP = torch.rand(2, 1, 3, 32, 32)


def make_checkpoint(*, seed=0, classes=("car", "bike", "bus"), **changes):
    config = DetectionConfig(**SMALL, seed=seed, classes=classes, **changes)
    weights = build_detector(config).state_dict()
    return {
        "hyper_parameters": {**vars(config), "classes": list(classes)},
        "state_dict": {f"detector.{name}": value for name, value in weights.items()},
    }


@pytest.fixture
def saved(tmp_path):
    torch.save(make_checkpoint(), tmp_path / "a.ckpt")
    return tmp_path / "a.ckpt"


def logits_of(detector):
    features, _ = detector.eval().feature_extractor.step(CLIP)
    return detector.head(features)[1]


# --- search ---


def test_an_empty_folder_has_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint"):
        search_latest_checkpoint(tmp_path)


def test_the_newest_below_the_folder_is_found(tmp_path):
    now = time.time()
    for age, name in enumerate(["new.ckpt", "run/checkpoints/old.ckpt", "run/older.ckpt"]):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (now - age, now - age))

    assert search_latest_checkpoint(tmp_path) == tmp_path / "new.ckpt"
    assert search_latest_checkpoint(tmp_path / "run").name == "old.ckpt"


def test_of_one_file_with_several_names_the_epochs_is_given(tmp_path):
    (tmp_path / "epoch=3-step=9.ckpt").touch()
    for name in ("last.ckpt", "best.ckpt"):
        os.link(tmp_path / "epoch=3-step=9.ckpt", tmp_path / name)

    assert search_latest_checkpoint(tmp_path).name == "epoch=3-step=9.ckpt"


# --- load ---


def test_a_detector_is_loaded_in_evaluation_mode(saved):
    torch.manual_seed(1)
    detector = load_network(saved)

    assert not detector.training
    assert detector.num_classes == 3
    assert torch.equal(
        logits_of(detector),
        logits_of(build_detector(DetectionConfig(**SMALL, classes=("car", "bike", "bus")))),
    )


def refused(path):
    with pytest.raises(CheckpointError) as caught:
        load_network(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    assert "none.ckpt does not exist" in refused(tmp_path / "none.ckpt")


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="is a folder"):
        load_checkpoint(tmp_path)
    assert "*.ckpt" in refused(tmp_path)


@pytest.mark.parametrize("content", [b"", b"x", b"epoch: 3\n" * 1000, pickle.dumps({"a": 1})])
def test_another_file_is_no_checkpoint(tmp_path, content):
    path = tmp_path / "a.ckpt"
    path.write_bytes(content)

    assert "a.ckpt is not a checkpoint" in refused(path)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_a_truncated_file_is_said_to_be_truncated(saved, share):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * share)])

    assert "is truncated" in refused(saved)


def test_flipped_bits_are_noticed(saved):
    content = bytearray(saved.read_bytes())
    middle = len(content) // 3
    content[middle : middle + 2000] = bytes(2000)
    saved.write_bytes(bytes(content))

    assert "not a checkpoint, or is damaged" in refused(saved)


class RunsCode:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


def test_a_file_that_wants_to_run_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.ckpt"
    torch.save({**make_checkpoint(), "extra": RunsCode()}, path)

    assert "run code (posix.mkdir)" in refused(path)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (torch.zeros(1), "holds a Tensor"),
        ({}, "no hyper_parameters, state_dict"),
        ({"state_dict": {}}, "no hyper_parameters"),
    ],
)
def test_a_file_of_something_else_says_what_it_lacks(tmp_path, content, said):
    torch.save(content, tmp_path / "a.ckpt")

    with pytest.raises(CheckpointError, match=said):
        load_checkpoint(tmp_path / "a.ckpt")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"feature_extractor": "Transformer"}, "feature_extractor must be one of"),
        ({"head_chanels": 3}, "Did you mean head_channels"),
        ({"head_channels": 5}, r"other shapes: head\.box_head\.0\.0\.weight \(4, .* and \d+ more"),
        ({"num_levels": 3}, r"lacks feature_extractor\.pyramid\.2"),
        ({"num_levels": 1}, r"also has feature_extractor\.pyramid\.1"),
    ],
)
def test_another_model_says_what_differs(tmp_path, change, said):
    checkpoint = make_checkpoint()
    checkpoint["hyper_parameters"].update(change)
    torch.save(checkpoint, tmp_path / "a.ckpt")

    with pytest.raises(CheckpointError, match=said):
        load_network(tmp_path / "a.ckpt")


# --- other classes ---


@pytest.mark.parametrize("loss", ["softmax_focal_loss", "sigmoid_focal_loss"])
def test_a_class_of_the_same_name_keeps_its_logits(loss):
    old_names, new_names = ("car", "bike", "bus"), ("bus", "tram", "car", "van")
    checkpoint = make_checkpoint(seed=1, classes=old_names, loss=loss)
    old = build_detector(DetectionConfig(**SMALL, seed=1, classes=old_names, loss=loss))
    new = build_detector(DetectionConfig(**SMALL, seed=2, classes=new_names, loss=loss))
    fresh = new.head.cls_head[-1].weight.detach().clone()

    assert load_matching_weights(new, checkpoint, new_names) == ["bus", "car"]

    offset = int(loss.startswith("softmax"))
    before, after = logits_of(old), logits_of(new)
    for name in ("bus", "car"):
        assert torch.equal(
            after[..., new_names.index(name) + offset], before[..., old_names.index(name) + offset]
        )
    if offset:
        assert torch.equal(after[..., 0], before[..., 0])
    rows = new.head.cls_head[-1].weight.reshape(-1, 4 + offset, *fresh.shape[1:])
    tram = new_names.index("tram") + offset
    assert torch.equal(rows[:, tram], fresh.reshape_as(rows)[:, tram])


def test_the_same_classes_are_the_same_detector():
    new = build_detector(DetectionConfig(**SMALL, seed=2, classes=("car", "bike", "bus")))
    checkpoint = make_checkpoint(seed=1)

    load_matching_weights(new, checkpoint, ("car", "bike", "bus"))

    for name, value in new.state_dict().items():
        assert torch.equal(value, checkpoint["state_dict"][f"detector.{name}"])


def test_only_the_classes_may_differ():
    new = build_detector(DetectionConfig(**{**SMALL, "head_channels": 8}, classes=("car",)))

    with pytest.raises(CheckpointError, match="another model"):
        load_matching_weights(new, make_checkpoint(), ("car",))


def test_another_family_keeps_the_classes_that_both_know(tmp_path):
    old_names, new_names = ("car", "bike"), ("bus", "car")
    small = {"detector": "RVT-Tiny", "in_channels": 3, "height": 32, "width": 32}
    torch.save(make_checkpoint(classes=old_names, **small), tmp_path / "rvt.ckpt")
    old = load_network(tmp_path / "rvt.ckpt")
    new = build_detector(DetectionConfig(**SMALL, **small, seed=2, classes=new_names))

    assert load_matching_weights(new, load_checkpoint(tmp_path / "rvt.ckpt"), new_names) == ["car"]

    for before, after in zip(old.head.levels, new.head.levels, strict=True):
        assert torch.equal(after.class_logits.weight[1], before.class_logits.weight[0])
        assert torch.equal(after.objectness.weight, before.objectness.weight)
    with pytest.raises(CheckpointError, match="another model"):
        load_matching_weights(new, make_checkpoint(), new_names)
