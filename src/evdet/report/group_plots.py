"""Curves over groups of objects, over latency and over delays -> SVG drawings."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from evdet.report.drawing import LINE, SERIES, draw_svg

__all__ = ["GROUP_CURVES", "join_groups", "plot_delays", "plot_groups", "plot_rates"]

GROUP_CURVES = ("by_stillness", "by_size", "by_num_events", "by_latency")
"""Names of the curves that are a list of points."""
_BELOW = {
    "by_stillness": "seconds since the object last moved",
    "by_size": "square root of the object's area, in pixels",
    "by_num_events": "events in the object's box",
    "by_latency": "milliseconds until boxes are ready",
}
# Height of the largest group's bar, as a share of the plot's.
_BAR = 0.22

Point = Mapping[str, Any]


class _Tick(NamedTuple):
    position: float
    label: str


def join_groups(curves: Sequence[Sequence[Point]]) -> list[Point]:
    """List the groups that occur in any of several curves.

    Args:
        curves: points with `label`, `low` and `high`; curves over other recordings may have
            groups that the others lack.

    Returns:
        A point of each group, in order, up to the last group with objects.
    """
    groups = {point["label"]: point for curve in curves for point in curve}
    used = {point["label"] for curve in curves for point in curve if point["num_truths"]}
    ordered = sorted(groups.values(), key=_ends)
    while ordered and ordered[-1]["label"] not in used:
        ordered.pop()
    return ordered


def plot_groups(
    name: str, series: Sequence[tuple[Sequence[Point], str]], *, title: str, fine: bool = False
) -> str:
    """Draw a score over the groups, with faint bars for the number of objects.

    Args:
        name: one of `GROUP_CURVES`.
        series: the points of each curve, and the name of the score to draw.
        title: alternative text of the drawing.
        fine: whether all curves but the first are thin.

    Returns:
        An inline SVG element.
    """
    groups = join_groups([points for points, _ in series])
    is_to_scale = name == "by_latency"
    positions = {
        group["label"]: group["low"] / 1000 if is_to_scale else float(index)
        for index, group in enumerate(groups)
    }

    def draw(axes: Axes) -> None:
        if not is_to_scale:
            counts = np.array([group["num_truths"] for group in groups])
            heights = _BAR * counts / max(1, counts.max(initial=0))
            axes.bar(list(positions.values()), heights, width=0.86, color=LINE, zorder=0.5)
        for index, (points, score) in enumerate(series):
            shown = [point for point in points if point["label"] in positions]
            x = [positions[point["label"]] for point in shown]
            y = [np.nan if point[score] is None else point[score] for point in shown]
            thin = fine and index > 0
            axes.plot(
                x,
                y,
                color=SERIES[index % len(SERIES)],
                linewidth=1.2 if thin else 2.2,
                marker="o",
                markersize=2.5 if thin else 4.5,
                zorder=3 - index / 10,
                clip_on=False,
            )
        _scale_to_one(axes)
        axes.set_xlabel(_BELOW[name])
        if is_to_scale:
            axes.xaxis.set_major_locator(MaxNLocator(5))
        else:
            ticks = _ticks(name, groups)
            axes.set_xticks([tick.position for tick in ticks], [tick.label for tick in ticks])
            axes.set_xlim(-0.6, len(groups) - 0.4)

    return draw_svg(title, draw)


def plot_delays(curves: Sequence[Mapping[str, Any] | None], *, title: str) -> str:
    """Draw the share of tracks that are detected by each delay after their first label.

    Args:
        curves: `FirstDetection`s as dictionaries; None leaves its colour out.
        title: alternative text of the drawing.

    Returns:
        An inline SVG element.
    """
    drawn = [(index, one["curve"]) for index, one in enumerate(curves) if one is not None]
    longest = max([0.1, *(delay / 1e6 for _, curve in drawn for delay, _ in curve)])

    def draw(axes: Axes) -> None:
        for index, curve in drawn:
            delays = [0.0, *(delay / 1e6 for delay, _ in curve), longest * 1.15]
            shares = [0.0, *(share for _, share in curve)]
            axes.step(
                delays,
                [*shares, shares[-1]],
                where="post",
                color=SERIES[index % len(SERIES)],
                linewidth=2.2,
                clip_on=False,
            )
        _scale_to_one(axes)
        axes.set_xlim(0, longest * 1.15)
        # Most delays are near 0 and a few are long: this scale shows both.
        axes.set_xscale("function", functions=(np.sqrt, np.square))
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(_short))
        axes.tick_params(axis="x", pad=7)  # at 0 the labels of both axes would touch
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("seconds since the track's first label")

    return draw_svg(title, draw)


def plot_rates(series: Sequence[Sequence[Point]], score: str, *, title: str) -> str:
    """Draw a score over frame rates.

    Args:
        series: the points of each run, with `rate` and the score; none leaves its colour out.
        score: the name of the score.
        title: alternative text of the drawing.

    Returns:
        An inline SVG element.
    """
    rates = sorted({point["rate"] for points in series for point in points})

    def draw(axes: Axes) -> None:
        for index, points in enumerate(series):
            axes.plot(
                [point["rate"] for point in points],
                [np.nan if point[score] is None else point[score] for point in points],
                color=SERIES[index % len(SERIES)],
                linewidth=2.2,
                marker="o",
                markersize=4.5,
                clip_on=False,
            )
        _scale_to_one(axes)
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
        axes.set_xlabel("frames per second")

    return draw_svg(title, draw)


def _scale_to_one(axes: Axes) -> None:
    axes.set_ylim(0, 1.02)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.yaxis.set_major_formatter(FuncFormatter(_short))


def _short(value: float, _position: int | None = None) -> str:
    return f"{value:g}"


def _ends(group: Point) -> tuple[float, float]:
    return group["low"], float("inf") if group["high"] is None else group["high"]


def _ticks(name: str, groups: Sequence[Point]) -> list[_Tick]:
    """Ticks at the edges of groups, and in the middle of a group of one value."""
    ticks = []
    for index, group in enumerate(groups):
        if group["high"] == group["low"] == 0:
            ticks.append(_Tick(index, "moving" if name == "by_stillness" else "0"))
        else:
            ticks.append(_Tick(index - 0.5, _edge(name, group["low"])))
    if groups and groups[-1]["high"] is not None:
        # The range of event counts includes its end: the next group begins one after it.
        end = groups[-1]["high"] + (name == "by_num_events")
        ticks.append(_Tick(len(groups) - 0.5, _edge(name, end)))
    return [tick for tick in ticks if tick.label]


def _edge(name: str, value: float) -> str:
    """The label of an edge between groups; empty where the value is not a round number."""
    if name == "by_stillness":
        return f"{value / 1e6:g}" if value else ""
    if name == "by_size":
        return f"{value:g}" if value == round(value) else ""
    is_fourfold = value > 0 and round(np.log2(value)) % 2 == 0
    if not is_fourfold:
        return ""
    return f"{value:,.0f}" if value < 10_000 else f"{value / 1000:.0f}k"
