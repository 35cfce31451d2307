import dataclasses
import json
import os

import pytest
import torch
import yaml

from evdet.build import build_detector
from evdet.cli import main
from evdet.config import DetectionConfig, config_to_dict
from evdet.detectors import CheckpointError, ExportError, load_network
from evdet.export import export_weights

TINY = DetectionConfig(
    dataset_path="data/drives",
    classes=("car|x", "bike"),
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
def run(tmp_path):
    run = tmp_path / "run"
    weights = build_detector(TINY).state_dict()
    content = {
        "hyper_parameters": config_to_dict(TINY),
        "state_dict": {f"detector.{name}": value for name, value in weights.items()},
    }
    (run / "checkpoints").mkdir(parents=True)
    torch.save(content, run / "checkpoints" / "best.ckpt")
    return run


def evaluate(run, *, checkpoint=None, evaluated="2999-01-01 00:00 UTC"):
    numbers = {
        "evaluated": evaluated,
        "checkpoint": str(checkpoint or run / "checkpoints" / "best.ckpt"),
        "dataset": "data/drives",
        "split": "test",
        "protocol": "coco",
        "rules": {"deviations": []},
        "num_frames": 1200,
        "mAP": 0.5,
        "mAP50": 0.75,
        "mAP75": None,
    }
    (run / "evaluation").mkdir(exist_ok=True)
    (run / "evaluation" / "evaluation.json").write_text(json.dumps(numbers))


def card_of(written):
    text = written.paths[2].read_text()
    return yaml.safe_load(text.split("---\n")[1]), text


def test_a_folder_gets_three_files_that_open_as_one_detector(run, tmp_path):
    written = export_weights(run, tmp_path / "drives" / "model.safetensors")
    names = sorted(path.name for path in (tmp_path / "drives").iterdir())
    assert names == ["README.md", "config.json", "model.safetensors"]
    before, after = load_network(run).state_dict(), load_network(tmp_path / "drives").state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert written.num_bytes == written.paths[0].stat().st_size


def test_a_card_has_the_hubs_metadata_and_no_scores_without_an_evaluation(run, tmp_path):
    metadata, text = card_of(export_weights(run, tmp_path / "drives" / "model.safetensors"))
    assert metadata["license"] == "unknown"
    assert metadata["library_name"] == "evdet"
    assert metadata["pipeline_tag"] == "object-detection"
    assert "model-index" not in metadata
    assert "no evaluation of this checkpoint" in text
    assert "1 car\\|x, 2 bike" in text
    assert "hf://ORG/NAME" in text


def test_a_card_states_the_scores_of_its_checkpoint(run, tmp_path):
    evaluate(run)
    metadata, text = card_of(
        export_weights(run, tmp_path / "a" / "model.safetensors", license="apache-2.0")
    )
    assert metadata["license"] == "apache-2.0"
    (result,) = metadata["model-index"][0]["results"]
    assert [(one["type"], one["value"]) for one in result["metrics"]] == [
        ("mAP", 0.5),
        ("mAP50", 0.75),
    ]
    assert result["dataset"]["name"] == "drives"
    assert "1,200 annotated frames" in text


def test_scores_of_another_or_an_older_checkpoint_are_left_out(run, tmp_path):
    other = run / "checkpoints" / "last.ckpt"
    other.write_bytes(b"x")
    for index, (checkpoint, evaluated) in enumerate(
        [(other, "2999-01-01 00:00 UTC"), (None, "2001-01-01 00:00 UTC"), (None, "yesterday")]
    ):
        evaluate(run, checkpoint=checkpoint, evaluated=evaluated)
        written = export_weights(run, tmp_path / str(index) / "model.safetensors")
        assert written.scores is None


def test_scores_hold_from_another_folder_and_for_a_hard_link(run, tmp_path):
    os.link(run / "checkpoints" / "best.ckpt", run / "checkpoints" / "epoch=3-step=9.ckpt")
    evaluate(run, checkpoint="elsewhere/run/checkpoints/epoch=3-step=9.ckpt")
    assert export_weights(run, tmp_path / "a" / "model.safetensors").scores is not None


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "README.md"])
def test_a_file_that_exists_is_kept(run, tmp_path, name):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / name).write_text("mine")
    with pytest.raises(ExportError, match=f"cannot write .*{name}: it exists"):
        export_weights(run, folder / "model.safetensors")
    assert [path.read_text() for path in folder.iterdir()] == ["mine"]


