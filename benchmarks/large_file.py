"""`python -m benchmarks.large_file`: open, seek and play a file of 10 GB; needs space, and Linux.

Memory is anonymous memory above what the imports take: pages of the file itself may be dropped at
any time and are not counted.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.decoding import SIZE, generate
from evdet.events import open_recording
from evdet.events.dat import write_dat
from evdet.events.raw import write_evt3
from evdet.events.representations import histogram

DELTA_T = 50_000


def main() -> None:
    """Write the file, measure, and remove it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=10.0)
    parser.add_argument("--format", choices=("dat", "raw"), default="dat")
    parser.add_argument("--folder", type=Path, help="where there is space; by default temporary")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / f"large.{options.format}"
        write = write_dat if options.format == "dat" else write_evt3
        num_bytes = int(options.gigabytes * 1e9)
        write(path, _repeat(path.with_name("part"), write, num_bytes), SIZE)
        print(f"{path.name}: {path.stat().st_size / 1e9:.2f} GB")
        _measure(path)


def _repeat(part: Path, write: Callable[..., int], num_bytes: int) -> Iterator[np.ndarray]:
    """The same second of events again and again, until the file is large enough."""
    events = np.concatenate(list(generate(4_000_000, SIZE)))
    write(part, [events], SIZE)
    times = -(-num_bytes // part.stat().st_size)
    step = int(events["t"][-1]) + 1
    for _ in range(times):
        yield events.copy()
        events["t"] += step


def _measure(path: Path) -> None:
    # Compiles what is compiled.
    warm = open_recording(path)
    warm.slice(0, 1000)
    histogram(warm.slice(0, 10), SIZE)
    before = _anonymous_memory()
    peak = [before]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], _anonymous_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    recording = open_recording(path)
    end = recording.end
    print(
        f"open, with number of events and duration: {1000 * (time.perf_counter() - start):.1f} ms"
    )
    for k in range(5):
        t = (2 * k + 1) * end // 10
        start = time.perf_counter()
        num_events = len(recording.slice(t, t + DELTA_T))
        took = 1000 * (time.perf_counter() - start)
        print(f"{num_events:,} events in the 50 ms from {t / 1e6:.0f} s on: {took:.1f} ms")
    start, num_events = time.process_time(), 0
    for time_bin in recording.slices(DELTA_T):
        histogram(time_bin.events, SIZE)
        num_events += len(time_bin.events)
    rate = num_events / (time.process_time() - start) / 1e6
    print(f"played into histograms: {num_events:,} events, {rate:.0f} M events/s")
    done.set()
    watcher.join()
    print(f"anonymous memory at most: {(peak[0] - before) / 1e6:.0f} MB above the imports")


def _anonymous_memory() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return 1024 * int(line.split()[1])
    raise RuntimeError("this system does not tell how much memory is anonymous")


if __name__ == "__main__":
    main()
