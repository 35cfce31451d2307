"""Other people's programs: each reads or writes a recording, and gives evdet's kind of events.

A program that is not installed skips the test that asks for it.
"""

import numpy as np
import pytest

from evdet.events import EVENT_DTYPE, SensorSize, open_recording

__all__ = ["KINDS", "READERS", "SIZE", "as_events", "differences", "make_events", "read_with_evdet"]

SIZE = SensorSize(height=720, width=1280)
KINDS = ("none", "one", "spread", "rows", "steps", "long")
"""The recordings that `make_events` makes."""


def make_events(kind, *, size=SIZE, seed=3):
    """Make a recording of one of `KINDS`.

    Events at the same time lie in rows, as cameras write them. `steps` has times on both sides of
    multiples of 4096, where the words of time in RAW files change; `long` lasts minutes, with gaps.
    """
    rng = np.random.default_rng(seed)
    num = {"none": 0, "one": 1, "steps": 4000}.get(kind, 20_000)
    events = np.zeros(num, EVENT_DTYPE)
    times = {
        "spread": lambda: rng.integers(113, 3_000_000, num),
        "rows": lambda: rng.integers(5, 300, num) * 97,
        "steps": lambda: rng.integers(1, 900, num) * 4096 + rng.integers(-2, 3, num),
        "long": lambda: np.cumsum(rng.choice([0, 1, 50, 30_000], num)),
    }.get(kind, lambda: np.full(num, 7))
    events["t"] = np.sort(times())
    events["x"] = rng.integers(0, size.width, num)
    events["y"] = rng.integers(0, size.height, num)
    events["p"] = rng.integers(0, 2, num)
    if kind == "rows":
        order = np.lexsort((events["x"], events["p"], events["y"] // 40, events["t"]))
        events = events[order]
        events["y"] = events["y"] // 40
    return events


def as_events(t, x, y, p):
    """Columns as events; a polarity above 0 is ON."""
    events = np.zeros(len(np.asarray(t)), EVENT_DTYPE)
    events["t"], events["x"], events["y"] = np.asarray(t), np.asarray(x), np.asarray(y)
    events["p"] = np.asarray(p) > 0
    return events


def differences(found, expected):
    """How two recordings differ: nothing, or numbers that say how much."""
    if len(found) != len(expected):
        return f"{len(found)} events instead of {len(expected)}"
    counts = {name: int((found[name] != expected[name]).sum()) for name in "txyp"}
    if not any(counts.values()):
        return ""
    apart = np.abs(found["t"] - expected["t"]).max(initial=0)
    return f"{counts} of {len(expected)} events differ, times by up to {apart} us"


def read_with_evdet(path, **options):
    """All events of a file, as evdet reads it."""
    blocks = list(open_recording(path, **options).blocks())
    return np.concatenate([np.zeros(0, EVENT_DTYPE), *blocks])


def _read_expelliarmus(path):
    wizard = pytest.importorskip("expelliarmus").Wizard
    encoding = "dat" if path.suffix == ".dat" else "evt3"
    found = wizard(encoding=encoding).read(str(path))
    return as_events(found["t"], found["x"], found["y"], found["p"])


def _read_faery(path):
    faery = pytest.importorskip("faery")
    packets = list(faery.events_stream_from_file(path))
    found = np.concatenate([np.zeros(0, faery.EVENTS_DTYPE), *packets])
    return as_events(found["t"], found["x"], found["y"], found["on"])


def _read_evt3(path):
    found = pytest.importorskip("evt3").decode_file(str(path))
    return as_events(found.timestamp, found.x, found.y, found.polarity)


def _read_evlib(path):
    found = pytest.importorskip("evlib").load_events(str(path), sort=False).collect()
    times = found["t"].dt.total_microseconds().to_numpy()
    columns = [found[name].to_numpy() for name in ("x", "y", "polarity")]
    return as_events(times, *columns)


READERS = {
    "expelliarmus": _read_expelliarmus,
    "faery": _read_faery,
    "evt3": _read_evt3,
    "evlib": _read_evlib,
}
"""Read a recording, by the name of the program."""
