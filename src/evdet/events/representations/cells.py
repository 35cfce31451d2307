"""Events of a time bin -> cells of integers -> frame: the compiled loops of the representations.

Cells are counted in integers, weights included, and divided once at the end. So the order of
events does not matter, and a device that counts the same way makes the same frame.

Every function takes events in any order and raises ValueError for an event outside the sensor or,
where its time matters, outside the bin.
"""

import typing

import numpy as np
from jaxtyping import Float32, Int32, Int64, Integer, UInt8

from evdet.compiled import kernel
from evdet.events.bounds import raise_if_out_of_time, raise_if_outside, readable
from evdet.events.dtypes import Events, SensorSize
from evdet.events.representations.grid import FrameGrid

__all__ = [
    "count_in_micro_bins",
    "count_per_pixel",
    "divide_cells",
    "keep_latest",
    "share_between_micro_bins",
]

_UNBOUNDED = 1 << 62


def count_per_pixel(
    events: Events, size: SensorSize, grid: FrameGrid, *, is_split: bool
) -> Int32[np.ndarray, " cells"]:
    """Count events: OFF and ON in a plane of cells each, or ON minus OFF in one.

    Args:
        events: the events.
        size: the sensor's size.
        grid: the frame's pixels.
        is_split: whether each polarity has its own plane.
    """
    events = readable(events)
    cells = np.zeros((2 if is_split else 1) * grid.num_pixels, np.int32)
    stride, off_weight = (grid.num_pixels, 1) if is_split else (0, -1)
    if _count(events, grid.rows, grid.columns, stride, off_weight, cells):
        raise_if_outside(events, size)
    return cells


def count_in_micro_bins(
    events: Events,
    size: SensorSize,
    grid: FrameGrid,
    *,
    start: int,
    edges: Int64[np.ndarray, " edges"],
    stop_at: int,
    is_wide: bool = False,
) -> UInt8[np.ndarray, " cells"] | Int32[np.ndarray, " cells"]:
    """Count events per polarity and micro-bin, in this order of planes.

    Args:
        events: the events.
        size: the sensor's size.
        grid: the frame's pixels.
        start: first microsecond of the time bin.
        edges: where micro-bins begin, after `start`, and where the last one ends.
        stop_at: highest count; with 256 a count wraps, as bytes do.
        is_wide: whether counts may be higher than a byte holds.
    """
    events = readable(events)
    stride = (len(edges) - 1) * grid.num_pixels
    cells = np.zeros(2 * stride, np.int32 if is_wide else np.uint8)
    if _count_in_micro_bins(
        events, grid.rows, grid.columns, start, edges, grid.num_pixels, stride, stop_at, cells
    ):
        raise_if_outside(events, size)
        raise_if_out_of_time(events, start, int(edges[-1]))
    return cells


def keep_latest(
    events: Events,
    size: SensorSize,
    grid: FrameGrid,
    *,
    start: int,
    edges: Int64[np.ndarray, " edges"],
) -> Int32[np.ndarray, " cells"]:
    """Keep the latest time after `start` per micro-bin and polarity, in this order of planes.

    Args:
        events: the events.
        size: the sensor's size.
        grid: the frame's pixels.
        start: first microsecond of the time bin.
        edges: where micro-bins begin, after `start`, and where the last one ends.
    """
    events = readable(events)
    cells = np.zeros(2 * (len(edges) - 1) * grid.num_pixels, np.int32)
    if _keep_latest(events, grid.rows, grid.columns, start, edges, grid.num_pixels, cells):
        raise_if_outside(events, size)
        raise_if_out_of_time(events, start, int(edges[-1]))
    return cells


def share_between_micro_bins(
    events: Events,
    size: SensorSize,
    grid: FrameGrid,
    *,
    start: int,
    delta_t: int,
    num_micro_bins: int,
    line: tuple[int, int, int],
    is_split: bool,
) -> Int64[np.ndarray, " cells"]:
    """Share each event between the two nearest micro-bins.

    Args:
        events: the events.
        size: the sensor's size.
        grid: the frame's pixels.
        start: first microsecond of the time bin.
        delta_t: its duration.
        num_micro_bins: parts of the bin.
        line: (scale, offset, unit). An event lies at ((t - start) * scale + offset) / unit, in
            micro-bins, and its two shares add up to `unit`.
        is_split: whether each micro-bin has a plane for OFF and one for ON; otherwise one in which
            OFF events are negative.
    """
    events = readable(events)
    planes = 2 if is_split else 1
    cells = np.zeros(planes * num_micro_bins * grid.num_pixels, np.int64)
    strides = (planes * grid.num_pixels, (planes - 1) * grid.num_pixels)
    where = (grid.rows, grid.columns, start, delta_t, num_micro_bins)
    if _share(events, *where, line, strides, 1 if is_split else -1, cells):
        raise_if_outside(events, size)
        raise_if_out_of_time(events, start, delta_t)
    return cells


