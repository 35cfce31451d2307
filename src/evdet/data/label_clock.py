"""Do the times of labels fit their recording? If not, the unit or the start that would fit."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from evdet.labels import RecordingFacts, bins_of

__all__ = ["ClockFinding", "judge_clock"]

_UNITS = {"seconds": 1e6, "milliseconds": 1e3, "nanoseconds": 1e-3}
"""Microseconds of each unit that labels may have by mistake."""
_MOST = 0.9
"""Share of the label times that are lost in a wrong unit or with a wrong start."""
_SHORT = 1 / 50
"""Labels of a wrong unit cover less than this share of the recording."""
_LEAST_FIT = 0.1
"""In the right unit, labels cover at least this share of the recording."""
_FEWEST = 3
"""Label times from which they are judged: fewer can lie anywhere."""
_FRAME_STEP = 100
"""Microseconds between labels, up to which the times are taken for indices of frames."""
_DATES = (1e15, 4e15)
"""Microseconds since 1970 of the years 2001 to 2096."""
_FAR = 2**62
Times = Int64[np.ndarray, " N"]


class ClockFinding(NamedTuple):
    """What is unusual about the times of labels."""

    text: str
    is_problem: bool
    """Whether nearly all labels are lost, and another unit or start would keep them."""


@dataclass(frozen=True, kw_only=True)
class _Clock:
    """The times of a recording, in microseconds."""

    start: int
    end: int
    delta_t: int

    @property
    def duration(self) -> int:
        return self.end - self.start

    def kept_share(self, times: Times | Float64[np.ndarray, " N"]) -> float:
        """Share of distinct label times that are the last of a bin of the recording."""
        # Seconds taken for microseconds of 1970 are beyond 64 bits.
        whole = np.clip(np.round(times), -_FAR, _FAR).astype(np.int64)
        bins = np.unique(bins_of(whole, self.delta_t))
        first, last = self.start // self.delta_t, self.end // self.delta_t
        return float(((bins >= first) & (bins <= last)).sum() / len(times))

    def covered_share(self, times: Times | Float64[np.ndarray, " N"]) -> float:
        """Share of the recording between the first and the last of its label times."""
        low, high = max(times[0], self.start), min(times[-1], self.end)
        return float(max(0, high - low) / self.duration)

    def is_outside(self, times: Times | Float64[np.ndarray, " N"]) -> bool:
        """Whether the times end before the first event, or begin after the last."""
        return bool(times[-1] < self.start or times[0] > self.end)

    def inside_share(self, times: Times | Float64[np.ndarray, " N"]) -> float:
        """Share of the label times within the recording."""
        near = (times >= self.start - self.delta_t) & (times <= self.end + self.delta_t)
        return float(near.mean())


def judge_clock(times: Times, span: RecordingFacts, delta_t: int) -> ClockFinding | None:
    """Compare the times of labels with those of their recording.

    Labels of a short part of the recording, and sparse labels, are as good as others: what counts
    is how many of the times lie outside the recording or share their time bin with a later one,
    and whether another unit or start would mend that.

    Args:
        times: of all labels, in microseconds, in any order.
        span: the recording.
        delta_t: duration of a time bin in microseconds.

    Returns:
        What is unusual; None where nothing is.
    """
    times = np.unique(times)
    if span.start is None or span.end is None or span.end <= span.start or not len(times):
        return None
    clock = _Clock(start=span.start, end=span.end, delta_t=delta_t)
    lost = 1 - clock.kept_share(times)
    inside = clock.inside_share(times)
    if inside == 0:
        return ClockFinding(_describe(times, clock, lost, _better(times, clock)), True)
    if not _are_judged(times) or lost < 1 / 2:
        return None
    is_short = clock.covered_share(times) < _SHORT
    better = _better(times, clock) if is_short or inside < 1 / 2 else None
    if better is None and lost < _MOST:
        return None
    is_most = lost >= _MOST or round((1 - lost) * len(times)) <= 1
    is_problem = is_most and (better is not None or clock.is_outside(times))
    return ClockFinding(_describe(times, clock, lost, better), is_problem)


def _are_judged(times: Times) -> bool:
    """Whether there are enough times; two that a camera cannot tell apart are enough."""
    return len(times) >= _FEWEST or (
        len(times) > 1 and int(times[1]) - int(times[0]) <= _FRAME_STEP
    )


def _better(times: Times, clock: _Clock) -> str | None:
    """The unit or start that keeps most of the times, in words, with the remedy."""
    from_start = times + clock.start
    # The plainest first.
    for name, factor in _UNITS.items():
        if _is_good(times * factor, clock):
            return f"if they were {name}: write them in microseconds"
    # One label, or few, are kept by any start.
    is_kept = len(times) < _FEWEST or clock.kept_share(from_start) > 1 / 2
    if clock.start and is_kept and clock.inside_share(from_start) >= _MOST:
        return (
            "if they counted from the recording's first event: add its time, "
            f"{clock.start:,} us, to them"
        )
    for name, factor in _UNITS.items():
        if clock.start and _is_good(times * factor + clock.start, clock):
            return (
                f"if they were {name} from the recording's first event: write them in microseconds "
                f"and add its time, {clock.start:,} us"
            )
    if _are_frames(times, clock):
        # Counted from the recording's start, or from the first labelled frame.
        num_frames = times[-1] if times[0] > 1 else times[-1] - times[0]
        period = round(clock.duration / max(1, int(num_frames)))
        return (
            f"if they were indices of frames, one every {period:,} us or so: write times in "
            "microseconds"
        )
    return _another_start(times, clock)


def _another_start(times: Times, clock: _Clock) -> str | None:
    """Labels that last as long as the recording, on a clock with another start."""
    for name, factor in {"microseconds": 1.0, **_UNITS}.items():
        spread = (float(times[-1]) - float(times[0])) * factor
        shift = clock.start - float(times[0]) * factor
        if not (
            0.5 * clock.duration <= spread <= clock.duration + 2 * clock.delta_t
            and clock.kept_share(times * factor + shift) > 1 / 2
        ):
            continue
        in_unit = "" if factor == 1 else f"{name} and "
        since = " (they count from 1970)" if _DATES[0] <= times[0] * factor < _DATES[1] else ""
        if not since and _DATES[0] <= clock.start < _DATES[1]:
            since = " (the recording counts from 1970)"
        order = "before" if shift < 0 else "after"
        return (
            f"if they were {in_unit}on a clock that starts about {abs(shift) / 1e6:,.3f} s {order} "
            f"the recording's{since}: write them in microseconds on its clock"
        )
    return None


def _is_good(times: Float64[np.ndarray, " N"], clock: _Clock) -> bool:
    return (
        clock.inside_share(times) >= _MOST
        and clock.covered_share(times) >= _LEAST_FIT
        and clock.kept_share(times) > 1 / 2
    )


def _are_frames(times: Times, clock: _Clock) -> bool:
    """Whether times look like a count of all frames, or of every nth: 0, 1, 2 or 10, 15, 20."""
    # Frames of a camera are further apart than the steps of their count, in microseconds.
    is_a_few = len(times) <= 2 * _FEWEST or times[0] < 0
    if is_a_few or times[-1] > clock.duration / _FRAME_STEP:
        return False
    steps = np.diff(times)
    usual = int(np.median(steps))
    return usual <= _FRAME_STEP and bool((steps == usual).mean() > 1 / 2)


def _describe(times: Times, clock: _Clock, lost: float, better: str | None) -> str:
    first, last = int(times[0]), int(times[-1])
    count = "1 label time" if len(times) == 1 else f"{len(times):,} label times"
    where = f"{count}, " + (f"{first:,} to {last:,} us, " if first < last else f"at {first:,} us, ")
    recording = f"the recording, {clock.start:,} to {clock.end:,} us"
    if last < clock.start:
        where += f"end before the first event of {recording}"
    elif first > clock.end:
        where += f"begin after the last event of {recording}"
    else:
        where += (
            f"cover {clock.covered_share(times):.2%} of {recording}, and {lost:.0%} of them are "
            "lost: they lie outside it, or a later time in their time bin supersedes them"
        )
    if better is not None:
        return f"{where}. They would fit {better}"
    if clock.inside_share(times) == 0 or clock.is_outside(times):
        return f"{where}. Do the labels have another start or another unit?"
    return f"{where}. Shorter time bins use more of them"
