"""Events of one time bin -> one dense frame.

A representation is a pure function ``f(events, size, *, start, delta_t, out_size=None, ...)``. It
does not change `events`, accepts an empty bin, and does not depend on the order of the events. All
representations share these arguments:

- `size` is the sensor's, `out_size` that of a smaller frame, both (height, width). A pixel x falls
  into column x * out_width // width, a row likewise, for any size up to the sensor's.
- `start` and `delta_t` are the bin's, in microseconds.
- `count_scale` is a factor on counts and sums, before they saturate, for time bins that do not last
  as long as those of a training. Time surfaces, which have none, ignore it.
- k micro-bins divide [start, start + delta_t): time t has the index (t - start) * k // delta_t.

An event outside the sensor raises ValueError, and so does one outside [start, start + delta_t)
where its time matters. `REPRESENTATIONS` has them by name. torch_twins.py makes the same frames
from tensors; docs/concepts/time_bins.md compares them.
"""

import math
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Shaped, UInt8

from evdet.events.dtypes import Events, SensorSize
from evdet.events.representations.cells import (
    count_in_micro_bins,
    count_per_pixel,
    divide_cells,
    keep_latest,
    share_between_micro_bins,
)
from evdet.events.representations.grid import (
    BELOW_ONE,
    check_count,
    check_variant,
    even_edges,
    frame_grid,
    rvt_edges,
)

__all__ = [
    "REPRESENTATIONS",
    "MakeFrame",
    "Representation",
    "diff",
    "event_cube",
    "histogram",
    "multi_channel_time_surface",
    "stacked_histogram",
    "time_surface",
    "voxel_grid",
]

Frame = Float32[np.ndarray, "C H W"]
ByteFrame = UInt8[np.ndarray, "C H W"]


def histogram(
    events: Events,
    size: SensorSize,
    *,
    start: int = 0,
    delta_t: int = 1,
    out_size: tuple[int, int] | None = None,
    count_scale: float = 1.0,
    max_count: int = 5,
) -> Frame:
    """Count events per pixel and polarity.

    Args:
        events: `EVENT_DTYPE` records, in any order; may be empty.
        size: sensor size.
        start: first microsecond of the time bin; not used, but every representation takes it.
        delta_t: duration of the time bin, in microseconds; not used here.
        out_size: size of a smaller frame; values of pixels that fall together add up.
        count_scale: factor on counts, before they saturate.
        max_count: events per pixel of the frame that give 1.0; higher counts saturate.

    Returns:
        Values in [0, 1]: channel 0 counts OFF events, channel 1 ON.

    Raises:
        ValueError: an event lies outside the sensor, or an argument is out of range.

    Source:
        Maqueda et al., "Event-based vision meets deep learning on steering prediction for
        self-driving cars", CVPR 2018, https://arxiv.org/abs/1804.01310.

    Example:
        >>> from evdet.events import EVENT_DTYPE
        >>> events = np.array([(5, 1, 0, 1), (9, 1, 0, 1)], dtype=EVENT_DTYPE)
        >>> histogram(events, SensorSize(1, 2), max_count=4)[1]
        array([[0. , 0.5]], dtype=float32)
    """
    check_count("max_count", max_count)
    grid = frame_grid(size, out_size)
    cells = count_per_pixel(events, size, grid, is_split=True)
    return divide_cells(cells, grid, divisor=max_count, highest=max_count, count_scale=count_scale)


def diff(
    events: Events,
    size: SensorSize,
    *,
    start: int = 0,
    delta_t: int = 1,
    out_size: tuple[int, int] | None = None,
    count_scale: float = 1.0,
    max_count: int = 5,
) -> Frame:
    """Count ON events minus OFF events per pixel, in one channel.

    It takes what `histogram` takes; a difference of `max_count` gives 1.0 or -1.0, larger ones
    saturate.

    Returns:
        Values in [-1, 1].
    """
    check_count("max_count", max_count)
    grid = frame_grid(size, out_size)
    cells = count_per_pixel(events, size, grid, is_split=False)
    return divide_cells(
        cells,
        grid,
        divisor=max_count,
        lowest=-max_count,
        highest=max_count,
        count_scale=count_scale,
    )


