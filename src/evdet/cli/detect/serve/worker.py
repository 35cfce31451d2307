"""A process that detects for the page, and that can be ended at any moment."""

import contextlib
import dataclasses
import logging
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evdet.cli.detect.serve.detection import Progress, Result, run_detection
from evdet.cli.detect.serve.requests import DetectionRequest
from evdet.detectors import open_detector, use_threads
from evdet.models import DetectorProtocol
from evdet.processes import children_without_signals, leave_signals_to_parent

if TYPE_CHECKING:
    if sys.platform == "win32":
        from multiprocessing.connection import PipeConnection as _Pipe
    else:
        from multiprocessing.connection import Connection as _Pipe

__all__ = ["DetectorChoice", "Task", "Worker", "WorkerError"]

_POLL = 0.1  # seconds
_TO_END = 2.0  # seconds
_MOST_NOTES = 10


class WorkerError(RuntimeError):
    """A detection failed, was cancelled, or took too long; one line."""


@dataclass(frozen=True, kw_only=True)
class DetectorChoice:
    """A detector of the page."""

    path: Path
    """As `open_detector` takes it."""
    device: str
    """Where it computes."""
    num_threads: int
    """Threads of the CPU; 0 chooses."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A detection to do."""

    request: DetectionRequest
    """What was asked for."""
    path: Path
    """The source."""
    folder: Path
    """An empty folder for the files."""


class Worker:
    """A process that detects, one recording after another; it is started when it is needed.

    Args:
        choices: the detectors, by index.
    """

    def __init__(self, choices: tuple[DetectorChoice, ...]) -> None:
        self._choices = choices
        self._process: Any = None
        self._connection: _Pipe | None = None

    def run(
        self,
        task: Task,
        *,
        report: Callable[[Progress], None],
        problem: Callable[[], str | None],
    ) -> Result:
        """Detect, and wait for the result.

        Args:
            task: what to do.
            report: called with the progress.
            problem: asked several times a second; what it gives ends the process, and is the error.

        Raises:
            WorkerError: the detection failed, or was ended.
        """
        connection = self._started()
        try:
            connection.send(task)
            while True:
                reason = problem()
                if reason is not None:
                    self.close()
                    raise WorkerError(reason)
                if not connection.poll(_POLL):
                    continue
                answer = connection.recv()
                if isinstance(answer, Progress):
                    report(answer)
                elif isinstance(answer, Result):
                    return answer
                else:
                    raise WorkerError(str(answer))
        except (EOFError, OSError) as error:
            self.close()
            raise WorkerError(
                "the process of the detection ended: the memory may not suffice, or the file "
                "makes a library fail"
            ) from error

    def close(self) -> None:
        """End the process, also in the middle of a detection."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.terminate()
            self._process.join(_TO_END)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
        self._process = self._connection = None

    def _started(self) -> "_Pipe":
        if self._connection is None or not self._process.is_alive():
            self.close()
            context = multiprocessing.get_context("spawn")
            mine, others = context.Pipe()
            self._process = context.Process(
                target=_work, args=(others, self._choices), daemon=True, name="evdet serve"
            )
            with children_without_signals():
                self._process.start()
            others.close()
            self._connection = mine
        return self._connection


def _work(connection: "_Pipe", choices: tuple[DetectorChoice, ...]) -> None:
    """Answer tasks until the other end is closed."""
    leave_signals_to_parent()
    detectors: dict[int, DetectorProtocol] = {}
    with contextlib.suppress(EOFError, OSError):
        while True:
            task: Task = connection.recv()
            connection.send(_answer(task, choices, detectors, connection))


def _answer(
    task: Task,
    choices: tuple[DetectorChoice, ...],
    detectors: dict[int, DetectorProtocol],
    connection: "_Pipe",
) -> Result | str:
    """Do a task; an error is its message."""
    index = task.request.detector
    try:
        if index not in detectors:
            choice = choices[index]
            detectors[index] = open_detector(
                choice.path, device=choice.device, num_threads=choice.num_threads
            )
            use_threads(detectors[index], choice.num_threads)
        with _warnings() as warned:
            result = run_detection(
                task.request, task.path, task.folder, detectors[index], report=connection.send
            )
        notes = [*dict.fromkeys(warned), *result.notes][:_MOST_NOTES]
        return dataclasses.replace(result, notes=notes)
    except MemoryError:
        return "not enough memory for this recording"
    except (ValueError, RuntimeError, OSError) as error:
        return " ".join(str(error).split()) or type(error).__name__
    except Exception as error:  # a mistake of evdet: the page says so, and the worker goes on
        return f"evdet failed on this file ({type(error).__name__}: {error})"


class _Kept(logging.Handler):
    """Keeps warnings, which the page shows with the result."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.messages) < _MOST_NOTES:
            self.messages.append(" ".join(record.getMessage().split()))


@contextlib.contextmanager
def _warnings() -> Iterator[list[str]]:
    """The warnings that evdet logs in a block."""
    kept, logger = _Kept(), logging.getLogger("evdet")
    logger.addHandler(kept)
    try:
        yield kept.messages
    finally:
        logger.removeHandler(kept)
