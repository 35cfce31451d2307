"""Jobs -> done jobs in several processes; one that is killed costs the job that it was at."""

import contextlib
import logging
import signal
from collections import deque
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from evdet.cli.many.jobs import Job
from evdet.cli.many.working import Listener, Place, Work, work_on
from evdet.cli.terminal import reason_of
from evdet.processes import children_without_signals, leave_signals_to_parent

__all__ = ["do_jobs_in_processes"]

_SECONDS_TO_END = 5


def do_jobs_in_processes(
    work: Work, jobs: Sequence[Job], num_processes: int, listener: Listener
) -> None:
    """Do jobs in several processes of this machine.

    Args:
        work: what to do; it is pickled.
        jobs: in their order.
        num_processes: at most as many as there are jobs.
        listener: is told of each job, in this process.

    Raises:
        ValueError: a process cannot begin to work, for example without a device.
    """
    waiting = deque(range(len(jobs)))
    free = deque(range(num_processes))
    team: dict[Any, _Worker] = {}
    try:
        while waiting or team:
            while free and waiting:
                worker = _Worker(work, Place(index=free.popleft(), count=num_processes))
                team[worker.told] = worker
                worker.give(jobs, waiting.popleft())
            for told in wait(list(team)):
                worker = team[told]
                if worker.listen(listener):
                    continue
                # It waits for a job, or has ended.
                if worker.is_alive and waiting:
                    worker.give(jobs, waiting.popleft())
                    continue
                worker.end()
                del team[told]
                free.append(worker.place.index)
    finally:
        for worker in team.values():
            worker.stop()


class _Worker:
    """A process that works, seen from the one that gives it jobs."""

    def __init__(self, work: Work, place: Place) -> None:
        self.place = place
        self.is_alive = True
        self._index: int | None = None
        context = get_context("spawn")  # a fork of a process with threads may hang
        self.told, theirs = context.Pipe()
        level = logging.getLogger("evdet").level
        self._process: BaseProcess = context.Process(
            target=_serve, args=(theirs, work, place, level), daemon=True
        )
        with children_without_signals():
            self._process.start()
        theirs.close()

    def give(self, jobs: Sequence[Job], index: int) -> None:
        """Give it its next job."""
        self._index = index
        with contextlib.suppress(OSError):  # it has ended; `listen` notices
            self.told.send((index, jobs[index]))

    def listen(self, listener: Listener) -> bool:
        """Pass on what it tells; False where its job has ended, or itself."""
        try:
            kind, *values = self.told.recv()
        except (EOFError, OSError):
            self.is_alive = False
            self._process.join(_SECONDS_TO_END)
            if self._index is not None:
                listener.done(self._index, _end_of(self._process), "")
            return False
        if kind == "cannot start":
            raise ValueError(values[0])
        getattr(listener, kind)(*values)
        if kind == "done":
            self._index = None
        return bool(kind != "done")

    def end(self) -> None:
        """Let it end by itself."""
        with contextlib.suppress(OSError):
            self.told.send(None)
        self._process.join(_SECONDS_TO_END)
        self.stop()

    def stop(self) -> None:
        """End it now."""
        self.told.close()
        if self._process.is_alive():
            self._process.terminate()
            self._process.join(_SECONDS_TO_END)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


class _Telling:
    """The listener in the process that works: passes all to the one that gave the job."""

    def __init__(self, told: Connection) -> None:
        self._told = told

    def share(self, index: int, done: float | int) -> None:
        self._told.send(("share", index, done))

    def log(self, index: int, text: str) -> None:
        self._told.send(("log", index, text))

    def done(self, index: int, problem: str | None, text: str) -> None:
        self._told.send(("done", index, problem, text))


def _serve(told: Connection, work: Work, place: Place, level: int) -> None:
    """Do the jobs that arrive, until there is none or the other process has ended."""
    leave_signals_to_parent()
    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger("evdet").setLevel(level)
    try:
        do = work.start(place)
    except Exception as error:
        with contextlib.suppress(OSError):
            told.send(("cannot start", reason_of(error)))
        return
    # A broken pipe is the end of the other process.
    with contextlib.suppress(EOFError, OSError):
        while (given := told.recv()) is not None:
            index, job = given
            work_on(do, job, index, _Telling(told))


def _end_of(process: BaseProcess) -> str:
    code = process.exitcode
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        hint = ": was there too little memory? Try fewer --jobs" * (name == "SIGKILL")
        return f"the process that worked on it was ended by {name}{hint}"
    return f"the process that worked on it ended with status {code}"
