import dataclasses
import json
import sys

import pytest
import torch

from evdet.build import build_detector
from evdet.cli import COMMANDS, main
from evdet.cli.simulate import SimulateOptions
from evdet.config import DetectionConfig, read_config, write_config

TINY = [
    "--feature-base", "2", "--feature-channels-out", "4", "--num-levels", "2",
    "--head-channels", "4", "--height", "32", "--width", "32", "--num-tbins", "2",
    "--batch-size", "2", "--max-frames-per-video", "4", "--max-frames-per-epoch", "8",
    "--max-epochs", "1", "--val-frames", "8", "--test-frames", "8", "--num-workers", "0",
    "--demo-every", "1", "--accelerator", "cpu",
]  # fmt: skip


def refused(capsys, words):
    """The message with which the command line refuses, and its exit status."""
    try:
        status = main(words)
    except SystemExit as end:
        status = end.code
    captured = capsys.readouterr()
    return status, captured.err + captured.out


def test_no_words_show_the_commands(capsys):
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(command in shown for command in COMMANDS)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_explains_itself(capsys, command):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert f"evdet {command}" in capsys.readouterr().out


def test_print_config_shows_file_and_options_together(capsys):
    words = ["train", "--config", "moving_mnist_quick.yaml", "--lr", "0.5", "--print-config"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "lr: 0.5" in shown
    assert "lr_schedule: one_cycle" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "there is no command trian. Did you mean train?"),
        (["zzz"], "There are info, view, convert,"),
        (["train", "--num-tbin", "5"], "--num-tbins"),
        (["train", "--num-tbins", "many"], "many"),
        (["train", "--num-tbins", "0"], "num_tbins must be at least 1, got 0"),
        (["train", "--config", "nowhere.yaml"], "nowhere.yaml does not exist"),
        (["train", "--feature-extractor", "Vanila"], "feature_extractor must be one of Vanilla"),
        (["train", "--dataset-path", "/data/gen1"], "/data/gen1 does not exist"),
        (["train", "--max-frames-per-video", "3"], "a video must hold at least one clip"),
        (["train", "--height", "32", "--width", "32"], "too small for a level of stride 128"),
        (["train", "--resume"], "*.ckpt"),
        (["train", "--accelerator", "tpu"], "accelerator 'tpu' with 1 devices"),
        (["train", "--accelerator", "banana"], "invalid accelerator name"),
        (["evaluate", "nowhere.ckpt"], "nowhere.ckpt"),
        (["evaluate"], "name a checkpoint, or a file of --detections and a file of --boxes"),
        (["report", "nowhere"], "nowhere is not a run"),
    ],
)
def test_what_a_user_can_mend_is_said_in_a_line_with_status_2(
    capsys, tmp_path, monkeypatch, words, message
):
    monkeypatch.chdir(tmp_path)
    status, said = refused(capsys, words)
    assert status == 2
    assert message in said
    assert "Traceback" not in said


