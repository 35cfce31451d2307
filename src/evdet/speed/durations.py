"""Durations of the windows of a stream -> the few numbers that are said of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

__all__ = ["Durations", "summarise", "wait_for"]


@dataclass(frozen=True)
class Durations:
    """How long something took in most windows, and in few; in milliseconds."""

    p50: float
    """Half of the windows took no longer."""
    p90: float
    """Nine of ten took no longer."""
    p99: float
    """Ninety-nine of a hundred took no longer."""
    best: float
    """The shortest: what a machine without other work comes close to."""


def summarise(seconds: Sequence[float]) -> Durations:
    """Sum up durations.

    Args:
        seconds: one per window; at least one.

    Returns:
        Their percentiles: measured durations, never values between two of them.
    """
    values = 1e3 * np.asarray(seconds)
    p50, p90, p99 = np.percentile(values, (50, 90, 99), method="inverted_cdf")
    return Durations(float(p50), float(p90), float(p99), float(values.min()))


def wait_for(device: torch.device) -> None:
    """Wait until an accelerator has done what it was asked; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
