"""The motion of the objects of a simulated scene: they bounce, stop, and start again."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

__all__ = ["Path", "draw_path", "frame_times"]

MOVING = (1.0, 4.0)  # seconds between two stops
STOPPED = (0.5, 3.0)  # seconds of a stop
RAMP = 0.1  # seconds of acceleration, and of braking
SPEED = (0.1, 0.8)  # shares of the sensor's shorter side per second


class Path(NamedTuple):
    """The position of one object at every frame."""

    corner: Float64[np.ndarray, "F 2"]
    """Row and column of its top left corner, in pixels, with fractions."""
    clock: Float64[np.ndarray, " F"]
    """Microseconds on the object's clock, which runs at most at real time and stops with it."""
    still_us: Int64[np.ndarray, " F"]
    """Microseconds since it last moved."""


def frame_times(num_labels: int, label_period: int, frame_rate: float) -> Int64[np.ndarray, " F"]:
    """Times of the frames, in microseconds, from 0 to the last label; each label has a frame.

    Args:
        num_labels: number of label times, the first after one period.
        label_period: microseconds between two of them.
        frame_rate: frames per second, rounded to a multiple of the label rate.
    """
    per_label = max(1, round(label_period * frame_rate / 1e6))
    return np.arange(num_labels * per_label + 1) * label_period // per_label


def draw_path(
    rng: np.random.Generator,
    times: Int64[np.ndarray, " F"],
    *,
    free: tuple[int, int],
    side: int,
) -> Path:
    """Draw the path of one object at random.

    It starts moving in a straight line, mirrored at the walls, for 1 to 4 seconds, stops for 0.5
    to 3 seconds, and starts again in another direction at another speed.

    Args:
        rng: source of randomness.
        times: of the frames, in microseconds.
        free: largest row and column of its corner, in pixels; the smallest are 0.
        side: the sensor's shorter side; speeds are shares of it.
    """
    seconds = times / 1e6
    share = np.zeros(len(times))
    velocity = np.zeros((len(times), 2))
    start = 0.0
    while start < seconds[-1]:
        end = start + rng.uniform(*MOVING)
        angle, speed = rng.uniform(0, 2 * np.pi), side * rng.uniform(*SPEED)
        moves = (seconds > start) & (seconds < end)
        share[moves] = np.clip(
            np.minimum(seconds[moves] - start, end - seconds[moves]) / RAMP, 0, 1
        )
        velocity[moves] = speed * np.sin(angle), speed * np.cos(angle)
        start = end + rng.uniform(*STOPPED)
    # Motion in the interval before each frame: exactly zero at a stop.
    interval = np.diff(seconds, prepend=0)
    way = np.cumsum(velocity * (share * interval)[:, None], axis=0)
    corner = np.empty((len(times), 2))
    for axis in range(2):
        corner[:, axis] = _bounce(rng.uniform(0, free[axis]) + way[:, axis], free[axis])
    clock = np.cumsum(share * interval) * 1e6
    moved = np.r_[True, np.diff(clock) > 0]
    still_us = times - times[np.maximum.accumulate(np.where(moved, np.arange(len(times)), 0))]
    return Path(corner, clock, still_us)


def _bounce(position: Float64[np.ndarray, " F"], free: int) -> Float64[np.ndarray, " F"]:
    """Mirror a position at two walls, at 0 and at `free`."""
    if free <= 0:
        return np.zeros_like(position)
    folded: Float64[np.ndarray, " F"] = free - np.abs(position % (2 * free) - free)
    return folded