def test_a_config_with_a_wrong_type_is_refused(capsys, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("num_tbins: many\n")
    status, said = refused(capsys, ["train", "--config", str(path)])
    assert status == 2
    assert "num_tbins must be of type int, got 'many'" in said


class RunsCode:
    def __reduce__(self):
        return (print, ("this must never be printed",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a checkpoint: the file is empty"),
        (b"just some words", "is not a checkpoint: not a PyTorch file"),
        (b"PK\x03\x04 and then the disk was full", "is truncated after"),
        ([1, 2], "is not a checkpoint: it holds a list"),
        ({"state_dict": {}}, "it has no hyper_parameters"),
        ({"hyper_parameters": RunsCode(), "state_dict": {}}, "run code (print)"),
        ({"hyper_parameters": {"lr": 1.0}, "state_dict": {}}, "is of another model: it lacks "),
        ({"hyper_parameters": {"speed": 1.0}, "state_dict": {}}, "unknown field speed"),
    ],
)
@pytest.mark.parametrize("command", ["evaluate", "finetune", "resume"])
def test_a_file_that_is_no_checkpoint_is_refused(capsys, tmp_path, command, content, message):
    path = tmp_path / "some.ckpt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    run = ["train", *TINY, "--root-dir", str(tmp_path / "run")]
    words = {
        "evaluate": ["evaluate", str(path)],
        "finetune": [*run, "--finetune", str(path)],
        "resume": [*run, "--resume-from", str(path)],
    }[command]
    status, said = refused(capsys, words)
    assert status == 2
    assert message in said
    assert "must never be printed" not in said


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Of a detector with fresh weights."""
    config = DetectionConfig(
        feature_base=2, feature_channels_out=4, num_levels=2, head_channels=4, height=32, width=32
    )  # fmt: skip
    weights = build_detector(config).state_dict()
    content = {
        "hyper_parameters": {**dataclasses.asdict(config), "classes": list(config.classes)},
        "state_dict": {f"detector.{name}": weight for name, weight in weights.items()},
    }
    path = tmp_path_factory.mktemp("run") / "fresh.ckpt"
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--device", "banana"], "device 'banana' is not available"),
        (["--device", "cuda:99"], "device 'cuda:99' is not available"),
        (["--frames", "0"], "test_frames must be at least 1, got 0"),
        (["--score-thresh", "2"], "score_thresh must be between 0 and 1, got 2.0"),
    ],
)
def test_an_evaluation_that_cannot_be_is_refused(capsys, checkpoint, words, message):
    status, said = refused(capsys, ["evaluate", str(checkpoint), *words])
    assert status == 2
    assert message in said
    assert "Traceback" not in said


def test_a_damaged_evaluation_is_named(capsys, tmp_path):
    write_config(DetectionConfig(), tmp_path / "config.yaml")
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "evaluation.json").write_text('{"mAP": ')
    status, said = refused(capsys, ["report", str(tmp_path)])
    assert status == 2
    assert "evaluation.json is damaged" in said


def test_debug_shows_where_an_error_comes_from(tmp_path):
    with pytest.raises(ValueError, match="is not a run"):
        main(["report", str(tmp_path), "--debug"])


def test_a_folder_on_the_command_line_brings_its_own_classes_and_frames(capsys, tmp_path):
    words = ["simulate", str(tmp_path / "set"), "--kind", "shapes", "--count", "3"]
    assert main([*words, "--minutes", "0.02", "--height", "32", "--width", "40"]) == 0
    words = ["train", "--dataset-path", str(tmp_path / "set"), "--root-dir", str(tmp_path / "run")]
    small = ["--feature-base", "2", "--feature-channels-out", "4", "--num-levels", "2"]
    small += ["--num-tbins", "2", "--batch-size", "1", "--num-workers", "0", "--max-epochs", "1"]
    assert main([*words, *small, "--accelerator", "cpu", "--demo-every", "0"]) == 0
    config = read_config(tmp_path / "run" / "config.yaml")
    assert config.classes == ("circle", "square", "triangle", "cross")
    assert (config.height, config.width, config.in_channels) == (32, 40, 2)


@pytest.mark.slow
def test_the_demo_goes_from_nothing_to_a_report(capsys, tmp_path):
    run = tmp_path / "demo"
    assert main(["demo", *TINY, "--root-dir", str(run)]) == 0

    shown = capsys.readouterr().out
    assert f"{run / 'report.html'}" in shown
    for name in ("report.html", "config.yaml", "checkpoints/best.ckpt", "checkpoints/last.ckpt"):
        assert (run / name).stat().st_size > 0
    assert list((run / "logs").glob("events.*"))
    numbers = json.loads((run / "evaluation" / "evaluation.json").read_text())
    assert numbers["protocol"] == "coco"
    assert 0 <= numbers["mAP"] <= numbers["mAP50"] <= 1

    # A second demo does not touch the first.
    before = (run / "report.html").read_bytes()
    assert main(["demo", *TINY, "--root-dir", str(run)]) == 0
    assert (tmp_path / "demo-2" / "report.html").exists()
    assert (run / "report.html").read_bytes() == before

    numbers_path = tmp_path / "numbers.json"
    words = ["evaluate", str(run), "--json", str(numbers_path), "--frames", "4"]
    assert main([*words, "--output", str(tmp_path / "again")]) == 0
    assert json.loads(numbers_path.read_text())["num_frames"] == 4


@pytest.mark.slow
def test_the_demo_of_events_makes_its_recordings_first(capsys, tmp_path, monkeypatch):
    few = SimulateOptions(
        output=tmp_path, train=2, val=1, test=2, minutes=0.05, height=32, width=32
    )
    # The package has a function of the module's name.
    monkeypatch.setattr(sys.modules["evdet.cli.demo"], "RECORDINGS", few)
    run, recordings = tmp_path / "demo", tmp_path / "recordings"
    words = ["demo", "--events", *TINY, "--num-levels", "2", "--root-dir", str(run)]
    words += ["--dataset-path", str(recordings)]
    assert main(words) == 0
    assert f"report          {run / 'report.html'}" in capsys.readouterr().out
    assert len(list(recordings.glob("*/*_td.dat"))) == 5
    assert (run / "demo.mp4").stat().st_size > 0
    assert f"of the test recordings of {recordings}" in (run / "report.html").read_text()
    # The recordings of an earlier demo are used again.
    before = sorted(path.stat().st_mtime_ns for path in recordings.glob("*/*"))
    assert main(words) == 0
    assert sorted(path.stat().st_mtime_ns for path in recordings.glob("*/*")) == before


@pytest.mark.slow
def test_a_run_goes_on_where_it_stopped_and_refuses_to_be_overwritten(capsys, tmp_path):
    words = ["train", *TINY, "--root-dir", str(tmp_path / "run")]
    assert main(words) == 0
    status, said = refused(capsys, words)
    assert status == 2
    assert "--resume" in said
    assert main([*words, "--resume", "--max-epochs", "2"]) == 0
    assert list((tmp_path / "run" / "checkpoints").glob("epoch=1-*.ckpt"))


@pytest.mark.slow
def test_without_pyav_everything_works_but_the_video(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    run = tmp_path / "demo"
    assert main(["demo", *TINY, "--root-dir", str(run)]) == 0
    assert "no video: PyAV is not installed" in capsys.readouterr().out
    assert (run / "report.html").exists()
    assert not (run / "demo.mp4").exists()
