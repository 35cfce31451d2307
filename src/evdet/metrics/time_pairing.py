"""The boxes that belong to each annotated time."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

__all__ = ["BoxesAtTimes", "last_of_bins", "pair_spans", "rows_in_bins", "rows_within"]

Times = Int64[np.ndarray, " _"]


class BoxesAtTimes(NamedTuple):
    """Boxes assigned to annotated times, one entry each; a box may have several times."""

    frames: Int64[np.ndarray, " N"]
    """Index of the annotated time, ascending."""
    rows: Int64[np.ndarray, " N"]
    """Index of the box."""


def rows_within(times: Times, box_times: Times, tolerance: int) -> BoxesAtTimes:
    """Assign to each annotated time the boxes within a tolerance, inclusive.

    A box may be assigned to several times.

    Args:
        times: annotated times in microseconds, ascending.
        box_times: times of the boxes, in order.
        tolerance: largest distance in time, in microseconds.

    Example:
        >>> pairing = rows_within(np.array([100, 130]), np.array([49, 50, 150, 181]), 50)
        >>> pairing.frames, pairing.rows
        (array([0, 0, 1]), array([1, 2, 2]))
    """
    first = np.searchsorted(box_times, times - tolerance)
    stop = np.searchsorted(box_times, times + tolerance, side="right")
    return pair_spans(first, stop)


def rows_in_bins(times: Times, box_times: Times, delta_t: int) -> BoxesAtTimes:
    """Assign to each annotated time the boxes of its time bin.

    Detections are stamped with the end of their bin, so a label at the end of a bin gets the
    detections of the bin that ends there.

    Args:
        times: annotated times in microseconds, ascending, at most one per bin.
        box_times: times of the boxes, in order.
        delta_t: duration of a bin in microseconds; 0 requires equal times.
    """
    bins, box_bins = _bins_of(times, delta_t), _bins_of(box_times, delta_t)
    return pair_spans(
        np.searchsorted(box_bins, bins), np.searchsorted(box_bins, bins, side="right")
    )


def last_of_bins(times: Times, delta_t: int) -> Times:
    """Keep the last annotated time of each time bin, which the bin's frame shows.

    Args:
        times: annotated times in microseconds, ascending.
        delta_t: duration of a bin in microseconds; 0 keeps all.
    """
    bins = _bins_of(times, delta_t)
    is_last = np.append(bins[1:] != bins[:-1], np.ones(min(1, len(bins)), bool))
    kept: Times = times[is_last]
    return kept


def pair_spans(first: Times, stop: Times) -> BoxesAtTimes:
    """Assign to each annotated time a span of boxes.

    Args:
        first: index of the first box of each time.
        stop: index after the last box; equal to `first` for an empty span.
    """
    counts = stop - first
    starts = np.cumsum(counts) - counts
    rows = np.arange(counts.sum()) + np.repeat(first - starts, counts)
    return BoxesAtTimes(np.repeat(np.arange(len(counts)), counts), rows)


def _bins_of(times: Times, delta_t: int) -> Times:
    """Bin k is k * delta_t < t <= (k + 1) * delta_t, as for labels in training."""
    bins: Times = times if delta_t == 0 else (times - (times != 0)) // delta_t
    return bins
