"""What an event, a sensor's size and a time bin are, and the one error of files."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped

__all__ = ["EVENT_DTYPE", "Events", "RecordingError", "SensorSize", "TimeBin"]

EVENT_DTYPE = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
"""One event: t in microseconds, x and y in pixels, p 1 where it got brighter (ON) and 0 (OFF)."""

Events = Shaped[np.ndarray, " _"]
"""Records of `EVENT_DTYPE`."""


class RecordingError(RuntimeError):
    """A recording that cannot be read, or not further: the message names file, place, remedy."""


class SensorSize(NamedTuple):
    """Pixels of a sensor."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height} (width x height)"


class TimeBin(NamedTuple):
    """A stretch of a recording."""

    start: int
    """Its first microsecond."""
    delta_t: int
    """Its duration, in microseconds."""
    events: Events
    """The events with start <= t < start + delta_t, in order of time."""
