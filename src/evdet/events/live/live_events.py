"""A live source of events -> time windows, with honest clocks: none is late without a word."""

import logging
import threading
import time
from collections.abc import Iterator

from evdet.events.dtypes import RecordingError, SensorSize
from evdet.events.live.byte_sources import ByteSource
from evdet.events.live.decoder import LiveDecoder
from evdet.events.live.time_bins import LiveBin, WindowCutter

__all__ = ["LiveEvents"]

_log = logging.getLogger(__name__)

_SECOND = 1_000_000
_MOST_READ_AHEAD = 16  # windows, where none may be skipped
_LOG_PERIOD = 10.0  # seconds between two lines about windows that were skipped
_FIRST_WAIT = 0.01
_LONGEST_WAIT = 0.5  # seconds; some systems deliver Ctrl-C only between two waits


class LiveEvents:
    """The windows of a source that is still being made.

    A thread reads and decodes; it begins with the header, so that the sensor's size is known, and
    goes on when the windows are asked for. Source and consumer meet in `windows`.

    Args:
        source: where the bytes come from; it is closed in the end.
        name: for messages.
        delta_t: duration of a window, in microseconds.
        size: the sensor's size where the source does not state it, or states it wrong.
        max_disorder: a window waits for events that step back in time by so much, in
            microseconds; with 0 it closes with the first event after it.
        max_delay: where nothing comes for so long, windows close by the clock on the wall, so
            many microseconds after their end; None waits for events.
        max_backlog: when more complete windows wait, all but the newest are skipped. None skips
            none, and lets the source wait.

    Raises:
        ValueError: a value is out of range, or nobody says the sensor's size.
        RecordingError: the source is no recording that can be read while it arrives.
    """

    def __init__(
        self,
        source: ByteSource,
        *,
        name: str,
        delta_t: int,
        size: SensorSize | None = None,
        max_disorder: int = 0,
        max_delay: int | None = 250_000,
        max_backlog: int | None = 10,
    ) -> None:
        try:
            _check(delta_t, max_disorder, max_delay, max_backlog)
        except ValueError:
            source.close()
            raise
        self.name = name
        self.num_skipped = 0
        """Windows that were left out because more than `max_backlog` waited."""
        self._source = source
        self._decoder = LiveDecoder(name, size=size)
        self._cutter = WindowCutter(delta_t, max_disorder=max_disorder)
        self._max_delay = max_delay
        self._max_backlog = max_backlog
        self._problem: RecordingError | None = None
        self._is_playing = self._is_stopped = self._has_ended = False
        self._has_closed_by_clock = False
        self._silent_since: float | None = None
        self._last_log = float("-inf")
        # Everything above is touched by whoever holds this.
        self._changed = threading.Condition()
        threading.Thread(target=self._read, name=f"read {name}", daemon=True).start()
        self.size = self._wait_for_size()

    @property
    def format(self) -> str:
        """Name of the format, for people."""
        return self._decoder.format

    @property
    def num_late(self) -> int:
        """Events that were left out because their window had been closed."""
        return self._cutter.num_late

    def slices(self) -> Iterator[LiveBin]:
        """The windows, each as soon as it is complete; the last one when the source ends.

        Ctrl-C while it waits is an end, too.

        Raises:
            RecordingError: the source is damaged; the windows before have been delivered.
        """
        try:
            while True:
                try:
                    window = self._next()
                except KeyboardInterrupt:
                    self.stop()
                    continue
                if window is None:
                    break
                yield window
        finally:
            self.stop()
        if self._problem is not None:
            raise self._problem

    def stop(self) -> None:
        """End the source now: `windows` gives what has arrived, and ends.

        It may be called from a signal handler and from any thread, and more than once.
        """
        self._source.stop()
        with self._changed:
            # The rest is left to `windows`: a signal handler may stand in the middle of it.
            self._is_stopped = True
            self._changed.notify_all()

    # What the thread does.

    def _read(self) -> None:
        try:
            while True:
                data = self._source.read()
                with self._changed:
                    if self._is_stopped:
                        return
                    self._silent_since = None
                    self._take(data)
                    self._changed.notify_all()
                    while not self._is_stopped and self._must_wait():
                        self._changed.wait()
                    if self._has_ended or self._is_stopped:
                        return
                    self._silent_since = time.monotonic()
        except Exception as error:
            with self._changed:
                problem = (
                    error
                    if isinstance(error, RecordingError)
                    else RecordingError(f"{self.name} cannot be read any more: {error!r}")
                )
                self._problem = self._problem or problem
                self._end()
        finally:
            self._source.close()

    def _must_wait(self) -> bool:
        if not self._is_playing:
            return self._decoder.is_open
        return self._max_backlog is None and self._cutter.num_waiting >= _MOST_READ_AHEAD

    def _take(self, data: bytes) -> None:
        events = self._decoder.feed(data) if data else self._decoder.finish()
        was_ahead = self._cutter.is_ahead
        delay = self._cutter.add(events, clock=self._decoder.clock, now=time.monotonic())
        if delay:
            self._say_late(delay, was_ahead)
        if self._is_playing:
            self._skip()
        if not data or self._decoder.problem is not None:
            self._problem = self._decoder.problem
            self._end()

    def _say_late(self, delay: int, was_ahead: bool) -> None:
        """Some events came after their window was closed, by the clock or by another event."""
        if not was_ahead or self._max_delay is None:
            if self._may_log():
                _log.warning(
                    "%s: time steps back by more than max_disorder, and events whose window was "
                    "closed are left out (%d so far)",
                    self.name, self._cutter.num_late,
                )  # fmt: skip
        elif self._has_closed_by_clock:
            self._has_closed_by_clock = False
            self._max_delay += 2 * delay
            _log.warning(
                "%s: after a pause that looked like a silent sensor there came events of the "
                "pause, and they are left out (%d so far). From now on silence is waited for "
                "%.1f s; a larger max_delay waits from the start, and None for ever",
                self.name, self._cutter.num_late, self._max_delay / _SECOND,
            )  # fmt: skip

    def _end(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._cutter.finish(now=time.monotonic())
        self._changed.notify_all()

    # What the consumer does.

    def _next(self) -> LiveBin | None:
        """Wait for a window; None at the end."""
        with self._changed:
            self._is_playing = True
            self._changed.notify_all()
            # What lies there unread is no silence: the thread comes first.
            wait = _FIRST_WAIT
            while True:
                if self._is_stopped:
                    self._end()
                if self._cutter.num_waiting:
                    # Silence that went on while the consumer was busy makes these older still.
                    self._close_by_clock()
                window = self._cutter.pop()
                if window is not None:
                    self._changed.notify_all()
                    return window
                if self._has_ended:
                    return None
                if not self._changed.wait(wait) or wait != _FIRST_WAIT:
                    wait = self._close_by_clock()

    def _close_by_clock(self) -> float:
        """Close what is due by the clock on the wall; seconds until the next may be."""
        if self._max_delay is None or self._silent_since is None:
            return _LONGEST_WAIT
        while True:
            latest, end = self._cutter.latest, self._cutter.next_end
            if latest is None or end is None:
                return _LONGEST_WAIT
            due = self._silent_since + (end - latest + self._max_delay) / _SECOND
            now = time.monotonic()
            if due > now:
                return min(due - now, _LONGEST_WAIT)
            self._cutter.close_until(end, now=due)
            self._has_closed_by_clock = True
            self._skip()

    def _skip(self) -> None:
        """Leave out what is too old already."""
        waiting = self._cutter.num_waiting
        if self._max_backlog is None or waiting <= self._max_backlog:
            return
        self._cutter.skip(waiting - 1)
        self.num_skipped += waiting - 1
        if self._may_log():
            _log.warning(
                "%s: %d windows waited, more than max_backlog %d, and all but the newest are "
                "skipped (%d so far). What detects does not keep up; for a source that can wait, "
                "such as a file through a pipe, give max_backlog None",
                self.name, waiting, self._max_backlog, self.num_skipped,
            )  # fmt: skip

    def _may_log(self) -> bool:
        now = time.monotonic()
        if now - self._last_log < _LOG_PERIOD:
            return False
        self._last_log = now
        return True

    def _wait_for_size(self) -> SensorSize:
        try:
            with self._changed:
                while not (self._decoder.is_open or self._has_ended or self._is_stopped):
                    self._changed.wait(_LONGEST_WAIT)
        except BaseException:
            self.stop()
            raise
        if not self._decoder.is_open:
            raise self._problem or RecordingError(f"{self.name} was stopped before it began")
        size = self._decoder.size
        if size is None:
            self.stop()
            raise ValueError(
                f"{self.name} does not state the size of its sensor: give it (size, --sensor-size)"
            )
        return size


def _check(delta_t: int, max_disorder: int, max_delay: int | None, max_backlog: int | None) -> None:
    if delta_t < 1:
        raise ValueError(f"delta_t must be at least 1 microsecond, got {delta_t}")
    if max_disorder < 0:
        raise ValueError(f"max_disorder must be 0 or more, got {max_disorder} us")
    if max_delay is not None and max_delay < 0:
        raise ValueError(f"max_delay must be 0 or more, got {max_delay} us")
    if max_backlog is not None and max_backlog < 1:
        raise ValueError(f"max_backlog must be at least 1, got {max_backlog}")
