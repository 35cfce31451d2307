"""The types of events, sensor sizes and time bins, and the error of recordings."""

import re
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped

__all__ = [
    "EVENT_DTYPE",
    "TRIGGER_DTYPE",
    "Events",
    "RecordingError",
    "SensorSize",
    "TimeBin",
    "Triggers",
    "parse_size",
]

EVENT_DTYPE = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
"""One event: t in microseconds, x and y in pixels, p 1 (ON, brighter) or 0 (OFF, darker)."""

Events = Shaped[np.ndarray, " _"]
"""Records of `EVENT_DTYPE`."""

TRIGGER_DTYPE = np.dtype([("t", "<i8"), ("id", "u1"), ("p", "u1")])
"""One external trigger: t in microseconds, id of the channel, p 1 (rising edge) or 0 (falling)."""

Triggers = Shaped[np.ndarray, " _"]
"""Records of `TRIGGER_DTYPE`."""


class RecordingError(RuntimeError):
    """A recording cannot be read, or not further: the message names file, position and remedy."""


class SensorSize(NamedTuple):
    """Pixels of a sensor."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height} (width x height)"


class TimeBin(NamedTuple):
    """The events of one time bin of a recording."""

    start: int
    """Its first microsecond."""
    delta_t: int
    """Its duration, in microseconds."""
    events: Events
    """The events with start <= t < start + delta_t, in order of time."""


def parse_size(text: str, *, name: str = "sensor_size") -> SensorSize:
    """Parse a sensor size.

    Args:
        text: width and height, such as 346x260.
        name: the option or field of the text, for the message.

    Raises:
        ValueError: the text is not a size.
    """
    match = re.fullmatch(r"(\d{1,5})[x×](\d{1,5})", text.strip().lower())
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (0 < width <= 65536 and 0 < height <= 65536):
        raise ValueError(f"{name} must be width and height, such as 346x260, got {text!r}")
    return SensorSize(height=height, width=width)
