"""Outputs that are inputs, full disks, and what kills and second runs leave behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from drill.attack import Attack, Command, Skipped, evdet

__all__ = ["FILES"]

_DETECTOR = Path("events-digits")


# What the attacks work on ------------------------------------------------------------------------


def _lay_out(folder: Path, seconds: float = 2.0) -> None:
    """A recording with labels, its label map, detections, a checkpoint, a run and a data set."""
    from evdet.samples import bundled_weights

    _write_recording(folder, "drive", seconds)
    shutil.copy(folder / "drive_bbox.npy", folder / "found.npy")
    shutil.copy(bundled_weights("events-digits"), folder / "g.ckpt")
    run = folder / "run"
    (run / "checkpoints").mkdir(parents=True)
    os.link(folder / "g.ckpt", run / "checkpoints/best.ckpt")
    (run / "config.yaml").write_text("# mine\nlr: 0.001\n")
    (run / "training.json").write_text("{}")
    for split in ("train", "val", "test"):
        (folder / "set" / split).mkdir(parents=True)
        _write_recording(folder / "set" / split, f"{split}_a", seconds)
    shutil.copy(folder / "label_map_dictionary.json", folder / "set")


def _write_recording(folder: Path, name: str, seconds: float) -> None:
    from evdet import BOX_DTYPE
    from evdet.events import EVENT_DTYPE, SensorSize
    from evdet.events.dat import write_dat

    count = round(seconds * 5000)
    rng = np.random.default_rng(1)
    events = np.zeros(count, EVENT_DTYPE)
    events["t"] = np.arange(count) * 200
    events["x"], events["y"] = rng.integers(0, 128, (2, count))
    write_dat(folder / f"{name}_td.dat", [events], SensorSize(128, 128))
    boxes = np.zeros(round(seconds * 20), BOX_DTYPE)
    boxes["t"], boxes["w"], boxes["h"] = np.arange(1, len(boxes) + 1) * 50_000, 28, 28
    boxes["x"], boxes["class_id"], boxes["class_confidence"] = 40, 1, 1
    np.save(folder / f"{name}_bbox.npy", boxes)
    digits = {str(i): str(i) for i in range(10)}
    (folder / "label_map_dictionary.json").write_text(json.dumps(digits))


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _changes(before: dict[str, bytes], folder: Path) -> str | None:
    after = _contents(folder)
    lost = sorted(name for name in before if after.get(name) != before[name])
    if lost:
        return f"changed or lost: {', '.join(lost)}"
    parts = sorted(name for name in after if ".part" in name or "unfinished" in name)
    return f"left over: {', '.join(parts)}" if parts else None


# Outputs that are inputs -------------------------------------------------------------------------


# Several commands in one process, each in a folder of its own: most of the time is the start.
_MANY = """
import contextlib, io, json, os, sys
from evdet.cli import main
for folder, words in json.loads(sys.argv[1]):
    os.chdir(folder)
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        status = main(words.split())
    print(json.dumps([status, said.getvalue()]), flush=True)
