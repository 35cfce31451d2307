"""A live source of events -> time bins, on time or with a warning."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias

from evdet.events.dtypes import RecordingError, SensorSize
from evdet.events.files import AS_STATED, MAX_EMPTY_BINS, ReadOptions, warn_of_gap
from evdet.events.live.age_bound import AgeBound
from evdet.events.live.byte_sources import ByteSource, Pipe
from evdet.events.live.inputs import EventSource, open_input
from evdet.events.live.raw_file import RawFile
from evdet.events.live.time_bins import BinCutter, LiveBin

__all__ = ["LiveEvents", "WaitingBins"]

_log = logging.getLogger(__name__)

_SECOND = 1_000_000
_MOST_READ_AHEAD = 16  # bins, where none may be skipped
_LONG_GAP = _SECOND  # without events; it is not merged with what comes before and after
_MOST_EVENTS = 1 << 24  # that wait to be merged; with more the source waits
_LOG_PERIOD = 10.0  # seconds between two warnings
_FIRST_WAIT = 0.01
_LONGEST_CLOSE = 2.0  # seconds; a pipe may wait for its sender forever
_LONGEST_WAIT = 0.5  # seconds; some systems deliver Ctrl-C only between two waits

WaitingBins: TypeAlias = Literal["merge", "skip"]
"""What becomes of time bins that wait, under a bound on the age of boxes."""


class LiveEvents:
    """The time bins of a live source.

    A thread reads and decodes: first the header, which gives the sensor's size, then the events,
    once `slices` asks for the bins.

    Args:
        source: the bytes or events; closed at the end.
        name: for messages.
        delta_t: duration of a bin, in microseconds.
        size: the sensor's size where the source does not state it or states it incorrectly.
        options: how to read what the source leaves open.
        max_disorder: a bin waits for events that step back in time by up to N microseconds; with
            0 it closes with the first event after it.
        max_delay: without any data, a bin closes by the wall clock, N microseconds after its end;
            None waits for events.
        max_backlog: when more complete bins wait, all but the newest are skipped. None skips
            none and makes the source wait. Not used with `max_age`.
        max_age: bound on the age of boxes, in microseconds from when their bin was complete until
            `slices` is asked for the next; a warning is logged before it is broken. None sets none.
        waiting: with `max_age`, "merge" gives all bins that wait as one, with its true duration;
            "skip" skips all but the newest as soon as boxes would be older than `max_age`.
        frame_time: microseconds that a frame takes from bin to boxes, where measured before.
        file: records what arrives, also what is skipped; closed at the end.
        clock: the current time in seconds.

    Raises:
        ValueError: a value is out of range, or the sensor's size is not known.
        RecordingError: the source cannot be read live.
    """

    def __init__(
        self,
        source: ByteSource | EventSource,
        *,
        name: str,
        delta_t: int,
        size: SensorSize | None = None,
        options: ReadOptions = AS_STATED,
        max_disorder: int = 0,
        max_delay: int | None = 250_000,
        max_backlog: int | None = 10,
        max_age: int | None = None,
        waiting: WaitingBins = "merge",
        frame_time: int | None = None,
        file: RawFile | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            _check(delta_t, max_disorder, max_delay, max_backlog, max_age)
        except ValueError:
            source.close()
            raise
        self.name = name
        self.num_skipped = 0
        """Bins that were skipped because too many waited, or were too old."""
        self._source = source
        self._file = file
        self._input = open_input(source, name=name, size=size, options=options, file=file)
        self._cutter = BinCutter(delta_t, max_disorder=max_disorder)
        self._max_delay = max_delay
        self._max_backlog = max_backlog if max_age is None else None
        self._merges = waiting == "merge"
        self._clock = clock
        self._bound = None
        if max_age is not None:
            seconds = None if frame_time is None else frame_time / _SECOND
            self._bound = AgeBound(max_age / _SECOND, name=name, frame_time=seconds, clock=clock)
        self._problem: RecordingError | None = None
        self._is_playing = self._is_stopped = self._has_ended = False
        self._has_closed_by_clock = False
        self._num_empty = 0
        self._idle_since: float | None = None
        self._last_log = float("-inf")
        # Guards all attributes above.
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, name=f"read {name}", daemon=True)
        self._thread.start()
        self.size = self._wait_for_size()

    @property
    def format(self) -> str:
        """Name of the format, for display."""
        return self._input.format

    @property
    def num_late(self) -> int:
        """Events that were dropped because their bin was closed."""
        return self._cutter.num_late

    @property
    def num_overflows(self) -> int:
        """How often a camera's driver lost events because its buffer was full."""
        return getattr(self._source, "num_overflows", 0)

    @property
    def merges(self) -> bool:
        """Whether bins that wait are given as one."""
        return self._bound is not None and self._merges

    def slices(self) -> Iterator[LiveBin]:
        """The time bins, each as soon as it is complete; the last one when the source ends.

        Ctrl-C while it waits ends the source, too.

        Raises:
            RecordingError: the source is damaged; the bins before are delivered first.
        """
        try:
            while True:
                try:
                    time_bin = self._next()
                except KeyboardInterrupt:
                    self.stop()
                    continue
                if time_bin is None:
                    break
                yield time_bin
        finally:
            self.stop()
            self._close_camera()
        if self._problem is not None:
            raise self._problem

    def stop(self) -> None:
        """End the source: `slices` delivers what has arrived, and ends.

        It may be called from a signal handler and from any thread, and more than once.
        """
        self._source.stop()
        if self._bound is not None:
            self._bound.close()
        with self._changed:
            # `slices` does the rest: a signal handler may interrupt it anywhere.
            self._is_stopped = True
            self._changed.notify_all()

    def _close_camera(self) -> None:
        """Wait for the thread to close the source: the driver of a camera must not outlive it."""
        if not isinstance(self._source, Pipe):
            self._thread.join(_LONGEST_CLOSE)

    # The thread.

    def _read(self) -> None:
        try:
            while True:
                is_last = not self._input.wait()
                with self._changed:
                    if self._is_stopped:
                        return
                    self._idle_since = None
                    self._take(is_last=is_last)
                    self._changed.notify_all()
                    while not self._is_stopped and self._must_wait():
                        self._changed.wait()
                    if self._has_ended or self._is_stopped:
                        return
                    self._idle_since = self._clock()
        except Exception as error:
            with self._changed:
                problem = (
                    error
                    if isinstance(error, RecordingError)
                    else RecordingError(f"cannot read {self.name} any further: {error!r}")
                )
                self._problem = self._problem or problem
                self._end()
        finally:
            self._source.close()
            if self._file is not None:
                self._file.close()

    def _must_wait(self) -> bool:
        if not self._is_playing:
            return self._input.is_open
        if self._bound is not None:
            return self._cutter.num_events > _MOST_EVENTS and self._cutter.num_waiting > 0
        return self._max_backlog is None and self._cutter.num_waiting >= _MOST_READ_AHEAD

    def _take(self, *, is_last: bool) -> None:
        events = self._input.take()
        was_ahead = self._cutter.is_ahead
        delay = self._cutter.add(events, clock=self._input.clock, now=self._clock())
        if delay:
            self._warn_late(delay, was_ahead)
        if self._is_playing:
            self._skip()
        if is_last or self._input.problem is not None:
            self._problem = self._input.problem
            self._end()

    def _warn_late(self, delay: int, was_ahead: bool) -> None:
        """Warn of events that came after their bin was closed, by the clock or by an event."""
        if not was_ahead or self._max_delay is None:
            if self._may_log():
                _log.warning(
                    "%s: time steps back by more than max_disorder; events of closed bins are "
                    "dropped (%d so far)",
                    self.name, self._cutter.num_late,
                )  # fmt: skip
        elif self._has_closed_by_clock:
            self._has_closed_by_clock = False
            self._max_delay += 2 * delay
            _log.warning(
                "%s: events of a pause arrived after its bins were closed and are dropped (%d so "
                "far). max_delay is now %.1f s; set a larger one from the start, or None to wait "
                "for events",
                self.name, self._cutter.num_late, self._max_delay / _SECOND,
            )  # fmt: skip

    def _end(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._idle_since = None  # no pause follows
            self._cutter.finish(now=self._clock())
        self._changed.notify_all()

    # The consumer.

    def _next(self) -> LiveBin | None:
        """Wait for a bin; None at the end."""
        with self._changed:
            if self._bound is not None:
                self._bound.end()
            self._is_playing = True
            self._changed.notify_all()
            # Unread data is not a pause: let the thread read first.
            wait = _FIRST_WAIT
            while True:
                if self._is_stopped:
                    self._end()
                if self._cutter.num_waiting:
                    # A pause may have continued while the consumer was busy.
                    self._close_by_clock()
                time_bin = self._pop()
                if time_bin is not None:
                    if self._bound is not None:
                        self._bound.begin(time_bin.arrived)
                    self._num_empty = 0 if len(time_bin.time_bin.events) else self._num_empty + 1
                    self._changed.notify_all()
                    return time_bin
                if self._has_ended:
                    return None
                if not self._changed.wait(wait) or wait != _FIRST_WAIT:
                    wait = self._close_by_clock()

    def _pop(self) -> LiveBin | None:
        """Take the next complete bin, or all that wait as one."""
        if self._bound is not None and self._merges:
            return self._cutter.pop(self._num_merged(self._bound))
        self._skip_gap()
        if self._bound is not None:
            self._skip_old(self._bound)
        return self._cutter.pop()

    def _num_merged(self, bound: AgeBound) -> int:
        """How many bins become one: all; or those before a long gap, then those of the gap."""
        waiting, arrivals = self._cutter.num_waiting, self._cutter.arrivals
        least = _LONG_GAP // self._cutter.delta_t + 1
        gap = self._cutter.first_gap(least) if waiting > least else None
        if gap is None or arrivals is None:
            return waiting
        before, length = gap
        num_frames = (before > 0) + 1 + (before + length < waiting)
        return (before or length) if bound.fits(num_frames, since=arrivals[1]) else waiting

    def _skip_old(self, bound: AgeBound) -> None:
        """Skip all bins but the newest where the last of them would come too late."""
        waiting, arrivals = self._cutter.num_waiting, self._cutter.arrivals
        # As if all had come with the first.
        if arrivals is None or waiting < 2 or bound.fits(waiting, since=arrivals[0]):
            return
        self._cutter.skip(waiting - 1)
        self.num_skipped += waiting - 1
        if self._may_log():
            _log.warning(
                "%s: %d time bins waited, whose boxes would be older than max_age %g ms; all but "
                "the newest are skipped (%d so far). Detection is slower than the source",
                self.name, waiting, bound.max_age * 1e3, self.num_skipped,
            )  # fmt: skip

    def _close_by_clock(self) -> float:
        """Close bins that are due by the wall clock; return seconds until the next may be due."""
        if self._max_delay is None or self._idle_since is None:
            return _LONGEST_WAIT
        while True:
            latest, end = self._cutter.latest, self._cutter.next_end
            if latest is None or end is None:
                return _LONGEST_WAIT
            due = self._idle_since + (end - latest + self._max_delay) / _SECOND
            now = self._clock()
            if due > now:
                return min(due - now, _LONGEST_WAIT)
            self._cutter.close_until(end, now=due)
            self._has_closed_by_clock = True
            self._skip()

    def _skip_gap(self) -> None:
        """Skip the rest of a long gap, of a source that jumps ahead."""
        most = MAX_EMPTY_BINS if self._max_backlog is None else self._max_backlog
        gap = self._cutter.skip_gap(max(min(most, MAX_EMPTY_BINS) - self._num_empty, 0))
        if gap is not None:
            self._num_empty = 0
            warn_of_gap(self.name, *gap, self._cutter.delta_t)

    def _skip(self) -> None:
        """Skip bins beyond `max_backlog`."""
        waiting = self._cutter.num_waiting
        if self._max_backlog is None or waiting <= self._max_backlog:
            return
        self._cutter.skip(waiting - 1)
        self.num_skipped += waiting - 1
        if self._may_log():
            _log.warning(
                "%s: %d time bins waited, more than max_backlog %d; all but the newest are "
                "skipped (%d so far). Detection is slower than the source; for a source that can "
                "wait, such as a file through a pipe, set max_backlog to None",
                self.name, waiting, self._max_backlog, self.num_skipped,
            )  # fmt: skip

    def _may_log(self) -> bool:
        now = self._clock()
        if now - self._last_log < _LOG_PERIOD:
            return False
        self._last_log = now
        return True

    def _wait_for_size(self) -> SensorSize:
        try:
            with self._changed:
                while not (self._input.is_open or self._has_ended or self._is_stopped):
                    self._changed.wait(_LONGEST_WAIT)
        except BaseException:
            self.stop()
            self._close_camera()
            raise
        if not self._input.is_open:
            raise self._problem or RecordingError(f"{self.name} was stopped before its header")
        size = self._input.size
        if size is None:
            self.stop()
            raise ValueError(
                f"{self.name} does not state its sensor size: give it (size, --sensor-size)"
            )
        return size


def _check(
    delta_t: int,
    max_disorder: int,
    max_delay: int | None,
    max_backlog: int | None,
    max_age: int | None,
) -> None:
    if delta_t < 1:
        raise ValueError(f"delta_t must be at least 1 microsecond, got {delta_t}")
    if max_disorder < 0:
        raise ValueError(f"max_disorder must be 0 or more, got {max_disorder} us")
    if max_delay is not None and max_delay < 0:
        raise ValueError(f"max_delay must be 0 or more, got {max_delay} us")
    if max_backlog is not None and max_backlog < 1:
        raise ValueError(f"max_backlog must be at least 1, got {max_backlog}")
    if max_age is not None and max_age < 1:
        raise ValueError(f"max_age must be at least 1 microsecond, got {max_age}")