def test_the_folder_of_a_run_gets_no_weights(run):
    with pytest.raises(ExportError, match="folder of a run"):
        export_weights(run, run / "model.safetensors")


def test_a_place_that_cannot_be_is_refused(run, tmp_path):
    (tmp_path / "file").write_text("")
    for path, reason in (
        (tmp_path / "a" / "b" / "model.safetensors", "does not exist"),
        (tmp_path / "file" / "model.safetensors", "is a file"),
        (tmp_path / "a" / "model.pt", "does not end in"),
    ):
        with pytest.raises(ExportError, match=reason):
            export_weights(run, path)
    assert not (tmp_path / "a").exists()


def test_a_license_is_one_word_of_the_hub(run, tmp_path):
    for license in ("MIT\nevil: yes", "my own", "-"):
        with pytest.raises(ExportError, match="identifier"):
            export_weights(run, tmp_path / "a" / "model.safetensors", license=license)


def test_nothing_stays_of_an_export_that_fails(run, tmp_path, monkeypatch):
    (run / "checkpoints" / "best.ckpt").write_bytes(b"PK\x03\x04")
    with pytest.raises(CheckpointError):
        export_weights(run, tmp_path / "a" / "model.safetensors")
    assert not (tmp_path / "a").exists()


def test_a_full_disk_leaves_nothing(run, tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        export_weights(run, tmp_path / "a" / "model.safetensors")
    assert not (tmp_path / "a").exists()


def test_the_command_lists_what_it_wrote(run, tmp_path, capsys):
    out = tmp_path / "drives" / "model.safetensors"
    assert main(["export", str(run), str(out)]) == 0
    said = capsys.readouterr().out
    assert "written:" in said
    assert "unknown (--license states another)" in said
    assert main(["export", str(run), str(out)]) == 2
    assert "it exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--fixed-shape"], ["--time-bins", "3"], ["--source", "x.dat"], ["--strict"]]
)
def test_options_of_onnx_are_refused_for_weights(run, tmp_path, capsys, words):
    assert main(["export", str(run), str(tmp_path / "a" / "model.safetensors"), *words]) == 2
    assert "belong" in capsys.readouterr().err


def test_a_license_is_refused_for_onnx(run, tmp_path, capsys):
    assert main(["export", str(run), str(tmp_path / "a.onnx"), "--license", "mit"]) == 2
    assert "--license" in capsys.readouterr().err


def test_every_field_of_the_network_travels(run, tmp_path):
    export_weights(run, tmp_path / "a" / "model.safetensors")
    fields = json.loads((tmp_path / "a" / "config.json").read_text())["configuration"]
    lost = {field.name for field in dataclasses.fields(TINY)} - fields.keys()
    assert lost == {
        *("root_dir", "num_workers", "threads", "accelerator", "devices", "num_nodes", "strategy")
    }


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "README.md"])
def test_no_command_replaces_weights_that_it_reads(run, tmp_path, name, capsys, monkeypatch):
    folder = tmp_path / "drives"
    export_weights(run, folder / "model.safetensors")
    before = (folder / name).read_bytes()
    for checkpoint in (folder, folder / "model.safetensors"):
        words = ["evaluate", str(checkpoint), "--dataset-path", str(tmp_path)]
        assert main([*words, "--json", str(folder / name)]) == 2
        assert "it is read" in capsys.readouterr().err
    assert (folder / name).read_bytes() == before
