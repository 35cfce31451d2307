"""Durations of time bins that are drawn for each recording, so that a detector learns any rate."""

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["DurationRange"]

# Separates these draws from those of augmentation.
_DRAW = 2


@dataclass(frozen=True)
class DurationRange:
    """Durations to draw from, such that each factor is as likely as any other (log-uniform).

    Raises:
        ValueError: the range is empty, or a duration is not positive.
    """

    shortest: int
    """In microseconds."""
    longest: int
    """In microseconds."""

    def __post_init__(self) -> None:
        if not 1 <= self.shortest <= self.longest:
            raise ValueError(
                "the range of delta_t goes from the shortest duration to the longest, in "
                f"microseconds, got {self.shortest} to {self.longest}"
            )

    def draw(self, num: int, *, seed: int, epoch: int) -> list[int]:
        """Draw the durations of an epoch.

        Args:
            num: recordings, or clips.
            seed: with `epoch`, draws them.
            epoch: index of the epoch.

        Returns:
            A duration in microseconds for each.
        """
        low, high = math.log(self.shortest), math.log(self.longest)
        drawn = np.random.default_rng([seed, epoch, _DRAW]).uniform(low, high, num)
        rounded = np.clip(np.rint(np.exp(drawn)), self.shortest, self.longest)
        return [int(duration) for duration in rounded]
