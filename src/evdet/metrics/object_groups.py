"""In which group an object is: by stillness, by size, by events."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, Num

__all__ = [
    "STILL_EDGES",
    "Group",
    "Grouping",
    "group_by_events",
    "group_by_size",
    "group_by_stillness",
]

STILL_EDGES: tuple[int, ...] = (0, 100_000, 200_000, 500_000, 1_000_000, 2_000_000, 3_000_000)
"""Last microsecond of each group of stillness but the last, which has no end."""


class Group(NamedTuple):
    """A group of objects."""

    label: str
    """Its range in words, with the unit."""
    low: float
    """Lower end."""
    high: float | None
    """Upper end; None where it has none."""


class Grouping(NamedTuple):
    """All groups, in order, and who is in which."""

    unit: str
    """What the ends of the groups count."""
    groups: tuple[Group, ...]
    """Those in use, and all between them."""
    truths: Int64[np.ndarray, " N"]
    """Index of each object's group; -1 is none."""
    detections: Int64[np.ndarray, " M"] | None = None
    """Index of each detection's group, where it has one of its own; -1 is none in use."""


def group_by_stillness(still_us: Int64[np.ndarray, " N"]) -> Grouping:
    """Group objects by the time since they last moved.

    Args:
        still_us: microseconds since then; 0 moves. Less is not known, and in no group.

    Returns:
        Eight groups: moving; up to 0.1, 0.2, 0.5, 1, 2, 3 seconds, each with its end; longer.
    """
    ends = [f"{edge / 1e6:g}" for edge in STILL_EDGES]
    between = zip(ends[1:-1], ends[2:], STILL_EDGES[1:-1], STILL_EDGES[2:], strict=True)
    groups = (
        Group("moving", 0, 0),
        Group(f"up to {ends[1]} s", 0, STILL_EDGES[1]),
        *(Group(f"{first}–{last} s", low, high) for first, last, low, high in between),
        Group(f"over {ends[-1]} s", STILL_EDGES[-1], None),
    )
    numbers = np.searchsorted(STILL_EDGES, still_us)
    return Grouping("microseconds", groups, np.where(still_us < 0, -1, numbers))


def group_by_size(
    truth_areas: Float64[np.ndarray, " N"], detection_areas: Float64[np.ndarray, " M"]
) -> Grouping:
    """Group objects by their size: from one group to the next the area doubles.

    Args:
        truth_areas: areas of the objects in square pixels.
        detection_areas: areas of the detections.

    Returns:
        Groups whose ends are sides of squares of that area, in pixels: ... 16, 22.6, 32 ...
    """
    powers, first = _used(_octave(truth_areas))
    groups = []
    for power in range(first, first + powers):
        low, high = 2 ** (power / 2), 2 ** ((power + 1) / 2)
        # Area 1 and less have one group.
        groups.append(Group(f"{low if power else 0:.0f}–{high:.0f} px", low if power else 0, high))
    return Grouping(
        "pixels",
        tuple(groups),
        _octave(truth_areas) - first,
        _inside(_octave(detection_areas) - first, powers),
    )


def group_by_events(num_events: Int64[np.ndarray, " N"]) -> Grouping:
    """Group objects by the events in their boxes: none, 1, 2-3, 4-7, 8-15 ...

    Args:
        num_events: events in each object's box during its time bin; less than 0 is not known,
            and in no group.

    Returns:
        The groups, with ends that both belong to them.
    """
    octave = np.where(num_events > 0, 1 + _octave(num_events), num_events)
    known = octave >= 0
    count, first = _used(octave[known])
    groups = []
    for number in range(first, first + count):
        low, high = (2 ** (number - 1), 2**number - 1) if number else (0, 0)
        groups.append(Group(f"{low:,}–{high:,}" if low < high else f"{low}", low, high))
    return Grouping("events", tuple(groups), np.where(known, octave - first, -1))


def _octave(values: Num[np.ndarray, " _"]) -> Int64[np.ndarray, " _"]:
    """Exponent k of the range 2^k to 2^(k+1), without its end; 0 for less than 1."""
    # Exact, where a logarithm may round.
    octaves: Int64[np.ndarray, " _"] = np.frexp(np.maximum(values, 1))[1].astype(np.int64) - 1
    return octaves


def _used(numbers: Int64[np.ndarray, " _"]) -> tuple[int, int]:
    """How many groups there are from the first to the last that is in use, and the first."""
    if not len(numbers):
        return 0, 0
    return int(numbers.max() - numbers.min() + 1), int(numbers.min())


def _inside(numbers: Int64[np.ndarray, " _"], count: int) -> Int64[np.ndarray, " _"]:
    return np.where((numbers >= 0) & (numbers < count), numbers, -1)
