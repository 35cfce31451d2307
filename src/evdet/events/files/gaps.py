"""Long gaps between events: how many of their empty time bins are played."""

import logging
from collections.abc import Iterable, Iterator

from evdet.events.dtypes import TimeBin

__all__ = ["MAX_EMPTY_BINS", "skip_gaps", "warn_of_gap"]

_log = logging.getLogger(__name__)

MAX_EMPTY_BINS = 1000
"""Empty time bins in a row that are played to a detector; those of a longer gap are skipped."""


def skip_gaps(bins: Iterable[TimeBin], name: str) -> Iterator[TimeBin]:
    """Leave out the empty bins of a gap but for the first `MAX_EMPTY_BINS`, with one warning.

    Args:
        bins: consecutive time bins.
        name: the source, for messages.
    """
    num_empty, begin = 0, 0
    for time_bin in bins:
        if len(time_bin.events):
            if num_empty > MAX_EMPTY_BINS:
                warn_of_gap(name, begin, num_empty - MAX_EMPTY_BINS, time_bin.delta_t)
            num_empty = 0
            yield time_bin
            continue
        num_empty += 1
        if num_empty <= MAX_EMPTY_BINS:
            yield time_bin
        elif num_empty == MAX_EMPTY_BINS + 1:
            begin = time_bin.start


def warn_of_gap(name: str, begin: int, num: int, delta_t: int) -> None:
    """Log that empty bins are skipped.

    Args:
        name: the source.
        begin: time of the first, in microseconds.
        num: how many.
        delta_t: duration of a bin, in microseconds.
    """
    _log.warning(
        "%s: %d empty time bins are skipped: from t=%d us on there are no events for %.1f s. Only "
        "the first bins of a long gap are played",
        name, num, begin, num * delta_t / 1e6,
    )  # fmt: skip
