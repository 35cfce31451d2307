"""Which lane plays which video: computed from counts alone, so that all processes agree."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["LanePlan", "assign_lanes", "lanes_of_worker"]


@dataclass(frozen=True)
class LanePlan:
    """What the lanes play in one epoch."""

    lanes: tuple[tuple[int, ...], ...]
    """Indices of each lane's videos, in playing order."""
    num_batches: int
    """Clips of the longest lane; the others are exhausted earlier."""


def assign_lanes(
    clip_counts: Sequence[int], num_lanes: int, *, seed: int, epoch: int, shuffle: bool = True
) -> LanePlan:
    """Assign an epoch's videos to lanes of about the same duration.

    Videos are assigned from long to short, each to the lane with the fewest clips so far: two
    lanes then differ by at most one video. Each lane plays its videos in a random order.

    Args:
        clip_counts: clips of each video; a video without clips is not assigned.
        num_lanes: lanes of all processes together.
        seed: with `epoch`, draws the order.
        epoch: index of the epoch.
        shuffle: play in a random order; otherwise in the order given.

    Returns:
        The plan: every video that has clips is in exactly one lane.
    """
    order = list(range(len(clip_counts)))
    if shuffle:
        order = np.random.default_rng([seed, epoch]).permutation(len(clip_counts)).tolist()
    # Sorting is stable: videos of equal length stay in their random order.
    longest_first = sorted(range(len(order)), key=lambda position: -clip_counts[order[position]])
    positions: list[list[int]] = [[] for _ in range(num_lanes)]
    loads = [(0, lane) for lane in range(num_lanes)]
    for position in longest_first:
        clips = clip_counts[order[position]]
        if clips == 0:
            break
        load, lane = loads[0]
        positions[lane].append(position)
        heapq.heapreplace(loads, (load + clips, lane))
    return LanePlan(
        lanes=tuple(tuple(order[position] for position in sorted(lane)) for lane in positions),
        num_batches=max(load for load, _ in loads),
    )


def lanes_of_worker(
    lanes: tuple[tuple[int, ...], ...], worker: int, num_workers: int
) -> tuple[tuple[int, ...], ...]:
    """Give one data worker its consecutive share of a process's lanes."""
    return lanes[worker * len(lanes) // num_workers : (worker + 1) * len(lanes) // num_workers]
