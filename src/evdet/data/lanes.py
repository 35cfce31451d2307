"""Which lane plays which video: dealt by arithmetic alone, so that every process agrees."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["LanePlan", "deal_lanes"]


@dataclass(frozen=True)
class LanePlan:
    """What the lanes play in one epoch."""

    lanes: tuple[tuple[int, ...], ...]
    """For each lane its videos, in playing order."""
    num_batches: int
    """Clips of the longest lane; the others run dry before."""


def deal_lanes(
    clip_counts: Sequence[int], num_lanes: int, *, seed: int, epoch: int, shuffle: bool = True
) -> LanePlan:
    """Deal an epoch's videos to lanes so that all lanes play for about the same time.

    Long videos are dealt first, each to the lane that has the fewest clips so far: no lane is
    then ahead of another by more than one video. Each lane plays its own in a random order.

    Args:
        clip_counts: clips of each video; a video without clips is dealt to nobody.
        num_lanes: lanes of all processes together.
        seed: with `epoch`, draws the order.
        epoch: number of the epoch.
        shuffle: play in a random order; otherwise in the order given.

    Returns:
        The plan: every video that has clips is in exactly one lane.
    """
    order = list(range(len(clip_counts)))
    if shuffle:
        order = np.random.default_rng([seed, epoch]).permutation(len(clip_counts)).tolist()
    # Sorting is stable: videos of equal length stay in their random order.
    longest_first = sorted(range(len(order)), key=lambda place: -clip_counts[order[place]])
    places: list[list[int]] = [[] for _ in range(num_lanes)]
    loads = [(0, lane) for lane in range(num_lanes)]
    for place in longest_first:
        clips = clip_counts[order[place]]
        if clips == 0:
            break
        load, lane = loads[0]
        places[lane].append(place)
        heapq.heapreplace(loads, (load + clips, lane))
    return LanePlan(
        lanes=tuple(tuple(order[place] for place in sorted(lane)) for lane in places),
        num_batches=max(load for load, _ in loads),
    )
