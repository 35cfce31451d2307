"""The page: which sections there are, and what stands in each."""

import base64
import html
import json
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

import yaml

from evdet.draw import encode_png
from evdet.report.contents import Curve, Picture, RunReport
from evdet.report.plots import plot_curves, plot_losses, plot_precision_recall
from evdet.report.tables import class_table, confusion_table, decimal, size_table

__all__ = ["write_report"]

_MAX_VIDEO_BYTES = 8_000_000
_MAX_CURVES = 4
# The browser itself then refuses whatever the page does not bring along, and all scripts.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"


def write_report(path: str | os.PathLike[str], run: RunReport) -> None:
    """Write a run as one HTML file that needs nothing else: no network, no files beside it.

    Args:
        path: the file; it appears when it is complete, and replaces an older one.
        run: what to show.
    """
    page = _page(run)
    part = Path(path).with_name(f".{Path(path).name}.part")
    try:
        part.write_text(page, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _page(run: RunReport) -> str:
    style = resources.files("evdet.report").joinpath("style.css").read_text(encoding="utf-8")
    video, notes = _video(run.video_path)
    sections = (
        _header(run, [*run.notes, *notes]),
        _section("What it sees", _sight(video, run.strip)),
        _section("Accuracy", _accuracy(run)),
        _section("Confusion", _confusion(run)),
        _section("Worst frames", _pictures(run.failures, "failures")),
        _section("Training", _training(run.scalars)),
        _section("Reproduce", _reproduce(run)),
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{html.escape(run.title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n<main>\n{''.join(sections)}</main>\n</body>\n</html>\n"
    )


def _section(title: str, body: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n{body}\n</section>\n" if body else ""


def _header(run: RunReport, notes: Sequence[str]) -> str:
    summary = f"<p>{html.escape(run.summary)}</p>" if run.summary else ""
    tiles = "".join(
        f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in _headline(run).items()
    )
    listed = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    return (
        f"<header>\n<h1>{html.escape(run.title)}</h1>\n{summary}\n"
        + (f'<dl class="tiles">{tiles}</dl>\n' if tiles else "")
        + (f'<ul class="notes">{listed}</ul>\n' if listed else "")
        + "</header>\n"
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
        tiles["training time"] = _duration(run.training_seconds)
        if run.num_frames is not None and run.training_seconds > 0:
            tiles["frames per second"] = f"{run.num_frames / run.training_seconds:,.0f}"
    if run.num_parameters is not None:
        tiles["parameters"] = _large_number(run.num_parameters)
    return tiles


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _large_number(number: int) -> str:
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)


def _video(path: Path | None) -> tuple[str, list[str]]:
    """The video element, or nothing and a note that says why."""
    if path is None:
        return "", []
    if not path.exists():
        return "", [f"no video: {path.name} does not exist"]
    size = path.stat().st_size
    if size > _MAX_VIDEO_BYTES:
        return "", [f"the video is too large to be part of this page ({size / 1e6:.0f} MB): {path}"]
    data = base64.b64encode(path.read_bytes()).decode()
    return (
        "<video controls autoplay muted loop playsinline "
        f'src="data:video/mp4;base64,{data}"></video>',
        [],
    )


def _sight(video: str, strip: Sequence[Picture]) -> str:
    pictures = _pictures(strip, "strip")
    if not video and not pictures:
        return ""
    return (
        '<p class="hint">In colour, with the score: what the detector found. '
        "In white: what is there.</p>\n"
        f'<div class="sight">{video}{pictures}</div>'
    )


def _pictures(pictures: Sequence[Picture], kind: str) -> str:
    figures = []
    for picture in pictures:
        data = base64.b64encode(encode_png(picture.image)).decode()
        caption = html.escape(picture.caption)
        figures.append(
            f'<figure><img alt="{caption}" src="data:image/png;base64,{data}">'
            f"<figcaption>{caption}</figcaption></figure>"
        )
    return f'<div class="{kind}">{"".join(figures)}</div>' if figures else ""


def _accuracy(run: RunReport) -> str:
    scores = run.scores
    if scores is None:
        return ""
    hint = (
        f"COCO average precision, IoU 0.50 to 0.95, protocol “{html.escape(scores['protocol'])}”: "
        f"{scores['num_detections']:,} detections against {scores['num_truths']:,} objects "
        f"in {scores['num_frames']:,} frames."
    )
    legend = _legend(["mean at IoU 0.50", "mean at IoU 0.75"])
    return (
        f'<p class="hint">{hint}</p>\n<div class="columns">'
        f"<div>{class_table(scores)}</div>"
        f"<div>{size_table(scores)}"
        f"<figure><h3>Precision and recall</h3>{legend}{plot_precision_recall(scores)}"
        "<figcaption>Faint: single classes at IoU 0.50.</figcaption></figure></div></div>"
    )


def _confusion(run: RunReport) -> str:
    if run.confusion is None:
        return ""
    hint = (
        "Rows: what is there. Columns: what was found; the last one counts missed objects. The "
        "last row counts false alarms. The shade grows with the share of the row (in the last "
        "row, of the column)."
    )
    return f'<p class="hint">{hint}</p>\n{confusion_table(run.confusion, run.class_names)}'


def _training(scalars: Mapping[str, Curve]) -> str:
    losses = _select(scalars, "loss")
    rates = _select(scalars, "lr")
    precisions = _select(scalars, "map")
    figures = []
    if losses:
        figures.append(_figure("Losses", losses, plot_losses(losses)))
    if precisions:
        drawing = plot_curves(precisions, title="Validation mAP over training steps", top=1.0)
        figures.append(_figure("Validation", precisions, drawing))
    if rates:
        drawing = plot_curves(rates, title="Learning rate over training steps")
        figures.append(_figure("Learning rate", rates, drawing))
    return f'<div class="plots">{"".join(figures)}</div>' if figures else ""


def _select(scalars: Mapping[str, Curve], word: str) -> dict[str, Curve]:
    """The curves whose name ends in something with this word, as many as have a colour."""
    wanted = {
        name: curve
        for name, curve in scalars.items()
        # Lightning logs x_epoch, a mean, beside x_step.
        if word in name.rsplit("/")[-1].lower() and not name.endswith("_epoch") and curve
    }
    return dict(list(wanted.items())[:_MAX_CURVES])


def _figure(title: str, curves: Mapping[str, Curve], drawing: str) -> str:
    return f"<figure><h3>{title}</h3>{_legend(list(curves))}{drawing}</figure>"


def _legend(names: Sequence[str]) -> str:
    items = "".join(
        f'<li style="--color:var(--series-{index})">{html.escape(name)}</li>'
        for index, name in enumerate(names, start=1)
    )
    return f'<ul class="legend">{items}</ul>' if items else ""


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
        # Through JSON: tuples and paths become what YAML can write plainly.
        plain = json.loads(json.dumps(dict(run.config), default=str))
        config = html.escape(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
        parts.append(
            f"<details><summary>Configuration</summary><pre><code>{config}</code></pre></details>"
        )
    return "\n".join(parts)