def time_surface(
    events: Events,
    size: SensorSize,
    *,
    start: int,
    delta_t: int,
    out_size: tuple[int, int] | None = None,
    count_scale: float = 1.0,
) -> Frame:
    """Time of the latest event of each pixel and polarity, relative to the bin.

    It takes what `histogram` takes; of pixels that fall together the latest event counts.

    Returns:
        (t - start) / delta_t in [0, 1), and 0 without events: channel 0 OFF, channel 1 ON.

    Raises:
        ValueError: an event lies outside the sensor or the bin, or an argument is out of range.
    """
    return multi_channel_time_surface(
        events, size, start=start, delta_t=delta_t, out_size=out_size, num_micro_bins=1
    )


def multi_channel_time_surface(
    events: Events,
    size: SensorSize,
    *,
    start: int,
    delta_t: int,
    out_size: tuple[int, int] | None = None,
    count_scale: float = 1.0,
    num_micro_bins: int = 3,
) -> Frame:
    """A time surface of each micro-bin; times are relative to the whole bin.

    It takes what `histogram` takes, and `num_micro_bins`: parts of the bin. Of pixels that fall
    together the latest event counts.

    Returns:
        (t - start) / delta_t of the latest event of a micro-bin, in [0, 1), and 0 without events.
        Channel 2 * micro-bin + polarity.

    Raises:
        ValueError: an event lies outside the sensor or the bin, or an argument is out of range.
    """
    check_count("delta_t", delta_t)
    check_count("num_micro_bins", num_micro_bins)
    grid = frame_grid(size, out_size)
    edges = even_edges(delta_t, num_micro_bins)
    cells = keep_latest(events, size, grid, start=start, edges=edges)
    frame = divide_cells(cells, grid, divisor=delta_t)
    # Only in a bin this long can a quotient round up to 1.
    return frame if delta_t <= 1 << 24 else np.minimum(frame, np.float32(BELOW_ONE))


def event_cube(
    events: Events,
    size: SensorSize,
    *,
    start: int,
    delta_t: int,
    out_size: tuple[int, int] | None = None,
    count_scale: float = 1.0,
    num_micro_bins: int = 3,
    max_count: int = 5,
) -> Frame:
    """Count events per micro-bin and polarity, each shared between the two nearest micro-bins.

    An event lies at t* = (t - start) * num_micro_bins / delta_t - 0.5 and adds the weight
    1 - abs(t* - i) to the micro-bins i on either side. In the first and last half micro-bin one
    of them does not exist, and its share is lost.

    It takes what `histogram` takes, and `num_micro_bins`: parts of the bin; the RED paper has 5. A
    weight of `max_count` gives 1.0; more saturates.

    Returns:
        Values in [0, 1]. Channel 2 * micro-bin + polarity.

    Raises:
        ValueError: an event lies outside the sensor or the bin, or an argument is out of range.

    Source:
        Perot et al., "Learning to detect objects with a 1 megapixel event camera", NeurIPS 2020,
        https://arxiv.org/abs/2009.13436.
    """
    check_count("delta_t", delta_t)
    check_count("num_micro_bins", num_micro_bins)
    check_count("max_count", max_count)
    grid = frame_grid(size, out_size)
    cells = share_between_micro_bins(
        events,
        size,
        grid,
        start=start,
        delta_t=delta_t,
        num_micro_bins=num_micro_bins,
        line=(2 * num_micro_bins, -delta_t, 2 * delta_t),
        is_split=True,
    )
    full = max_count * 2 * delta_t
    return divide_cells(cells, grid, divisor=full, highest=full, count_scale=count_scale)


def voxel_grid(
    events: Events,
    size: SensorSize,
    *,
    start: int,
    delta_t: int,
    out_size: tuple[int, int] | None = None,
    count_scale: float = 1.0,
    num_micro_bins: int = 5,
) -> Frame:
    """Add up polarities, +1 for ON and -1 for OFF, each shared between the two nearest grid times.

    An event lies at t* = (t - start) * (num_micro_bins - 1) / delta_t and adds the weight
    1 - abs(t* - i) to the grid times i on either side: together 1, at the borders too.

    It takes what `histogram` takes, and `num_micro_bins`: grid times, from the start of the bin to
    its end.

    Returns:
        Unbounded sums, one channel for each grid time.

    Raises:
        ValueError: an event lies outside the sensor or the bin, or an argument is out of range.

    Source:
        Zhu et al., "Unsupervised event-based learning of optical flow, depth, and egomotion",
        CVPR 2019, https://arxiv.org/abs/1812.08156 (there between the first and the last event).
    """
    check_count("delta_t", delta_t)
    check_count("num_micro_bins", num_micro_bins)
    grid = frame_grid(size, out_size)
    cells = share_between_micro_bins(
        events,
        size,
        grid,
        start=start,
        delta_t=delta_t,
        num_micro_bins=num_micro_bins,
        line=(num_micro_bins - 1, 0, delta_t),
        is_split=False,
    )
    return divide_cells(cells, grid, divisor=delta_t, count_scale=count_scale)


