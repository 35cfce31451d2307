import json
import sys
from importlib import metadata

import numpy as np
import pytest
import torch
import yaml

from evdet.build import build_detector
from evdet.cli import main
from evdet.cli.score import describe_load
from evdet.config import DetectionConfig, config_to_yaml
from evdet.events.dat.reader import write_dat
from evdet.events.dtypes import EVENT_DTYPE, SensorSize
from evdet.metrics import average_precision
from evdet.runs import RunFolder

SMALL = {
    "feature_base": 2, "feature_channels_out": 4, "num_levels": 2, "head_channels": 4,
    "anchor_list": "MNIST_ANCHORS",
}  # fmt: skip
EVENTS = {**SMALL, "dataset_path": "runs/of_somebody_else", "preprocess": "histogram"}
QUICK = ("--time-bins", "2", "--warm-up", "1", "--batches", "1", "2", "--device", "cpu")
SIZE = SensorSize(32, 48)


@pytest.fixture
def config(tmp_path):
    return write_config(tmp_path, **EVENTS)


@pytest.fixture
def drive(tmp_path):
    path = tmp_path / "drive.dat"
    write_dat(path, [np.zeros(9, EVENT_DTYPE)], SIZE)
    return path


def write_config(folder, **fields):
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(fields))
    return str(path)


def installed_version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def bench(*words):
    return main(["bench", *map(str, words)])


def test_a_configuration_is_measured_from_events_to_boxes(config, capsys):
    assert bench(config, *QUICK, "--variants", "fold", "half") == 0

    text = capsys.readouterr().out
    for part in (
        "random weights", "digits_td.dat (128x128", "2 x 128 x 128", "2 time bins after 1",
        "raw events to boxes", "eager", "fold", "half needs an accelerator", "torch",
    ):  # fmt: skip
        assert part in text, part


def test_a_run_that_was_scored_at_several_rates_shows_how_busy_it_is_at_each(tmp_path):
    run = RunFolder(tmp_path)
    assert describe_load(tmp_path, 5.0) == []
    one = {"rate": 100.0, "delta_t": 10_000, "mAP": 0.25, "mAP50": None, "num_frames": 8}
    scores = average_precision([], [], ["car"]).as_dict()
    run.write_evaluation({**scores, "rates": []})
    assert describe_load(tmp_path, 5.0) == []
    run.write_evaluation({**scores, "rates": [one]})
    assert describe_load(tmp_path, 5.0)[-1].split() == [
        "100",
        "Hz",
        "10",
        "ms",
        "0.250",
        "-",
        "50%",
    ]
    run.write_evaluation({**scores, "rates": [{**one, "delta_t": "x"}]})
    with pytest.raises(ValueError, match="is damaged"):
        describe_load(tmp_path, 5.0)


def test_everything_is_written_as_json(config, drive, tmp_path, capsys):
    words = ("--source", drive, "--variants", "none", "--json", tmp_path / "speed.json")
    assert bench(config, *QUICK, *words) == 0

    content = json.loads((tmp_path / "speed.json").read_text())
    assert content["weights"].startswith("random weights")
    assert content["environment"]["torch"] == torch.__version__
    assert content["environment"].get("trackers") == installed_version("trackers")
    assert content["frame"] == [2, 32, 48]
    assert set(content["frames_per_second"]) == {"1", "2"}
    assert content["variants"] == []
    assert set(content["stages"]["stages"]) == {"read", "represent", "network", "select", "track"}


def test_the_worst_case_fills_the_suppression(config, drive, tmp_path, capsys):
    words = (
        "--source",
        drive,
        "--variants",
        "none",
        "--tracker",
        "none",
        "--json",
        tmp_path / "speed.json",
    )
    assert bench(config, *QUICK, *words, "--score-thresh", "0") == 0

    content = json.loads((tmp_path / "speed.json").read_text())
    # (4 x 6 + 2 x 3) cells, 2 anchors, 10 classes.
    assert content["stages"]["candidates"] == 600
    assert "track" not in content["stages"]["stages"]


