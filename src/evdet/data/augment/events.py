"""Augmentation of the events of one time bin."""

import typing

import numpy as np
from jaxtyping import Int64

from evdet.compiled import kernel
from evdet.events import EVENT_DTYPE, Events, SensorSize

__all__ = [
    "Borders",
    "drop_events",
    "make_noise",
    "place_events",
    "reverse_events",
    "swap_polarity",
]

Borders = Int64[np.ndarray, " _"]
"""New position of each pixel's left (or upper) border, then of the last pixel's other border."""


def place_events(events: Events, columns: Borders, rows: Borders, size: SensorSize) -> Events:
    """Move events with their pixels.

    A pixel enlarged to several repeats its events in each of them, and the events of a pixel
    reduced to none are dropped, as in nearest-neighbour scaling of a frame.

    Args:
        events: in any order; not modified.
        columns: for x, borders that do not decrease, or do not increase for a mirrored frame.
        rows: the same for y.
        size: the sensor's size.

    Raises:
        ValueError: an event lies outside the sensor.
    """
    num_placed = _count_placed(events, columns, rows)
    if num_placed < 0:
        raise ValueError(
            f"events lie outside the sensor {size}: "
            f"x goes up to {events['x'].max()}, y up to {events['y'].max()}"
        )
    placed = np.empty(num_placed, EVENT_DTYPE)
    _place(events, columns, rows, placed)
    return placed


def drop_events(events: Events, share: float, rng: np.random.Generator) -> Events:
    """Drop random events; the others keep their order.

    Args:
        events: not modified.
        share: probability of each event to be dropped.
        rng: draws them.
    """
    kept = np.empty(len(events), EVENT_DTYPE)
    # Single precision: twice as fast, and fine enough for a share.
    num_kept = _keep(events, rng.random(len(events), dtype=np.float32), share, kept)
    return kept[:num_kept]


def make_noise(
    size: SensorSize, start: int, delta_t: int, rate: float, rng: np.random.Generator
) -> Events:
    """Draw noise events, uniform in space, time and polarity, unsorted.

    Args:
        size: the sensor's size.
        start: first microsecond.
        delta_t: duration in microseconds.
        rate: events per pixel and second.
        rng: draws them.
    """
    count = rng.poisson(rate * size.height * size.width * delta_t / 1e6)
    noise = np.empty(count, EVENT_DTYPE)
    noise["t"] = rng.integers(start, start + delta_t, count)
    noise["x"] = rng.integers(0, size.width, count)
    noise["y"] = rng.integers(0, size.height, count)
    noise["p"] = rng.integers(0, 2, count)
    return noise


def swap_polarity(events: Events) -> Events:
    """Swap ON and OFF, in a copy."""
    swapped = events.copy()
    swapped["p"] = 1 - events["p"]
    return swapped


def reverse_events(events: Events, start: int, delta_t: int) -> Events:
    """Reverse a time bin: the order of its events, their times and their polarities.

    Args:
        events: with start <= t < start + delta_t; not modified.
        start: first microsecond of the bin.
        delta_t: its duration.
    """
    reverse = swap_polarity(events[::-1])
    reverse["t"] = 2 * start + delta_t - 1 - reverse["t"]
    return reverse


@kernel
@typing.no_type_check
def _keep(events: Events, draws: np.ndarray, share: float, kept: Events) -> int:
    num_kept = 0
    for i in range(len(events)):
        # A dropped event is overwritten by the next: faster than a mispredicted branch.
        kept[num_kept] = events[i]
        num_kept += draws[i] >= share
    return num_kept


@kernel
@typing.no_type_check
def _count_placed(events: Events, columns: Borders, rows: Borders) -> int:
    count = 0
    for event in events:
        if event.x >= len(columns) - 1 or event.y >= len(rows) - 1:
            return -1
        width = abs(columns[event.x + 1] - columns[event.x])
        count += width * abs(rows[event.y + 1] - rows[event.y])
    return count


@kernel
@typing.no_type_check
def _place(events: Events, columns: Borders, rows: Borders, placed: Events) -> None:
    i = 0
    for event in events:
        left = min(columns[event.x], columns[event.x + 1])
        right = max(columns[event.x], columns[event.x + 1])
        top = min(rows[event.y], rows[event.y + 1])
        bottom = max(rows[event.y], rows[event.y + 1])
        for y in range(top, bottom):
            for x in range(left, right):
                placed[i].t = event.t
                placed[i].x = x
                placed[i].y = y
                placed[i].p = event.p
                i += 1
