"""Pixel and micro-bin of an event in a frame; checks of the arguments of representations."""

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
"""The largest single-precision number below 1: the maximum of a time surface."""
MAX_DELTA_T = 2**31 - 1
"""The longest time bin, in microseconds: 35 minutes. Times within a bin have 32 bits."""


class FrameGrid(NamedTuple):
    """The frame's pixel of each pixel of the sensor."""

    rows: Int64[np.ndarray, " h"]
    """For each sensor row: the number of pixels before its row of the frame."""
    columns: Int64[np.ndarray, " w"]
    """For each sensor column: its column of the frame."""
    size: SensorSize
    """The frame's size."""

    @property
    def num_pixels(self) -> int:
        """Pixels of the frame."""
        return self.size.height * self.size.width


def frame_grid(size: SensorSize, out_size: tuple[int, int] | None) -> FrameGrid:
    """Map the sensor's pixels to those of the frame; `out_size` None is the sensor's size.

    Raises:
        ValueError: the frame would be larger than the sensor, or empty.
    """
    out = size if out_size is None else SensorSize(*out_size)
    if not (1 <= out.height <= size.height and 1 <= out.width <= size.width):
        raise ValueError(
            f"out_size must be between 1x1 and the sensor's {size}, got {out}: enlarge the frame "
            "instead"
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
        ValueError: unknown variant, or RVT's files have no such frames.
    """
    if variant not in ("edges", "rvt"):
        raise ValueError(f"variant must be 'edges' or 'rvt', got {variant!r}")
    if not replay:
        return
    if variant != "rvt":
        raise ValueError(f"replay needs variant='rvt', got {variant!r}")
    half = (size.height // 2, size.width // 2)
    if out_size is not None and tuple(out_size) not in (tuple(size), half):
        raise ValueError(
            f"with replay, out_size must be the sensor's {size} or half of it, "
            f"{SensorSize(*half)}, as in RVT's files, got {SensorSize(*out_size)}"
        )


def even_edges(delta_t: int, num_micro_bins: int) -> Int64[np.ndarray, " edges"]:
    """Starts of the micro-bins that divide `delta_t`, and the end of the last one.

    Time t has the index t * num_micro_bins // delta_t.
    """
    return -(-np.arange(num_micro_bins + 1) * delta_t // num_micro_bins)


def rvt_edges(span: int, num_micro_bins: int) -> Int64[np.ndarray, " edges"]:
    """The same for RVT's micro-bins, which divide the time from the first event to the last.

    RVT computes the index in single precision, where a time at an edge may fall to either side,
    so the edges are searched in its arithmetic.

    Args:
        span: time from the first event of the bin to its last, in microseconds.
        num_micro_bins: number of micro-bins.

    Returns:
        The edges, relative to the first event; the last one lies after the last event.

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