def stacked_histogram(
    events: Events,
    size: SensorSize,
    *,
    start: int,
    delta_t: int,
    out_size: tuple[int, int] | None = None,
    count_scale: float = 1.0,
    num_micro_bins: int = 10,
    max_count: int = 10,
    variant: str = "edges",
    replay: bool = False,
) -> ByteFrame:
    """Count events per micro-bin and polarity, in bytes.

    Args:
        events: `EVENT_DTYPE` records, in any order; may be empty.
        size: sensor size.
        start: first microsecond of the time bin.
        delta_t: its duration, in microseconds.
        out_size: size of a smaller frame; counts of pixels that fall together add up.
        count_scale: factor on counts, which are then rounded; not used with `replay`.
        num_micro_bins: parts of the bin.
        max_count: the highest count, at most 255; higher ones saturate.
        variant: "edges", or "rvt": the micro-bins divide the time from the first event of the
            bin to the last, in RVT's arithmetic. It does not use `start` and `delta_t`.
        replay: with "rvt", reproduce RVT's published frames: counts wrap at 256 before they are
            clipped, and half the size keeps only the pixels with odd x and y.

    Returns:
        Counts in [0, max_count]. Channel polarity * num_micro_bins + micro-bin.

    Raises:
        ValueError: an event lies outside the sensor or the bin, or an argument is out of range.

    Source:
        Gehrig and Scaramuzza, RVT, CVPR 2023, https://github.com/uzh-rpg/RVT (MIT), of which
        data/utils/representations.py and scripts/genx/preprocess_dataset.py.
    """
    check_count("delta_t", delta_t)
    check_count("num_micro_bins", num_micro_bins)
    check_count("max_count", max_count, 255)
    check_variant(variant, replay, size, out_size)
    edges = even_edges(delta_t, num_micro_bins)
    if variant == "rvt" and len(events):
        start, last = int(events["t"].min()), int(events["t"].max())
        edges = rvt_edges(last - start, num_micro_bins)
    grid = frame_grid(size, None if replay else out_size)
    stop_at = 256 if replay else min(255, math.ceil(max_count / count_scale))
    cells = count_in_micro_bins(events, size, grid, start=start, edges=edges, stop_at=stop_at)
    frame = cells.reshape(-1, *grid.size)
    if count_scale != 1 and not replay:
        frame = np.minimum(np.rint(frame * count_scale), max_count).astype(np.uint8)
    if replay:
        np.minimum(frame, np.uint8(max_count), out=frame)
        if out_size is not None and tuple(out_size) != tuple(size):
            frame = np.ascontiguousarray(frame[:, 1::2, 1::2])
    return frame


@runtime_checkable
class MakeFrame(Protocol):
    """The signature that all representations share."""

    def __call__(
        self,
        events: Events,
        size: SensorSize,
        *,
        start: int,
        delta_t: int,
        out_size: tuple[int, int] | None = None,
        count_scale: float = 1.0,
    ) -> Shaped[np.ndarray, "C H W"]:
        """Make the frame of one bin."""


class Representation(NamedTuple):
    """A representation with its default arguments."""

    make: MakeFrame
    num_channels: int
    dtype: type[np.float32] | type[np.uint8]


REPRESENTATIONS: dict[str, Representation] = {
    "diff": Representation(diff, 1, np.float32),
    "event_cube": Representation(event_cube, 6, np.float32),
    "histogram": Representation(histogram, 2, np.float32),
    "multi_channel_time_surface": Representation(multi_channel_time_surface, 6, np.float32),
    "stacked_histogram": Representation(stacked_histogram, 20, np.uint8),
    "time_surface": Representation(time_surface, 2, np.float32),
    "voxel_grid": Representation(voxel_grid, 5, np.float32),
}
"""By name, with channels and type of the frame."""
