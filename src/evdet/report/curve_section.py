"""Curves of one run, or of several runs, as plots with their numbers and tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from evdet.report.contents import RunReport
from evdet.report.group_plots import (
    GROUP_CURVES,
    join_groups,
    plot_delays,
    plot_groups,
    plot_rates,
)
from evdet.report.parts import LegendEntry, Plot, Row, Table, Value
from evdet.report.rendering import decimal

__all__ = ["compare_curves", "compare_rates", "missing_curves", "plots_of_curves"]

_TITLES = {
    "by_stillness": "AP by stillness (time since the object last moved)",
    "by_size": "AP by object size",
    "by_num_events": "AP by events in the box",
    "by_latency": "AP by latency of the boxes",
    "first_detection": "First detection",
}
_SCORES = {"ap": "AP", "ap50": "AP50", "recall50": "recall"}
_DELAYS = ("median", "90 % by", "never", "tracks")

Curves = Mapping[str, Any]
Point = Mapping[str, Any]


def plots_of_curves(curves: Curves | None) -> list[Plot]:
    """Plot one run's curves, `Curves.as_dict()`; None has no plots."""
    if curves is None:
        return []
    plots = []
    for name in GROUP_CURVES:
        if curves[name] is not None:
            points = curves[name]["points"]
            series = [(points, score) for score in _SCORES]
            plots.append(
                Plot(
                    title=_TITLES[name],
                    drawing=plot_groups(name, series, title=_TITLES[name], fine=True),
                    values=_ends_of(points),
                    legend=[LegendEntry(label) for label in _SCORES.values()],
                    table=_group_table(points),
                )
            )
    delays = curves["first_detection"]
    if delays is not None:
        title = _TITLES["first_detection"]
        meanings = ("median", "for 90 %", "never")
        plots.append(
            Plot(
                title=title,
                drawing=plot_delays([delays], title=title),
                values=[Value(*pair) for pair in zip(_delays_of(delays), meanings, strict=False)],
                separator=", ",
                table=_delay_table([delays], ["all tracks"]),
            )
        )
    return plots


def compare_curves(names: Sequence[str], runs: Sequence[Curves | None]) -> list[Plot]:
    """Plot several runs' curves: AP in the plots, all scores in the tables.

    Args:
        names: of the runs, in the order of their colours.
        runs: `Curves.as_dict()` of each; None for a run without.
    """
    plots = []
    for name in GROUP_CURVES:
        points = [_points_of(curves, name) for curves in runs]
        groups = [group for group in join_groups(points) if group["num_truths"]]
        if groups:
            ends = [group["label"] for group in (groups[0], groups[-1])]
            numbers = [
                _values_at(one, ends) if one else _why_not(run)
                for one, run in zip(points, runs, strict=True)
            ]
            plots.append(
                Plot(
                    title=_TITLES[name],
                    heading=" → ".join(ends),
                    drawing=plot_groups(name, [(one, "ap") for one in points], title=_TITLES[name]),
                    legend=_legend(names, numbers),
                    table=_group_comparison(points, names),
                )
            )
    delays = [None if curves is None else curves["first_detection"] for curves in runs]
    if any(delays):
        numbers = [
            [Value(text) for text in _delays_of(one)[:3]] if one else _why_not(run)
            for one, run in zip(delays, runs, strict=True)
        ]
        title = _TITLES["first_detection"]
        plots.append(
            Plot(
                title=title,
                heading="median · 90 % detected by · never detected",
                drawing=plot_delays(delays, title=title),
                legend=_legend(names, numbers),
                separator=" · ",
                table=_delay_table(delays, names),
            )
        )
    return plots


def compare_rates(names: Sequence[str], runs: Sequence[RunReport]) -> list[Plot]:
    """Plot mAP over the frame rates at which runs were scored; no plot without any.

    Args:
        names: of the runs, in the order of their colours.
        runs: in the same order.
    """
    # The page explains scores where it has the curves of any run.
    scores = [run.scores if run.curves else None for run in runs]
    series: list[Sequence[Point]] = [(one or {}).get("rates") or [] for one in scores]
    if not any(series):
        return []
    title = "mAP by frame rate"
    return [
        Plot(
            title=title,
            drawing=plot_rates(series, "mAP", title=title),
            legend=[LegendEntry(name) for name in names],
            table=Table(
                ["", "frame rate", "time bin", "mAP", "mAP50", "frames"],
                [
                    Row(
                        name,
                        [
                            f"{point['rate']:g} Hz",
                            f"{point['delta_t'] / 1000:g} ms",
                            decimal(point["mAP"]),
                            decimal(point["mAP50"]),
                            f"{point['num_frames']:,}",
                        ],
                    )
                    for name, points in zip(names, series, strict=True)
                    for point in points
                ],
            ),
        )
    ]


def missing_curves(runs: Sequence[Curves | None]) -> list[str]:
    """Sentences on the curves that some of these runs do not have, and why."""
    reasons = {name: why for one in runs if one for name, why in one["reasons"].items()}
    return [f"{title}: {reasons[name]}." for name, title in _TITLES.items() if name in reasons]


def _why_not(curves: Curves | None) -> list[Value]:
    why = "none: evaluate again" if curves is None else "none: not in the labels"
    return [Value("", why)]


def _points_of(curves: Curves | None, name: str) -> Sequence[Point]:
    points: Sequence[Point] = ((curves or {}).get(name) or {"points": []})["points"]
    return points


def _legend(names: Sequence[str], numbers: Sequence[Sequence[Value]]) -> list[LegendEntry]:
    return [LegendEntry(name, values) for name, values in zip(names, numbers, strict=True)]


def _values_at(points: Sequence[Point], labels: Sequence[str]) -> list[Value]:
    """AP of some groups."""
    by_label = {point["label"]: point["ap"] for point in points}
    return [Value(decimal(by_label.get(label))) for label in labels]


def _ends_of(points: Sequence[Point]) -> list[Value]:
    """AP of the first and of the last group with objects."""
    there = [point for point in points if point["ap"] is not None]
    ends = there if len(there) < 2 else [there[0], there[-1]]
    return [Value(decimal(point["ap"]), point["label"]) for point in ends]


def _delays_of(delays: Mapping[str, Any]) -> list[str]:
    """Median, 90 %, never and the number of tracks."""
    return [
        _seconds(delays["median_us"]),
        _seconds(delays["p90_us"]),
        f"{delays['share_never']:.1%}",
        f"{delays['num_tracks']:,}",
    ]


def _seconds(microseconds: float | None) -> str:
    return "–" if microseconds is None else f"{microseconds / 1e6:.3g} s"


def _group_table(points: Sequence[Point]) -> Table:
    rows = [
        Row(
            group["label"],
            [f"{group['num_truths']:,}", *(decimal(group[score]) for score in _SCORES)],
        )
        for group in join_groups([points])
    ]
    return Table(["", "objects", *_SCORES.values()], rows, "scores numbers")


def _group_comparison(runs: Sequence[Sequence[Point]], names: Sequence[str]) -> Table:
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
        rows.append(Row(group["label"], [" / ".join(counts), *scores]))
    return Table(["AP / recall", "objects", *names], rows, "scores numbers")


def _delay_table(runs: Sequence[Mapping[str, Any] | None], names: Sequence[str]) -> Table:
    rows = [
        Row(name, ["–"] * len(_DELAYS) if delays is None else _delays_of(delays))
        for name, delays in zip(names, runs, strict=True)
    ]
    return Table(["", *_DELAYS], rows, "scores numbers")
