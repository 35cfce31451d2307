"""What the user sees of many jobs: one progress bar, lines of each file, and those that failed."""

import re
import sys
from collections import Counter
from collections.abc import Sequence

from evdet.cli.many.jobs import Job
from evdet.cli.options import counted
from evdet.cli.terminal import tqdm

__all__ = ["Board", "FailedFilesError", "Failure", "failed_files"]

Failure = tuple[str, str]
"""A file, and what is wrong with it."""


class FailedFilesError(RuntimeError):
    """Some of many files failed, and the others are done."""


class Board:
    """Shows how jobs go on; the listener of those that work.

    Args:
        jobs: the jobs, by the index of what is told.
        doing: in one word, such as Detecting.
        shows_blocks: print what a job prints under its name, as it is; otherwise in one line.
        is_silent: show nothing, and only remember.
    """

    def __init__(
        self, jobs: Sequence[Job], *, doing: str, shows_blocks: bool, is_silent: bool = False
    ) -> None:
        self._jobs = jobs
        self._shows_blocks = shows_blocks
        self._shares: list[float | int] = [0.0] * len(jobs)
        self._reached = 0.0
        self._logged: Counter[str] = Counter()
        self.finished: list[int] = []
        """The jobs that are done, in the order of their ends."""
        self.failed: dict[int, str] = {}
        """The jobs that failed, and why."""
        self._total = sum(map(_weight, jobs))
        self._bar = tqdm(
            desc=doing, total=self._total, unit="B", unit_scale=True, leave=False,
            disable=is_silent,
        )  # fmt: skip

    def share(self, index: int, done: float | int) -> None:
        """Move the bar."""
        before = self._shares[index]
        self._shares[index] = max(done, before)
        self._reached += (self._shares[index] - before) * _weight(self._jobs[index])
        self._bar.update(min(round(self._reached), self._total) - self._bar.n)

    def log(self, index: int, text: str) -> None:
        """Show what was logged with the name of the file; of many files once."""
        self._logged[text] += 1
        if self._logged[text] == 1:
            source = self._jobs[index].source
            self._print(_named(str(source), text), is_error=True)

    def done(self, index: int, problem: str | None, text: str) -> None:
        """Show what a job printed."""
        self.share(index, 1)
        ended = len(self.finished) + len(self.failed) + 1
        self._bar.set_postfix_str(f"{ended:,} of {counted(len(self._jobs), 'file')}")
        if problem is None:
            self.finished.append(index)
        else:
            self.failed[index] = problem
        source = self._jobs[index].source
        lines = [line for line in text.splitlines() if line.strip()]
        if self._shows_blocks:
            self._print("\n".join([str(source), *lines]))
        elif lines:
            self._print(f"{source}: {'; '.join(line.strip() for line in lines)}")

    def close(self) -> None:
        """Remove the bar, and say what was logged of several files."""
        self._bar.close()
        for text, count in self._logged.items():
            if count > 1:
                first = text.splitlines()[0][:60]
                more = "" if first == text else "..."
                print(
                    f"logged of {counted(count - 1, 'more file')}: {first}{more}", file=sys.stderr
                )
        self._logged.clear()

    def _print(self, text: str, *, is_error: bool = False) -> None:
        self._bar.clear()
        print(text, file=sys.stderr if is_error else sys.stdout, flush=True)
        self._bar.refresh()


def failed_files(failures: Sequence[Failure], num_files: int) -> FailedFilesError:
    """The error that names all files that failed.

    Args:
        failures: at least one.
        num_files: of all files.
    """
    if num_files == 1:
        return FailedFilesError(_named(*failures[0]))
    lines = [f"{len(failures):,} of {counted(num_files, 'file')} failed:"]
    lines += [f"  {_named(name, reason)}" for name, reason in failures]
    return FailedFilesError("\n".join(lines))


def _named(name: str, reason: str) -> str:
    is_named = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", reason)
    return reason if is_named else f"{name}: {reason}"


def _weight(job: Job) -> int:
    # Empty files count, too.
    return max(1, job.num_bytes)
