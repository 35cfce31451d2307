"""Curves over groups of objects, over latency and over delays -> SVG drawings."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from evdet.report.drawing import LINE, SERIES, draw_svg

__all__ = ["GROUP_CURVES", "join_groups", "plot_delays", "plot_groups"]

GROUP_CURVES = ("by_stillness", "by_size", "by_num_events", "by_latency")
"""Names of the curves that are a list of points."""
_BELOW = {
    "by_stillness": "seconds since the object last moved",
    "by_size": "square root of the object's area, in pixels",
    "by_num_events": "events in the object's box",
    "by_latency": "milliseconds until boxes are ready",
}
# Share of the height that the bar of the largest group has.
_BAR = 0.22

Point = Mapping[str, Any]


class _Tick(NamedTuple):
    place: float
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
    """Draw a score over the groups; the number of objects stands behind as faint bars.

    Args:
        name: one of `GROUP_CURVES`.
        series: the points of each curve, and the name of the score to draw of them.
        title: what the drawing shows, for those who cannot see it.
        fine: the first curve is what matters, the others are drawn thinner.

    Returns:
        An inline SVG element.
    """
    groups = join_groups([points for points, _ in series])
    by_place = name == "by_latency"
    places = {
        group["label"]: group["low"] / 1000 if by_place else float(number)
        for number, group in enumerate(groups)
    }

    def draw(axes: Axes) -> None:
        if not by_place:
            counts = np.array([group["num_truths"] for group in groups])
            heights = _BAR * counts / max(1, counts.max(initial=0))
            axes.bar(list(places.values()), heights, width=0.86, color=LINE, zorder=0.5)
        for number, (points, score) in enumerate(series):
            shown = [point for point in points if point["label"] in places]
            x = [places[point["label"]] for point in shown]
            y = [np.nan if point[score] is None else point[score] for point in shown]
            thin = fine and number > 0
            axes.plot(
                x,
                y,
                color=SERIES[number % len(SERIES)],
                linewidth=1.2 if thin else 2.2,
                marker="o",
                markersize=2.5 if thin else 4.5,
                zorder=3 - number / 10,
                clip_on=False,
            )
        _scale_to_one(axes)
        axes.set_xlabel(_BELOW[name])
        if by_place:
            axes.xaxis.set_major_locator(MaxNLocator(5))
        else:
            ticks = _ticks(name, groups)
            axes.set_xticks([tick.place for tick in ticks], [tick.label for tick in ticks])
            axes.set_xlim(-0.6, len(groups) - 0.4)

    return draw_svg(title, draw)


def plot_delays(curves: Sequence[Mapping[str, Any] | None], *, title: str) -> str:
    """Draw the share of tracks that are found by each delay after their first label.

    Args:
        curves: `FirstDetection`s as dictionaries; None leaves its colour out.
        title: what the drawing shows, for those who cannot see it.

    Returns:
        An inline SVG element.
    """
    drawn = [(number, one["curve"]) for number, one in enumerate(curves) if one is not None]
    longest = max([0.1, *(delay / 1e6 for _, curve in drawn for delay, _ in curve)])

    def draw(axes: Axes) -> None:
        for number, curve in drawn:
            delays = [0.0, *(delay / 1e6 for delay, _ in curve), longest * 1.15]
            shares = [0.0, *(share for _, share in curve)]
            axes.step(
                delays,
                [*shares, shares[-1]],
                where="post",
                color=SERIES[number % len(SERIES)],
                linewidth=2.2,
                clip_on=False,
            )
        _scale_to_one(axes)
        axes.set_xlim(0, longest * 1.15)
        # Most are found at once, and a few late: this scale shows both.
        axes.set_xscale("function", functions=(np.sqrt, np.square))
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(_short))
        axes.tick_params(axis="x", pad=7)  # at 0 the labels of both axes meet
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("seconds since the track's first label")

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
    """Where groups begin, as far as there is room for it; what has one value has its own tick."""
    ticks = []
    for number, group in enumerate(groups):
        if group["high"] == group["low"] == 0:
            ticks.append(_Tick(number, "moving" if name == "by_stillness" else "0"))
        else:
            ticks.append(_Tick(number - 0.5, _edge(name, group["low"])))
    if groups and groups[-1]["high"] is not None:
        # The last event of a group belongs to it: the next one begins after it.
        end = groups[-1]["high"] + (name == "by_num_events")
        ticks.append(_Tick(len(groups) - 0.5, _edge(name, end)))
    return [tick for tick in ticks if tick.label]


def _edge(name: str, value: float) -> str:
    """Where one group ends and the next begins; nothing where that would be no round number."""
    if name == "by_stillness":
        return f"{value / 1e6:g}" if value else ""
    if name == "by_size":
        return f"{value:g}" if value == round(value) else ""
    is_fourfold = value > 0 and round(np.log2(value)) % 2 == 0
    if not is_fourfold:
        return ""
    return f"{value:,.0f}" if value < 10_000 else f"{value / 1000:.0f}k"
