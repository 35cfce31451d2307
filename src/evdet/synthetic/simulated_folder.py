"""Simulated scenes -> a data set folder of recordings, boxes and a label map."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from evdet.atomic_file import continued_folder, remove_leftovers, write_text
from evdet.events import Events, SensorSize
from evdet.events.dat import write_dat
from evdet.events.hdf5 import write_dsec
from evdet.events.raw import write_evt3
from evdet.events.simulation import SensorModel
from evdet.labels import LABEL_MAP_FILE, write_boxes_npy
from evdet.processes import children_without_signals, leave_signals_to_parent, only_writer
from evdet.structured_text import parse_yaml
from evdet.synthetic.mnist import SPLITS
from evdet.synthetic.nmnist import draw_nmnist_scene, find_digits, play_nmnist_scene
from evdet.synthetic.scenes import (
    SceneOptions,
    ScenePiece,
    classes_of,
    draw_scene,
    play_scene,
)

__all__ = [
    "FORMATS",
    "SIMULATION_FILE",
    "SimulationPlan",
    "check_free",
    "is_simulated",
    "share_out",
    "write_simulated_folder",
]

FORMATS = {"dat": "_td.dat", "raw": ".raw", "hdf5": ".h5"}
"""Formats of the recordings, and the endings of their names."""
SIMULATION_FILE = "simulation.yaml"
"""The plan of the folder."""

_WRITERS = {"dat": write_dat, "raw": write_evt3, "hdf5": write_dsec}
_HELD_OUT = 0.15  # share of the recordings for validation, and for testing


@dataclass(frozen=True, kw_only=True)
class SimulationPlan:
    """A data set to make; the same plan makes the same events and boxes.

    Raises:
        ValueError: a value is out of range.
    """

    scenes: SceneOptions = field(default_factory=SceneOptions)
    """Content, sensor size and duration of the recordings."""
    sensor: SensorModel = field(default_factory=SensorModel)
    """The simulated sensor; N-MNIST recordings have a real one."""
    train: int = 1
    """Recordings for training."""
    val: int = 1
    """Recordings for validation."""
    test: int = 1
    """Recordings for testing."""
    digits: Path | None = None
    """For kind nmnist: the recordings of digits; None takes the ten in the package."""
    file_format: str = "dat"
    """Format of the recordings, a key of `FORMATS`."""

    def __post_init__(self) -> None:
        for split in SPLITS:
            if getattr(self, split) < 0:
                raise ValueError(f"{split} must be 0 or more, got {getattr(self, split)}")
        if not self.num_recordings:
            raise ValueError("train, val and test are all 0: the data set has no recordings")
        if self.file_format not in FORMATS:
            raise ValueError(
                f"format must be one of {', '.join(FORMATS)}, got {self.file_format!r}"
            )
        if self.digits is not None and self.scenes.kind != "nmnist":
            raise ValueError(
                f"digits are for kind nmnist, and kind is {self.scenes.kind}: leave one of them out"
            )

    @property
    def num_recordings(self) -> int:
        """Recordings of all splits."""
        return sum(getattr(self, split) for split in SPLITS)


def share_out(count: int) -> tuple[int, int, int]:
    """Split a number of recordings into train, val and test: 70, 15 and 15 %, at least one each.

    Raises:
        ValueError: `count` is less than three.
    """
    if count < len(SPLITS):
        raise ValueError(
            f"count must be at least {len(SPLITS)}, one recording each for train, val and test, "
            f"got {count}"
        )
    held_out = max(1, round(count * _HELD_OUT))
    return count - 2 * held_out, held_out, held_out


def check_free(out: Path) -> None:
    """Refuse a folder to make that is not empty.

    Raises:
        ValueError: it is a file, or not empty.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        what = "is not empty" if out.is_dir() else "is a file"
        raise ValueError(f"{out.resolve()} {what}. Name another folder, or move it away first.")


