"""Delay of signals during a write: half a frame would make a file unreadable."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from evdet.processes import ENDING_SIGNALS

__all__ = ["UnbrokenWrites"]


class UnbrokenWrites:
    """Delays Ctrl-C, SIGTERM and SIGHUP while a file is written.

    As a context manager it replaces the signals' handlers, in the main thread; `held` is the inner
    context. The program's own handler is called later. A signal without a handler is not delayed.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._pending: Callable[[], None] | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "UnbrokenWrites":
        """Replace the signals' handlers, in the main thread."""
        if threading.current_thread() is threading.main_thread():
            handlers = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
            self._before = {number: one for number, one in handlers.items() if callable(one)}
            for number in self._before:
                signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the handlers."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Delay a signal to the end of the block, where its handler is called."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
        if not self._depth and self._pending is not None:
            pending, self._pending = self._pending, None
            pending()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        def pass_on() -> None:
            self._before[number](number, frame)

        if not self._depth:
            pass_on()
        elif self._pending is None:
            self._pending = pass_on
