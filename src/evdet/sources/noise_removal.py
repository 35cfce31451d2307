"""Remove noise events between a recording and its frames, and count them."""

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
"""Microseconds at the start of a recording that are searched for hot pixels."""

Mask = Bool[np.ndarray, "rows columns"]


@dataclass
class NoiseRemoval:
    """Removes the noise from consecutive bins of one recording.

    Args:
        size: the sensor's size.
        hot: True at the hot pixels.
        background_filter: the background-activity filter drops events without a neighbouring
            event in the last N microseconds; 0 disables it.
    """

    size: SensorSize
    hot: Mask | None = None
    background_filter: int = 0
    _last_event_times: Int64[np.ndarray, "_ _"] | None = field(default=None, init=False)

    def look_back(self, delta_t: int) -> int:
        """How far before a time bin the filter reads, in microseconds of whole bins."""
        return -(-self.background_filter // delta_t) * delta_t

    def clean(self, events: Events) -> tuple[Events, dict[str, int]]:
        """Remove the noise of the next bin; `events` are in order of time and not modified.

        Returns:
            The events kept, and how many were dropped, by reason.
        """
        counts = {}
        if self.hot is not None:
            kept = remove_hot_pixels(events, self.hot)
            counts["events of hot pixels"] = len(events) - len(kept)
            events = kept
        if self.background_filter:
            kept, self._last_event_times = filter_background_activity(
                events,
                self.size,
                window_us=self.background_filter,
                last_event_times=self._last_event_times,
            )
            counts["events of background activity"] = len(events) - len(kept)
            events = kept
        return events, {reason: count for reason, count in counts.items() if count}


def find_hot_mask(recording: Recording, delta_t: int) -> Mask | None:
    """Find hot pixels in the first `HOT_PIXEL_SPAN` of a recording, or up to damage.

    Args:
        recording: the recording.
        delta_t: microseconds that are read at once.

    Returns:
        True at hot pixels; None without any.
    """
    if not min(recording.size):
        return None  # a file without events may have no sensor size
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
        return  # reading the whole recording raises it again
