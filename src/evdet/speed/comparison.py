"""Times of several variants of one detector, which take turns so that drift cancels."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from evdet.speed.durations import Durations, summarise
from evdet.speed.time_bins import TimeBins
from evdet.speed.variants import Variant

__all__ = ["VariantTimes", "time_variants"]

_BLOCK = 5
"""Measured time bins of a turn; one before them refills the caches."""
_PAUSE = 0.01
"""Seconds between turns, in which the threads of the previous variant stop spinning."""


@dataclass(frozen=True, kw_only=True)
class VariantTimes:
    """The speed of a variant."""

    window: Durations
    """Durations of a time bin, from raw events to boxes."""
    speedup: float
    """Speed relative to the first variant: the median over rounds, which measure both."""


@torch.inference_mode()
def time_variants(
    variants: Sequence[Variant],
    time_bins: TimeBins,
    *,
    num_tbins: int,
    warm_up: int,
) -> list[VariantTimes]:
    """Time variants in turns, each with its own reader and memory.

    Args:
        variants: the others are compared with the first.
        time_bins: the source.
        num_tbins: time bins to measure of each, rounded up to whole turns.
        warm_up: time bins before them.
    """
    if not variants:
        return []
    players = [_Player(variant, time_bins) for variant in variants]
    for player in players:
        for _ in range(warm_up):
            player.play_bin()
    # Durations by variant, round and time bin.
    rounds: list[list[list[float]]] = [[] for _ in players]
    for round_index in range(-(-num_tbins // _BLOCK)):
        # The first variant changes from round to round.
        for turn in range(len(players)):
            index = (turn + round_index) % len(players)
            time.sleep(_PAUSE)
            players[index].play_bin()
            rounds[index].append([players[index].play_bin() for _ in range(_BLOCK)])
    middles = np.median(rounds, axis=2)
    return [
        VariantTimes(
            window=summarise(np.ravel(rounds[index]).tolist()),
            speedup=float(np.median(middles[0] / middles[index])),
        )
        for index in range(len(players))
    ]


class _Player:
    def __init__(self, variant: Variant, time_bins: TimeBins) -> None:
        self._step = variant.step
        self._time_bins = time_bins
        self._source = time_bins.play()
        self._memory: tuple[torch.Tensor, ...] | None = None

    def play_bin(self) -> float:
        """Seconds from raw events to boxes; these are on the CPU, so the accelerator is done."""
        start = time.perf_counter()
        clip = self._time_bins.represent(next(self._source))
        _, self._memory = self._step(clip, self._memory)
        return time.perf_counter() - start
