import dataclasses
import json
import re
import subprocess
import sys
from typing import get_args, get_type_hints

import pytest
import torch

from evdet.build import build_detector
from evdet.cli import COMMANDS, load_command, main
from evdet.cli.options import RETIRED, ProtocolName, ReadingOptions, TrackerName
from evdet.cli.simulate import SimulateOptions
from evdet.config import DetectionConfig, read_config, write_config
from evdet.events import FORMAT_NAMES
from evdet.metrics import PROTOCOLS
from evdet.tracking import TRACKERS

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
    assert all(f"\n  {name:12}{command.summary}\n" in shown for name, command in COMMANDS.items())
    assert [line for line in shown.splitlines() if line in ("data:", "train:", "use:")] == [
        "data:", "train:", "use:",
    ]  # fmt: skip


def test_the_overview_imports_no_command():
    script = "import sys; from evdet.cli import main; main(['--help']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"tyro", "numpy", "yaml", "evdet.config", "evdet.cli.options"}


def test_the_version_is_shown(capsys):
    assert main(["--version"]) == 0
    assert re.fullmatch(r"evdet \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_choices_are_those_of_the_library():
    assert set(get_args(ProtocolName)) == PROTOCOLS.keys()
    assert get_args(TrackerName) == (*TRACKERS, "none")


@pytest.mark.parametrize(
    ("command", "old"), [(command, old) for command, names in RETIRED.items() for old in names]
)
def test_a_retired_option_is_answered_by_one_line_with_the_new_one(capsys, command, old):
    new = RETIRED[command][old]
    for word in (old, f"{old}=3"):
        assert refused(capsys, [command, "x", word]) == (
            2,
            f"evdet: {command} has no option {old}: use {new}\n",
        )
    named, option = command, new.split()[0]
    if option == "evdet":
        named, option = new.split()[1:3]
    _, options_type = load_command(named)
    fields = {field.name for field in dataclasses.fields(options_type)}
    fields |= {field.name for field in dataclasses.fields(DetectionConfig)}
    assert option.strip("-").replace("-", "_") in fields


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
        (["trian"], "train?"),
        (["zzz"], "info, view, convert,"),
        (["train", "--num-tbin", "5"], "--num-tbins"),
        (["train", "--num-tbins", "many"], "many"),
        (["train", "--num-tbins", "0"], "num_tbins"),
        (["train", "--config", "nowhere.yaml"], "nowhere.yaml"),
        (["train", "--feature-extractor", "Vanila"], "Vanilla"),
        (["train", "--dataset-path", "/data/gen1"], "/data/gen1"),
        (["train", "--max-frames-per-video", "3"], "max_frames_per_video"),
        (["train", "--height", "32", "--width", "32"], "stride 128"),
        (["train", "--resume"], "runs/moving_mnist"),
        (["train", "--accelerator", "tpu"], "tpu"),
        (["train", "--accelerator", "banana"], "banana"),
        (["evaluate", "nowhere.ckpt"], "nowhere.ckpt"),
        (["evaluate"], "CHECKPOINT"),
        (["report", "nowhere"], "nowhere"),
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
    assert "num_tbins" in said
    assert "'many'" in said


class RunsCode:
    def __reduce__(self):
        return (print, ("this must never be printed",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "some.ckpt"),
        (b"just some words", "some.ckpt"),
        (b"PK\x03\x04 and then the disk was full", "truncated"),
        ([1, 2], "list"),
        ({"state_dict": {}}, "hyper_parameters"),
        ({"hyper_parameters": RunsCode(), "state_dict": {}}, "some.ckpt"),
        ({"hyper_parameters": {"lr": 1.0}, "state_dict": {}}, "feature_extractor"),
        ({"hyper_parameters": {"speed": 1.0}, "state_dict": {}}, "speed"),
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
    # A run that is resumed is asked for its position first.
    assert message in said or (command == "resume" and "cannot be resumed" in said)
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
        (["--device", "banana"], "banana"),
        (["--device", "cuda:99"], "cuda:99"),
        (["--frames", "0"], "--frames"),
        (["--score-thresh", "2"], "--score-thresh"),
        (["--nms-thresh", "-1"], "--nms-thresh"),
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
    assert "evaluation.json" in said


def test_debug_shows_where_an_error_comes_from(tmp_path):
    with pytest.raises(ValueError, match=tmp_path.name):
        main(["report", str(tmp_path), "--debug"])


def test_a_folder_on_the_command_line_brings_its_own_classes_and_frames(capsys, tmp_path):
    words = ["simulate", str(tmp_path / "set"), "--kind", "shapes", "--count", "3"]
    assert main([*words, "--minutes", "0.02", "--sensor-size", "40x32"]) == 0
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
    assert main([*words, "--output-dir", str(tmp_path / "again")]) == 0
    assert json.loads(numbers_path.read_text())["num_frames"] == 4


@pytest.mark.slow
def test_the_demo_of_events_makes_its_recordings_first(capsys, tmp_path, monkeypatch):
    few = SimulateOptions(
        output=tmp_path, train=2, val=1, test=2, minutes=0.05, sensor_size="32x32"
    )
    monkeypatch.setattr("evdet.cli.demo.RECORDINGS", few)
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
    assert "PyAV" in capsys.readouterr().out
    assert (run / "report.html").exists()
    assert not (run / "demo.mp4").exists()


def test_every_format_of_recordings_is_a_choice():
    literal, _ = get_args(get_type_hints(ReadingOptions)["format"])
    assert get_args(literal) == FORMAT_NAMES