"""


def _are_refused(command: str, folder: Path) -> str | None:
    rows = [(words, links) for words, links in _REFUSED if words.split()[0] == command]
    tried, before = [], []
    for number, (words, links) in enumerate(rows):
        here = folder / str(number)
        here.mkdir()
        _lay_out(here, 0.5)
        for name, target in links.items():
            if name.startswith("hard"):
                (here / name).hardlink_to(here / target)
            else:
                (here / name).symlink_to(target)
        tried.append((str(here), words))
        before.append(_contents(here))
    program = [sys.executable, "-c", _MANY, json.dumps(tried)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=120)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if len(answers) != len(rows):
        return f"ended early: {done.stderr.strip().splitlines()[-1:]}"
    for (status, said), (here, words), contents in zip(answers, tried, before, strict=True):
        new = sorted(_contents(Path(here)).keys() - contents.keys())
        last = said.strip().splitlines()[-1:]
        wrong = _changes(contents, Path(here)) or (f"wrote {', '.join(new)}" if new else None)
        if status != 2 or "cannot write" not in said or wrong:
            return f"evdet {words}: status {status}, {last}, {wrong}"
    return None


_SCORE = "score --detections found.npy --boxes drive_bbox.npy"
_FRAMES = "view drive_td.dat --force --frames new"
_REFUSED: tuple[tuple[str, dict[str, str]], ...] = (
    ("info drive_td.dat --png drive_td.dat", {}),
    ("info drive_td.dat --png link.png", {"link.png": "drive_td.dat"}),
    ("info drive_td.dat --png hard.png", {"hard.png": "drive_td.dat"}),
    ("info drive_td.dat set/../drive_td.dat --png p.png", {}),
    ("view drive_td.dat --output link.mp4", {"link.mp4": "drive_bbox.npy"}),
    ("view drive_td.dat --output hard.png", {"hard.png": "label_map_dictionary.json"}),
    (f"{_FRAMES} --prelabels label_map_dictionary.json", {}),
    (f"{_FRAMES} --prelabels hard.json", {"hard.json": "drive_bbox.npy"}),
    ("convert drive_td.dat link.h5 --force", {"link.h5": "drive_td.dat"}),
    ("labels drive_bbox.npy label_map_dictionary.json --force", {}),
    ("labels drive_bbox.npy found.npy --recording found.npy --force", {}),
    (f"{_SCORE} --json found.npy", {}),
    (f"{_SCORE} --json drive_bbox.npy", {}),
    (f"{_SCORE} --json label_map_dictionary.json", {}),
    (f"{_SCORE} --json out/evaluation/evaluation.json --output-dir out", {"out": "."}),
    ("score --detections set/train --boxes set/val --json set/val/val_a_bbox.npy", {}),
    ("score --detections set/train --boxes set/val --output-dir set/val", {}),
    ("evaluate g.ckpt --dataset-path set --json g.ckpt", {}),
    ("evaluate run --dataset-path set --json run/config.yaml", {}),
    ("evaluate run --dataset-path set --json run/checkpoints/best.ckpt", {}),
    ("evaluate g.ckpt --dataset-path set --json set/label_map_dictionary.json", {}),
    ("evaluate g.ckpt --dataset-path set --json set/test/test_a_bbox.npy", {}),
    ("evaluate g.ckpt --dataset-path set --output-dir set/test", {}),
    ("bench g.ckpt --json g.ckpt", {}),
    ("bench run --json run/training.json", {}),
    ("bench g.ckpt --source drive_td.dat --json drive_bbox.npy", {}),
    ("bench run --json run/speed.json", {}),
    ("export g.ckpt link.onnx", {"link.onnx": "g.ckpt"}),
    ("export g.ckpt a.onnx", {"a.unchecked.onnx": "g.ckpt"}),
    ("import g.ckpt --output g.ckpt --force", {}),
    ("report run --output link.html", {"link.html": "run/config.yaml"}),
    ("detect drive_td.dat --output drive_bbox.npy", {}),
    ("detect drive_td.dat --output found.csv found.csv", {}),
    ("detect drive_td.dat --output a.csv b.csv", {"a.csv": "b.csv"}),
    ("detect drive_td.dat --output label_map_dictionary.json", {}),
    ("detect drive_td.dat --checkpoint run --output run/training.json", {}),
    ("train --config run/config.yaml --root-dir run", {}),
)


# Full disks --------------------------------------------------------------------------------------

_LABELS = "labels drive_bbox.npy {} --frame-period 50000 --sensor-size 128x128 --force"
_EVALUATE = "evaluate events-digits --dataset-path set --no-count-events --frames 10"
# Words, what they write, and how many bytes are written before the disk is full.
_WRITERS: tuple[tuple[str, str, int], ...] = (
    ("info drive_td.dat --png {}", "x.png", 2000),
    ("view drive_td.dat --output {}", "x.png", 2000),
    ("view drive_td.dat --output {}", "x.mp4", 2000),
    ("view drive_td.dat --force --frames new --prelabels {}", "x.xml", 6000),
    ("convert drive_td.dat {} --force", "x.dat", 20000),
    ("convert drive_td.dat {} --force", "x.raw", 20000),
    ("convert drive_td.dat {} --force", "x.h5", 20000),
    (_LABELS, "x.npy", 300),
    (_LABELS, "x.json", 300),
    (_LABELS, "x.csv", 300),
    (_LABELS, "x.txt", 300),
    (_LABELS + " --format yolo", "yolo", 10),
    (_LABELS + " --format voc", "voc", 300),
    (_SCORE + " --json {}", "x.json", 300),
    (_SCORE + " --output-dir {}", "out", 300),
    ("detect sample --duration 3 --output {}", "x.npy", 1000),
    ("detect sample --duration 3 --output {}", "x.csv", 1000),
    ("detect sample --duration 3 --output {}", "x.json", 1000),
    ("detect sample --duration 3 --output {}", "x.mp4", 9000),
    ("detect sample --duration 3 --track --output {}", "x.txt", 1000),
    (_EVALUATE + " --output-dir {}", "out", 3000),
    (_EVALUATE + " --output-dir out --json {}", "/dev/full", 1 << 30),
    ("bench g.ckpt --time-bins 2 --warm-up 0 --variants none --batches 1 --json {}", "x.json", 300),
    ("simulate {} --count 3 --minutes 0.05", "out", 3000),
    ("split set/all --how copy --by count", "set/all", 3000),
)
# Words of which the files are complete up to the end of the space.
_GROWS = ("detect",)


def _no_space(words: str, target: str, max_bytes: int, folder: Path) -> str | None:
    _lay_out(folder)
    if words.startswith("split"):
        for name in "abcd":
            (folder / "set/all").mkdir(exist_ok=True)
            _write_recording(folder / "set/all", name, 0.5)
    if "." in target:
        (folder / target).write_bytes(b"old")
    before = _contents(folder)
    if words.startswith(_GROWS):
        before.pop(target)
    answer = evdet(*words.format(target).split(), folder=folder, max_bytes=max_bytes)
    shutil.rmtree(folder / "new", ignore_errors=True)  # whole pictures stay
    wanted = "No space left on device" if target == "/dev/full" else "File too large"
    return answer.unlike(2, f"cannot write {target}", wanted) or _changes(before, folder)


_ON_TMPFS: tuple[tuple[str, str, int], ...] = (
    ("convert ../drive_td.dat {}", "x.h5", 40),
    ("view ../drive_td.dat --output {}", "x.mp4", 40),
    ("detect sample --output {}", "x.mp4", 40),
    ("detect sample --output {}", "x.npy", 8),
    ("score --detections ../found.npy --boxes ../drive_bbox.npy --json {}", "x.json", 4),
    ("simulate {} --count 3 --minutes 0.05", "out", 100),
)


def _on_tmpfs(words: str, target: str, kilobytes: int, folder: Path) -> str | None:
    _lay_out(folder)
    disk = folder / "disk"
    disk.mkdir()
    _mount(disk, kilobytes)
    try:
        answer = evdet(*words.format(target).split(), folder=disk)
        wrong = answer.unlike(2, f"cannot write {target}", "No space left on device")
        left = [path.name for path in disk.iterdir() if path.name != target or words[0] != "d"]
        return wrong or (f"left: {left}" if left else None)
    finally:
        subprocess.run(["umount", disk], check=True)


def _mount(disk: Path, kilobytes: int) -> None:
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", disk]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        raise Skipped("this user cannot mount a small disk")


def _split_on_tmpfs(how: str, folder: Path) -> str | None:
    disk = folder / "disk"
    disk.mkdir()
    _mount(disk, 420)
    try:
        for name in "abcde":
            _write_recording(disk, name, 1.0)
        with (disk / "filler").open("wb") as file:
            try:
                file.write(bytes(1 << 19))
                file.flush()
            except OSError:
                pass
        os.truncate(disk / "filler", os.path.getsize(disk / "filler") - 30_000)
        before = _contents(disk)
        answer = evdet("split", disk, "--how", how, folder=folder)
        if how == "copy":
            wrong = answer.unlike(2, "cannot write", "No space left on device")
            new = sorted(path.name for path in disk.iterdir() if path.is_dir())
            return wrong or _changes(before, disk) or (f"left {new}" if new else None)
        return answer.unlike(0)
    finally:
        subprocess.run(["umount", disk], check=True)


# Kills, and two at once --------------------------------------------------------------------------


def _hidden_parts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob(".*.part"))


def _is_removed(words: str, again: str, signals: Sequence[int], folder: Path) -> str | None:
    """Kill a command while it writes; a signal leaves nothing, and a kill nothing for long."""
    _lay_out(folder, 60.0)
    for number in signals:
        command = Command(words.split(), folder)
        if not command.wait_for(lambda: bool(_hidden_parts(folder))):
            return f"wrote no temporary file: {command.answer().err.strip()}"
        command.send(number)
        answer = command.answer()
        if answer.status not in (128 + number, 2 if number == signal.SIGINT else 0):
            return f"status {answer.status} after signal {number}"
        if number != signal.SIGKILL and _hidden_parts(folder):
            return f"signal {number} leaves {_hidden_parts(folder)}"
    answer = evdet(*again.split(), folder=folder)
    left = _hidden_parts(folder)
    return answer.unlike(0) or (f"still there: {left}" if left else None)


def _live_one_stays(folder: Path) -> str | None:
    """A second run does not take the temporary file of the first for a leftover."""
    _lay_out(folder, 120.0)
    words = ["convert", "drive_td.dat", "x.h5", "--force"]
    first, second = Command(words, folder), Command(words, folder)
    for command in (first, second):
        wrong = command.answer().unlike(0)
        if wrong:
            return wrong
    left = _hidden_parts(folder)
    return f"left {left}" if left else evdet("info", "x.h5", folder=folder).unlike(0)


def _planted(folder: Path) -> str | None:
    """Links under the names of temporary files are neither followed nor removed."""
    _lay_out(folder)
    (folder / "victim.txt").write_text("untouched")
    names = (".q.csv.part", f".q.csv.{'0' * 16}.part", f".q.csv.{'a1' * 8}.part")
    for name in names[:2]:
        (folder / name).symlink_to("victim.txt")
    (folder / names[2]).hardlink_to(folder / "victim.txt")
    answer = evdet("detect", "sample", "--duration", "1", "--output", "q.csv", folder=folder)
    if (folder / "victim.txt").read_text() != "untouched":
        return "wrote through a link"
    gone = [name for name in names if not os.path.lexists(folder / name)]
    return answer.unlike(0) or (f"removed {gone}" if gone else None)


def _umask(folder: Path) -> str | None:
    """No file is open to others under umask 077."""
    _lay_out(folder)
    before = set(folder.rglob("*"))
    old = os.umask(0o077)
    try:
        for words in (
            "labels drive_bbox.npy x.json",
            "labels drive_bbox.npy y --format yolo --frame-period 50000 --sensor-size 128x128",
            "detect sample --duration 1 --output q.csv q.npy q.mp4",
            "convert drive_td.dat x.h5",
            "info drive_td.dat --png x.png",
            "simulate sim --count 3 --minutes 0.01 --workers 2",
            "split sim/train --how copy --train 1 --val 0 --test 0",
        ):
            wrong = evdet(*words.split(), folder=folder).unlike(0)
            if wrong:
                return f"{words}: {wrong}"
    finally:
        os.umask(old)
    new = set(folder.rglob("*")) - before
    loose = sorted(path.name for path in new if path.stat().st_mode & 0o077)
    return f"readable by others: {', '.join(loose)}" if loose else None


def _split_killed(how: str, folder: Path) -> str | None:
    """A killed split is named by check, and undone by the next one."""
    root = folder / "set"
    root.mkdir()
    for number in range(400):
        name = f"r{number:03d}"
        (root / f"{name}.raw").write_bytes(b"events" * 20_000)
        (root / f"{name}_bbox.npy").write_bytes(name.encode())
        (root / f".{name}.raw.index").write_bytes(b"index")
    before = _contents(root)
    command = Command(["split", root, "--by", "count", "--how", how], folder)
    if not command.wait_for(lambda: len(list(root.glob("train/*"))) > 20):
        return f"it did not begin: {command.answer().err}"
    command.send(signal.SIGKILL)
    if command.answer().status != 137:
        return "it ended before it was killed"
    (root / "label_map_dictionary.json").write_text('{"0": "car"}')
    wrong = evdet("check", root, folder=folder).unlike(2, "halfway", f"evdet split {root}")
    if wrong:
        return f"check: {wrong}"
    (root / "label_map_dictionary.json").unlink()
    answer = evdet("split", root, "--by", "count", "--how", how, folder=folder)
    after = _contents(root)
    kept = {name.partition("/")[2] or name: after[name] for name in sorted(after)}
    return answer.unlike(0, "was undone") or (None if kept == before else "files differ")


def _split_beside(folder: Path) -> str | None:
    """Of two splits at once one works, and the other says so; nothing is lost."""
    for number in range(300):
        (folder / f"r{number:03d}.raw").write_bytes(b"events" * 20_000)
    before = sorted(_contents(folder).values())
    words = ("split", folder, "--by", "count", "--how", "move")
    commands = [Command(words, folder), Command(words, folder)]
    answers = sorted((command.answer() for command in commands), key=lambda one: one.status)
    if sorted(_contents(folder).values()) != before:
        return "files were lost"
    return answers[0].unlike(0) or answers[1].unlike(2)


def _attack(kind: str, name: str, run: Callable[..., str | None], *values: object) -> Attack:
    return Attack(kind, name, partial(run, *values))


_INPUTS, _DISK, _LEFT = "outputs that are inputs", "full disk", "two at once / leftovers"
_CONVERT = ("convert drive_td.dat x.h5 --force", "convert drive_td.dat x.h5 --force --duration 1")
_VIDEO = ("view drive_td.dat --output x.mp4", "view drive_td.dat --output x.mp4 --duration 1")
_SIMULATE = ("simulate out --count 6", "simulate out --count 3 --minutes 0.01")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

FILES = (
    *(
        _attack(_INPUTS, f"evdet {command}", _are_refused, command)
        for command in dict.fromkeys(words.split()[0] for words, _ in _REFUSED)
    ),
    *(
        _attack(_DISK, f"evdet {words.format(name)}, {most} bytes", _no_space, words, name, most)
        for words, name, most in _WRITERS
    ),
    *(
        _attack(_DISK, f"evdet {words.format(name)} on {most} KB", _on_tmpfs, words, name, most)
        for words, name, most in _ON_TMPFS
    ),
    *(_attack(_DISK, f"evdet split --how {how}", _split_on_tmpfs, how) for how in ("copy", "move")),
    *(
        _attack(_LEFT, f"evdet {words[0]} is killed", _is_removed, *words, (signal.SIGKILL,))
        for words in (_CONVERT, _VIDEO, _SIMULATE)
    ),
    _attack(_LEFT, "evdet convert gets signals", _is_removed, *_CONVERT, _SIGNALS),
    _attack(_LEFT, "the same conversion twice", _live_one_stays),
    _attack(_LEFT, "links lie under temporary names", _planted),
    _attack(_LEFT, "umask 077", _umask),
    _attack(_LEFT, "two splits at once", _split_beside),
    *(
        _attack(_LEFT, f"evdet split --how {how} is killed", _split_killed, how)
        for how in ("move", "link", "copy")
    ),
)
