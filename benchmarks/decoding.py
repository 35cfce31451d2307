"""Reading recordings: ours and others' decoders on the same files, and DAT to histograms."""

import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.measure import Row, cpu_seconds
from evdet.events import EVENT_DTYPE, SensorSize
from evdet.events.dat import write_dat
from evdet.events.evt_writer import write_evt3
from evdet.events.hdf5_writer import write_dsec
from evdet.events.recording import open_recording
from evdet.events.representations import REPRESENTATIONS

__all__ = ["rows", "write_recordings"]

SIZE = SensorSize(height=480, width=640)
GEN1 = SensorSize(height=240, width=304)
NUM_EVENTS = 10_000_000
RATE = 5_000_000  # events a second, a busy scene on such a sensor
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


def _decoders(kind: str, path: Path) -> list[Row]:
    ours = _rate(lambda: sum(len(block) for block in open_recording(path).blocks()))
    name = {"raw": "EVT3", "dat": "DAT", "h5": "HDF5, DSEC layout"}[kind]
    found = [Row(what=f"decode {name}: evdet", value=ours / 1e6, unit="M events/s")]
    for peer in PEERS:
        read = _peer(peer, kind, path)
        if read is None:
            continue
        if importlib.util.find_spec(peer) is None:
            continue
        rate = _rate(read)
        note = f"evdet is {ours / rate:.1f} times as fast"
        row = Row(what=f"decode {name}: {peer}", value=rate / 1e6, unit="M events/s", note=note)
        found.append(row)
    return found


def _rate(read: Callable[[], int]) -> float:
    counted = read()
    if counted != NUM_EVENTS:
        raise ValueError(f"{counted} events were read of {NUM_EVENTS}")
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
    return [Row(what=what, value=_rate(play) / 1e6, unit="M events/s")]