def divide_cells(
    cells: Integer[np.ndarray, " cells"],
    grid: FrameGrid,
    *,
    divisor: int,
    lowest: int = -_UNBOUNDED,
    highest: int = _UNBOUNDED,
    count_scale: float = 1.0,
) -> Float32[np.ndarray, "C H W"]:
    """Scale the cells, clip them to [lowest, highest] and divide them in single precision."""
    if count_scale != 1:
        clipped = np.clip(cells * count_scale, lowest, highest)
        return (clipped / divisor).astype(np.float32).reshape(-1, *grid.size)
    frame = np.empty(len(cells), np.float32)
    # No sum reaches this bound; a higher one would not fit into the kernel's integers.
    _divide(cells, lowest, min(highest, _UNBOUNDED), np.float32(divisor), frame)
    return frame.reshape(-1, *grid.size)


@kernel
@typing.no_type_check
def _count(events, rows, columns, polarity_stride, off_weight, cells):
    """Return the number of events outside, like every loop here."""
    height, width, num_refused = len(rows), len(columns), 0
    for i in range(len(events)):
        event = events[i]
        x, y, p = event.x, event.y, event.p
        if x >= width or y >= height or p > 1:
            num_refused += 1
            continue
        cells[p * polarity_stride + rows[y] + columns[x]] += 1 if p else off_weight
    return num_refused


@kernel
@typing.no_type_check
def _count_in_micro_bins(
    events, rows, columns, start, edges, bin_stride, polarity_stride, stop_at, cells
):
    height, width, num_refused = len(rows), len(columns), 0
    # Events are usually in order of time, so the micro-bin is searched only when it changes.
    low, high, base = 0, 0, 0
    for i in range(len(events)):
        event = events[i]
        x, y, p, since_start = event.x, event.y, event.p, event.t - start
        if x >= width or y >= height or p > 1 or since_start < 0 or since_start >= edges[-1]:
            num_refused += 1
            continue
        if since_start < low or since_start >= high:
            k = 0
            while since_start >= edges[k + 1]:
                k += 1
            low, high, base = edges[k], edges[k + 1], k * bin_stride
        cell = base + p * polarity_stride + rows[y] + columns[x]
        count = cells[cell]
        if count < stop_at:
            cells[cell] = count + 1
    return num_refused


@kernel
@typing.no_type_check
def _keep_latest(events, rows, columns, start, edges, polarity_stride, cells):
    height, width, num_refused = len(rows), len(columns), 0
    low, high, base = 0, 0, 0
    for i in range(len(events)):
        event = events[i]
        x, y, p, since_start = event.x, event.y, event.p, event.t - start
        if x >= width or y >= height or p > 1 or since_start < 0 or since_start >= edges[-1]:
            num_refused += 1
            continue
        if since_start < low or since_start >= high:
            k = 0
            while since_start >= edges[k + 1]:
                k += 1
            low, high, base = edges[k], edges[k + 1], k * 2 * polarity_stride
        cell = base + p * polarity_stride + rows[y] + columns[x]
        cells[cell] = max(cells[cell], since_start)
    return num_refused


@kernel
@typing.no_type_check
def _share(events, rows, columns, start, delta_t, num_bins, line, strides, off_sign, cells):
    height, width, num_refused = len(rows), len(columns), 0
    scale, offset, unit = line
    bin_stride, polarity_stride = strides
    low, high, base = 0, 0, 0
    has_first, has_second = False, False
    for i in range(len(events)):
        event = events[i]
        x, y, p, since_start = event.x, event.y, event.p, event.t - start
        if x >= width or y >= height or p > 1 or since_start < 0 or since_start >= delta_t:
            num_refused += 1
            continue
        place = since_start * scale + offset
        if place < low or place >= high:
            k = place // unit
            low, high, base = k * unit, (k + 1) * unit, k * bin_stride
            has_first, has_second = k >= 0, k + 1 < num_bins
        cell = base + p * polarity_stride + rows[y] + columns[x]
        sign = 1 if p else off_sign
        if has_first:
            cells[cell] += sign * (high - place)
        if has_second:
            cells[cell + bin_stride] += sign * (place - low)
    return num_refused


@kernel
@typing.no_type_check
def _divide(cells, lowest, highest, divisor, frame):
    for i in range(len(cells)):
        frame[i] = np.float32(min(max(cells[i], lowest), highest)) / divisor
