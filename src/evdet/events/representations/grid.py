"""Which pixel of a frame, and which part of a slice, an event belongs to; what can be asked for."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from evdet.events.dtypes import SensorSize

__all__ = [
    "BELOW_ONE",
    "MAX_DELTA_T",
    "FrameGrid",
    "check_count",
    "check_variant",
    "even_edges",
    "frame_grid",
    "rvt_edges",
]

BELOW_ONE = float(np.nextafter(np.float32(1), np.float32(0)))
"""The largest single-precision number below 1: where a time surface ends."""
MAX_DELTA_T = 2**31 - 1
"""The longest slice, in microseconds: 35 minutes. Times within a slice are kept in 32 bits."""


class FrameGrid(NamedTuple):
    """Where the sensor's pixels lie in a frame."""

    rows: Int64[np.ndarray, " h"]
    """Of each sensor row: the number of pixels before its row of the frame."""
    columns: Int64[np.ndarray, " w"]
    """Of each sensor column: its column of the frame."""
    size: SensorSize
    """The frame's size."""

    @property
    def num_pixels(self) -> int:
        """Pixels of the frame."""
        return self.size.height * self.size.width


def frame_grid(size: SensorSize, out_size: tuple[int, int] | None) -> FrameGrid:
    """Share the sensor's pixels out to those of the frame.

    Args:
        size: the sensor's.
        out_size: the frame's; None is the sensor's.

    Raises:
        ValueError: the frame would be larger than the sensor, or empty.
    """
    out = size if out_size is None else SensorSize(*out_size)
    if not (1 <= out.height <= size.height and 1 <= out.width <= size.width):
        raise ValueError(
            f"out_size must be between 1x1 and the sensor's {size}, got {out}. "
            "Events have no more pixels than the sensor: enlarge the frame instead."
        )
    rows = np.arange(size.height) * out.height // size.height * out.width
    return FrameGrid(rows, np.arange(size.width) * out.width // size.width, out)


def check_count(name: str, value: int, highest: int = MAX_DELTA_T) -> None:
    """Check a number of events or micro-bins.

    Raises:
        ValueError: it is not in [1, highest].
    """
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    if value > highest:
        raise ValueError(f"{name} must be at most {highest}, got {value}")


def check_variant(
    variant: str, replay: bool, size: SensorSize, out_size: tuple[int, int] | None
) -> None:
    """Check the options of the stacked histogram.

    Raises:
        ValueError: there is no such variant, or RVT's files have no such frames.
    """
    if variant not in ("edges", "rvt"):
        raise ValueError(f"variant must be 'edges' or 'rvt', got {variant!r}")
    if not replay:
        return
    if variant != "rvt":
        raise ValueError(f"replay repeats what RVT does: it needs variant='rvt', got {variant!r}")
    half = (size.height // 2, size.width // 2)
    if out_size is not None and tuple(out_size) not in (tuple(size), half):
        raise ValueError(
            f"replay makes frames of the sensor's size {size} or of half of it, "
            f"{SensorSize(*half)}, as RVT's files have them; got {SensorSize(*out_size)}"
        )


def even_edges(delta_t: int, num_micro_bins: int) -> Int64[np.ndarray, " edges"]:
    """Where micro-bins begin that divide `delta_t`, and where the last one ends.

    Time t is in number t * num_micro_bins // delta_t, in whole numbers.
    """
    return -(-np.arange(num_micro_bins + 1) * delta_t // num_micro_bins)


def rvt_edges(span: int, num_micro_bins: int) -> Int64[np.ndarray, " edges"]:
    """The same for RVT's micro-bins, which divide the time from the first event to the last.

    RVT finds the number in single precision, where a time at an edge may fall to either side of
    it; so the edges are looked for in its own arithmetic.

    Args:
        span: time from the first event of the window to its last, in microseconds.
        num_micro_bins: how many there are.

    Returns:
        The edges, from the first event on; the last one lies after the last event.

    Source:
        StackedHistogram in data/utils/representations.py, https://github.com/uzh-rpg/RVT (MIT).
    """
    numbers = np.arange(num_micro_bins)[:, None]
    # Three roundings to 24 bits move an edge by less than this.
    reach = 2 + (span >> 21)
    times = numbers * span // num_micro_bins + np.arange(-reach, reach + 1)
    share = times.astype(np.float32) / np.float32(max(span, 1)) * np.float32(num_micro_bins)
    is_reached = np.argmax(share >= numbers, axis=1)[:, None]
    return np.append(np.take_along_axis(times, is_reached, axis=1), span + 1)
