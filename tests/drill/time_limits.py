"""Times that must grow in proportion with the input."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from drill.attack import Answer, Attack, evdet

__all__ = ["TIME"]

_MAX_SECONDS = 10.0
# Twice as much may take this much longer, after what a start takes by itself.
_MAX_GROWTH = 2.6


def _too_long(answer: Answer, seconds: float) -> str | None:
    took = answer.cpu_seconds
    return f"{took:.1f} s of a core, more than {seconds:g}" if took > seconds else None


def _split(folder: Path) -> str | None:
    """10,000 recordings are split in 10 seconds, and 20,000 in little more than twice the time."""
    took = []
    for number in (10_000, 20_000):
        root = folder / str(number)
        root.mkdir()
        for index in range(number):
            (root / f"r{index:05d}.raw").touch()
            (root / f"r{index:05d}_bbox.npy").touch()
        answer = evdet("split", root, "--by", "count", folder=folder, seconds=120)
        wrong = answer.unlike(0) or _too_long(answer, _MAX_SECONDS * number / 10_000)
        if wrong:
            return f"{number:,} recordings: {wrong}"
        took.append(answer.cpu_seconds)
    growth = took[1] / took[0]
    return f"{growth:.1f} times as long for twice as many" if growth > _MAX_GROWTH else None


def _folders(folder: Path) -> str | None:
    """Thousands of recordings with a folder of label files each are split in proportion."""
    for index in range(3000):
        (folder / f"set/r{index:04d}_labels").mkdir(parents=True)
        (folder / f"set/r{index:04d}_labels/0.txt").touch()
        (folder / f"set/r{index:04d}.raw").touch()
    answer = evdet("split", "set", "--by", "count", "--how", "link", folder=folder)
    return answer.unlike(0) or _too_long(answer, _MAX_SECONDS)


def _label_map(command: str, folder: Path) -> str | None:
    """A label map of 40,000 names takes about as long as one of three."""
    from evdet import BOX_DTYPE
    from evdet.events import EVENT_DTYPE, SensorSize
    from evdet.events.dat import write_dat

    boxes = np.zeros(20, BOX_DTYPE)
    boxes["t"], boxes["w"], boxes["h"] = np.arange(1, 21) * 50_000, 20, 20
    boxes["class_id"], boxes["class_confidence"] = np.arange(20) % 3, np.linspace(0.1, 1, 20)
    np.save(folder / "found.npy", boxes)
    boxes["class_confidence"] = 1
    np.save(folder / "truth.npy", boxes)
    events = np.zeros(1000, EVENT_DTYPE)
    events["t"] = np.arange(1000) * 1000
    for number, split in enumerate(("train", "val", "test")):
        events["x"] = number
        (folder / split).mkdir()
        write_dat(folder / split / f"{split}_td.dat", [events], SensorSize(64, 64))
        np.save(folder / split / f"{split}_bbox.npy", boxes)
    took = []
    for number in (3, 40_000):
        names = {str(index): f"class {index}" for index in range(number)}
        (folder / "label_map_dictionary.json").write_text(json.dumps(names))
        answer = evdet(*command.split(), folder=folder)
        wrong = answer.unlike(0)
        if wrong:
            return f"{number:,} names: {wrong}"
        took.append(answer.cpu_seconds)
    more = took[1] - took[0]
    return f"{more:.1f} s more for 40,000 names" if more > 4 else None


def _attack(name: str, run: Callable[..., str | None], *values: object) -> Attack:
    return Attack("time", name, partial(run, *values))


TIME = (
    _attack("10,000 and 20,000 recordings are split", _split),
    _attack("3,000 recordings with folders of labels are split", _folders),
    _attack("check reads 40,000 class names", _label_map, "check ."),
    _attack(
        "score reads 40,000 class names",
        _label_map,
        "score --detections found.npy --boxes truth.npy",
    ),
)
