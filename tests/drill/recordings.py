"""Recordings: written to a full disk, damaged while read, made to inflate, and odd folders."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from drill.attack import Attack, Command, Skipped, evdet

__all__ = ["RECORDINGS"]

_FULL = "full disk"
_DAMAGED = "damaged while read"
_FOLDERS = "folders"


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


def _special(name: str, *words: str) -> Attack:
    """A named pipe to which nothing is written, where a file is expected."""

    def run(folder: Path) -> str | None:
        write_recording(folder / "b.dat", 1000)
        os.mkfifo(folder / name)
        return evdet(*words, folder=folder).unlike(2, "named pipe", max_seconds=30)

    return Attack(_FOLDERS, f"{' '.join(words)} with a pipe called {name}", run)


def _device(folder: Path) -> str | None:
    (folder / "a.dat").symlink_to("/dev/zero")
    return evdet("info", "a.dat", folder=folder).unlike(2, "a device", max_seconds=30)


def _data_set(folder: Path) -> Path:
    from evdet import BOX_DTYPE

    boxes = np.zeros(3, BOX_DTYPE)
    boxes["t"], boxes["w"], boxes["h"] = np.arange(1, 4) * 100_000, 8, 8
    for split in ("train", "val", "test"):
        (folder / split).mkdir()
        write_recording(folder / split / f"{split}_td.dat", 10_000)
        np.save(folder / split / f"{split}_bbox.npy", boxes)
    (folder / "label_map_dictionary.json").write_text('{"0": "car"}')
    return folder


def _loops(folder: Path) -> str | None:
    """Folders that all link to one another: 10! ways lead through them."""
    root = _data_set(folder) / "train"
    inner = [root / f"f{i}" for i in range(10)]
    for one in inner:
        one.mkdir()
    for one in inner:
        for other in inner:
            (one / f"to_{other.name}").symlink_to(other)
    (root / "self").symlink_to(root)
    answer = evdet("check", ".", folder=folder)
    return answer.unlike(answer.status if answer.status in (0, 1, 2) else 0, "train", max_lines=9)


def _pipe_in_a_data_set(folder: Path) -> str | None:
    root = _data_set(folder) / "train"
    for name in ("x_td.dat", "x_bbox.npy", "y.csv", "train_bbox.csv"):
        os.mkfifo(root / name)
    answer = evdet("check", ".", folder=folder)
    return answer.unlike(answer.status if answer.status in (0, 1, 2) else 0, "train", max_lines=9)


def _hdf5(folder: Path, leak: Callable[[Any, Path], None]) -> str | None:
    import h5py

    secret = folder / "secret"
    secret.write_bytes(b"SECRET.." * 400)
    with h5py.File(folder / "a.h5", "w") as file:
        leak(file, secret)
    answer = evdet("convert", "a.h5", "x.dat", folder=folder)
    if (folder / "x.dat").exists() and b"SECRET" in (folder / "x.dat").read_bytes():
        return "the other file's bytes are in the output"
    return answer.unlike(2, "another file")


def _external(folder: Path) -> str | None:
    def leak(file: Any, secret: Path) -> None:
        for name in ("x", "y", "p"):
            file[f"events/{name}"] = np.ones(100, "u1")
        file.create_dataset("events/t", (100,), "u4", external=[(str(secret), 0, 400)])

    return _hdf5(folder, leak)


def _bag_outside(folder: Path) -> str | None:
    (folder / "bag").mkdir()
    write_recording(folder / "b.dat", 1000)
    text = """rosbag2_bagfile_information:
  version: 5
  storage_identifier: sqlite3
  duration: {nanoseconds: 0}
  starting_time: {nanoseconds_since_epoch: 0}
  message_count: 0
  topics_with_message_count: []
  compression_format: ''
  compression_mode: ''
  relative_file_paths: [../b.dat]
"""
    (folder / "bag" / "metadata.yaml").write_text(text)
    return evdet("info", "bag", folder=folder).unlike(2, "outside of the bag's folder")


def _false_index(folder: Path) -> str | None:
    """Right in size, date and checksum, but it tells of no event."""
    from evdet.events.raw import index

    write_recording(folder / "a.raw", 200_000)
    false = index.EvtIndex(index.new_state()[None], index.new_state(), -1)
    index.write_sidecar(folder / "a.raw", false, index.stamp_of(folder / "a.raw"))
    return evdet("info", "a.raw", folder=folder).unlike(0, "200,000", "index beside it")


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
    *(_truncated(ending, "info") for ending in (".dat", ".raw")),
    _special("a.dat", "info", "a.dat"),
    _special("a.raw", "convert", "a.raw", "x.dat"),
    _special("a.ckpt", "detect", "b.dat", "--checkpoint", "a.ckpt"),
    _special("a.yaml", "train", "--config", "a.yaml"),
    _special("a.npy", "score", "--detections", "a.npy", "--boxes", "a.npy"),
    Attack(_FOLDERS, "a device called a.dat", _device),
    Attack(_FOLDERS, "folders that link one another", _loops),
    Attack(_FOLDERS, "pipes in a data set", _pipe_in_a_data_set),
    Attack(_FOLDERS, "an HDF5 file that names another file", _external),
    Attack(_FOLDERS, "a bag that names a file outside", _bag_outside),
    Attack(_FOLDERS, "a RAW index that hides events", _false_index),
)