def write_simulated_folder(
    out: Path,
    plan: SimulationPlan,
    *,
    workers: int = 1,
    on_recording: Callable[[str], None] = lambda name: None,
) -> int:
    """Make a data set folder, or continue one that was stopped.

    It is written to a hidden folder, `.NAME.unfinished`, which is renamed when complete. A second
    call with the same plan makes the recordings that are missing there: each is a function of the
    plan and its number, so that the folder is that of a call that was never stopped.

    Args:
        out: the folder to make; it may exist, but must be empty.
        plan: the data set to make.
        workers: processes that make recordings; the result does not depend on them.
        on_recording: called with the name of each finished recording, earlier ones included.

    Returns:
        How many recordings were there from an earlier call.

    Raises:
        ValueError: the folder is not empty, was begun with another plan, or `workers` is not
            positive.
        RecordingError: a recording of a digit cannot be read.
        BusyError: another process makes the same folder.
        ChildProcessError: one of several workers died.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    check_free(out)
    jobs = [(split, index) for split in SPLITS for index in range(getattr(plan, split))]
    out.parent.mkdir(parents=True, exist_ok=True)
    busy = f"another process simulates {out}: wait for its end, or name another folder"
    with only_writer(out.parent / f".{out.name}.lock", busy=busy):
        check_free(out)
        remove_leftovers([out])
        return _fill(out, plan, jobs, workers, on_recording)


def is_simulated(out: Path, plan: SimulationPlan) -> bool:
    """Whether a folder is the complete data set of a plan, as `write_simulated_folder` made it."""
    return _plan_in(out) == parse_yaml(_describe(plan)) and all(
        _is_made(plan, out, split, index)
        for split in SPLITS
        for index in range(getattr(plan, split))
    )


def _fill(
    out: Path,
    plan: SimulationPlan,
    jobs: list[tuple[str, int]],
    workers: int,
    on_recording: Callable[[str], None],
) -> int:
    with continued_folder(out) as part:
        _check_plan(out, part, plan)
        write_text(part / SIMULATION_FILE, _describe(plan))
        for split in SPLITS:
            (part / split).mkdir(exist_ok=True)
        remove_leftovers([], folders=[part / split for split in SPLITS])
        made = [job for job in jobs if _is_made(plan, part, *job)]
        for split, index in made:
            on_recording(_name(plan, split, index))
        try:
            missing = [job for job in jobs if job not in set(made)]
            for name in _run(partial(_write_recording, plan, part), missing, workers):
                on_recording(name)
        except BaseException:
            # Without a recording there is nothing to continue.
            if not any(_is_made(plan, part, *job) for job in jobs):
                shutil.rmtree(part, ignore_errors=True)
            raise
        names = dict(enumerate(classes_of(plan.scenes.kind)))
        write_text(part / LABEL_MAP_FILE, json.dumps(names, indent=1) + "\n")
    return len(made)


def _check_plan(out: Path, part: Path, plan: SimulationPlan) -> None:
    """Refuse to continue what was begun with another plan; without recordings it is removed."""
    begun, wanted = _plan_in(part), parse_yaml(_describe(plan))
    if begun == wanted:
        return
    if not any(part.rglob("*_bbox.npy")):
        for entry in part.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        return
    others = "; ".join(
        f"{name} {_flat(begun).get(name)}, now {value}"
        for name, value in _flat(wanted).items()
        if _flat(begun).get(name) != value
    )
    raise ValueError(
        f"{out} was begun with other settings: {others}. Repeat the command with those settings to "
        f"continue it, or remove {part} to begin anew"
    )


def _flat(content: dict[str, Any]) -> dict[str, Any]:
    """Names and values, those of groups included."""
    flat: dict[str, Any] = {}
    for name, value in content.items():
        flat |= value if isinstance(value, dict) else {name: value}
    return flat


def _plan_in(folder: Path) -> dict[str, Any]:
    """The plan that a folder states; empty where it states none."""
    try:
        content = parse_yaml((folder / SIMULATION_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _name(plan: SimulationPlan, split: str, index: int) -> str:
    return f"{plan.scenes.kind}_{split}_{index:04d}"


def _is_made(plan: SimulationPlan, folder: Path, split: str, index: int) -> bool:
    """Whether a recording and its boxes are complete: files are named when they are."""
    stem = folder / split / _name(plan, split, index)
    endings = (FORMATS[plan.file_format], "_bbox.npy")
    return all(stem.with_name(stem.name + ending).is_file() for ending in endings)


def _run(
    write: Callable[[tuple[str, int]], str], jobs: list[tuple[str, int]], workers: int
) -> Iterator[str]:
    """Make the recordings, and yield the name of each."""
    if min(workers, len(jobs)) == 1:
        yield from map(write, jobs)
        return
    # spawn: a fork of a process with threads, such as torch's, may hang.
    others = set(active_children())
    with ProcessPoolExecutor(
        min(workers, len(jobs)),
        mp_context=get_context("spawn"),
        initializer=leave_signals_to_parent,
    ) as pool:
        try:
            with children_without_signals():
                submitted = [pool.submit(write, job) for job in jobs]
            for done in as_completed(submitted):
                yield done.result()
        except BrokenProcessPool as error:
            raise ChildProcessError(
                "a process that made recordings died. Was there too little RAM? Try 1 worker; a "
                'script of your own needs `if __name__ == "__main__":` around its code.'
            ) from error
        except BaseException:
            # The folder may be removed, or continued, so that no worker may write on.
            for child in set(active_children()) - others:
                child.terminate()
            pool.shutdown(cancel_futures=True)
            raise


def _write_recording(plan: SimulationPlan, folder: Path, job: tuple[str, int]) -> str:
    split, index = job
    name = _name(plan, split, index)
    boxes: list[np.ndarray] = []

    def blocks() -> Iterator[Events]:
        for piece in _pieces(plan, split, index):
            boxes.append(piece.boxes)
            if len(piece.events):
                yield piece.events

    path = folder / split / f"{name}{FORMATS[plan.file_format]}"
    _WRITERS[plan.file_format](path, blocks(), SensorSize(plan.scenes.height, plan.scenes.width))
    write_boxes_npy(folder / split / f"{name}_bbox.npy", np.concatenate(boxes))
    return name


def _pieces(plan: SimulationPlan, split: str, index: int) -> Iterator[ScenePiece]:
    if plan.scenes.kind == "nmnist":
        recorded = draw_nmnist_scene(plan.scenes, find_digits(plan.digits), split, index)
        return play_nmnist_scene(recorded, plan.scenes.label_period)
    scene = draw_scene(plan.scenes, plan.sensor, split, index)
    return play_scene(scene, plan.scenes.label_period)


def _describe(plan: SimulationPlan) -> str:
    """The plan in YAML, from which the folder can be made again."""
    content: dict[str, Any] = {"evdet": version("evdet"), **dataclasses.asdict(plan)}
    content["digits"] = None if plan.digits is None else str(plan.digits)
    if plan.scenes.kind == "nmnist":
        del content["sensor"]  # a real one
    return yaml.safe_dump(content, sort_keys=False)
