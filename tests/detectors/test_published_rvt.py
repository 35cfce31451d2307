import os
import pickle
import re
import zipfile
from pathlib import Path

import pytest
import torch

from evdet.cli import main
from evdet.detectors import import_rvt, published_name
from evdet.detectors.checkpoints import CheckpointError, load_checkpoint, load_network
from evdet.models.rvt import RVT, RVT_PLANS

STEM = "mdl.backbone.stages.0.downsample_cf2cl.conv.weight"


def published(num_classes=2, in_channels=20, size="RVT-Tiny"):
    """The weights of a published checkpoint, all different, by their published names."""
    detector = RVT(RVT_PLANS[size], in_channels, num_classes)
    return {published_name(name): weight for name, weight in detector.state_dict().items()}


class Settings(dict):
    """Stands for what a checkpoint holds besides tensors, of libraries that we do not have."""


@pytest.fixture
def file(tmp_path):
    def write(state_dict, **more):
        path = tmp_path / "rvt-t.ckpt"
        torch.save({"state_dict": state_dict, **more}, path)
        return path

    return write


@pytest.fixture(scope="module")
def weights():
    return published()


def refused(path, **options):
    with pytest.raises(CheckpointError) as caught:
        import_rvt(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


# --- what is taken over ---


def test_a_published_checkpoint_becomes_one_of_ours(file, weights, tmp_path):
    settings = Settings(model=Settings(name="rnndet"), folder=Path("/data"))
    path = file(weights, hyper_parameters=settings, callbacks={"at": Path("/x")}, epoch=3)
    torch.save(import_rvt(path), tmp_path / "ours.ckpt")

    detector = load_network(tmp_path / "ours.ckpt")

    for name, weight in detector.state_dict().items():
        assert torch.equal(weight, weights[published_name(name)]), name
    spec = detector.frame_spec
    assert (spec.height, spec.width, spec.in_channels) == (240, 304, 20)
    assert (spec.preprocess, spec.delta_t) == ("stacked_histogram_rvt", 50_000)
    assert spec.class_names == ("car", "pedestrian")
    assert (spec.thresholds.score_thresh, spec.thresholds.nms_thresh) == (0.001, 0.45)
    assert load_checkpoint(tmp_path / "ours.ckpt")["hyper_parameters"]["detector"] == "RVT-Tiny"


def test_three_classes_are_those_of_1_mpx(file):
    config = import_rvt(file(published(3)))["hyper_parameters"]
    assert config["classes"] == ["pedestrian", "two wheeler", "car"]
    assert (config["height"], config["width"]) == (360, 640)
    assert config["preprocess"] == "stacked_histogram_rvt_replay"


def test_other_data_sets_say_what_they_are(file):
    path = file(published(1, in_channels=10))
    assert "1 classes: name them with --classes" in refused(path)
    assert "10 channels, but stacked_histogram_rvt has 20" in refused(path, classes=("cat",))
    assert "1 classes, but --classes names 2" in refused(path, classes=("cat", "dog"))
    config = import_rvt(path, classes=("cat",), height=64, width=96, preprocess="event_cube_5")[
        "hyper_parameters"
    ]
    assert (config["classes"], config["height"], config["width"]) == (["cat"], 64, 96)


def test_tensors_that_share_a_block_or_lie_across_it_are_read_right(file, weights):
    changed = dict(weights)
    rows = torch.randn(3, *weights[STEM].shape)
    changed[STEM] = rows[1]
    across = torch.randn(32, 128).T
    name = next(key for key, value in weights.items() if value.shape == across.shape)
    changed[name] = torch.nn.Parameter(across)
    found = import_rvt(file(changed))["state_dict"].values()
    assert any(torch.equal(weight, rows[1]) for weight in found if weight.shape == rows[1].shape)
    assert any(torch.equal(weight, across) for weight in found if weight.shape == across.shape)


def test_half_precision_is_widened(file, weights):
    halves = {name: w.half() if w.is_floating_point() else w for name, w in weights.items()}
    found = import_rvt(file(halves))["state_dict"]
    assert {weight.dtype for weight in found.values()} == {torch.float32, torch.int64}


def test_the_page_lists_every_name_that_is_changed(weights):
    page = (Path(__file__).parents[2] / "docs" / "guides" / "rvt.md").read_text()
    with torch.device("meta"):
        ours = RVT(RVT_PLANS["RVT-Tiny"], 20, 2).state_dict()
    words = {word for name in (*ours, *weights) for word in name.split(".") if not word.isdigit()}
    words -= {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
    # A convolution before its BatchNorm is called conv by both.
    assert sorted(word for word in words - {"conv"} if not re.search(rf"\b{word}\b", page)) == []


# --- what is refused ---


def test_no_weights_are_no_checkpoint_of_rvt(file):
    assert f"it has no {STEM}" in refused(file({}))


def test_other_files_are_refused(tmp_path):
    assert "none.ckpt does not exist" in refused(tmp_path / "none.ckpt")
    path = tmp_path / "a.ckpt"
    for content in (b"", b"text", pickle.dumps({"state_dict": {}})):
        path.write_bytes(content)
        assert "is not a checkpoint" in refused(path)
    for content in ([1, 2], {"model": {}}, {"state_dict": 1}):
        torch.save(content, path)
        assert "has no state_dict" in refused(path)
    torch.save({"state_dict": {"a": 1}}, path)
    assert "a in its state_dict is not a plain tensor" in refused(path)


def test_a_weight_that_is_missing_or_left_over_or_of_another_shape_is_named(file, weights):
    changed = dict(weights)
    del changed["mdl.fpn.bu_conv1.conv.weight"]
    changed["mdl.extra.weight"] = torch.zeros(2)
    changed["mdl.yolox_head.stems.0.bn.bias"] = torch.zeros(7)
    message = refused(file(changed))
    assert "lacks mdl.fpn.bu_conv1.conv.weight;" in message
    assert "has the unknown mdl.extra.weight;" in message
    assert "has mdl.yolox_head.stems.0.bn.bias (7,) instead of (64,)" in message


def test_another_width_is_refused(file, weights):
    assert "5 channels instead of 32 (RVT-Tiny), 48" in refused(
        file({**weights, STEM: torch.zeros(5, 20, 7, 7)})
    )


def test_a_truncated_file_is_refused(file, weights):
    path = file(weights)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "truncated" in refused(path)


def rewritten(path, change):
    """The file with `change` applied to each of its members, by name and content."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            after = change(name, content)
            if after is not None:
                archive.writestr(name, after)
    return path


def test_damaged_weights_are_refused(file, weights):
    def shorten(name, content):
        return content[:-4] if name.endswith("data/7") else content

    def drop(name, content):
        return None if name.endswith("data/7") else content

    assert "is damaged" in refused(rewritten(file(weights), shorten))
    assert "it has no 'data/7'" in refused(rewritten(file(weights), drop))


# --- code is never run ---


class Evil:
    """A pickle of this calls a function as soon as it is read."""

    def __init__(self, call, *args):
        self.reduced = (call, args)

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("where", ["beside", "inside", "instead"])
def test_code_in_a_checkpoint_is_not_run(file, weights, tmp_path, where):
    trace = tmp_path / "was_here"
    evil = Evil(os.mkdir, str(trace))
    if where == "beside":
        # Harmless: as every setting of a library that we do not have.
        import_rvt(file(weights, hyper_parameters={"evil": evil, "list": [evil]}))
    else:
        state = {**weights, STEM: evil} if where == "inside" else evil
        problem = (
            f"{STEM} in its state_dict is not a plain" if where == "inside" else "no state_dict"
        )
        assert problem in refused(file(state))
    assert not trace.exists()
    # The same file does harm where it is read as pickles are.
    torch.load(tmp_path / "rvt-t.ckpt", weights_only=False)
    assert trace.exists()


@pytest.mark.parametrize(
    "code",
    [
        b"cos\nmkdir\n(S'%s'\ntR.",
        b"(S'%s'\nios\nmkdir\n.",
        b"cbuiltins\n__import__\n(S'os'\ntRc__builtin__\ngetattr\n(S'%s'\ntR.",
        b"\x80\x02cbuiltins\nobject\n)\x81}(S'%s'\nI1\nub.",
    ],
)
def test_no_opcode_reaches_a_function(file, tmp_path, weights, code):
    trace = tmp_path / "was_here"
    path = rewritten(
        file({}),
        lambda name, content: (
            code.replace(b"%s", str(trace).encode()) if name.endswith("data.pkl") else content
        ),
    )
    refused(path)
    assert not trace.exists()


# --- the command ---


def test_the_command_writes_the_checkpoint_and_says_what_it_is(file, weights, tmp_path, capsys):
    output = tmp_path / "new" / "ours.ckpt"
    words = ["import", str(file(weights)), "--output", str(output)]
    assert main(words) == 0
    assert "RVT-Tiny" in capsys.readouterr().out
    assert load_network(output).num_classes == 2
    assert main(words) == 2
    assert "ours.ckpt" in capsys.readouterr().err
    assert main([*words, "--force"]) == 0


def test_the_command_refuses_in_one_line(tmp_path, capsys):
    words = ["import", str(tmp_path / "none.ckpt"), "--output", str(tmp_path / "ours.ckpt")]
    assert main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1
