"""Groups of objects by stillness, size and number of events."""

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
"""Last microsecond of each stillness group except the last, which is unbounded."""


class Group(NamedTuple):
    """A group of objects."""

    label: str
    """Its range, with the unit."""
    low: float
    """Lower end."""
    high: float | None
    """Upper end; None if unbounded."""


class Grouping(NamedTuple):
    """All groups, in order, and the group of each object and detection."""

    unit: str
    """Unit of the groups' ends."""
    groups: tuple[Group, ...]
    """Groups from the first to the last with objects."""
    truths: Int64[np.ndarray, " N"]
    """Index of each object's group; -1: none."""
    detections: Int64[np.ndarray, " M"] | None = None
    """Index of each detection's group; -1: none of these; None: detections have no groups."""


def group_by_stillness(still_us: Int64[np.ndarray, " N"]) -> Grouping:
    """Group objects by the time since they last moved.

    Args:
        still_us: microseconds since then; 0 is moving; negative is unknown, and in no group.

    Returns:
        Eight groups: moving; up to 0.1, 0.2, 0.5, 1, 2, 3 seconds, inclusive; longer.
    """
    ends = [f"{edge / 1e6:g}" for edge in STILL_EDGES]
    between = zip(ends[1:-1], ends[2:], STILL_EDGES[1:-1], STILL_EDGES[2:], strict=True)
    groups = (
        Group("moving", 0, 0),
        Group(f"up to {ends[1]} s", 0, STILL_EDGES[1]),
        *(Group(f"{first}–{last} s", low, high) for first, last, low, high in between),
        Group(f"over {ends[-1]} s", STILL_EDGES[-1], None),
    )
    indices = np.searchsorted(STILL_EDGES, still_us)
    return Grouping("microseconds", groups, np.where(still_us < 0, -1, indices))


def group_by_size(
    truth_areas: Float64[np.ndarray, " N"], detection_areas: Float64[np.ndarray, " M"]
) -> Grouping:
    """Group objects by their size: the area doubles from group to group.

    Args:
        truth_areas: areas of the objects in square pixels.
        detection_areas: areas of the detections.

    Returns:
        Groups whose ends are square roots of areas, in pixels: ... 16, 22.6, 32 ...
    """
    powers, first = _used(_octave(truth_areas))
    groups = []
    for power in range(first, first + powers):
        low, high = 2 ** (power / 2), 2 ** ((power + 1) / 2)
        # Areas up to 1 are in the first group.
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
        num_events: events in each object's box during its time bin; negative is unknown, and in
            no group.

    Returns:
        The groups; both ends are inclusive.
    """
    octave = np.where(num_events > 0, 1 + _octave(num_events), num_events)
    known = octave >= 0
    count, first = _used(octave[known])
    groups = []
    for power in range(first, first + count):
        low, high = (2 ** (power - 1), 2**power - 1) if power else (0, 0)
        groups.append(Group(f"{low:,}–{high:,}" if low < high else f"{low}", low, high))
    return Grouping("events", tuple(groups), np.where(known, octave - first, -1))


def _octave(values: Num[np.ndarray, " _"]) -> Int64[np.ndarray, " _"]:
    """Exponent k of the range 2^k to 2^(k+1), exclusive; 0 for less than 1."""
    # frexp is exact; a logarithm may round.
    octaves: Int64[np.ndarray, " _"] = np.frexp(np.maximum(values, 1))[1].astype(np.int64) - 1
    return octaves


def _used(indices: Int64[np.ndarray, " _"]) -> tuple[int, int]:
    """Number of groups from the first to the last that is in use, and the first."""
    if not len(indices):
        return 0, 0
    return int(indices.max() - indices.min() + 1), int(indices.min())


def _inside(indices: Int64[np.ndarray, " _"], count: int) -> Int64[np.ndarray, " _"]:
    return np.where((indices >= 0) & (indices < count), indices, -1)
