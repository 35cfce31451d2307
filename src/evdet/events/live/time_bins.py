"""Events as they arrive -> time bins, each as soon as it is complete."""

from collections import deque
from typing import NamedTuple

import numpy as np

from evdet.events.dtypes import Events, TimeBin
from evdet.events.files import join_events, sort_by_time

__all__ = ["BinCutter", "LiveBin"]

_BEFORE = np.iinfo(np.int64).min // 2


class LiveBin(NamedTuple):
    """A time bin of a live source, or several that follow each other as one."""

    time_bin: TimeBin
    arrived: float
    """When it was complete, in seconds on the clock of `BinCutter.add`."""


class BinCutter:
    """Cuts a stream into bins [k·delta_t, (k + 1)·delta_t), from that of the earliest event on.

    Args:
        delta_t: duration of a bin, in microseconds.
        max_disorder: a bin waits for events that step back in time by up to N microseconds.
            Later events are dropped and counted.
    """

    def __init__(self, delta_t: int, *, max_disorder: int = 0) -> None:
        self.delta_t = delta_t
        self.num_late = 0
        """Events that came after their bin was closed."""
        self._max_disorder = max_disorder
        self._parts: list[Events] = []
        self._start: int | None = None
        self._latest = _BEFORE
        self._complete = _BEFORE
        self._num_events = 0
        self._marks: deque[tuple[int, float]] = deque()

    @property
    def latest(self) -> int | None:
        """The time that the stream has reached, in microseconds; None before its first event."""
        return None if self._start is None else self._latest

    @property
    def next_end(self) -> int | None:
        """End of the first incomplete bin; None before the first event."""
        if self._start is None:
            return None
        return max(self._start, self._complete // self.delta_t * self.delta_t) + self.delta_t

    @property
    def is_ahead(self) -> bool:
        """Whether bins were closed that the stream has not passed."""
        return self._complete > self._latest - self._max_disorder

    @property
    def num_waiting(self) -> int:
        """Complete bins that were not popped."""
        return 0 if self._start is None else max(0, (self._complete - self._start) // self.delta_t)

    @property
    def num_events(self) -> int:
        """Events that were not popped, those of incomplete bins too."""
        return self._num_events

    @property
    def arrivals(self) -> tuple[float, float] | None:
        """When the first and the last complete bin were complete; None without one."""
        if self._start is None or not self.num_waiting:
            return None
        self._drop_marks(self._start + self.delta_t)
        return self._marks[0][1], self._marks[-1][1]

    def add(self, events: Events, *, clock: int | None, now: float) -> int:
        """Take events.

        Args:
            events: the next ones.
            clock: the time that the stream has reached, in microseconds, where known beyond its
                latest event.
            now: when they arrived, in seconds.

        Returns:
            How late the latest of them came after its bin was closed, in microseconds; 0 if none.
        """
        delay = 0
        if len(events):
            kept, delay = self._on_time(events)
            if len(kept):
                self._parts.append(kept)
                self._num_events += len(kept)
                if self._complete == _BEFORE:
                    # An earlier event can move the start until a bin is closed.
                    first = int(kept["t"].min()) // self.delta_t * self.delta_t
                    self._start = first if self._start is None else min(self._start, first)
            self._latest = max(self._latest, int(events["t"].max()))
        if self._start is not None:
            self._latest = max(self._latest, self._latest if clock is None else clock)
            self._close(self._latest - self._max_disorder, now)
        return delay

    def close_until(self, time: int, *, now: float) -> None:
        """Close the bins that end by `time` without an event after them, at `now` seconds."""
        if self._start is not None:
            self._close(time, now)

    def finish(self, *, now: float) -> None:
        """Close the bin of the latest event too, as the stream ended at `now` seconds."""
        if self._parts:
            latest = max(int(part["t"].max()) for part in self._parts)
            self._close((latest // self.delta_t + 1) * self.delta_t, now)

    def first_gap(self, least: int) -> tuple[int, int] | None:
        """Find the first stretch of complete bins without events.

        Args:
            least: bins that it has at least.

        Returns:
            How many complete bins come before it, and how many it has; None without one.
        """
        if self._start is None:
            return None
        times = np.concatenate([part["t"] for part in self._parts] or [np.zeros(0, np.int64)])
        indexes = np.unique((times - self._start) // self.delta_t)
        edges = np.array([-1, *indexes[indexes < self.num_waiting], self.num_waiting])
        lengths = np.diff(edges) - 1
        gaps = np.flatnonzero(lengths >= least)
        return (int(edges[gaps[0]]) + 1, int(lengths[gaps[0]])) if len(gaps) else None

    def pop(self, num: int = 1) -> LiveBin | None:
        """Take the first complete bins as one; None without any.

        Args:
            num: how many; those that are not complete stay.

        Returns:
            Their events, the time that they last together, and when the last was complete.
        """
        num = min(num, self.num_waiting)
        if self._start is None or num < 1:
            return None
        start, duration = self._start, num * self.delta_t
        self._drop_marks(start + duration)
        return LiveBin(TimeBin(start, duration, self._take(start + duration)), self._marks[0][1])

    def skip_gap(self, num_played: int) -> tuple[int, int] | None:
        """Drop complete bins at the beginning of which none has events, before a later one.

        Args:
            num_played: empty bins to keep.

        Returns:
            The time of the first that was dropped, and their number; None if the gap is shorter.
        """
        if self._start is None or self.num_waiting <= num_played + 1:
            return None
        first_event = min((int(part["t"].min()) for part in self._parts), default=self._complete)
        # The last complete bin tells what time it is.
        until = min(first_event, self._complete - self.delta_t) // self.delta_t * self.delta_t
        begin = self._start + num_played * self.delta_t
        num = (until - begin) // self.delta_t
        if num <= 0:
            return None
        self._start = until
        return begin, num

    def skip(self, num: int) -> None:
        """Drop the first `num` complete bins."""
        if self._start is not None and num:
            self._take(self._start + num * self.delta_t)

    def _drop_marks(self, end: int) -> None:
        """Drop the marks before that of the bin with this end."""
        while self._marks[0][0] < end:
            self._marks.popleft()

    def _take(self, end: int) -> Events:
        """Remove and return the events before `end`."""
        events = sort_by_time(self._parts[0] if len(self._parts) == 1 else join_events(self._parts))
        count = int(np.searchsorted(events["t"], end))
        self._parts = [events[count:]] if count < len(events) else []
        self._num_events = len(events) - count
        self._start = end
        return events[:count]

    def _on_time(self, events: Events) -> tuple[Events, int]:
        """The events whose bin is still open, and the largest delay of the others.

        The result does not depend on where the stream is split.
        """
        times = events["t"]
        if int(times[0]) >= max(self._latest, self._complete) and sort_by_time(events) is events:
            return events, 0  # the usual case
        before = np.maximum.accumulate(np.append(self._latest, times[:-1]))
        edge = (before - self._max_disorder) // self.delta_t * self.delta_t
        edge = np.maximum(edge, self._complete // self.delta_t * self.delta_t)
        is_late = times < edge
        if not is_late.any():
            return events, 0
        self.num_late += int(is_late.sum())
        return events[~is_late], int((edge - times)[is_late].max())

    def _close(self, time: int, now: float) -> None:
        start = self._start
        if start is None or time < start + self.delta_t or time <= self._complete:
            return
        if time // self.delta_t > self._complete // self.delta_t:
            self._marks.append((time, now))
        self._complete = time
