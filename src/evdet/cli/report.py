"""`evdet report`: folders of runs -> a page of one run, or a comparison of several."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from evdet.cli.options import default, required
from evdet.report import read_run, write_comparison, write_report
from evdet.runs import RunFolder

__all__ = ["ReportOptions", "report"]


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Write a report of a run, or a comparison of several, as one HTML file."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, required("RUN [RUN ...]")]
    """Folders of runs (--root-dir of the training); two to six runs are compared."""
    output: Annotated[
        Path | None, default("report.html or comparison.html in the first run's folder", "FILE")
    ] = None
    """HTML file to write."""


def report(options: ReportOptions) -> None:
    """Write the page.

    Raises:
        ValueError: no run is given, or one twice.
    """
    if not options.runs:
        raise ValueError("no run given: evdet report RUN [RUN ...]")
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
        raise ValueError(f"a run is given twice: {', '.join(map(str, folders))}")
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(paths):
        depth += 1
    return ["/".join(path.parts[-depth:]) for path in paths]
