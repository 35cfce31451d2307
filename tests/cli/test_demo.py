"""The demo shares its work among processes, which start, report and end as one."""

import os
import signal
import subprocess
import sys
import time

import pytest

from evdet.cli import main
from evdet.cli.demo import DemoOptions, demo
from evdet.config import ConfigError, DetectionConfig, read_config
from evdet.detectors import load_checkpoint

# The program itself: the other processes run the same words.
PROGRAM = "import sys; from evdet.cli import main; sys.exit(main())"
TINY = [
    "--feature-base", "2", "--feature-channels-out", "4", "--num-levels", "2",
    "--head-channels", "4", "--height", "32", "--width", "32", "--num-tbins", "2",
    "--batch-size", "2", "--max-frames-per-video", "4", "--max-frames-per-epoch", "8",
    "--max-epochs", "1", "--val-frames", "8", "--test-frames", "8", "--num-workers", "0",
    "--demo-every", "1", "--accelerator", "cpu", "--max-digit-share", "0.5",
]  # fmt: skip


class TrainedError(Exception):
    """Raised in place of a training."""


@pytest.fixture
def lanes_of(monkeypatch, tmp_path):
    """The processes and the lanes of each, with which the demo would train."""
    configs = []

    def train(config):
        configs.append(config)
        raise TrainedError

    monkeypatch.setattr("evdet.training.train", train)
    monkeypatch.setattr(sys, "platform", "linux")

    def run(program="evdet", cores=4, processes=None, **fields):
        monkeypatch.setattr(sys, "argv", [f"/somewhere/bin/{program}", "demo"])
        monkeypatch.setattr(sys.modules["evdet.cli.demo"], "num_cores", lambda: cores)
        fields = {"accelerator": "cpu", "root_dir": str(tmp_path / "run"), **fields}
        with pytest.raises(TrainedError):
            demo(DemoOptions(processes=processes, configuration=DetectionConfig(**fields)))
        return configs[-1].devices, configs[-1].batch_size

    return run


def test_several_processes_are_refused_on_windows(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ConfigError, match="--processes 2: on Windows a training has one process"):
        demo(DemoOptions(processes=2))


def test_two_processes_share_the_lanes_where_there_are_two_cores(lanes_of, capsys):
    assert lanes_of(batch_size=8, cores=2) == (2, 4)
    assert "training on Moving MNIST in 2 processes;" in capsys.readouterr().out
    assert lanes_of(batch_size=8, cores=64) == (2, 4)
    assert lanes_of(batch_size=8, processes=4) == (4, 2)


@pytest.mark.parametrize(
    "situation",
    [
        {"cores": 1},
        {"program": "pytest"},
        {"program": "ipykernel_launcher.py"},
        {"processes": 1},
        {"strategy": "ddp"},
        {"num_nodes": 2},
    ],
)
def test_one_process_trains_where_several_cannot_or_should_not(lanes_of, situation, capsys):
    assert lanes_of(batch_size=8, **situation) == (1, 8)
    assert "in 1 process;" in capsys.readouterr().out


def test_lanes_that_cannot_be_shared_stay_in_one_process(lanes_of):
    assert lanes_of(batch_size=3) == (1, 3)
    assert lanes_of(batch_size=1) == (1, 1)


def test_devices_that_the_user_chose_are_kept(lanes_of):
    assert lanes_of(batch_size=8, devices=3) == (3, 8)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--processes", "0"], "--processes must be at least 1, got 0"),
        (["--processes", "3"], "--processes 3 cannot share the 8 lanes of --batch-size"),
        (["--processes", "2", "--devices", "2"], "leave out --devices"),
    ],
)
def test_processes_that_cannot_be_are_refused(words, message, capsys, tmp_path):
    assert main(["demo", *words, "--root-dir", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def start(tmp_path, *words):
    """Run `evdet demo` in two processes, in a group of their own."""
    program = tmp_path / "evdet"
    program.write_text(PROGRAM)
    with (tmp_path / "said.txt").open("w") as said:
        return subprocess.Popen(
            [sys.executable, program, "demo", *TINY, "--processes", "2", *words],
            stdout=said,
            stderr=said,
            cwd=tmp_path,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        )


def num_alive(group):
    """Processes of a group that have not ended."""
    listed = subprocess.run(["ps", "-o", "stat=", "-g", str(group)], capture_output=True, text=True)
    return sum(not state.startswith("Z") for state in listed.stdout.split("\n") if state.strip())


def wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the demo has one process")
def test_the_demo_in_two_processes_reports_once_and_can_be_resumed(tmp_path):
    done = start(tmp_path, "--root-dir", "run")
    assert done.wait(600) == 0

    said = (tmp_path / "said.txt").read_text()
    for once in ("in 2 processes", "epoch 0 done", "trained in", "protocol coco", "  report "):
        assert said.count(once) == 1, once
    run = tmp_path / "run"
    assert (run / "report.html").stat().st_size > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evdet", "run", "said.txt"]
    config = read_config(run / "config.yaml")
    assert (config.devices, config.batch_size) == (2, 1)

    resumed = subprocess.run(
        [sys.executable, "evdet", "train", "--resume", "--root-dir", "run", "--max-epochs", "2"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=600,
    )
    assert resumed.returncode == 0
    assert load_checkpoint(run / "checkpoints" / "last.ckpt")["evdet"]["position"] == [2, 0]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the demo has one process")
@pytest.mark.parametrize("when", ["starting", "training"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_both_processes_end_when_the_demo_is_ended(tmp_path, when, how):
    program = start(tmp_path, "--max-epochs", "1000", "--root-dir", "run")
    if when == "training":
        wait_for((tmp_path / "run" / "checkpoints" / "last.ckpt").exists)
    else:
        wait_for(lambda: "in 2 processes" in (tmp_path / "said.txt").read_text())
        wait_for(lambda: num_alive(program.pid) == 2)

    if how == signal.SIGINT:  # what a terminal does at Ctrl-C
        os.killpg(program.pid, how)
    else:
        program.send_signal(how)

    assert program.wait(120) != 0
    wait_for(lambda: num_alive(program.pid) == 0)
    if when == "training":
        load_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