def test_a_checkpoint_is_measured_on_a_recording_of_its_own(drive, tmp_path, capsys):
    fields = {**EVENTS, "in_channels": 2, "classes": ("cat",), "height": 32, "width": 48}
    config = DetectionConfig(**fields)
    weights = build_detector(config).state_dict()
    content = {
        "hyper_parameters": yaml.safe_load(config_to_yaml(config)),
        "state_dict": {f"detector.{name}": value for name, value in weights.items()},
    }
    (tmp_path / "checkpoints").mkdir()
    torch.save(content, tmp_path / "checkpoints" / "best.ckpt")

    words = ("--source", drive, "--variants", "none")
    assert bench(tmp_path / "checkpoints" / "best.ckpt", *QUICK, *words) == 0
    text = capsys.readouterr().out
    assert "trained weights" in text
    assert "drive.dat (48x32" in text
    assert "9 events" in text
    assert "2 x 32 x 48" in text
    assert not (tmp_path / "speed.json").exists()

    # Where a run's folder is measured, its report finds the speed.
    assert bench(tmp_path, *QUICK, *words) == 0
    assert f"written to {tmp_path / 'speed.json'}" in capsys.readouterr().out
    assert json.loads((tmp_path / "speed.json").read_text())["frame"] == [2, 32, 48]


def test_missing_libraries_leave_their_rows_out_and_say_so(config, drive, monkeypatch, capsys):
    for name in ("trackers", "onnx"):
        monkeypatch.setitem(sys.modules, name, None)
    assert bench(config, *QUICK, "--source", drive, "--variants", "onnx") == 0

    lines = capsys.readouterr().out.splitlines()
    assert not any(line.startswith("track  ") for line in lines)
    [tracker] = [line for line in lines if line.startswith("tracker ")]
    assert "pip install 'evdet[tracking]'" in tracker
    assert lines[-1].startswith(f"{'onnx':36} ")
    assert lines[-1].endswith("pip install 'evdet[onnx]'")


def test_frames_of_another_size_get_a_simulated_recording(tmp_path, capsys):
    config = write_config(tmp_path, **EVENTS, height=32, width=40)
    assert bench(config, *QUICK, "--variants", "none", "--tracker", "none") == 0
    assert "simulated_40x32.dat" in capsys.readouterr().out


def test_detectors_of_pictures_see_moving_mnist(tmp_path, capsys):
    config = write_config(tmp_path, **SMALL, height=32, width=32)
    assert bench(config, *QUICK, "--variants", "none") == 0
    assert "Moving MNIST, 60 pictures in RAM" in capsys.readouterr().out


def test_threads_are_set(config, drive, capsys):
    assert (
        bench(
            config,
            *QUICK[:4],
            "--batches",
            "1",
            *QUICK[-2:],
            "--source",
            drive,
            "--variants",
            "none",
            "--tracker",
            "none",
            "--threads",
            "2",
        )
        == 0
    )
    assert "2 threads" in capsys.readouterr().out
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("--threads", "-1"), "--threads"),
        (("--score-thresh", "2"), "--score-thresh"),
        (("--time-bins", "0"), "--time-bins"),
        (("--warm-up", "-1"), "--warm-up"),
        (("--variants", "turbo"), "turbo"),
        (("--device", "abacus"), "abacus"),
        (("--source", "missing.dat"), "missing.dat"),
    ],
)
def test_what_cannot_be_done_is_one_line(config, drive, capsys, words, name):
    assert bench(config, *QUICK, "--source", drive, *words) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("evdet: ")
    assert name in said


def test_a_file_that_is_neither_checkpoint_nor_configuration_is_named(tmp_path, capsys):
    assert bench(tmp_path / "missing.ckpt") == 2
    assert "missing.ckpt" in capsys.readouterr().err
    assert bench(tmp_path / "missing.yaml") == 2
    assert "missing.yaml" in capsys.readouterr().err
