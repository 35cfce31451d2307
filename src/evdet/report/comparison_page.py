"""The page that compares several runs, in numbers, curves and pictures."""

import os
from collections.abc import Sequence

from evdet.metrics import CONFIDENT_SCORE
from evdet.report.comparison_tables import (
    class_comparison,
    difference_table,
    disagreements,
    score_comparison,
)
from evdet.report.contents import RunReport
from evdet.report.curve_section import compare_curves, compare_rates, missing_curves
from evdet.report.page import gallery_title
from evdet.report.parts import LegendEntry, Plot
from evdet.report.plots import plot_curves, plot_losses, plot_mean_precision
from evdet.report.rendering import embed_video, write_page

__all__ = ["MAX_RUNS", "write_comparison"]

MAX_RUNS = 6
"""Largest number of runs: each has its own colour."""
# The best, the typical and the worst frames of each run together.
_MAX_PICTURES = 4


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
    is_pair = len(names) == 2
    embedded = [embed_video(run.video_path) for run in runs]
    curves = [run.curves for run in runs]
    # Runs do not differ by their folder.
    fields = [{k: v for k, v in run.config.items() if k != "root_dir"} for run in runs]
    differences = (
        difference_table("field", fields, names),
        difference_table("environment", [run.versions for run in runs], names),
    )
    notes_of = {
        name: [*run.notes, *why] for name, run, (_, why) in zip(names, runs, embedded, strict=True)
    }
    sights = [
        (name, video, run.strip)
        for name, run, (video, _) in zip(names, runs, embedded, strict=True)
    ]
    galleries = [
        (name, "", [*run.best[:1], *run.typical[:1], *run.failures][:_MAX_PICTURES])
        for name, run in zip(names, runs, strict=True)
    ]
    content = {
        "title": " against ".join(names) if is_pair else f"{len(names)} runs side by side",
        "summary": "" if is_pair else ", ".join(names),
        "notes": [
            *disagreements(runs, names),
            *(f"{name}: {note}" for name, notes in notes_of.items() for note in notes),
        ],
        "scores": score_comparison(runs, names),
        "sights": sights,
        "has_sights": any(video or shown for _, video, shown in sights),
        "galleries": galleries,
        "has_galleries": any(shown for _, _, shown in galleries),
        "gallery_title": gallery_title(runs),
        "shown_score": CONFIDENT_SCORE,
        "curve_plots": compare_curves(names, curves) + compare_rates(names, runs),
        "score_thresh": next((one["score_thresh"] for one in curves if one), None),
        "missing_curves": missing_curves(curves),
        "training_plots": _training(runs, names),
        "differences": [table for table in differences if table.rows],
        "has_same_config": any(fields) and not differences[0].rows,
        **_classes(runs, names),
    }
    write_page(path, "comparison.html", content)


def _classes(runs: Sequence[RunReport], names: Sequence[str]) -> dict[str, object]:
    scores = [run.scores for run in runs]
    if not any(scores):
        return {}
    plot = Plot(
        title="Precision and recall at IoU 0.50",
        drawing=plot_mean_precision([one or {} for one in scores]),
        legend=[LegendEntry(name) for name in names],
    )
    return {"class_table": class_comparison(scores, names), "precision_plot": plot}


def _training(runs: Sequence[RunReport], names: Sequence[str]) -> list[Plot]:
    """Curves of the logged values, all runs in one plot."""
    plots = []
    for key, title, top in (
        ("train_loss", "Training loss", None),
        ("val_map", "Validation mAP", 1.0),
        ("lr", "Learning rate", None),
    ):
        curves = {name: run.scalars.get(key, ()) for name, run in zip(names, runs, strict=True)}
        if any(curves.values()):
            is_loss = key == "train_loss"
            drawing = plot_losses(curves) if is_loss else plot_curves(curves, title=title, top=top)
            plots.append(
                Plot(title=title, drawing=drawing, legend=[LegendEntry(name) for name in names])
            )
    return plots
