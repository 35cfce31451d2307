"""A recording -> its statistics, in one pass and constant RAM."""

import typing
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64, Int64

from evdet.compiled import kernel
from evdet.events.dtypes import Events, RecordingError
from evdet.events.recording import Recording

__all__ = ["LONG_GAP", "PEAK_WINDOW", "RateOverTime", "RecordingSummary", "summarize"]

LONG_GAP = 100_000
"""Microseconds without events that count as a gap."""
PEAK_WINDOW = 10_000
"""Microseconds over which the peak rate is averaged."""

# `Recording.size_source` where the file states no size.
_FROM_EVENTS = "from the events"
# Bins of the rate over time; their duration is a power of two of microseconds.
_NUM_BINS = 4096
# Only the latest peak intervals are kept: no event comes later than MAX_STEP_BACK.
_RING = 8
# Larger sensors do not exist, and damaged coordinates must not allocate gigabytes.
_MAX_PIXELS = 1 << 25
# Indices into the kernel's state.
_ON, _LATEST, _PREVIOUS, _BACK, _LARGEST, _WINDOW, _PEAK, _GAP, _GAP_AT, _GAPS, _GAP_SUM = range(11)


@dataclass(frozen=True)
class RateOverTime:
    """Events of each polarity over time."""

    edges: Int64[np.ndarray, " edges"]
    """Starts of the bins and end of the last one, in microseconds."""
    counts: Int64[np.ndarray, "2 bins"]
    """OFF and ON events of each bin."""

    def resample(self, num_bins: int) -> "RateOverTime":
        """Distribute the events over `num_bins` bins of equal duration, rounded to whole events.

        There are at most as many bins as microseconds.
        """
        first, end = int(self.edges[0]), int(self.edges[-1])
        num_bins = max(1, min(num_bins, end - first))
        # Relative to the first: absolute times exceed the precision of a float.
        old = (self.edges - first).astype(np.float64)
        new = np.round(np.linspace(0, end - first, num_bins + 1))
        counts = [
            np.diff(np.round(np.interp(new, old, np.concatenate([[0], np.cumsum(row)]))))
            for row in self.counts
        ]
        return RateOverTime(new.astype(np.int64) + first, np.stack(counts).astype(np.int64))

    def per_second(self) -> Float64[np.ndarray, "2 bins"]:
        """The rate of each polarity in each bin, in events per second."""
        rates: Float64[np.ndarray, "2 bins"] = self.counts / np.diff(self.edges) * 1e6
        return rates


@dataclass(frozen=True, kw_only=True)
class RecordingSummary:
    """The result of one pass over a recording. Times are in microseconds."""

    num_events: int
    num_on: int
    start: int | None
    """Time of the earliest event; None without events."""
    end: int | None
    num_steps_back: int
    """Events that are earlier than the one before them in the file."""
    largest_step_back: int
    """The largest step back in time."""
    num_gaps: int
    """Gaps of more than `LONG_GAP` without any event."""
    gaps_duration: int
    """Their total duration."""
    longest_gap: int
    longest_gap_start: int | None
    peak_rate: float
    """The most events per second over `PEAK_WINDOW`; never less than the mean."""
    rate: RateOverTime
    pixel_counts: Int64[np.ndarray, "H W"]
    """Events of each pixel; where the sensor's size is not known, of the size that the events
    need, or (0, 0) if that is larger than any sensor."""
    problem: str | None
    """Why reading ended before the end of the file."""

    @property
    def duration(self) -> int:
        """From the earliest to the latest event."""
        return 0 if self.start is None or self.end is None else self.end - self.start

    @property
    def mean_rate(self) -> float:
        """Events per second; 0 without a duration."""
        return self.num_events / self.duration * 1e6 if self.duration else 0.0


def summarize(
    recording: Recording, *, progress: Callable[[int], object] | None = None
) -> RecordingSummary:
    """Read a recording once, up to damage, and compute its statistics.

    Args:
        recording: the recording.
        progress: called with the number of events of each block.
    """
    tally = _Tally()
    if recording.size_source != _FROM_EVENTS:
        tally.grow(recording.size.width, recording.size.height)
    problem = None
    try:
        for block in recording.blocks():
            tally.add(block)
            if progress is not None:
                progress(len(block))
    except RecordingError as error:
        problem = str(error)
    return tally.finish(problem)


