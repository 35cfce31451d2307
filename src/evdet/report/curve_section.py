"""Curves of one run, or of several runs: numbers, plots and their tables."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from evdet.report.elements import legend
from evdet.report.group_plots import GROUP_CURVES, join_groups, plot_delays, plot_groups
from evdet.report.tables import decimal, table

__all__ = ["compare_curves", "curve_section"]

_TITLES = {
    "by_stillness": "AP by stillness (time since the object last moved)",
    "by_size": "AP by object size",
    "by_num_events": "AP by events in the box",
    "by_latency": "AP by latency of the boxes",
    "first_detection": "First detection",
}
_SCORES = {"ap": "AP", "ap50": "AP50", "recall50": "recall"}
_DELAYS = ("median", "90 % by", "never", "tracks")
_HINT = (
    "AP: average precision of the objects of one group, over IoU 0.50 to 0.95; AP50 at IoU 0.50. "
    "Recall: share of the objects detected at IoU 0.50 with a score of at least {score_thresh:g}. "
    "A false alarm counts in every group with the group's share. Grey bars: number of objects in "
    "each group."
)

Curves = Mapping[str, Any]
Point = Mapping[str, Any]


def curve_section(curves: Curves | None) -> str:
    """Make the section of one run's curves, `Curves.as_dict()`; empty without curves."""
    if curves is None:
        return ""
    figures = []
    for name in GROUP_CURVES:
        if curves[name] is not None:
            points = curves[name]["points"]
            series = [(points, score) for score in _SCORES]
            drawing = plot_groups(name, series, title=_TITLES[name], fine=True)
            figures.append(
                _figure(
                    name,
                    f'<p class="number">{_ends_of(points)}</p>{legend(list(_SCORES.values()))}',
                    drawing,
                    _group_table(points),
                )
            )
    delays = curves["first_detection"]
    if delays is not None:
        drawing = plot_delays([delays], title=_TITLES["first_detection"])
        number = f'<p class="number">{_delay_words(delays)}</p>'
        figures.append(
            _figure("first_detection", number, drawing, _delay_table([delays], ["all tracks"]))
        )
    hint = _HINT.format(score_thresh=curves["score_thresh"])
    return (
        f'<p class="hint">{hint}</p>\n<div class="plots">{"".join(figures)}</div>'
        f"{_reasons(curves['reasons'])}"
    )


def compare_curves(names: Sequence[str], runs: Sequence[Curves | None]) -> str:
    """Make the section of several runs' curves: AP in the plots, all scores in the tables.

    Args:
        names: of the runs, in the order of their colours.
        runs: `Curves.as_dict()` of each; None for a run without.

    Returns:
        The body of a section; empty where no run has curves.
    """
    there = [curves for curves in runs if curves is not None]
    if not there:
        return ""
    figures = []
    for name in GROUP_CURVES:
        points = [_points_of(curves, name) for curves in runs]
        groups = [group for group in join_groups(points) if group["num_truths"]]
        if groups:
            ends = [group["label"] for group in (groups[0], groups[-1])]
            numbers = [
                _at(one, ends) if one else _why_not(run)
                for one, run in zip(points, runs, strict=True)
            ]
            figures.append(
                _figure(
                    name,
                    _named(" → ".join(ends), names, numbers),
                    plot_groups(name, [(one, "ap") for one in points], title=_TITLES[name]),
                    _group_comparison(points, names),
                )
            )
    delays = [None if curves is None else curves["first_detection"] for curves in runs]
    if any(delays):
        numbers = [
            _delay_numbers(one) if one else _why_not(run)
            for one, run in zip(delays, runs, strict=True)
        ]
        figures.append(
            _figure(
                "first_detection",
                _named("median · 90 % detected by · never detected", names, numbers),
                plot_delays(delays, title=_TITLES["first_detection"]),
                _delay_table(delays, names),
            )
        )
    hint = _HINT.format(score_thresh=there[0]["score_thresh"])
    reasons = {name: reason for curves in there for name, reason in curves["reasons"].items()}
    return (
        f'<p class="hint">{hint}</p>\n<div class="plots">{"".join(figures)}</div>'
        f"{_reasons(reasons)}"
    )


def _why_not(curves: Curves | None) -> str:
    return "none: evaluate again" if curves is None else "none: not in the labels"


