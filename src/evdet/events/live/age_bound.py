"""AgeBound: foresees how old boxes become, from how long frames take, and warns before."""

import logging
import threading
from collections import deque
from collections.abc import Callable

__all__ = ["AgeBound"]

_log = logging.getLogger(__name__)

_NUM_RECENT = 32
_LOG_PERIOD = 10.0  # seconds between two warnings
_WARNED_AT = 0.9  # of the bound: what comes later comes too late


class AgeBound:
    """A bound on the age of boxes: from when their time bin was complete until they are known.

    Time bins that arrive while a frame is processed wait for at most as long as the frame takes.
    If the next frame takes all of them, its boxes are at most as old as two frames take.

    Args:
        max_age: the bound, in seconds.
        name: the source, for messages.
        frame_time: seconds that a frame takes, where measured before; None leaves it to the frames,
            of which the first, which loads and compiles, says nothing.
        clock: the current time in seconds, on the clock of the arrivals.
    """

    def __init__(
        self,
        max_age: float,
        *,
        name: str,
        frame_time: float | None,
        clock: Callable[[], float],
    ) -> None:
        self.max_age = max_age
        self._name = name
        self._clock = clock
        self._recent = deque([] if frame_time is None else [frame_time], maxlen=_NUM_RECENT)
        self._is_first = frame_time is None
        self._began: float | None = None
        self._deadline: float | None = None
        self._is_closed = False
        self._last_log = float("-inf")
        self._watcher: threading.Thread | None = None
        # Guards all attributes above.
        self._changed = threading.Condition()
        self._check()

    @property
    def frame_time(self) -> float:
        """The longest time that one of the last frames took, in seconds; 0 before the first."""
        return max(self._recent, default=0.0)

    def fits(self, num_frames: int, *, since: float) -> bool:
        """Whether boxes of a time bin that was complete at `since` come in time.

        Args:
            num_frames: frames that are processed until its boxes are known.
            since: a time of the clock.
        """
        return self._clock() + num_frames * self.frame_time - since <= self.max_age

    def begin(self, arrived: float) -> None:
        """Start a frame.

        Args:
            arrived: when its last time bin was complete.
        """
        with self._changed:
            self._began = self._clock()
            self._deadline = max(self._began, arrived + _WARNED_AT * self.max_age)
            if self._watcher is None:
                name = f"watch {self._name}"
                self._watcher = threading.Thread(target=self._watch, name=name, daemon=True)
                self._watcher.start()
            self._changed.notify_all()

    def end(self) -> None:
        """End the frame that was started last: its boxes are known and written."""
        with self._changed:
            if self._began is None:
                return
            passed = self._clock() - self._began
            if not self._is_first:
                self._recent.append(passed)
            self._is_first = False
            self._began = self._deadline = None
        self._check()

    def close(self) -> None:
        """End the warnings. A signal handler may call it."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _check(self) -> None:
        """Warn where frames take so long that boxes can become too old."""
        oldest = 2 * self.frame_time
        if oldest > self.max_age and self._may_log():
            _log.warning(
                "%s: max_age %g ms cannot be held: a frame takes %.1f ms, and the boxes of time "
                "bins that arrive meanwhile are up to %.1f ms old. Use a max_age of more than "
                "that, or a faster detector",
                self._name, self.max_age * 1e3, self.frame_time * 1e3, oldest * 1e3,
            )  # fmt: skip

    def _watch(self) -> None:
        """Warn of a frame that takes longer than all before, while it does."""
        while True:
            with self._changed:
                if self._is_closed:
                    return
                left = None if self._deadline is None else self._deadline - self._clock()
                if left is None or left > 0:
                    self._changed.wait(left)
                    continue
                self._deadline = None
                passed = self._clock() - (self._began or 0.0)
            if self._may_log():
                _log.warning(
                    "%s: a frame takes more than %.1f ms: its boxes may be older than "
                    "max_age %g ms",
                    self._name, passed * 1e3, self.max_age * 1e3,
                )  # fmt: skip

    def _may_log(self) -> bool:
        with self._changed:
            now = self._clock()
            if now - self._last_log < _LOG_PERIOD:
                return False
            self._last_log = now
            return True