@dataclass
class _Tally:
    """The counts so far."""

    num_events: int = 0
    start: int | None = None
    end: int | None = None
    shift: int = 0
    base: int = 0
    bins: Int64[np.ndarray, "2 bins"] = field(
        default_factory=lambda: np.zeros((2, _NUM_BINS), np.int64)
    )
    pixels: Int64[np.ndarray, "H W"] = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    is_any_size: bool = True
    ring: Int64[np.ndarray, " ring"] = field(default_factory=lambda: np.zeros(_RING, np.int64))
    state: Int64[np.ndarray, " state"] = field(default_factory=lambda: np.zeros(11, np.int64))

    def add(self, block: Events) -> None:
        """Count a block of events."""
        if not len(block):
            return
        if not self.num_events:
            self.state[[_LATEST, _PREVIOUS]] = int(block["t"][0])
            self.state[_WINDOW] = int(block["t"][0]) // PEAK_WINDOW
        first, last, x, y = (int(value) for value in _extent(block))
        self.start = first if self.start is None else min(self.start, first)
        self.end = last if self.end is None else max(self.end, last)
        self._widen()
        self.grow(x + 1, y + 1)
        _count(block, self.bins, self.base, self.shift, self.pixels, self.ring, self.state)
        self.num_events += len(block)

    def grow(self, width: int, height: int) -> None:
        """Enlarge the pixel counts to at least this size."""
        old = self.pixels.shape
        height, width = max(height, old[0]), max(width, old[1])
        if height * width > _MAX_PIXELS:
            self.is_any_size = False
            self.pixels = np.zeros((0, 0), np.int64)
        elif self.is_any_size and (height, width) != old:
            self.pixels = np.pad(self.pixels, ((0, height - old[0]), (0, width - old[1])))

    def finish(self, problem: str | None) -> RecordingSummary:
        """The summary of all blocks."""
        state = [int(value) for value in self.state]
        start, end = self.start, self.end
        peak = max(state[_PEAK], int(self.ring.max())) / PEAK_WINDOW * 1e6
        duration = 0 if start is None or end is None else end - start
        return RecordingSummary(
            num_events=self.num_events,
            num_on=state[_ON],
            start=start,
            end=end,
            num_steps_back=state[_BACK],
            largest_step_back=state[_LARGEST],
            num_gaps=state[_GAPS],
            gaps_duration=state[_GAP_SUM],
            longest_gap=state[_GAP],
            longest_gap_start=state[_GAP_AT] if state[_GAP] else None,
            peak_rate=max(peak, self.num_events / duration * 1e6 if duration else 0.0),
            rate=self._rate(),
            pixel_counts=self.pixels,
            problem=problem,
        )

    def _widen(self) -> None:
        """Widen the bins until all times fit, and move their counts."""
        first, last = self.start or 0, self.end or 0
        shift = self.shift
        while (last >> shift) - (first >> shift) >= _NUM_BINS:
            shift += 1
        base = first >> shift
        if (shift, base) != (self.shift, self.base):
            moved = np.zeros_like(self.bins)
            filled = np.flatnonzero(self.bins.any(axis=0))
            target = ((filled + self.base) >> (shift - self.shift)) - base
            for row, old in zip(moved, self.bins, strict=True):
                np.add.at(row, target, old[filled])
            self.shift, self.base, self.bins = shift, base, moved

    def _rate(self) -> RateOverTime:
        if self.start is None or self.end is None:
            return RateOverTime(np.zeros(2, np.int64), np.zeros((2, 1), np.int64))
        num_bins = (self.end >> self.shift) - self.base + 1
        edges = (self.base + np.arange(num_bins + 1, dtype=np.int64)) << self.shift
        edges[0], edges[-1] = self.start, self.end + 1
        return RateOverTime(edges, self.bins[:, :num_bins].copy())


@kernel
@typing.no_type_check
def _extent(events: Events) -> tuple[int, int, int, int]:
    """Earliest and latest time, largest x and y."""
    first = last = events[0].t
    x = y = np.uint16(0)
    for i in range(len(events)):
        first = min(first, events[i].t)
        last = max(last, events[i].t)
        x = max(x, events[i].x)
        y = max(y, events[i].y)
    return first, last, x, y


@kernel
@typing.no_type_check
def _count(
    events: Events,
    bins: Int64[np.ndarray, "2 bins"],
    base: int,
    shift: int,
    pixels: Int64[np.ndarray, "H W"],
    ring: Int64[np.ndarray, " ring"],
    state: Int64[np.ndarray, " state"],
) -> None:
    """Count every event in its bin, pixel and peak interval, and steps back and gaps in time."""
    on, latest, previous = state[_ON], state[_LATEST], state[_PREVIOUS]
    window = state[_WINDOW]
    has_pixels = pixels.size > 0
    for i in range(len(events)):
        t = events[i].t
        p = 1 if events[i].p else 0
        on += p
        bins[p, (t >> shift) - base] += 1
        if has_pixels:
            pixels[events[i].y, events[i].x] += 1
        if t < previous:
            state[_BACK] += 1
        previous = t
        if t < latest:
            state[_LARGEST] = max(state[_LARGEST], latest - t)
        elif t > latest:
            gap = t - latest
            if gap > state[_GAP]:
                state[_GAP], state[_GAP_AT] = gap, latest
            if gap > LONG_GAP:
                state[_GAPS] += 1
                state[_GAP_SUM] += gap
            latest = t
        now = t // PEAK_WINDOW
        if now > window:
            # Intervals that leave the ring are complete; the new ones start empty.
            for k in range(window + 1, min(now, window + _RING) + 1):
                state[_PEAK] = max(state[_PEAK], ring[k % _RING])
                ring[k % _RING] = 0
            window = now
        if now > window - _RING:
            ring[now % _RING] += 1
    state[_ON], state[_LATEST], state[_PREVIOUS], state[_WINDOW] = on, latest, previous, window
