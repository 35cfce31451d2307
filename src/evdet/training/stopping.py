"""Signals during a training: it ends after a batch, with a checkpoint, in all processes."""

import signal
import subprocess
import threading
import time
from types import FrameType
from typing import Any

import pytorch_lightning as pl

from evdet.processes import ENDING_SIGNALS

__all__ = ["StopRequest", "StopTraining", "end_processes"]

# A terminal, a shell and a batch system may each pass the same wish on.
_SAME_WISH = 2.0
_LONGEST_END = 10.0


class StopTraining(BaseException):
    """A signal ends the training; `StopRequest` hands it to the program's own handler."""


class StopRequest:
    """Delays the signals that end a process until a training can be continued exactly.

    As a context manager it replaces their handlers, in the main thread; an ignored signal stays
    ignored. Outside of training steps a signal raises `StopTraining` at once, and so does one that
    is repeated after two seconds, where a step takes long or hangs.
    """

    def __init__(self) -> None:
        self.is_stepping = False
        """Whether training steps are done, at whose end the request is looked at."""
        self.is_ending = False
        """Whether signals are ignored, because the training ends already."""
        self._number: int | None = None
        self._since = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        """Replace the handlers."""
        if threading.current_thread() is threading.main_thread():
            handlers = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
            ignored = (signal.SIG_IGN, None)
            self._before = {number: one for number, one in handlers.items() if one not in ignored}
            for number in self._before:
                signal.signal(number, self._on_signal)
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Restore the handlers, and call the one of the signal that has ended the training."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if isinstance(error, StopTraining):
            self._pass_on()

    @property
    def is_requested(self) -> bool:
        """Whether a signal has arrived in this process."""
        return self._number is not None

    def end_if_requested(self) -> None:
        """End the training where this process has got a signal.

        Raises:
            StopTraining: it has.
        """
        if self.is_requested:
            self.is_ending = True
            raise StopTraining

    def step_alone(self, trainer: pl.Trainer) -> None:
        """Let Lightning's trainer leave signals alone: it takes a training that they end for done.

        Args:
            trainer: before its `fit`.
        """
        trainer._signal_connector = _NoSignals()  # type: ignore[assignment]

    def _pass_on(self) -> None:
        """Do what the program does at the signal, such as raising KeyboardInterrupt."""
        number = signal.SIGTERM if self._number is None else self._number
        handler = self._before.get(number)
        if callable(handler):
            handler(number, None)
        raise SystemExit(128 + number)  # where there is none the process would end at once

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self.is_ending:
            return
        now = time.monotonic()
        if self._number is None:
            self._number, self._since = number, now
        if not self.is_stepping or now - self._since > _SAME_WISH:
            self.is_ending = True
            raise StopTraining


class _NoSignals:
    """What Lightning's trainer asks of its handlers of signals, without any handler."""

    received_sigterm = False

    def register_signal_handlers(self) -> None:
        """Register none."""

    def teardown(self) -> None:
        """Restore none."""


def end_processes(trainer: pl.Trainer) -> None:
    """End the processes that Lightning has started for this run, if they do not end themselves."""
    started: list[subprocess.Popen[bytes]] = getattr(trainer.strategy.launcher, "procs", [])
    processes = list(started)
    # A thread of Lightning's kills this process when one of the list ends with an error.
    started.clear()
    for process in processes:
        process.send_signal(signal.SIGTERM)
    end = time.monotonic() + _LONGEST_END
    for process in processes:
        try:
            process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
