"""Signals to long commands, and two runs of one folder at once."""

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from drill.attack import Answer, Attack, Command, Skipped, evdet

__all__ = ["SIGNALS"]

# Long enough that it does not end by itself.
LONG_RUN = """\
height: 32
width: 32
num_tbins: 2
batch_size: 2
max_frames_per_video: 6
max_frames_per_epoch: 240000
val_frames: 12
max_objects: 1
num_workers: 0
feature_base: 2
feature_channels_out: 4
num_levels: 2
head_channels: 4
demo_every: 0
accelerator: cpu
checkpoint_every_minutes: 0.02
"""
_SAYS = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "hung up",
}


def start_training(folder: Path, *words: str | Path) -> Command:
    """A training that has written its first checkpoint."""
    (folder / "run.yaml").write_text(LONG_RUN)
    # A file: the processes of a training are started by the name of the first one's program.
    (folder / "evdet").write_text("import sys\nfrom evdet.cli import main\nsys.exit(main())\n")
    options = ("train", "--config", "run.yaml", "--root-dir", "run", *words)
    command = Command(options, folder, program=(sys.executable, "evdet"))
    command.wait_for((folder / "run/checkpoints/last.ckpt").exists, 120)
    return command


def descendants(command: Command) -> list[int]:
    """Processes of the command's session."""
    listed = subprocess.run(
        ["ps", "-o", "pid=", "-s", str(command.process.pid)], capture_output=True, text=True
    )
    return [int(word) for word in listed.stdout.split()]


def _ended(command: Command, number: int, answer: Answer, *says: str) -> str | None:
    lines = [line for line in answer.err.splitlines() if line.startswith("evdet:")]
    if len(lines) != 1:
        return f"{len(lines)} lines: {lines}"
    end = time.monotonic() + 3
    while (left := descendants(command)) and time.monotonic() < end:
        time.sleep(0.1)
    return answer.unlike(128 + number, _SAYS[number], *says, max_mb=3000, max_seconds=180) or (
        f"leaves processes {left}" if left else None
    )


def _can_go_on(folder: Path) -> str | None:
    from evdet.detectors import load_checkpoint

    position = load_checkpoint(folder / "run/checkpoints/last.ckpt")["evdet"]["position"]
    return None if position[1] > 0 else f"the last checkpoint is of {position}"


def _training(
    number: int, *words: str, to_group: bool = False, twice: bool = False
) -> Callable[[Path], str | None]:
    def run(folder: Path) -> str | None:
        command = start_training(folder, *words)
        for _ in range(2 if twice else 1):
            if to_group:
                os.killpg(command.process.pid, number)
            else:
                command.send(number)
        wrong = _ended(command, number, command.answer(), "evdet train --resume --root-dir run")
        if wrong:
            return wrong
        parts = [path.name for path in (folder / "run").rglob("*.part")]
        if parts:
            return f"leaves {parts}"
        return _can_go_on(folder)

    return run


def _starting(folder: Path) -> str | None:
    (folder / "run.yaml").write_text(LONG_RUN)
    command = Command(("train", "--config", "run.yaml", "--root-dir", "run"), folder)
    command.wait_for((folder / "run/config.yaml").exists)
    command.send(signal.SIGTERM)
    return _ended(command, signal.SIGTERM, command.answer())


def _nohup(folder: Path) -> str | None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        command = start_training(folder)
    finally:
        signal.signal(signal.SIGHUP, before)
    command.send(signal.SIGHUP)
    checkpoint = folder / "run/checkpoints/last.ckpt"
    written = checkpoint.stat().st_mtime_ns
    if not command.wait_for(lambda: checkpoint.stat().st_mtime_ns != written, 30):
        return "a training under nohup ended at SIGHUP, or writes no more checkpoints"
    command.send(signal.SIGTERM)
    return _ended(command, signal.SIGTERM, command.answer())


def _worker_killed(folder: Path) -> str | None:
    command = start_training(folder, "--num-workers", "2")
    children = [pid for pid in descendants(command) if pid != command.process.pid]
    if not children:
        raise Skipped("the loader has no worker processes on this system")
    os.kill(children[0], signal.SIGKILL)
    wrong = command.answer().unlike(2, "was killed", max_mb=3000)
    return wrong or _can_go_on(folder)


def _simulating(number: int, *words: str) -> Callable[[Path], str | None]:
    def run(folder: Path) -> str | None:
        command = Command(("simulate", "data", "--minutes", "60", *words), folder)
        command.wait_for(lambda: any(folder.glob(".data.*/train/*")))
        os.killpg(command.process.pid, number)
        wrong = _ended(command, number, command.answer())
        left = [path.name for path in folder.iterdir()]
        return wrong or (f"leaves {left}" if left else None)

    return run


def _recording(folder: Path) -> None:
    from evdet.events import EVENT_DTYPE, SensorSize
    from evdet.events.dat import write_dat

    events = np.zeros(3_000_000, EVENT_DTYPE)
    events["t"] = np.arange(len(events)) * 400
    events["x"], events["y"] = np.arange(len(events)) % 304, np.arange(len(events)) % 240
    write_dat(folder / "a.dat", [events], SensorSize(240, 304))


def _detecting(number: int) -> Callable[[Path], str | None]:
    def run(folder: Path) -> str | None:
        _recording(folder)
        words = ("detect", "a.dat", "--checkpoint", "events-digits", "--output", "a.csv", "a.npy")
        command = Command(words, folder)
        command.wait_for((folder / "a.npy").exists)
        command.send(number)
        wrong = _ended(command, number, command.answer(), "complete up to there")
        np.load(folder / "a.npy")
        return wrong

    return run


