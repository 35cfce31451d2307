"""Ctrl-C waits until a write is whole: half a frame would make a file useless."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

__all__ = ["UnbrokenWrites"]


class UnbrokenWrites:
    """Holds Ctrl-C back while something is written.

    As a context manager it takes over the signal, in the main thread; `held` is the inner context.
    A handler of the program's own is called as before, only later.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._pending: Callable[[], None] | None = None
        self._before: Any = None
        self._is_main = False

    def __enter__(self) -> "UnbrokenWrites":
        """Take the signal over, where this is the thread that gets it."""
        self._is_main = threading.current_thread() is threading.main_thread()
        if self._is_main:
            self._before = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signal back."""
        if self._is_main:
            signal.signal(signal.SIGINT, self._before)
            self._is_main = False

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Do something whole; a Ctrl-C of that time raises KeyboardInterrupt afterwards."""
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
