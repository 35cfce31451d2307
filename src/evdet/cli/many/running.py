"""run_many: words of the command line -> plan -> work -> summary, for every command alike."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from evdet.cli.many.board import Board, Failure, failed_files
from evdet.cli.many.inputs import FoundInputs, find_inputs
from evdet.cli.many.jobs import Job, jobs_for
from evdet.cli.many.journal import Journal, Settings
from evdet.cli.many.options import ManyOptions
from evdet.cli.many.processes import do_jobs_in_processes
from evdet.cli.many.ranks import Ranks, joined_ranks
from evdet.cli.many.working import Work, do_jobs
from evdet.cli.options import counted
from evdet.cli.terminal import reason_of
from evdet.outputs import prepare_files
from evdet.processes import EndedError, only_writer

__all__ = ["ManyCommand", "Plan", "plan_many", "run_many"]


@dataclass(frozen=True, kw_only=True)
class ManyCommand:
    """A command, and what it does with each of many files."""

    name: str
    """Of the command."""
    doing: str
    """In one word, for the progress bar: Detecting."""
    words: Sequence[str]
    """The files, folders and patterns that the user typed."""
    work: Work
    """What is done with each file."""
    find_in: Callable[[Path], list[Path]]
    """Finds the inputs in a folder."""
    what: str = "recordings"
    """The inputs of a folder, in words."""
    settings: Settings = field(default_factory=dict)
    """What decides the results besides the inputs."""
    read: Sequence[Path] = ()
    """Files that are read besides the inputs."""
    shows_blocks: bool = False
    """Whether a file has several lines of its own, and not one."""
    num_devices: int = 0
    """Accelerators that jobs can use; 0: they use the CPU."""


class Plan(NamedTuple):
    """What there is to do."""

    jobs: tuple[Job, ...]
    """The jobs that are not finished."""
    finished: tuple[Job, ...]
    """Those that are."""
    problems: tuple[Failure, ...]
    """What the user typed that gives no job."""
    num_changed: int = 0
    """Jobs that are done again, since their inputs have changed."""


def run_many(command: ManyCommand, options: ManyOptions) -> None:
    """Do what is not finished yet, and sum up.

    Args:
        command: the command.
        options: its options of many files, checked.

    Raises:
        ValueError: results would replace others, before any work.
        FailedFilesError: some files failed; the others are done.
    """
    with joined_ranks() as ranks:
        if ranks.count > 1 and options.jobs != 1:
            raise ValueError("--jobs cannot be used under torchrun, which starts the processes")
        if ranks.count == 1:
            _run(command, options, ranks)
        else:
            _run_as_rank(command, options, ranks)


def plan_many(command: ManyCommand, options: ManyOptions) -> Plan:
    """Decide what there is to do, without doing it.

    Raises:
        ValueError: two inputs would write one file, or results would replace others.
    """
    journal = _journal_of(command, options)
    found = _find(command, options, journal)
    jobs = jobs_for(found.inputs, options.output_dir, options.suffixes)
    outputs = [path for job in jobs for path in job.outputs]
    if journal is not None:
        read = [*(job.source for job in jobs), *command.read]
        prepare_files([*outputs, journal.path], read=read)
    if journal is None or options.overwrite:
        return Plan(jobs, (), found.problems)
    settings = command.settings
    is_finished = {job: journal.is_finished(job, settings) for job in jobs}
    finished = tuple(job for job in jobs if is_finished[job])
    rest = tuple(job for job in jobs if not is_finished[job])
    _refuse_other_settings(rest, journal, settings)
    _refuse_foreign_outputs(rest, journal)
    changed = sum(journal.has_changed(job) for job in rest)
    return Plan(rest, finished, found.problems, changed)


def _find(command: ManyCommand, options: ManyOptions, journal: Journal | None) -> FoundInputs:
    results: list[Path] = []
    if journal is not None:
        journal.read()
        results = [journal.folder, *journal.outputs, *journal.files]
    return find_inputs(
        command.words,
        command.find_in,
        what=command.what,
        leave_out=results,
        repeats=journal is None,
    )


def _journal_of(command: ManyCommand, options: ManyOptions, rank: int = 0) -> Journal | None:
    if options.output_dir is None:
        return None
    return Journal(options.output_dir, command.name, rank=rank)


def _refuse_other_settings(jobs: Sequence[Job], journal: Journal, settings: Settings) -> None:
    others = [(job, told) for job in jobs if (told := journal.other_settings(job, settings))]
    if others:
        job, told = others[0]
        more = f" (and {counted(len(others) - 1, 'more file')})" if len(others) > 1 else ""
        raise ValueError(
            f"{journal.folder} has results of {job.source}{more} that were made with other "
            f"settings: {'; '.join(told)}. --overwrite replaces them; another --output-dir keeps "
            "both"
        )


def _refuse_foreign_outputs(jobs: Sequence[Job], journal: Journal) -> None:
    for job in jobs:
        for path, owner in journal.foreign_outputs(job):
            whose = (
                f"evdet {journal.command} did not write it here"
                if owner is None
                else f"it is the result of {journal.folder / owner}"
            )
            raise ValueError(
                f"cannot write {path}, the result of {job.source}: it exists, and {whose}. Name "
                "another --output-dir, or replace it with --overwrite"
            )


@contextlib.contextmanager
def _only_command(command: ManyCommand, options: ManyOptions) -> Iterator[None]:
    """Make the folder of results, and be the only one that writes there."""
    folder = options.output_dir
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    busy = (
        f"another process of evdet {command.name} writes into {folder}: wait for its end, or name "
        "another --output-dir"
    )
    with only_writer(folder / f".evdet-{command.name}.lock", busy=busy):
        yield


def _run(command: ManyCommand, options: ManyOptions, ranks: Ranks) -> None:
    plan = plan_many(command, options)
    if not plan.jobs and not plan.finished:
        raise failed_files(plan.problems, len(plan.problems))
    with _only_command(command, options):
        plan = plan_many(command, options)  # another process may have changed it meanwhile
        journal = _begin(command, options, plan.jobs)
        board = _do(command, options, plan, plan.jobs, journal, ranks)
    failures = [*plan.problems, *((str(plan.jobs[i].source), why) for i, why in _sorted(board))]
    summary = _summary(options, plan, len(board.finished))
    if summary:
        print(summary)
    if failures:
        raise failed_files(failures, len(plan.jobs) + len(plan.finished) + len(plan.problems))


def _run_as_rank(command: ManyCommand, options: ManyOptions, ranks: Ranks) -> None:
    """The same in each process of torchrun: the first plans, and all wait for all at the end."""
    with contextlib.ExitStack() as stack:
        plan, problem = None, None
        if ranks.is_first:
            try:
                plan = plan_many(command, options)
                if not plan.jobs and not plan.finished:
                    raise failed_files(plan.problems, len(plan.problems))
                stack.enter_context(_only_command(command, options))
                plan = plan_many(command, options)
                _begin(command, options, plan.jobs)
            except (ValueError, OSError, RuntimeError) as error:
                problem = error
        plan, reason = ranks.share((plan, None if problem is None else reason_of(problem)))
        if reason is not None:
            raise SystemExit(2) if problem is None else problem
        mine = plan.jobs[ranks.index :: ranks.count]
        journal = _journal_of(command, options, ranks.index)
        if journal is not None:
            journal.read()
        board = _do(command, options, plan, mine, journal, ranks)
        ended = [(str(mine[index].source), why) for index, why in _sorted(board)]
        told = ranks.gather((len(board.finished), ended))
        failures = [*plan.problems, *(failure for _, failed in told for failure in failed)]
        if ranks.is_first:
            print(_summary(options, plan, sum(count for count, _ in told)), flush=True)
            if failures:
                num_files = len(plan.jobs) + len(plan.finished) + len(plan.problems)
                print(f"evdet: {failed_files(failures, num_files)}", file=sys.stderr, flush=True)
        # torchrun ends all processes when one of them fails: not before the first has summed up.
        ranks.share(None)
    if failures:
        raise SystemExit(2)


def _begin(command: ManyCommand, options: ManyOptions, jobs: Sequence[Job]) -> Journal | None:
    journal = _journal_of(command, options)
    if journal is not None:
        journal.read()
        journal.note_begun(jobs, command.settings)
        for folder in {path.parent for job in jobs for path in job.outputs}:
            folder.mkdir(parents=True, exist_ok=True)
    return journal


def _do(
    command: ManyCommand,
    options: ManyOptions,
    plan: Plan,
    jobs: Sequence[Job],
    journal: Journal | None,
    ranks: Ranks,
) -> Board:
    board = Board(
        jobs,
        doing=command.doing,
        shows_blocks=command.shows_blocks,
        is_silent=not ranks.is_first or not jobs,
    )
    listener = _Noting(board, jobs, journal, command.settings)
    num_processes = min(len(jobs), options.jobs or _automatic_jobs(command.num_devices))
    try:
        if num_processes < 2:
            if jobs:
                do_jobs(command.work, jobs, ranks.place, listener)
        else:
            do_jobs_in_processes(command.work, jobs, num_processes, listener)
    except (KeyboardInterrupt, EndedError) as stop:
        done = len(board.finished) + len(plan.finished)
        told = f"{done:,} of {counted(len(plan.jobs) + len(plan.finished), 'file')} done"
        told += "" if journal is None else "; the same command continues with the others"
        if isinstance(stop, EndedError):
            raise EndedError(stop.number, told) from None
        raise KeyboardInterrupt(told) from None
    finally:
        board.close()
    return board


class _Noting:
    """The board as listener, and the journal of what is finished."""

    def __init__(
        self, board: Board, jobs: Sequence[Job], journal: Journal | None, settings: Settings
    ) -> None:
        self._board = board
        self._jobs = jobs
        self._journal = journal
        self._settings = settings
        self.share = board.share
        self.log = board.log

    def done(self, index: int, problem: str | None, text: str) -> None:
        if problem is None and self._journal is not None:
            self._journal.note_finished(self._jobs[index], self._settings)
        self._board.done(index, problem, text)


def _automatic_jobs(num_devices: int) -> int:
    # Here, because it loads torch.
    from evdet.detectors import num_cores

    return num_devices or num_cores()


def _sorted(board: Board) -> list[tuple[int, str]]:
    return sorted(board.failed.items())


def _summary(options: ManyOptions, plan: Plan, num_done: int) -> str:
    """What is done, in a line; empty without a folder of results."""
    folder = options.output_dir
    if folder is None:
        return ""
    if not plan.jobs:
        which = counted(len(plan.finished), "file")
        return f"{folder}: {which} finished before, nothing to do (--overwrite does them again)"
    parts = [f"{folder}: {num_done:,} of {counted(len(plan.jobs), 'file')} done"]
    if plan.finished:
        parts.append(f"{len(plan.finished):,} finished before and skipped")
    if plan.num_changed:
        parts.append(f"{plan.num_changed:,} of them again, since the file has changed")
    return ", ".join(parts)
