"""The page of one run, and its sections."""

import html
import json
import os
from collections.abc import Mapping, Sequence

import yaml

from evdet.report.contents import Curve, Picture, RunReport
from evdet.report.curve_section import curve_section
from evdet.report.elements import (
    document,
    duration,
    figure,
    header,
    large_number,
    legend,
    pictures,
    section,
    video,
    write_page,
)
from evdet.report.plots import plot_curves, plot_losses, plot_precision_recall
from evdet.report.speed_section import milliseconds, speed_section
from evdet.report.tables import class_table, confusion_table, decimal, size_table

__all__ = ["select_scalars", "write_report"]

_MAX_CURVES = 4
_MEANS = ("mean at IoU 0.50", "mean at IoU 0.75")


def write_report(path: str | os.PathLike[str], run: RunReport) -> None:
    """Write the report of a run as one self-contained HTML file.

    Args:
        path: the file; it appears when it is complete, and replaces an older one.
        run: the content.
    """
    write_page(path, _page(run))


def _page(run: RunReport) -> str:
    film, notes = video(run.video_path)
    return document(
        run.title,
        (
            header(run.title, run.summary, tiles=_headline(run), notes=[*run.notes, *notes]),
            section("Detections", _sight(film, run.strip)),
            section("Accuracy", _accuracy(run)),
            section("Accuracy by group and latency", curve_section(run.curves)),
            section("Speed", speed_section(run.speed)),
            section("Confusion", _confusion(run)),
            section("Worst frames", pictures(run.failures, "failures")),
            section("Training", _training(run.scalars)),
            section("Reproduce", _reproduce(run)),
        ),
    )


def _headline(run: RunReport) -> dict[str, str]:
    tiles = {}
    if run.scores is not None:
        tiles["mAP"] = decimal(run.scores["mAP"])
        tiles["mAP50"] = decimal(run.scores["mAP50"])
        tiles["test frames"] = f"{run.scores['num_frames']:,}"
    if run.num_frames is not None:
        tiles["frames trained on"] = f"{run.num_frames:,}"
    if run.training_seconds is not None:
        tiles["training time"] = duration(run.training_seconds)
        if run.num_frames is not None and run.training_seconds > 0:
            tiles["frames per second"] = f"{run.num_frames / run.training_seconds:,.0f}"
    if run.speed is not None:
        tiles["time per bin"] = milliseconds(run.speed["stages"]["window"]["p50"])
    if run.num_parameters is not None:
        tiles["parameters"] = large_number(run.num_parameters)
    return tiles


def _sight(film: str, strip: Sequence[Picture]) -> str:
    frames = pictures(strip, "strip")
    if not film and not frames:
        return ""
    return (
        '<p class="hint">In colour, with the score: detections. In white: ground truth.</p>\n'
        f'<div class="sight">{film}{frames}</div>'
    )


def _accuracy(run: RunReport) -> str:
    scores = run.scores
    if scores is None:
        return ""
    hint = (
        f"COCO average precision, IoU 0.50 to 0.95, protocol “{html.escape(scores['protocol'])}”: "
        f"{scores['num_detections']:,} detections and {scores['num_truths']:,} objects "
        f"in {scores['num_frames']:,} frames."
    )
    return (
        f'<p class="hint">{hint}</p>\n<div class="columns">'
        f"<div>{class_table(scores)}</div>"
        f"<div>{size_table(scores)}"
        f"<figure><h3>Precision and recall</h3>{legend(_MEANS)}{plot_precision_recall(scores)}"
        "<figcaption>Faint: each class at IoU 0.50.</figcaption></figure></div></div>"
    )


def _confusion(run: RunReport) -> str:
    if run.confusion is None:
        return ""
    hint = (
        "Rows: class of the ground truth. Columns: class of the detection; the last column counts "
        "missed objects, the last row false alarms. Darker cells have a larger share of their row "
        "(in the last row, of their column)."
    )
    return f'<p class="hint">{hint}</p>\n{confusion_table(run.confusion, run.class_names)}'


def _training(scalars: Mapping[str, Curve]) -> str:
    losses = select_scalars(scalars, "loss")
    rates = select_scalars(scalars, "lr")
    precisions = select_scalars(scalars, "map")
    figures = []
    if losses:
        figures.append(figure("Losses", list(losses), plot_losses(losses)))
    if precisions:
        drawing = plot_curves(precisions, title="Validation mAP over training steps", top=1.0)
        figures.append(figure("Validation", list(precisions), drawing))
    if rates:
        drawing = plot_curves(rates, title="Learning rate over training steps")
        figures.append(figure("Learning rate", list(rates), drawing))
    return f'<div class="plots">{"".join(figures)}</div>' if figures else ""


def select_scalars(scalars: Mapping[str, Curve], word: str) -> dict[str, Curve]:
    """The curves with this word in the last part of their name, up to `_MAX_CURVES`."""
    wanted = {
        name: curve
        for name, curve in scalars.items()
        # Lightning logs the mean x_epoch in addition to x_step.
        if word in name.rsplit("/")[-1].lower() and not name.endswith("_epoch") and curve
    }
    return dict(list(wanted.items())[:_MAX_CURVES])


def _reproduce(run: RunReport) -> str:
    parts = []
    if run.commands:
        commands = html.escape("\n".join(run.commands))
        parts.append(f"<pre><code>{commands}</code></pre>")
    if run.versions:
        items = "".join(
            f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>"
            for name, value in run.versions.items()
        )
        parts.append(f'<dl class="versions">{items}</dl>')
    if run.config:
        # JSON turns tuples and paths into types that YAML writes plainly.
        plain = json.loads(json.dumps(dict(run.config), default=str))
        config = html.escape(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
        parts.append(
            f"<details><summary>Configuration</summary><pre><code>{config}</code></pre></details>"
        )
    return "\n".join(parts)
