"""`evdet report`: the folders of runs -> one page of a run, or of several side by side."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from evdet.runs import RunFolder

__all__ = ["ReportOptions", "report"]


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Make a page of a run, or one that compares several: a file that needs nothing else."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")]
    """Folders of runs, as --root-dir named them. One gives its report; two to six are compared."""
    output: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """File to write; by default report.html in the run's folder, or comparison.html in the
    folder of the first run."""


def report(options: ReportOptions) -> None:
    """Write the page.

    Args:
        options: what the user asked for.
    """
    from evdet.report import read_run, write_comparison, write_report

    if not options.runs:
        raise ValueError("name the folder of a run, or of several to compare them")
    folders = [RunFolder(path) for path in options.runs]
    runs = [read_run(folder) for folder in folders]
    if len(runs) == 1:
        path = options.output or folders[0].report
        write_report(path, runs[0])
        print(f"report: {path}")
        return
    path = options.output or folders[0].comparison
    write_comparison(path, runs, _names(options.runs))
    print(f"comparison: {path}")


def _names(folders: tuple[Path, ...]) -> list[str]:
    """The last parts of each path, as many as it takes to tell them apart."""
    paths = [folder.resolve() for folder in folders]
    if len(set(paths)) < len(paths):
        raise ValueError(f"a run is named twice: {', '.join(map(str, folders))}")
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(paths):
        depth += 1
    return ["/".join(path.parts[-depth:]) for path in paths]
