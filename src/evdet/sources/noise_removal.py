"""Noise left out on the way from a recording to its frames, and counted."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Int64

from evdet.events import (
    Events,
    Recording,
    RecordingError,
    SensorSize,
    filter_background_activity,
    find_hot_pixels,
    hot_pixel_mask,
    remove_hot_pixels,
)

__all__ = ["HOT_PIXEL_SPAN", "Mask", "NoiseRemoval", "find_hot_mask"]

HOT_PIXEL_SPAN = 10_000_000
"""Microseconds at the start of a recording in which its hot pixels are looked for."""

Mask = Bool[np.ndarray, "rows columns"]


@dataclass
class NoiseRemoval:
    """Removes the noise from consecutive bins of one recording.

    Args:
        size: the sensor's size.
        hot: True at pixels whose events are left out.
        background_filter: an event stays if one of the 8 pixels around had another in so many
            microseconds before; 0 keeps all.
    """

    size: SensorSize
    hot: Mask | None = None
    background_filter: int = 0
    _last_event_times: Int64[np.ndarray, "_ _"] | None = field(default=None, init=False)

    def look_back(self, delta_t: int) -> int:
        """How far before a time bin the filter reads, in microseconds of whole bins."""
        return -(-self.background_filter // delta_t) * delta_t

    def clean(self, events: Events) -> tuple[Events, dict[str, int]]:
        """Leave out the noise of the next bin.

        Args:
            events: in order of time; left as they are.

        Returns:
            The other events, and how many were left out for each reason that occurred.
        """
        counts = {}
        if self.hot is not None:
            kept = remove_hot_pixels(events, self.hot)
            counts["events of hot pixels"] = len(events) - len(kept)
            events = kept
        if self.background_filter:
            kept, self._last_event_times = filter_background_activity(
                events, self.size, window_us=self.background_filter, memory=self._last_event_times
            )
            counts["events of background activity"] = len(events) - len(kept)
            events = kept
        return events, {reason: count for reason, count in counts.items() if count}


def find_hot_mask(recording: Recording, delta_t: int) -> Mask | None:
    """Look for hot pixels in the first seconds of a recording.

    Args:
        recording: read up to `HOT_PIXEL_SPAN`, or to damage before.
        delta_t: microseconds that are read at once.

    Returns:
        True at hot pixels; None where there is not one.
    """
    if not min(recording.size):
        return None  # a file without events may not know its sensor
    pixels = find_hot_pixels(_first_seconds(recording, delta_t), recording.size)
    return hot_pixel_mask(pixels, recording.size) if len(pixels) else None


def _first_seconds(recording: Recording, delta_t: int) -> Iterator[Events]:
    stop = recording.start + HOT_PIXEL_SPAN
    try:
        for start, _, events in recording.slices(delta_t):
            if start >= stop:
                return
            yield events
    except RecordingError:
        return  # playing the recording will tell
