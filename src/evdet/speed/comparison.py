"""Several ways to run one detector, side by side: they take turns, so that drift cancels."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from evdet.speed.durations import Durations, summarise
from evdet.speed.variants import Variant
from evdet.speed.windows import Windows

__all__ = ["VariantTimes", "time_variants"]

_BLOCK = 5
"""Windows of a turn that count; one more before them finds the caches full of the last turn's."""
_PAUSE = 0.01
"""Seconds between turns, in which the threads of the one before fall asleep."""


@dataclass(frozen=True, kw_only=True)
class VariantTimes:
    """What a variant is worth."""

    window: Durations
    """From raw events to boxes."""
    speedup: float
    """How many times as fast as the first variant: in the middle of the rounds, each of which
    compares the two in the same moment."""


@torch.inference_mode()
def time_variants(
    variants: Sequence[Variant],
    windows: Windows,
    *,
    num_windows: int,
    warm_up: int,
) -> list[VariantTimes]:
    """Let variants take turns, each with a player and a memory of its own.

    Args:
        variants: the first is what the others are compared with.
        windows: the source.
        num_windows: windows to measure of each, rounded up to whole turns.
        warm_up: windows before them.

    Returns:
        The times of each.
    """
    if not variants:
        return []
    players = [_Player(variant, windows) for variant in variants]
    for player in players:
        for _ in range(warm_up):
            player.play_window()
    # Durations by variant, round and window.
    rounds: list[list[list[float]]] = [[] for _ in players]
    for number in range(-(-num_windows // _BLOCK)):
        # Who comes first differs from round to round.
        for place in range(len(players)):
            index = (place + number) % len(players)
            time.sleep(_PAUSE)
            players[index].play_window()
            rounds[index].append([players[index].play_window() for _ in range(_BLOCK)])
    middles = np.median(rounds, axis=2)
    return [
        VariantTimes(
            window=summarise(np.ravel(rounds[index]).tolist()),
            speedup=float(np.median(middles[0] / middles[index])),
        )
        for index in range(len(players))
    ]


class _Player:
    def __init__(self, variant: Variant, windows: Windows) -> None:
        self._step = variant.step
        self._windows = windows
        self._source = windows.play()
        self._memory: tuple[torch.Tensor, ...] | None = None

    def play_window(self) -> float:
        """Seconds from raw events to boxes on the CPU: nothing is left to wait for."""
        start = time.perf_counter()
        clip = self._windows.represent(next(self._source))
        _, self._memory = self._step(clip, self._memory)
        return time.perf_counter() - start
