"""Delay of Ctrl-C during a write: half a frame would make a file unreadable."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

__all__ = ["UnbrokenWrites"]


class UnbrokenWrites:
    """Delays Ctrl-C while a file is written.

    As a context manager it replaces the signal handler, in the main thread; `held` is the inner
    context. The program's own handler is called later.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._pending: Callable[[], None] | None = None
        self._before: Any = None
        self._is_main = False

    def __enter__(self) -> "UnbrokenWrites":
        """Replace the signal handler, in the main thread."""
        self._is_main = threading.current_thread() is threading.main_thread()
        if self._is_main:
            self._before = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the signal handler."""
        if self._is_main:
            signal.signal(signal.SIGINT, self._before)
            self._is_main = False

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Delay a Ctrl-C to the end of the block, where it raises KeyboardInterrupt."""
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
            if callable(self._before):
                self._before(number, frame)
            else:
                raise KeyboardInterrupt

        if self._depth:
            self._pending = pass_on
        else:
            pass_on()
