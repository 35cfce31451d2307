"""The page that compares several runs, in numbers, curves and pictures."""

import html
import os
from collections.abc import Sequence

from evdet.report.comparison_tables import (
    class_comparison,
    difference_table,
    disagreements,
    score_comparison,
)
from evdet.report.contents import RunReport
from evdet.report.curve_section import compare_curves
from evdet.report.elements import (
    document,
    figure,
    header,
    pictures,
    section,
    video,
    write_page,
)
from evdet.report.plots import plot_curves, plot_losses, plot_mean_precision

__all__ = ["MAX_RUNS", "write_comparison"]

MAX_RUNS = 6
"""Largest number of runs: each has its own colour."""
# Worst frames of each run.
_MAX_FAILURES = 6


def write_comparison(
    path: str | os.PathLike[str], runs: Sequence[RunReport], names: Sequence[str]
) -> None:
    """Write the comparison of several runs as one self-contained HTML file.

    Args:
        path: the file; it appears when it is complete, and replaces an older one.
        runs: two to `MAX_RUNS` of them.
        names: of the runs, all different.

    Raises:
        ValueError: too few or too many runs, or a repeated name.
    """
    if not 2 <= len(runs) <= MAX_RUNS:
        raise ValueError(f"a page compares 2 to {MAX_RUNS} runs, got {len(runs)}")
    if len(set(names)) < len(runs):
        raise ValueError(f"the names of the runs must differ, got {list(names)}")
    write_page(path, _page(runs, names))


def _page(runs: Sequence[RunReport], names: Sequence[str]) -> str:
    is_pair = len(names) == 2
    title = " against ".join(names) if is_pair else f"{len(names)} runs side by side"
    summary = "" if is_pair else ", ".join(names)
    sights, missing = _sights(runs, names)
    notes = [*disagreements(runs, names), *_notes(runs, names), *missing]
    return document(
        title,
        (
            header(title, summary, notes=notes),
            section("Overview", score_comparison(runs, names)),
            section("Detections", sights),
            section("Accuracy by class", _classes(runs, names)),
            section(
                "Accuracy by group and latency",
                compare_curves(names, [run.curves for run in runs]),
            ),
            section("Worst frames", _failures(runs, names)),
            section("Training", _training(runs, names)),
            section("Differences", _differences(runs, names)),
        ),
    )


def _notes(runs: Sequence[RunReport], names: Sequence[str]) -> list[str]:
    return [f"{name}: {note}" for name, run in zip(names, runs, strict=True) for note in run.notes]


def _classes(runs: Sequence[RunReport], names: Sequence[str]) -> str:
    scored = [run for run in runs if run.scores is not None]
    if not scored:
        return ""
    scores = [run.scores for run in runs]
    drawing = plot_mean_precision([one or {} for one in scores])
    return (
        f'<div class="columns"><div>{class_comparison(scores, names)}</div>'
        f"<div>{figure('Precision and recall at IoU 0.50', names, drawing)}</div></div>"
    )


def _sights(runs: Sequence[RunReport], names: Sequence[str]) -> tuple[str, list[str]]:
    columns, notes = [], []
    for series, (run, name) in enumerate(zip(runs, names, strict=True), start=1):
        film, why = video(run.video_path)
        notes += [f"{name}: {reason}" for reason in why]
        frames = pictures(run.strip, "strip")
        if film or frames:
            columns.append(_column(series, name, film + frames))
    if not columns:
        return "", notes
    hint = '<p class="hint">In colour, with the score: detections. In white: ground truth.</p>\n'
    return f'{hint}<div class="beside">{"".join(columns)}</div>', notes


def _failures(runs: Sequence[RunReport], names: Sequence[str]) -> str:
    columns = [
        _column(series, name, pictures(run.failures[:_MAX_FAILURES], "strip"))
        for series, (run, name) in enumerate(zip(runs, names, strict=True), start=1)
        if run.failures
    ]
    return f'<div class="beside">{"".join(columns)}</div>' if columns else ""


def _column(series: int, name: str, body: str) -> str:
    return (
        f'<div><h3 class="run" style="--color:var(--series-{series})">{html.escape(name)}</h3>'
        f"{body}</div>"
    )


def _training(runs: Sequence[RunReport], names: Sequence[str]) -> str:
    """Curves of the logged values, all runs in one plot."""
    figures = []
    for key, title, top in (
        ("train_loss", "Training loss", None),
        ("val_map", "Validation mAP", 1.0),
        ("lr", "Learning rate", None),
    ):
        curves = {name: run.scalars.get(key, ()) for name, run in zip(names, runs, strict=True)}
        if any(curves.values()):
            drawing = (
                plot_losses(curves)
                if key == "train_loss"
                else plot_curves(curves, title=title, top=top)
            )
            figures.append(figure(title, names, drawing))
    return f'<div class="plots">{"".join(figures)}</div>' if figures else ""


def _differences(runs: Sequence[RunReport], names: Sequence[str]) -> str:
    # Runs do not differ by their folder.
    fields = [{k: v for k, v in run.config.items() if k != "root_dir"} for run in runs]
    configs = difference_table("field", fields, names)
    versions = difference_table("environment", [run.versions for run in runs], names)
    same = (
        ""
        if configs or not any(run.config for run in runs)
        else '<p class="hint">All fields of the configurations are the same.</p>'
    )
    return f"{configs}{same}{versions}"
