"""Reading recordings: ours and others' decoders on the same files, and DAT to histograms.

`python -m benchmarks.decoding FILE...` measures on RAW (EVT3) and DAT files of your own; a small
one is repeated, header left out, up to 200 MB.
"""

import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.measure import Row, cpu_seconds
from evdet.events import EVENT_DTYPE, SensorSize, open_recording
from evdet.events.dat import write_dat
from evdet.events.hdf5 import write_dsec
from evdet.events.raw import write_evt3
from evdet.events.representations import REPRESENTATIONS

__all__ = ["rows", "write_recordings"]

SIZE = SensorSize(height=480, width=640)
GEN1 = SensorSize(height=240, width=304)
NUM_EVENTS = 10_000_000
RATE = 5_000_000  # events a second, a busy scene on such a sensor
LARGE = 200_000_000  # bytes
PEERS = ("faery", "evt3", "evlib", "expelliarmus")


def rows() -> list[Row]:
    """Measure on generated files, in one thread; seconds are processor time of all threads."""
    with tempfile.TemporaryDirectory() as folder:
        files = write_recordings(Path(folder), NUM_EVENTS, SIZE)
        found = []
        for kind in ("raw", "dat", "h5"):
            found += _decoders(kind, files[kind])
        gen1 = write_recordings(Path(folder) / "gen1", NUM_EVENTS, GEN1)
        return [*found, *_histograms(gen1["dat"])]


def write_recordings(folder: Path, num_events: int, size: SensorSize) -> dict[str, Path]:
    """Write the same generated events as EVT3, DAT and DSEC-layout HDF5.

    Args:
        folder: where to.
        num_events: how many.
        size: of the sensor.

    Returns:
        The files by their suffix.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for suffix, write in (("raw", write_evt3), ("dat", write_dat), ("h5", write_dsec)):
        files[suffix] = folder / f"recording.{suffix}"
        write(files[suffix], generate(num_events, size), size)
    return files


def generate(num_events: int, size: SensorSize) -> Iterator[np.ndarray]:
    """Edges that pass by, and noise: short runs of neighbours in a row at one time.

    Args:
        num_events: how many.
        size: of the sensor.

    Returns:
        Blocks in order of time.
    """
    rng = np.random.default_rng(0)
    made = 0
    while made < num_events:
        runs = rng.geometric(0.3, size=1 << 17)
        lengths = np.minimum(runs, 32)
        ends = np.cumsum(lengths)
        total = min(int(ends[-1]), num_events - made)
        run = np.repeat(np.arange(len(runs)), lengths)[:total]
        place = (np.arange(len(run)) - np.repeat(ends - lengths, lengths)[:total]).astype(np.int64)
        events = np.empty(total, EVENT_DTYPE)
        events["x"] = (rng.integers(0, size.width - 32, len(runs))[run] + place).astype(np.uint16)
        events["y"] = rng.integers(0, size.height, len(runs))[run]
        events["p"] = rng.integers(0, 2, len(runs))[run]
        events["t"] = (made + (ends - lengths)[run]) * 1_000_000 // RATE
        made += total
        yield events


def rows_of_file(path: Path) -> list[Row]:
    """Measure on a RAW (EVT3) or DAT file of somebody's own.

    Args:
        path: the file; it is copied, since a RAW file gets an index beside it.
    """
    kind = path.suffix.lower().removeprefix(".")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        if kind == "raw":
            _repeat(path, copy)
        else:
            shutil.copy(path, copy)
        return _decoders(kind, copy, num_events=len(open_recording(copy)))


def _repeat(path: Path, copy: Path) -> None:
    """The words of a RAW file again and again: whoever counts sees the same scene once more."""
    words = path.read_bytes()
    header = 0
    while words[header : header + 1] == b"%":
        header = words.index(b"\n", header) + 1
    times = max(1, LARGE // (len(words) - header))
    copy.write_bytes(words[:header] + words[header:] * times)


def _decoders(kind: str, path: Path, num_events: int = NUM_EVENTS) -> list[Row]:
    def rate_of(read: Callable[[], int]) -> float:
        return _events_per_second(read, num_events)

    ours = rate_of(lambda: sum(len(block) for block in open_recording(path).blocks()))
    name = {"raw": "EVT3", "dat": "DAT", "h5": "HDF5, DSEC layout"}[kind]
    found = [Row(what=f"decode {name}: evdet", value=ours / 1e6, unit="M events/s")]
    for peer in PEERS:
        read = _peer(peer, kind, path)
        if read is None:
            continue
        if importlib.util.find_spec(peer) is None:
            continue
        rate = rate_of(read)
        note = f"evdet is {ours / rate:.1f} times as fast"
        row = Row(what=f"decode {name}: {peer}", value=rate / 1e6, unit="M events/s", note=note)
        found.append(row)
    return found


def _events_per_second(read: Callable[[], int], num_events: int = NUM_EVENTS) -> float:
    counted = read()
    if counted != num_events:
        raise ValueError(f"{counted} events were read of {num_events}")
    return counted / cpu_seconds(read, repeats=3)


def _peer(name: str, kind: str, path: Path) -> Callable[[], int] | None:
    """How another library reads a file; None where it does not read this format."""
    if name == "faery" and kind in ("raw", "dat"):
        return lambda: _read_faery(path)
    if name == "evt3" and kind == "raw":
        return lambda: _read_evt3(path)
    if name == "evlib" and kind == "raw":
        return lambda: _read_evlib(path)
    if name == "expelliarmus" and kind in ("raw", "dat"):
        return lambda: _read_expelliarmus(path, "evt3" if kind == "raw" else "dat")
    return None


def _read_faery(path: Path) -> int:
    import faery

    return sum(len(packet) for packet in faery.events_stream_from_file(path))


def _read_evt3(path: Path) -> int:
    import evt3

    return len(evt3.decode_file(str(path)))


def _read_evlib(path: Path) -> int:
    import evlib

    return evlib.load_events(str(path)).collect().height


def _read_expelliarmus(path: Path, encoding: str) -> int:
    from expelliarmus import Wizard

    wizard = Wizard(encoding=encoding)
    wizard.set_file(path)
    return sum(len(chunk) for chunk in wizard.read_chunk())


def _histograms(path: Path) -> list[Row]:
    make = REPRESENTATIONS["histogram"].make

    def play() -> int:
        recording, counted = open_recording(path), 0
        for time_bin in recording.slices(50_000):
            make(time_bin.events, GEN1, start=time_bin.start, delta_t=time_bin.delta_t)
            counted += len(time_bin.events)
        return counted

    what = "DAT -> histograms of 50 ms, 304x240 (at least 150)"
    return [Row(what=what, value=_events_per_second(play) / 1e6, unit="M events/s")]


if __name__ == "__main__":
    for given in sys.argv[1:]:
        print(given)
        for row in rows_of_file(Path(given)):
            print(f"  {row.what:38}{row.value:8.1f} {row.unit}  {row.note}")
