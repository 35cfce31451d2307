"""The stacked histogram of EvRT-DETR: counts without a limit, over the time from event to event."""

import numpy as np
from jaxtyping import Float32

from evdet.events.dtypes import Events, SensorSize
from evdet.events.representations.cells import count_in_micro_bins
from evdet.events.representations.grid import check_count, even_edges, frame_grid

__all__ = ["span_histogram"]

_UNLIMITED = 1 << 30


def span_histogram(
    events: Events,
    size: SensorSize,
    *,
    start: int,
    delta_t: int,
    out_size: tuple[int, int] | None = None,
    count_scale: float = 1.0,
    num_micro_bins: int = 10,
) -> Float32[np.ndarray, "C H W"]:
    """Count events per micro-bin and polarity, ON before OFF, without a limit.

    The micro-bins divide the time from the first event of the bin to the last.

    Args:
        events: `EVENT_DTYPE` records, in any order; may be empty.
        size: sensor size.
        start: first microsecond of the time bin; not used, but every representation takes it.
        delta_t: duration of the time bin, in microseconds; not used here.
        out_size: size of a smaller frame; the mean of pixels that fall together. At half the
            sensor's size it is bilinear interpolation.
        count_scale: factor on counts.
        num_micro_bins: parts of the time between first and last event.

    Returns:
        Counts. Channel micro-bin for ON events, `num_micro_bins` + micro-bin for OFF.

    Raises:
        ValueError: an event lies outside the sensor, or an argument is out of range.

    Source:
        Torbunov et al., "EvRT-DETR", ICCV 2025, https://arxiv.org/abs/2412.02890, and
        https://github.com/realtime-intelligence/evrt-detr (BSD-3).
    """
    check_count("num_micro_bins", num_micro_bins)
    grid = frame_grid(size, out_size)
    first, last = (int(events["t"].min()), int(events["t"].max())) if len(events) else (0, 0)
    cells = count_in_micro_bins(
        events,
        size,
        grid,
        start=first,
        edges=even_edges(last + 1 - first, num_micro_bins),
        stop_at=_UNLIMITED,
        is_wide=True,
    )
    off, on = cells.reshape(2, num_micro_bins, *grid.size)
    together = size.height * size.width / (grid.size.height * grid.size.width)
    frame = np.concatenate([on, off]).astype(np.float32)
    if count_scale != together:
        frame *= np.float32(count_scale / together)
    return frame
