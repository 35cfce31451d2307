"""Jobs -> done jobs, one after the other in this process; what is printed and logged is told."""

import contextlib
import io
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from evdet.cli.many.jobs import Job
from evdet.cli.many.progress import OpenBar, PartialBars
from evdet.cli.terminal import reason_of

__all__ = ["DoJob", "Listener", "Place", "Work", "do_jobs", "work_on"]

_log = logging.getLogger(__name__)

DoJob = Callable[[Job, OpenBar], None]
"""Does a job: prints what there is to say, and raises what is wrong with the input."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """The place of a process among those that work on this machine at the same time."""

    index: int = 0
    count: int = 1


@runtime_checkable
class Work(Protocol):
    """What a command does with each file; it is sent to other processes."""

    def start(self, place: Place) -> DoJob:
        """Open what all jobs need, such as a detector, once in each process."""


@runtime_checkable
class Listener(Protocol):
    """Is told how jobs go on; they are named by their index."""

    def share(self, index: int, done: float | int) -> None:
        """A share of a job is done, from 0 to 1."""

    def log(self, index: int, text: str) -> None:
        """Something was logged."""

    def done(self, index: int, problem: str | None, text: str) -> None:
        """A job has ended: what is wrong, and what it printed."""


def do_jobs(work: Work, jobs: Sequence[Job], place: Place, listener: Listener) -> None:
    """Do jobs in this process.

    Args:
        work: what to do.
        jobs: in their order.
        place: of this process.
        listener: is told of each.
    """
    do = work.start(place)
    for index, job in enumerate(jobs):
        work_on(do, job, index, listener)


def work_on(do: DoJob, job: Job, index: int, listener: Listener) -> None:
    """Do one job; what is wrong with it is told, and raised is only what ends all of them.

    Args:
        do: does it.
        job: the job.
        index: its name for the listener.
        listener: is told.
    """
    printed = io.StringIO()
    problem = None
    with contextlib.redirect_stdout(printed), _log_to(lambda text: listener.log(index, text)):
        try:
            do(job, PartialBars(lambda done: listener.share(index, done)))
        except Exception as error:  # of this input, which must not stop the others
            _log.debug("%s", job.source, exc_info=True)
            problem = reason_of(error)
    listener.done(index, problem, printed.getvalue())


class _ToListener(logging.Handler):
    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(self.format(record))


@contextlib.contextmanager
def _log_to(tell: Callable[[str], None]) -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:]
    root.handlers = [_ToListener(tell)]
    try:
        yield
    finally:
        root.handlers = before