def _points_of(curves: Curves | None, name: str) -> Sequence[Point]:
    points: Sequence[Point] = ((curves or {}).get(name) or {"points": []})["points"]
    return points


def _figure(name: str, above: str, drawing: str, tables: str) -> str:
    numbers = f"<details><summary>Numbers</summary>{tables}</details>"
    return f"<figure><h3>{_TITLES[name]}</h3>{above}{drawing}{numbers}</figure>"


def _named(what: str, names: Sequence[str], numbers: Sequence[str]) -> str:
    """A legend with the numbers of each run after its name, below their heading."""
    items = "".join(
        f'<li style="--color:var(--series-{index})">{html.escape(name)} '
        f'<span class="number">{number}</span></li>'
        for index, (name, number) in enumerate(zip(names, numbers, strict=True), start=1)
    )
    return f'<p class="number">{html.escape(what)}</p><ul class="legend runs">{items}</ul>'


def _at(points: Sequence[Point], labels: Sequence[str]) -> str:
    """AP of some groups."""
    values = {point["label"]: point["ap"] for point in points}
    return " → ".join(f"<b>{decimal(values.get(label))}</b>" for label in labels)


def _delay_numbers(delays: Mapping[str, Any]) -> str:
    numbers = (
        _seconds(delays["median_us"]),
        _seconds(delays["p90_us"]),
        f"{delays['share_never']:.1%}",
    )
    return " · ".join(f"<b>{number}</b>" for number in numbers)


def _ends_of(points: Sequence[Point]) -> str:
    """AP of the first and of the last group with objects."""
    there = [point for point in points if point["ap"] is not None]
    ends = there if len(there) < 2 else [there[0], there[-1]]
    return " → ".join(
        f"<b>{decimal(point['ap'])}</b> {html.escape(point['label'])}" for point in ends
    )


def _delay_words(delays: Mapping[str, Any]) -> str:
    never = delays["share_never"]
    return (
        f"<b>{_seconds(delays['median_us'])}</b> median, "
        f"<b>{_seconds(delays['p90_us'])}</b> for 90 %, <b>{never:.1%}</b> never"
    )


def _seconds(microseconds: float | None) -> str:
    return "–" if microseconds is None else f"{microseconds / 1e6:.3g} s"


def _group_table(points: Sequence[Point]) -> str:
    rows = []
    for group in join_groups([points]):
        scores = [decimal(group[score]) for score in _SCORES]
        rows.append(_row(group["label"], [f"{group['num_truths']:,}", *scores]))
    return table(' class="scores numbers"', ["", "objects", *_SCORES.values()], rows)


def _group_comparison(runs: Sequence[Sequence[Point]], names: Sequence[str]) -> str:
    """A row for each group, and a column for each run with AP and recall."""
    by_label = [{point["label"]: point for point in points} for points in runs]
    rows = []
    for group in join_groups(runs):
        there = [points.get(group["label"]) for points in by_label]
        # Runs on different recordings have different objects.
        counts = dict.fromkeys(f"{one['num_truths']:,}" for one in there if one is not None)
        scores = [
            "–" if one is None else f"{decimal(one['ap'])} / {decimal(one['recall50'])}"
            for one in there
        ]
        rows.append(_row(group["label"], [" / ".join(counts), *scores]))
    return table(' class="scores numbers"', ["AP / recall", "objects", *names], rows)


def _delay_table(runs: Sequence[Mapping[str, Any] | None], names: Sequence[str]) -> str:
    rows = []
    for name, delays in zip(names, runs, strict=True):
        cells = ["–"] * len(_DELAYS)
        if delays is not None:
            cells = [
                _seconds(delays["median_us"]),
                _seconds(delays["p90_us"]),
                f"{delays['share_never']:.1%}",
                f"{delays['num_tracks']:,}",
            ]
        rows.append(_row(name, cells))
    return table(' class="scores numbers"', ["", *_DELAYS], rows)


def _row(head: str, cells: Sequence[str]) -> str:
    listed = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row">{html.escape(head)}</th>{listed}</tr>'


def _reasons(reasons: Mapping[str, str]) -> str:
    items = "".join(
        f"<li>{title}: {html.escape(reasons[name])}.</li>"
        for name, title in _TITLES.items()
        if name in reasons
    )
    return f'<ul class="absent">{items}</ul>' if items else ""
