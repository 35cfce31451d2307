"""`evdet report`: folders of runs -> a page of one run, or a comparison of several."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from evdet.cli.options import check_writable, default, required
from evdet.outputs import prepare_files, run_files
from evdet.report import RunReport, read_run, write_comparison, write_report
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
    page = "report" if len(folders) == 1 else "comparison"
    read = [file for path in options.runs for file in run_files(path, but=[page])]
    check_writable(options.output, suffixes=(".html", ".htm"), read=read)
    if options.output is None and folders[0].path.is_dir():
        prepare_files([], derived=[getattr(folders[0], page)], read=read)
    names = _names(options.runs)
    runs = [_read(folder) for folder in folders]
    if len(runs) == 1:
        path = options.output or folders[0].report
        write_report(path, runs[0])
        print(f"report: {path}")
        return
    path = options.output or folders[0].comparison
    write_comparison(path, runs, names)
    print(f"comparison: {path}")


def _read(folder: RunFolder) -> RunReport:
    """Read a run.

    Raises:
        ValueError: it has a configuration, and nothing was done with it.
    """
    run = read_run(folder)
    if not (run.scores or run.speed or run.scalars or run.num_frames):
        raise ValueError(
            f"{folder.path} has nothing to report yet: it holds a configuration without training, "
            "scores or measured speed. evdet train --config FILE --root-dir DIR trains"
        )
    return run


def _names(folders: tuple[Path, ...]) -> list[str]:
    """The last parts of each path, as many as it takes to tell them apart."""
    paths = [folder.resolve() for folder in folders]
    if len(set(paths)) < len(paths):
        raise ValueError(f"a run is given twice: {', '.join(map(str, folders))}")
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(paths):
        depth += 1
    return ["/".join(path.parts[-depth:]) for path in paths]
