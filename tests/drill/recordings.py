"""Recordings: written to a full disk, damaged while read, made to inflate, and odd folders."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from drill.attack import Attack, Skipped, evdet

__all__ = ["RECORDINGS"]

_FULL = "full disk"


def events_of(num: int, *, seed: int = 0, last: int = 10_000_000) -> np.ndarray:
    """Random events of a 304x240 sensor, which compress badly."""
    from evdet import EVENT_DTYPE

    rng = np.random.default_rng(seed)
    events = np.zeros(num, EVENT_DTYPE)
    events["t"] = np.sort(rng.integers(0, last, num))
    events["x"], events["y"] = rng.integers(0, 304, num), rng.integers(0, 240, num)
    events["p"] = rng.integers(0, 2, num)
    return events


def write_recording(path: Path, num: int = 200_000, *, seed: int = 0) -> np.ndarray:
    """A recording of random events, in the format of its ending."""
    from evdet.events import SensorSize
    from evdet.events.convert import WRITERS

    events = events_of(num, seed=seed)
    WRITERS[path.suffix](path, iter(np.array_split(events, 7)), SensorSize(240, 304))
    return events


def _limited(max_bytes: int, ending: str) -> Attack:
    def run(folder: Path) -> str | None:
        write_recording(folder / "a.dat", 2_000_000)
        out = folder / f"x{ending}"
        answer = evdet("convert", "a.dat", out.name, folder=folder, max_bytes=max_bytes)
        return answer.unlike(2, f"cannot write {out.name}: File too large") or _left(folder)

    return Attack(_FULL, f"convert to {ending} ends after {max_bytes:,} bytes", run)


def _left(folder: Path, *names: str) -> str | None:
    there = sorted(path.name for path in folder.iterdir())
    return None if there == sorted({"a.dat", *names}) else f"leaves {there}"


@contextlib.contextmanager
def small_disk(folder: Path, num_bytes: int) -> Iterator[Path]:
    """A file system of its own; `Skipped` where it cannot be mounted."""
    disk = folder / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={num_bytes}", "tmpfs", str(disk)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        raise Skipped("a small disk cannot be mounted here") from None
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False, capture_output=True)


def _full(num_bytes: int, ending: str) -> Attack:
    def run(folder: Path) -> str | None:
        write_recording(folder / "a.dat", 2_000_000)
        with small_disk(folder, num_bytes) as disk:
            answer = evdet("convert", "a.dat", f"disk/x{ending}", folder=folder)
            left = sorted(path.name for path in disk.iterdir())
        says = f"cannot write disk/x{ending}: No space left on device"
        return answer.unlike(2, says) or (f"leaves {left}" if left else None)

    return Attack(_FULL, f"convert to {ending} on a disk of {num_bytes:,} bytes", run)


def _old_file_stays(folder: Path) -> str | None:
    write_recording(folder / "a.dat", 2_000_000)
    (folder / "x.h5").write_bytes(b"old")
    words = ("convert", "a.dat", "x.h5", "--force")
    answer = evdet(*words, folder=folder, max_bytes=1_000_000)
    if (folder / "x.h5").read_bytes() != b"old":
        return "the old file is gone"
    return answer.unlike(2, "File too large") or _left(folder, "x.h5")


def _simulated(workers: int) -> Attack:
    def run(folder: Path) -> str | None:
        words = ("simulate", "out", "--format", "hdf5", "--count", "3", "--minutes", "0.1")
        more = ("--workers", str(workers))
        answer = evdet(*words, *more, folder=folder, max_bytes=40_000)
        left = os.listdir(folder)
        return answer.unlike(2, "File too large") or (f"leaves {left}" if left else None)

    return Attack(_FULL, f"simulate --format hdf5, {workers} process(es)", run)


RECORDINGS = (
    *(_limited(size, ".h5") for size in (0, 1000, 100_000, 4_000_000)),
    *(_limited(100_000, ending) for ending in (".dat", ".raw")),
    *(_full(size, ".h5") for size in (8192, 3_000_000)),
    Attack(_FULL, "convert over an old .h5 file", _old_file_stays),
    _simulated(1),
    _simulated(2),
)
