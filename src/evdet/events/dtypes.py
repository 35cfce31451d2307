"""What an event, a sensor's size and a time bin are, and the one error of files."""

import re
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped

__all__ = ["EVENT_DTYPE", "Events", "RecordingError", "SensorSize", "TimeBin", "parse_size"]

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


def parse_size(text: str, *, name: str = "sensor_size") -> SensorSize:
    """Read a sensor's size as people write it.

    Args:
        text: width and height, such as 346x260.
        name: the option or field that the text was given to, for the message.

    Returns:
        The size.

    Raises:
        ValueError: the text is not a size.
    """
    match = re.fullmatch(r"(\d{1,5})[x×](\d{1,5})", text.strip().lower())
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (0 < width <= 65536 and 0 < height <= 65536):
        raise ValueError(f"{name} must be width and height, such as 346x260, got {text!r}")
    return SensorSize(height=height, width=width)
