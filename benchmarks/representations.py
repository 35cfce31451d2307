"""Events a second into each representation, and through each noise filter, on one core."""

import time
from collections.abc import Callable

import numpy as np

from benchmarks.measure import Row
from evdet.events import (
    EVENT_DTYPE,
    SensorSize,
    TimeBin,
    filter_background_activity,
    remove_hot_pixels,
)
from evdet.events.representations import REPRESENTATIONS, events_to_tensors

__all__ = ["DELTA_T", "SIZE", "make_slice", "rows"]

SIZE, DELTA_T, NUM_EVENTS, NUM_SLICES = SensorSize(240, 304), 50_000, 200_000, 20


def rows() -> list[Row]:
    """Measure on slices of Gen1 size that do not fit into the caches together.

    Returns:
        Millions of events a second of CPU time, the best of ten rounds.
    """
    slices = [make_slice(k, NUM_EVENTS) for k in range(NUM_SLICES)]
    found = []
    for name, representation in REPRESENTATIONS.items():
        rate = _best_rate(
            lambda one, make=representation.make: make(
                one.events, SIZE, start=one.start, delta_t=one.delta_t
            ),
            slices,
        )
        found.append(Row(what=f"events -> {name}", value=rate, unit="M/s"))
    no_pixels = np.zeros(SIZE, bool)
    for what, step in (
        ("events -> tensors", lambda one: events_to_tensors([one], SIZE)),
        ("hot pixels removed", lambda one: remove_hot_pixels(one.events, no_pixels)),
        (
            "background activity removed",
            lambda one: filter_background_activity(one.events, SIZE, window_us=5_000),
        ),
    ):
        found.append(Row(what=what, value=_best_rate(step, slices), unit="M/s"))
    return found


def make_slice(k: int, num_events: int) -> TimeBin:
    """Draw random events of the k-th time bin."""
    rng = np.random.default_rng(k)
    events = np.zeros(num_events, EVENT_DTYPE)
    events["t"] = k * DELTA_T + np.sort(rng.integers(0, DELTA_T, num_events))
    events["x"] = rng.integers(0, SIZE.width, num_events)
    events["y"] = rng.integers(0, SIZE.height, num_events)
    events["p"] = rng.integers(0, 2, num_events)
    return TimeBin(k * DELTA_T, DELTA_T, events)


def _best_rate(step: Callable[[TimeBin], object], slices: list[TimeBin]) -> float:
    step(slices[0])  # compiles
    best = float("inf")
    for _ in range(10):
        begin = time.process_time()
        for one in slices:
            step(one)
        best = min(best, time.process_time() - begin)
    return len(slices) * NUM_EVENTS / best / 1e6
