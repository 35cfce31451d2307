"""Recordings: written to a full disk, damaged while read, made to inflate, and odd folders."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from drill.attack import Attack, Command, Skipped, evdet

__all__ = ["RECORDINGS"]

_FULL = "full disk"
_DAMAGED = "damaged while read"


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


def _truncated(ending: str, *words: str, saves: str = "") -> Attack:
    """The file loses its second half as soon as the command has written, or for a while read."""

    def run(folder: Path) -> str | None:
        path = folder / f"a{ending}"
        write_any(path, 4_000_000)
        command = Command([*words[:1], path.name, *words[1:]], folder)
        parts = f".{saves}.*.part" if saves else ""
        if saves:
            command.wait_for(lambda: any(one.stat().st_size for one in folder.glob(parts)))
        else:
            command.wait_for(lambda: _is_opened(command.process.pid, path))
            time.sleep(0.05)
        os.truncate(path, path.stat().st_size // 8)
        answer = command.answer()
        if saves and not (folder / saves).exists():
            return f"{saves} is not there; {answer.err.strip()[-200:]}"
        return answer.unlike(2, "cannot be read" if ending == ".h5" else "truncated")

    return Attack(_DAMAGED, f"{' '.join(words)} while {ending} is truncated", run)


def write_any(path: Path, num: int) -> None:
    """As `write_recording`, also in formats that evdet does not write."""
    if path.suffix in (".dat", ".raw", ".h5"):
        write_recording(path, num)
        return
    events = events_of(num)
    if path.suffix == ".npy":
        np.save(path, events)
    elif path.suffix == ".bin":  # N-MNIST
        events["t"] //= 2
        t = events["t"].astype(np.uint32)
        rows = [events["x"] % 34, events["y"] % 34, t >> 16 | events["p"].astype(np.uint32) << 7]
        rows += [t >> 8 & 255, t & 255]
        path.write_bytes(np.stack([row.astype(np.uint8) for row in rows], axis=1).tobytes())
    elif path.suffix == ".aedat":
        address = (127 - events["x"] % 128) << 1 | (events["y"] % 128) << 8 | events["p"]
        records = np.stack([address, events["t"]], axis=1).astype(">u4")
        head = b"#!AER-DAT2.0\r\n# AEChip: ch.unizh.ini.jaer.chip.retina.DVS128\r\n"
        path.write_bytes(head + records.tobytes())
    else:
        raise ValueError(path.suffix)


def _is_opened(pid: int, path: Path) -> bool:
    """Whether a process has opened a file (Linux)."""
    with contextlib.suppress(OSError):
        return any(one.resolve() == path.resolve() for one in Path(f"/proc/{pid}/fd").iterdir())
    return False


RECORDINGS = (
    *(_limited(size, ".h5") for size in (0, 1000, 100_000, 4_000_000)),
    *(_limited(100_000, ending) for ending in (".dat", ".raw")),
    *(_full(size, ".h5") for size in (8192, 3_000_000)),
    Attack(_FULL, "convert over an old .h5 file", _old_file_stays),
    _simulated(1),
    _simulated(2),
    *(
        _truncated(ending, "convert", "x.raw", saves="x.raw")
        for ending in (".dat", ".npy", ".bin", ".aedat", ".h5")
    ),
    _truncated(".raw", "convert", "x.dat", saves="x.dat"),
    *(_truncated(ending, "info") for ending in (".dat", ".raw", ".npy")),
)
