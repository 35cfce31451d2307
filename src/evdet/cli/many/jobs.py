"""Inputs -> jobs: the files that each input becomes, none of them twice."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evdet.cli.many.inputs import Input
from evdet.cli.options import counted

__all__ = ["Job", "jobs_for", "with_ending"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One input, and the files that it becomes."""

    source: Path
    """The input, as the user would type it."""
    outputs: tuple[Path, ...] = ()
    num_bytes: int = 0
    """The size of the input, which is its share of the progress bar."""

    def output(self, suffix: str) -> Path | None:
        """The output with an ending; None where it is not asked for."""
        return next((path for path in self.outputs if path.name.endswith(suffix)), None)


def jobs_for(
    inputs: Sequence[Input], folder: Path | None, suffixes: Sequence[str]
) -> tuple[Job, ...]:
    """Name the outputs of each input: NAME.csv of NAME.raw, in the folders of the inputs.

    Args:
        inputs: of one command.
        folder: for the outputs; None writes none.
        suffixes: the endings to write.

    Raises:
        ValueError: two inputs would write the same file.
    """
    jobs = []
    written: dict[str, Path] = {}
    twice: list[tuple[Path, Path, Path]] = []
    for source, place, num_bytes in inputs:
        stem = place if source.is_dir() else place.with_suffix("")
        outputs = () if folder is None else tuple(with_ending(folder / stem, s) for s in suffixes)
        for path in outputs:
            other = written.setdefault(_marked(path), source)
            if other != source:
                twice.append((other, source, path))
        jobs.append(Job(source=source, outputs=outputs, num_bytes=num_bytes))
    if twice:
        one, other, path = twice[0]
        more = f" (and {counted(len(twice) - 1, 'other')} alike)" if len(twice) > 1 else ""
        raise ValueError(
            f"{one} and {other} would both write {path}{more}: name one of the two, for example "
            f"with a pattern such as *{one.suffix}, or use another --output-dir for it"
        )
    return tuple(jobs)


def with_ending(path: Path, suffix: str) -> Path:
    """A path with an ending after its name, whatever dots the name has."""
    return path.with_name(path.name + suffix)


def _marked(path: Path) -> str:
    """What identifies a file that does not exist yet, on this system."""
    name = os.path.abspath(path)
    return name.casefold() if sys.platform in ("win32", "darwin") else name
