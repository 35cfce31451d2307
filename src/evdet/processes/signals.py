"""Signals that ask a process to end: raised as exceptions, so that files and children are ended."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = [
    "ENDING_SIGNALS",
    "EndedError",
    "children_without_signals",
    "dead_children_reported",
    "ending_signals_raise",
    "exit_status",
    "leave_signals_to_parent",
    "report_dead_children_where_awaited",
]

ENDING_SIGNALS: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
)
"""Ctrl-C, the end of a batch job or container, and the end of a terminal (SIGBREAK on Windows)."""
# A terminal, a shell and a batch system may each pass the same wish on.
_SAME_WISH = 2.0


class EndedError(BaseException):
    """SIGTERM, SIGHUP or SIGBREAK, as KeyboardInterrupt is SIGINT; not an `Exception`.

    Args:
        number: of the signal.
        hint: how to go on, for the user; empty where there is nothing to say.
    """

    def __init__(self, number: int, hint: str = "") -> None:
        super().__init__(hint)
        self.number = number


def exit_status(stop: BaseException) -> int:
    """The exit status after a signal, as a shell reports it: 128 and the signal's number."""
    return 128 + (stop.number if isinstance(stop, EndedError) else signal.SIGINT)


@contextlib.contextmanager
def ending_signals_raise() -> Iterator[None]:
    """Raise the signals that end a process as exceptions, in the main thread.

    Other handlers are not replaced, and a signal that is ignored, as by `nohup`, stays ignored. A
    repetition within two seconds is ignored, so that it does not disturb what the first one ends.

    Raises:
        KeyboardInterrupt: at SIGINT.
        EndedError: at SIGTERM, SIGHUP and SIGBREAK.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = (signal.SIG_DFL, signal.default_int_handler)
    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    mine = [number for number, handler in before.items() if handler in usual]
    raised_at = -_SAME_WISH

    def raise_once(number: int, _: FrameType | None) -> None:
        nonlocal raised_at
        now = time.monotonic()
        if now - raised_at < _SAME_WISH:
            return
        raised_at = now
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise EndedError(number)

    for number in mine:
        signal.signal(number, raise_once)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, before[number])


@contextlib.contextmanager
def children_without_signals() -> Iterator[None]:
    """Start child processes that do not hear the signals before `leave_signals_to_parent`."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_signals_to_parent() -> None:
    """In a child process: end at SIGTERM of the parent, and at no other signal.

    A terminal and a batch system signal all processes of a group. The parent decides when its
    children end; one that ends by itself would look like one that has failed.
    """
    for number in ENDING_SIGNALS:
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)
    if sys.platform == "win32":
        return
    if sys.platform == "linux":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, set(ENDING_SIGNALS) - {signal.SIGTERM})


def _end_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
            pass
        os._exit(0)


class _DeathNotice:
    """A handler of SIGCHLD that calls another one only while the caller waits for a child."""

    def __init__(self, report: Callable[[int, FrameType | None], object]) -> None:
        self.report = report
        self.is_waiting = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.is_waiting:
            self.report(number, frame)


def report_dead_children_where_awaited() -> None:
    """Restrict a handler of SIGCHLD that raises, as of torch's DataLoader, in the main thread.

    It raises anywhere, also in the middle of a training step; from now on it does so only in the
    block of `dead_children_reported`.
    """
    if sys.platform == "win32" or threading.current_thread() != threading.main_thread():
        return
    handler = signal.getsignal(signal.SIGCHLD)
    if callable(handler) and not isinstance(handler, _DeathNotice):
        signal.signal(signal.SIGCHLD, _DeathNotice(handler))


@contextlib.contextmanager
def dead_children_reported() -> Iterator[None]:
    """Let the handler of `report_dead_children_where_awaited` raise in this block."""
    if sys.platform == "win32" or not isinstance(
        notice := signal.getsignal(signal.SIGCHLD), _DeathNotice
    ):
        yield
        return
    notice.is_waiting = True
    try:
        notice.report(signal.SIGCHLD, None)  # a child may have died before
        yield
    finally:
        notice.is_waiting = False
