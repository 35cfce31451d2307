"""How the objects of a simulated scene move: they bounce, stop, wait and start off elsewhere."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

__all__ = ["Path", "draw_path", "frame_times"]

MOVING = (1.0, 4.0)  # seconds between two stops
STOPPED = (0.5, 3.0)  # seconds of a stop
RAMP = 0.1  # seconds in which an object gets up to speed, and in which it brakes
SPEED = (0.1, 0.8)  # shares of the sensor's shorter side per second


class Path(NamedTuple):
    """Where one object is at every frame."""

    corner: Float64[np.ndarray, "F 2"]
    """Row and column of its top left corner, in pixels; between them at fractions of a pixel."""
    clock: Float64[np.ndarray, " F"]
    """Microseconds on a clock of its own, which runs at most as fast as ours and stands still
    while the object does."""
    still_us: Int64[np.ndarray, " F"]
    """Microseconds for which it has not moved."""


def frame_times(num_labels: int, label_period: int, frame_rate: float) -> Int64[np.ndarray, " F"]:
    """Times of the frames, in microseconds; one frame stands at each time of a label.

    Args:
        num_labels: times at which the scene is labelled, the first after one period.
        label_period: microseconds between two of them.
        frame_rate: frames per second, as near to it as the period allows.

    Returns:
        The times, from 0 to the last label's.
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
    """Draw the path of one object.

    It moves in a straight line, mirrored at the walls, for 1 to 4 seconds, stops for 0.5 to 3
    seconds, and starts off in another direction at another speed. It moves at first.

    Args:
        rng: draws.
        times: of the frames, in microseconds.
        free: how far down and to the right its corner may go, in pixels; the corner starts at
            0 or more.
        side: the sensor's shorter side, which speeds are a share of.

    Returns:
        The path.
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
    # What it does in the interval before a frame: at a stop these are zeros, so nothing creeps.
    interval = np.diff(seconds, prepend=0)
    way = np.cumsum(velocity * (share * interval)[:, None], axis=0)
    corner = np.empty((len(times), 2))
    for axis in range(2):
        corner[:, axis] = _bounce(rng.uniform(0, free[axis]) + way[:, axis], free[axis])
    clock = np.cumsum(share * interval) * 1e6
    moved = np.r_[True, np.diff(clock) > 0]
    still_us = times - times[np.maximum.accumulate(np.where(moved, np.arange(len(times)), 0))]
    return Path(corner, clock, still_us)


def _bounce(place: Float64[np.ndarray, " F"], free: int) -> Float64[np.ndarray, " F"]:
    """Where something is between two walls, at 0 and at `free`, that would be at `place`."""
    if free <= 0:
        return np.zeros_like(place)
    folded: Float64[np.ndarray, " F"] = free - np.abs(place % (2 * free) - free)
    return folded
