"""Events and boxes -> how many events each box holds."""

import numpy as np
from jaxtyping import Bool, Int64, Shaped

from evdet.events.dtypes import Events, SensorSize
from evdet.shapes import BoxEvents

__all__ = ["count_events_inside"]


def count_events_inside(
    events: Events, boxes: BoxEvents, size: SensorSize
) -> Int64[np.ndarray, " _"]:
    """Count the events inside each box, whose borders may lie between pixels.

    Args:
        events: of one time bin; those outside the sensor do not count.
        boxes: in pixels of the sensor.
        size: of the sensor.
    """
    # An integral image: each box takes four look-ups, for any number of events.
    pixels = events["y"].astype(np.int64) * size.width + events["x"]
    on_sensor: Bool[np.ndarray, " _"] = (events["x"] < size.width) & (events["y"] < size.height)
    sums = np.zeros((size.height + 1, size.width + 1), np.int64)
    per_pixel = np.bincount(pixels[on_sensor], minlength=size.height * size.width)
    sums[1:, 1:] = per_pixel.reshape(size).cumsum(axis=0).cumsum(axis=1)
    left, top = _edge(boxes["x"], size.width), _edge(boxes["y"], size.height)
    right = _edge(boxes["x"].astype(np.float64) + boxes["w"], size.width)
    bottom = _edge(boxes["y"].astype(np.float64) + boxes["h"], size.height)
    counts: Int64[np.ndarray, " _"] = (
        sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    )
    return counts


def _edge(positions: Shaped[np.ndarray, " _"], end: int) -> Int64[np.ndarray, " _"]:
    """The first pixel at or after a position."""
    edge: Int64[np.ndarray, " _"] = np.ceil(np.clip(positions, 0, end)).astype(np.int64)
    return edge
