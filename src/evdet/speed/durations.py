"""Durations of the time bins of a stream -> percentiles."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

__all__ = ["Durations", "summarise", "wait_for"]


@dataclass(frozen=True)
class Durations:
    """Percentiles of a duration over time bins, in milliseconds."""

    p50: float
    """Median."""
    p90: float
    """90th percentile."""
    p99: float
    """99th percentile."""
    best: float
    """Minimum, which is close to that of a machine without other work."""


def summarise(seconds: Sequence[float]) -> Durations:
    """Compute the percentiles of durations; each is a measured duration, without interpolation."""
    values = 1e3 * np.asarray(seconds)
    p50, p90, p99 = np.percentile(values, (50, 90, 99), method="inverted_cdf")
    return Durations(float(p50), float(p90), float(p99), float(values.min()))


def wait_for(device: torch.device) -> None:
    """Wait until an accelerator has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
