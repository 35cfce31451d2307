"""The page of one run."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from evdet.metrics import CONFIDENT_SCORE
from evdet.report.contents import Curve, RunReport
from evdet.report.curve_section import compare_rates, missing_curves, plots_of_curves
from evdet.report.data_section import data_plots, object_tables
from evdet.report.parts import LegendEntry, Plot
from evdet.report.plots import plot_curves, plot_losses, plot_precision_recall
from evdet.report.rendering import (
    count_of,
    decimal,
    duration,
    embed_video,
    large_number,
    write_page,
)
from evdet.report.speed_section import milliseconds, speed_setting, speed_tables
from evdet.report.tables import class_tables, confusion_rows, largest_confusions, size_table

__all__ = ["gallery_title", "select_scalars", "write_report"]

_MAX_CURVES = 4
# Largest number of letters of a class name in the confusion table.
_MAX_NAME = 14


def write_report(path: str | os.PathLike[str], run: RunReport) -> None:
    """Write the report of a run as one self-contained HTML file.

    Args:
        path: the file; it appears when it is complete, and replaces an older one.
        run: the content.
    """
    video, notes = embed_video(run.video_path)
    content = {
        "run": run,
        "video": video,
        "notes": [*run.notes, *notes],
        "tiles": _headline(run),
        "facts": _facts(run),
        "shown_score": CONFIDENT_SCORE,
        "gallery": [*run.best, *run.typical, *run.failures],
        "gallery_title": gallery_title([run]),
        "curve_plots": plots_of_curves(run.curves) + compare_rates(["all objects"], [run]),
        "missing_curves": missing_curves([run.curves]),
        "training_plots": _training(run.scalars),
        "data_plots": data_plots(run.data),
        "object_tables": object_tables(run.data),
        "data_words": _data_words(run.data),
        "config": _as_yaml(run.config),
        **_accuracy(run),
        **_confusion(run),
        **_speed(run),
    }
    write_page(path, "run.html", content)


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


def gallery_title(runs: Sequence[RunReport]) -> str:
    """The heading of the frames that some runs show."""
    is_good = any(run.best or run.typical for run in runs)
    is_bad = any(run.failures for run in runs)
    if is_good and is_bad:
        return "Best, typical and worst frames"
    return "Best and typical frames" if is_good else "Worst frames"


def _facts(run: RunReport) -> dict[str, str]:
    """The numbers beside the video."""
    scores = run.scores
    if scores is None:
        return {}
    facts = {"objects": f"{scores['num_truths']:,}"}
    split = str(scores.get("split"))
    played = ((run.data or {}).get("splits") or {}).get(split)
    if played and played["num_recordings"]:
        facts = {f"recordings, {split}": f"{played['num_recordings']:,}", **facts}
    if "num_confident" in scores:
        facts[f"detections at score {CONFIDENT_SCORE}"] = f"{scores['num_confident']:,}"
    lowest = "" if run.score_thresh is None else f" at score {run.score_thresh:g}"
    facts[f"detections{lowest}"] = f"{scores['num_detections']:,}"
    return facts


def _accuracy_words(run: RunReport, scores: Mapping[str, Any]) -> str:
    num_objects, num_frames = scores["num_truths"], scores["num_frames"]
    number, confident = scores["num_detections"], scores.get("num_confident")
    words = f"{count_of(num_objects, 'object')} in {count_of(num_frames, 'frame')}; "
    if confident is not None:
        words += f"{count_of(confident, 'detection')} at score {CONFIDENT_SCORE} (found), "
    lowest = "in all" if run.score_thresh is None else f"at score {run.score_thresh:g}"
    words += f"{count_of(number, 'detection')} {lowest}."
    if number == 0:
        words += " The detector finds nothing on these frames."
    elif confident == 0:
        words += f" No detection reaches a score of {CONFIDENT_SCORE}, so the pictures show none."
    return words


def _accuracy(run: RunReport) -> dict[str, object]:
    if run.scores is None:
        return {}
    plot = Plot(
        title="Precision and recall",
        drawing=plot_precision_recall(run.scores),
        legend=[LegendEntry("mean at IoU 0.50"), LegendEntry("mean at IoU 0.75")],
        caption="Faint: each class at IoU 0.50." if len(run.scores["per_class"]) > 1 else "",
    )
    return {
        "class_tables": class_tables(run.scores),
        "size_table": size_table(run.scores),
        "precision_plot": plot,
        "accuracy_words": _accuracy_words(run, run.scores),
    }


def _confusion(run: RunReport) -> dict[str, object]:
    if run.confusion is None:
        return {}
    rows = confusion_rows(run.confusion, run.class_names)
    num_unused = len(run.class_names) + 1 - len(rows)
    unused = f"{count_of(num_unused, 'class', 'classes')} without objects and detections left out."
    return {
        "confusion_rows": rows,
        "unused_classes": unused if num_unused else "",
        "name_width": min(_MAX_NAME, max(map(len, ["none", *run.class_names]))),
        "confusions": largest_confusions(run.confusion, run.class_names),
    }


def _speed(run: RunReport) -> dict[str, object]:
    if run.speed is None:
        return {}
    return {"speed_tables": speed_tables(run.speed), "speed_setting": speed_setting(run.speed)}


def _data_words(data: Mapping[str, Any] | None) -> str:
    if data is None:
        return ""
    sentences = []
    for name, split in data["splits"].items():
        num_read, number = split["num_read"], split["num_recordings"]
        of = f"{num_read:,} of " if num_read < number else ""
        what = count_of(number, "recording") if number else count_of(split["num_frames"], "frame")
        sentences.append(f"{name}: {of}{what}")
    return f"{'; '.join(sentences)}. {data['note']}".strip()


def _training(scalars: Mapping[str, Curve]) -> list[Plot]:
    losses = select_scalars(scalars, "loss")
    precisions = select_scalars(scalars, "map")
    rates = select_scalars(scalars, "lr")
    drawn = []
    if losses:
        drawn.append(("Losses", losses, plot_losses(losses)))
    if precisions:
        title = "Validation mAP over training steps"
        drawn.append(("Validation", precisions, plot_curves(precisions, title=title, top=1.0)))
    if rates:
        title = "Learning rate over training steps"
        drawn.append(("Learning rate", rates, plot_curves(rates, title=title)))
    return [
        Plot(title=title, drawing=drawing, legend=[LegendEntry(name) for name in curves])
        for title, curves, drawing in drawn
    ]


def select_scalars(scalars: Mapping[str, Curve], word: str) -> dict[str, Curve]:
    """The curves with this word in the last part of their name, up to `_MAX_CURVES`."""
    wanted = {
        name: curve
        for name, curve in scalars.items()
        # Lightning logs the mean x_epoch in addition to x_step.
        if word in name.rsplit("/")[-1].lower() and not name.endswith("_epoch") and curve
    }
    return dict(list(wanted.items())[:_MAX_CURVES])


def _as_yaml(config: Mapping[str, object]) -> str:
    if not config:
        return ""
    # JSON turns tuples and paths into types that YAML writes plainly.
    plain = json.loads(json.dumps(dict(config), default=str))
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
