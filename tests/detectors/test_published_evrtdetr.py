from pathlib import Path

import pytest
import torch

from evdet.cli import main
from evdet.detectors import import_evrtdetr, is_evrtdetr_folder, published_names
from evdet.detectors.checkpoints import CheckpointError, load_network
from evdet.models.rtdetr import EVRT_DETR_PLANS, RTDETR

STEM = "net_backbone:_net.conv1.conv1_1.conv.weight"


def published(num_classes=2):
    """The weights of a published model, by their names, with the file before a colon."""
    torch.manual_seed(0)
    detector = RTDETR(EVRT_DETR_PLANS["EvRT-DETR-R18"], 20, num_classes)
    weights = {}
    for name, weight in detector.state_dict().items():
        parts = published_names(name)
        if parts:
            weights |= dict(zip(parts, weight.chunk(len(parts)) if weight.dim() else [weight],
                                strict=True))  # fmt: skip
    weights["net_encoder:pos_embed2"] = torch.zeros(1, 80, 256)
    return detector, weights


@pytest.fixture(scope="module")
def one():
    return published()


@pytest.fixture
def folder(tmp_path):
    def write(weights, *, prefix="net_", leave_out=()):
        files = {}
        for name, weight in weights.items():
            network, key = name.removeprefix("net_").split(":", 1)
            files.setdefault(network, {})[key] = weight
        (tmp_path / "model").mkdir(exist_ok=True)
        (tmp_path / "model" / "config.json").write_text("{}")
        for network, own in files.items():
            if network not in leave_out:
                torch.save(own, tmp_path / "model" / f"{prefix}{network}.pth")
        return tmp_path / "model"

    return write


def refused(path, **options):
    with pytest.raises(CheckpointError) as caught:
        import_evrtdetr(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_an_empty_folder_is_no_model(tmp_path):
    assert not is_evrtdetr_folder(tmp_path)
    assert not is_evrtdetr_folder(tmp_path / "none")
    assert "it has no net_backbone.pth" in refused(tmp_path)


def test_a_published_folder_becomes_one_of_our_checkpoints(folder, one, tmp_path):
    path = folder(one[1])
    assert is_evrtdetr_folder(path)
    assert main(["import", str(path), "--output", str(tmp_path / "ours.ckpt")]) == 0
    detector = load_network(tmp_path / "ours.ckpt")
    expected = one[0].state_dict()
    for name, weight in detector.state_dict().items():
        if name != "encoder.attention.has_column_order":
            assert torch.equal(weight, expected[name]), name
    assert detector.encoder.attention.has_column_order
    assert not one[0].encoder.attention.has_column_order
    spec = detector.frame_spec
    assert (spec.height, spec.width, spec.preprocess) == (240, 304, "stacked_histogram_evrtdetr")
    assert spec.class_names == ("car", "pedestrian")
    assert spec.thresholds.nms_thresh == 1


def test_without_its_memory_it_is_the_detector_of_single_frames(folder, one):
    config = import_evrtdetr(folder(one[1], leave_out=("temp_enc",)))["hyper_parameters"]
    assert config["detector"] == "RT-DETR-R18"


def test_moving_averages_are_taken_first(folder, one):
    path = folder(one[1])
    moved = {
        name: value + 1 if value.is_floating_point() else value for name, value in one[1].items()
    }
    folder(moved, prefix="net_ema_", leave_out=("temp_enc",))
    found = import_evrtdetr(path)["state_dict"]
    assert torch.equal(found["detector.backbone.stem.0.0.weight"], moved[STEM])
    gate = "net_temp_enc:layers.0.layers.0.input_gate.gate_to_input.weight"
    assert torch.equal(found["detector.adapter.cells.0.input_to_gates.weight"][:256], one[1][gate])


def test_other_data_sets_say_what_they_are(folder):
    path = folder(published(5)[1])
    assert "5 classes: name them with --classes" in refused(path)
    assert "5 classes, but --classes names 1" in refused(path, classes=("cat",))
    assert "20 channels, but histogram has 2" in refused(
        path, classes=tuple("abcde"), preprocess="histogram"
    )
    config = import_evrtdetr(path, classes=tuple("abcde"), height=64, width=96)["hyper_parameters"]
    assert (config["classes"], config["height"]) == (list("abcde"), 64)


def test_missing_unknown_and_misshapen_weights_are_named(folder, one):
    weights = dict(one[1])
    gone = "net_decoder:enc_output.0.weight"
    del weights[gone]
    weights["net_encoder:more.weight"] = torch.zeros(2)
    weights["net_temp_enc:proj_layers.1.bias"] = torch.zeros(3)
    message = refused(folder(weights))
    assert gone in message
    assert "net_encoder:more.weight" in message
    assert "proj_layers.1.bias (3,) instead of (256,)" in message
    others = {name: w for name, w in one[1].items() if not name.startswith("net_decoder")}
    message = refused(folder({**others, "net_decoder:x": torch.zeros(1)}))
    assert "it has no net_decoder:enc_score_head.weight" in message


def test_damaged_and_foreign_files_are_refused(folder, one):
    path = folder(one[1])
    (path / "net_encoder.pth").write_bytes(b"x" * 100)
    with pytest.raises(CheckpointError, match=r"net_encoder\.pth is not a checkpoint"):
        import_evrtdetr(path)
    torch.save({"a": torch.zeros(1), "b": "text"}, path / "net_encoder.pth")
    with pytest.raises(CheckpointError, match="has no state_dict"):
        import_evrtdetr(path)


def test_the_page_lists_every_name_that_is_changed(one):
    page = (Path(__file__).parents[2] / "docs" / "guides" / "rtdetr.md").read_text()
    for network in ("net_backbone", "net_encoder", "net_decoder", "net_temp_enc"):
        assert network in page
    words = (
        "branch2a lateral_convs pan_blocks bottlenecks enc_score_head dec_bbox_head "
        "denoising_class_embed gate_to_hidden pos_embed2"
    )
    assert [word for word in words.split() if word not in page] == []
