"""Logged values of a training run, and precision over recall -> SVG drawings."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from evdet.metrics import RECALL_POINTS
from evdet.report.contents import Curve
from evdet.report.drawing import SERIES, draw_svg

__all__ = ["plot_curves", "plot_losses", "plot_mean_precision", "plot_precision_recall"]

_MAX_POINTS = 300
_MAX_MARKED = 40
# Up to this number values are large dots: one alone makes no line.
_MAX_DOTS = 3


def plot_losses(curves: Mapping[str, Curve]) -> str:
    """Draw losses over the training steps, on a logarithmic scale, smoothed and (faint) as logged.

    Returns:
        An inline SVG element.
    """

    def draw(axes: Axes) -> None:
        for color, curve in zip(_cycle(len(curves)), curves.values(), strict=True):
            steps, values = _thin(curve)
            axes.plot(steps, values, color=color, alpha=0.25, linewidth=0.8)
            marker = "o" if len(steps) <= _MAX_DOTS else None
            axes.plot(steps, _smooth(values), color=color, linewidth=1.8, marker=marker)
        if not any(value <= 0 for curve in curves.values() for _, value in curve):
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(FuncFormatter(_plain_number))
            axes.yaxis.set_minor_formatter(FuncFormatter(_sparse_number))
        _steps_below(axes)

    return draw_svg("Losses over training steps", draw)


def plot_curves(curves: Mapping[str, Curve], *, title: str, top: float | None = None) -> str:
    """Draw values over the training steps.

    Args:
        curves: (step, value) by name; colours repeat after six.
        title: alternative text of the drawing.
        top: upper end of the scale, which begins at 0; None fits it to the values.

    Returns:
        An inline SVG element.
    """

    def draw(axes: Axes) -> None:
        for color, curve in zip(_cycle(len(curves)), curves.values(), strict=True):
            steps, values = _thin(curve)
            marker = "o" if len(steps) <= _MAX_MARKED else None
            size = 3.5 if len(steps) > _MAX_DOTS else 6
            axes.plot(
                steps,
                values,
                color=color,
                linewidth=1.8,
                marker=marker,
                markersize=size,
                clip_on=False,
            )
        axes.set_ylim(0, top)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(FuncFormatter(_plain_number))
        _steps_below(axes)

    return draw_svg(title, draw)


def plot_precision_recall(scores: Mapping[str, Any]) -> str:
    """Draw precision over recall, as SVG: the mean over classes at two IoUs, and each class."""

    def draw(axes: Axes) -> None:
        for one in scores["per_class"].values():
            if one["precision50"]:
                axes.plot(
                    RECALL_POINTS, one["precision50"], color=SERIES[0], alpha=0.28, linewidth=0.9
                )
        for color, name in zip(SERIES, ("precision50", "precision75"), strict=False):
            if scores[name]:
                axes.plot(RECALL_POINTS, scores[name], color=color, linewidth=2.2)
        _precision_over_recall(axes)

    return draw_svg("Precision against recall", draw, height=260)


def plot_mean_precision(runs: Sequence[Mapping[str, Any]]) -> str:
    """Draw the mean precision over classes at IoU 0.50 over recall, as SVG: one curve per run."""

    def draw(axes: Axes) -> None:
        for color, scores in zip(_cycle(len(runs)), runs, strict=True):
            precision = scores.get("precision50", ())
            axes.plot(RECALL_POINTS[: len(precision)], precision, color=color, linewidth=2.2)
        _precision_over_recall(axes)

    return draw_svg("Precision against recall at IoU 0.50", draw, height=260)


def _precision_over_recall(axes: Axes) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(_plain_number))
    axes.set_xlabel("recall")
    axes.set_ylabel("precision")


def _cycle(count: int) -> list[str]:
    return [SERIES[index % len(SERIES)] for index in range(count)]


def _steps_below(axes: Axes) -> None:
    axes.set_xlabel("training step")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(_short_number))
    first, last = axes.dataLim.intervalx
    if first == last:  # around one step alone, ticks would be fractions of a step
        axes.set_xticks([first])


def _thin(
    curve: Curve,
) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]]:
    """Average neighbours until the curve is short enough to draw."""
    points = np.asarray(curve, np.float64).reshape(-1, 2)
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) > _MAX_POINTS:
        groups = np.array_split(points, _MAX_POINTS)
        points = np.stack([group.mean(axis=0) for group in groups])
    return points[:, 0], points[:, 1]


def _smooth(values: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
    """Average over neighbours on both sides: a mean over the past only would lag."""
    reach = len(values) // 15
    if reach == 0:
        return values
    weights = np.hanning(2 * reach + 3)[1:-1]
    total = np.convolve(values, weights, "same")
    return total / np.convolve(np.ones_like(values), weights, "same")


def _plain_number(value: float, _position: int | None = None) -> str:
    return f"{value:.3g}" if value == 0 or 1e-4 <= abs(value) < 1e4 else f"{value:.0e}"


def _sparse_number(value: float, _position: int | None = None) -> str:
    first_digit = round(value / 10 ** math.floor(math.log10(value)))
    return _plain_number(value) if first_digit in (2, 5) else ""


def _short_number(value: float, _position: int | None = None) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"