def _detecting_live(folder: Path) -> str | None:
    _recording(folder)
    words = ("detect", "-", "--checkpoint", "events-digits", "--output", "a.npy")
    command = Command(words, folder, stdin=subprocess.PIPE)
    if command.process.stdin is None:
        return "no pipe"
    command.process.stdin.write((folder / "a.dat").read_bytes()[:4_000_000])
    command.process.stdin.flush()
    command.wait_for((folder / "a.npy").exists)
    command.send(signal.SIGTERM)
    wrong = _ended(command, signal.SIGTERM, command.answer())
    np.load(folder / "a.npy")
    return wrong


def _writing(number: int, name: str, *words: str) -> Callable[[Path], str | None]:
    """A command that is ended while its temporary file is there."""

    def run(folder: Path) -> str | None:
        _recording(folder)
        command = Command((words[0], "a.dat", *words[1:]), folder)
        if not command.wait_for(lambda: any(folder.glob(".*.part"))):
            raise Skipped("the command was faster than the signal")
        command.send(number)
        answer = command.answer()
        if answer.status == 0 and (folder / name).exists():
            raise Skipped("the command was faster than the signal")
        wrong = _ended(command, number, answer)
        left = sorted(path.name for path in folder.iterdir() if path.name != "a.dat")
        return wrong or (f"leaves {left}" if left else None)

    return run


def _two_trainings(folder: Path) -> str | None:
    first = start_training(folder)
    second = Command(("train", "--config", "run.yaml", "--root-dir", "run", "--resume"), folder)
    third = Command(("train", "--config", "run.yaml", "--root-dir", "run"), folder)
    wrong = second.answer().unlike(2, "another process trains in run")
    wrong = wrong or third.answer().unlike(2, "holds the checkpoints of an earlier run")
    first.send(signal.SIGKILL)
    first.answer()
    resumed = start_training(folder, "--resume")
    last = (folder / "run/checkpoints/last.ckpt").stat().st_mtime_ns
    goes_on = lambda: (folder / "run/checkpoints/last.ckpt").stat().st_mtime_ns != last  # noqa: E731
    if not resumed.wait_for(goes_on):
        wrong = wrong or f"does not resume after kill -9: {resumed.err[-200:]}"
    resumed.send(signal.SIGKILL)
    resumed.answer()
    return wrong


def _two_new_trainings(folder: Path) -> str | None:
    (folder / "run.yaml").write_text(LONG_RUN)
    words = ("train", "--config", "run.yaml", "--root-dir", "run")
    both = [Command(words, folder) for _ in range(2)]
    last = folder / "run/checkpoints/last.ckpt"
    both[0].wait_for(lambda: last.exists() or not both[1].runs)
    both[0].wait_for(lambda: not both[1].runs, seconds=30)
    ended = [one for one in both if not one.runs]
    if len(ended) != 1:
        return f"{len(ended)} of two trainings were refused"
    winner = both[1 - both.index(ended[0])]
    winner.send(signal.SIGTERM)
    status = winner.answer().status
    return None if status == 143 else f"the other ended with status {status}"


def _two_detections(folder: Path) -> str | None:
    _recording(folder)
    words = ("detect", "a.dat", "--checkpoint", "events-digits", "--output", "a.csv")
    first = Command(words, folder)
    first.wait_for((folder / "a.csv").exists)
    wrong = evdet(*words, folder=folder).unlike(2, "another process writes it")
    first.send(signal.SIGINT)
    first.answer()
    left = sorted(path.name for path in folder.iterdir())
    return wrong or (None if left == ["a.csv", "a.dat"] else f"leaves {left}")


def _two_simulations(folder: Path) -> str | None:
    words = ("simulate", "data", "--minutes", "60")
    first = Command(words, folder)
    first.wait_for(lambda: any(folder.glob(".data.*/train/*")))
    wrong = evdet(*words, folder=folder).unlike(2, "another process simulates")
    first.send(signal.SIGTERM)
    first.answer()
    left = sorted(path.name for path in folder.iterdir())
    return wrong or (f"leaves {left}" if left else None)


_attack = functools.partial(Attack, "signals")
_TERM, _INT, _HUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP

SIGNALS = (
    _attack("SIGTERM of a training", _training(_TERM)),
    _attack(
        "Ctrl-C of a training with workers", _training(_INT, "--num-workers", "2", to_group=True)
    ),
    _attack("SIGTERM to all processes", _training(_TERM, "--num-workers", "2", to_group=True)),
    _attack("SIGHUP, twice", _training(_HUP, twice=True)),
    _attack("SIGTERM of a training that starts", _starting),
    _attack("SIGHUP of a training under nohup", _nohup),
    _attack("SIGTERM of a training in two processes", _training(_TERM, "--devices", "2")),
    _attack("a worker of the loader is killed", _worker_killed),
    _attack("Ctrl-C of evdet simulate with workers", _simulating(_INT, "--workers", "2")),
    _attack("SIGTERM of evdet simulate", _simulating(_TERM)),
    _attack("SIGTERM of evdet detect", _detecting(_TERM)),
    _attack("Ctrl-C of evdet detect", _detecting(_INT)),
    _attack("SIGTERM of evdet detect on a pipe", _detecting_live),
    _attack("SIGTERM of evdet convert", _writing(_TERM, "b.hdf5", "convert", "b.hdf5")),
    _attack("SIGHUP of evdet view", _writing(_HUP, "b.mp4", "view", "--output", "b.mp4")),
    Attack("two at once", "a training in the folder of another", _two_trainings),
    Attack("two at once", "two trainings start in one folder", _two_new_trainings),
    Attack("two at once", "two detections into one file", _two_detections),
    Attack("two at once", "two simulations into one folder", _two_simulations),
)
