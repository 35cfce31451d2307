"""Statistics of a data set -> a table of its objects, and plots of event rates and box sizes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, LogLocator, NullLocator

from evdet.report.drawing import INK, SERIES, draw_svg
from evdet.report.parts import Cell, LegendEntry, Plot, Row, Table
from evdet.report.rendering import count_of
from evdet.report.tables import side_by_side

__all__ = ["data_plots", "object_tables"]

Statistics = Mapping[str, Any]


def object_tables(data: Statistics | None) -> list[Table]:
    """Tabulate the objects per class and split, long tables in two halves."""
    splits = _splits_with(data, "objects")
    if not splits:
        return []
    rows = []
    for name in dict.fromkeys(name for one in splits.values() for name in one["objects"]):
        counts = [one["objects"].get(name, 0) for one in splits.values()]
        tops = [max(one["objects"].values(), default=0) for one in splits.values()]
        cells = [
            Cell(f"{count:,}", share=count / max(1, top))
            for count, top in zip(counts, tops, strict=True)
        ]
        rows.append(Row(name, cells))
    totals = [f"{sum(one['objects'].values()):,}" for one in splits.values()]
    rows.append(Row("all classes", totals, is_total=True))
    return side_by_side(Table(["objects per class", *splits], rows, "scores shares"))


def data_plots(data: Statistics | None) -> list[Plot]:
    """Plot event rates and box sizes by split; what the data set does not have is left out."""
    plots = []
    measured = _splits_with(data, "rates")
    if measured:
        title = "Event rate of each recording"
        legend = [
            LegendEntry(f"{name}, {count_of(len(one['rates']), 'recording')}")
            for name, one in measured.items()
        ]
        rates = {name: one["rates"] for name, one in measured.items()}
        plots.append(Plot(title=title, drawing=_draw_rates(rates, title), legend=legend))
    sides = {name: one["sides"] for name, one in _splits_with(data, "sides").items()}
    if sides:
        title = "Box sizes"
        legend = [LegendEntry(name) for name in sides]
        plots.append(Plot(title=title, drawing=_draw_sides(sides, title), legend=legend))
    return plots


def _splits_with(data: Statistics | None, part: str) -> dict[str, Statistics]:
    """All splits, so that each keeps its colour; none where none has this part."""
    splits: dict[str, Statistics] = {} if data is None else dict(data["splits"])
    return splits if any(one[part] for one in splits.values()) else {}


def _draw_rates(rates: Mapping[str, Sequence[float]], title: str) -> str:
    """A dot for each recording, a row for each split, and a line at the median."""

    def draw(axes: Axes) -> None:
        for row, values in enumerate(rates.values()):
            shown = np.sort(np.maximum(values, 1.0))
            # The golden ratio spreads the dots evenly, and every time in the same way.
            above = ((0.5 + np.arange(len(shown)) * 0.618) % 1 - 0.5) * 0.5
            axes.scatter(shown, above - row, s=18, color=SERIES[row], alpha=0.7, linewidths=0)
            if len(shown):
                middle = float(np.median(shown))
                axes.vlines(middle, -row - 0.36, -row + 0.36, color=INK, linewidth=1.2, zorder=0)
        axes.set_xscale("log")
        known = np.maximum([rate for values in rates.values() for rate in values], 1.0)
        axes.set_xlim(known.min() / 1.6, known.max() * 1.6)
        subs = (1.0,) if known.max() > 100 * known.min() else (1.0, 2.0, 5.0)
        axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=6))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_yticks([-row for row in range(len(rates))], list(rates))
        axes.set_ylim(-len(rates) + 0.4, 0.6)
        axes.grid(visible=False)
        axes.set_xlabel("events per second; the line is the median")

    return draw_svg(title, draw)


def _draw_sides(sides: Mapping[str, Sequence[Sequence[float | int]]], title: str) -> str:
    """The share of each split's boxes in each range of sizes, a bar for each split."""
    used = sorted({low for pairs in sides.values() for low, _ in pairs})
    width = 0.44 / len(sides)  # of an octave; a range is half an octave

    def draw(axes: Axes) -> None:
        for row, pairs in enumerate(sides.values()):
            total = max(1, sum(count for _, count in pairs))
            left = np.log2(np.array([low for low, _ in pairs], float)) + 0.03 + row * width
            shares = [count / total for _, count in pairs]
            axes.bar(left, shares, width=0.9 * width, align="edge", color=SERIES[row])
        low, high = float(np.log2(used[0])), float(np.log2(used[-1])) + 0.5
        octaves = range(int(np.floor(low)), int(np.ceil(high)) + 1)
        axes.xaxis.set_major_locator(FixedLocator(list(octaves)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{2**x:g}"))
        axes.set_xlim(low - 0.25, high + 0.25)
        axes.set_ylim(0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}"))
        axes.set_xlabel("square root of the box's area, in pixels")
        axes.set_ylabel("share of the boxes")

    return draw_svg(title, draw)
