import json
from pathlib import Path

import pytest

from evdet.config import ConfigError, DetectionConfig
from evdet.runs import RunFolder, TrainingRecord

RECORD = TrainingRecord(
    num_frames=1200, seconds=60.5, frames_per_second=19.8, environment={"evdet": "0.1.0"}
)
SPEED = dict.fromkeys(("stages", "delta_t", "source", "device", "threads", "macs", "variants"))


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path / "run")


def test_an_empty_folder_has_nothing_to_read_and_is_no_run(run):
    assert run.read_training() is None
    assert run.read_evaluation() is None
    assert run.read_speed() is None
    with pytest.raises(ConfigError, match=r"is not a run: it has no config\.yaml"):
        run.read_config()


def test_every_file_has_its_place(run):
    places = {
        run.config_file: "config.yaml",
        run.best_checkpoint: "checkpoints/best.ckpt",
        run.last_checkpoint: "checkpoints/last.ckpt",
        run.post_mortem: "checkpoints/not_finite.ckpt",
        run.logs: "logs",
        run.training_file: "training.json",
        run.evaluation_file: "evaluation/evaluation.json",
        run.video: "demo.mp4",
        run.speed_file: "speed.json",
        run.report: "report.html",
        run.comparison: "comparison.html",
    }
    for path, place in places.items():
        assert path == run.path / place


def test_what_is_written_is_read_again(run):
    config = DetectionConfig(delta_t=10_000)
    run.write_config(config)
    run.write_training(RECORD)
    run.write_evaluation({"mAP": 0.5})
    run.write_speed(SPEED)

    assert run.read_config() == config
    assert run.read_training() == RECORD
    assert run.read_evaluation() == {"mAP": 0.5}
    assert run.read_speed() == SPEED


def test_the_files_of_version_0_1_0_are_read(run):
    run.path.mkdir()
    (run.path / "config.yaml").write_text("height: 64\nwidth: 96\nclasses: ['3', '7']\n")
    (run.path / "training.json").write_text(
        '{\n "num_frames": 96,\n "seconds": 2.5,\n "frames_per_second": 38.4,\n'
        ' "environment": {\n  "evdet": "0.1.0"\n }\n}\n'
    )
    (run.path / "evaluation").mkdir()
    (run.path / "evaluation" / "evaluation.json").write_text('{"mAP": 0.25, "test_frames": 8}')

    assert run.read_config().classes == ("3", "7")
    assert run.read_training() == TrainingRecord(
        num_frames=96, seconds=2.5, frames_per_second=38.4, environment={"evdet": "0.1.0"}
    )
    assert run.read_evaluation() == {"mAP": 0.25, "test_frames": 8}

    run.speed_file.write_text(json.dumps({**SPEED, "variants": 1}).replace("variants", "levers"))
    assert run.read_speed() == {**SPEED, "variants": 1}


@pytest.mark.parametrize("content", ["{", "[1]", "null", "{}", '{"num_frames": "many"}'])
def test_a_damaged_record_is_named(run, content):
    run.path.mkdir()
    run.training_file.write_text(content)
    with pytest.raises(ValueError, match=r"training\.json is damaged"):
        run.read_training()


@pytest.mark.parametrize("content", ["{", "[1]", "null"])
def test_damaged_numbers_are_named(run, content):
    run.write_evaluation({})
    run.evaluation_file.write_text(content)
    with pytest.raises(ValueError, match=r"evaluation\.json is damaged"):
        run.read_evaluation()


def test_a_speed_of_something_else_is_refused(run):
    run.write_speed({"stages": 1})
    with pytest.raises(ValueError, match=r"speed\.json is not a file of evdet bench"):
        run.read_speed()


def test_a_record_is_plain_json(run):
    run.path.mkdir()
    run.write_training(RECORD)
    content = json.loads(run.training_file.read_text())
    assert content["num_frames"] == 1200
    assert content["environment"] == {"evdet": "0.1.0"}


def test_a_checkpoint_lies_in_its_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert RunFolder.of_checkpoint(Path("runs/a/checkpoints/best.ckpt")).path == Path("runs/a")
    assert RunFolder.of_checkpoint(Path("alone/x.ckpt")).path == Path("alone")
    assert RunFolder.of_checkpoint(Path("/there/checkpoints/x.ckpt")).path == Path("/there")
    assert RunFolder.of_checkpoint(Path("events-digits")).path == Path("runs/events-digits")
