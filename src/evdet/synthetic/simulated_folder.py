"""Simulated scenes -> a data set folder of recordings, boxes and a label map."""

import dataclasses
import json
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

from evdet.atomic_file import remove_leftovers, replacing_folder, write_text
from evdet.events import Events, SensorSize
from evdet.events.dat import write_dat
from evdet.events.hdf5 import write_dsec
from evdet.events.raw import write_evt3
from evdet.events.simulation import SensorModel
from evdet.labels import LABEL_MAP_FILE, write_boxes_npy
from evdet.processes import children_without_signals, leave_signals_to_parent, only_writer
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
) -> None:
    """Make a data set folder. It is written to a hidden folder, which is renamed when complete.

    Args:
        out: the folder to make; it may exist, but must be empty.
        plan: the data set to make.
        workers: processes that make recordings; the result does not depend on them.
        on_recording: called with the name of each finished recording.

    Raises:
        ValueError: the folder is not empty, or `workers` is not positive.
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
        _fill(out, plan, jobs, workers, on_recording)


def _fill(
    out: Path,
    plan: SimulationPlan,
    jobs: list[tuple[str, int]],
    workers: int,
    on_recording: Callable[[str], None],
) -> None:
    with replacing_folder(out) as part:
        for split in SPLITS:
            (part / split).mkdir()
        for name in _run(partial(_write_recording, plan, part), jobs, workers):
            on_recording(name)
        names = dict(enumerate(classes_of(plan.scenes.kind)))
        write_text(part / LABEL_MAP_FILE, json.dumps(names, indent=1) + "\n")
        write_text(part / SIMULATION_FILE, _describe(plan))


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
            # Their files are removed, so that no worker may write on.
            for child in set(active_children()) - others:
                child.terminate()
            pool.shutdown(cancel_futures=True)
            raise


def _write_recording(plan: SimulationPlan, folder: Path, job: tuple[str, int]) -> str:
    split, index = job
    name = f"{plan.scenes.kind}_{split}_{index:04d}"
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
