"""Curves -> SVG drawings that take their colours from the page, light or dark.

Matplotlib draws with placeholder colours; they become CSS variables in its output.
"""

import io
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from evdet.metrics import RECALL_POINTS
from evdet.report.contents import Curve

__all__ = ["plot_curves", "plot_losses", "plot_precision_recall"]

_INK, _LINE = "#010101", "#010102"
_SERIES = ("#010103", "#010104", "#010105", "#010106")
_VARIABLES = {_INK: "var(--muted)", _LINE: "var(--line)"} | {
    color: f"var(--series-{number})" for number, color in enumerate(_SERIES, start=1)
}
# In points, which are the page's pixels: about as wide as a phone, so that text keeps its size.
_WIDTH, _HEIGHT = 350, 215
_MAX_POINTS = 300
_MAX_MARKED = 40


def plot_losses(curves: Mapping[str, Curve]) -> str:
    """Draw losses over the training steps, on a logarithmic scale: smooth over faint.

    Args:
        curves: (step, loss) by name; at most four have a colour of their own.

    Returns:
        An inline SVG element.
    """

    def draw(axes: Axes) -> None:
        for color, curve in zip(_cycle(len(curves)), curves.values(), strict=True):
            steps, values = _thin(curve)
            axes.plot(steps, values, color=color, alpha=0.25, linewidth=0.8)
            axes.plot(steps, _smooth(values), color=color, linewidth=1.8)
        if not any(value <= 0 for curve in curves.values() for _, value in curve):
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(FuncFormatter(_plain_number))
            axes.yaxis.set_minor_formatter(FuncFormatter(_sparse_number))
        _steps_below(axes)

    return _drawing("Losses over training steps", draw)


def plot_curves(curves: Mapping[str, Curve], *, title: str, top: float | None = None) -> str:
    """Draw values over the training steps.

    Args:
        curves: (step, value) by name; at most four have a colour of their own.
        title: what the drawing shows, for those who cannot see it.
        top: upper end of the scale, which begins at 0; by default as the values need.

    Returns:
        An inline SVG element.
    """

    def draw(axes: Axes) -> None:
        for color, curve in zip(_cycle(len(curves)), curves.values(), strict=True):
            steps, values = _thin(curve)
            marker = "o" if len(steps) <= _MAX_MARKED else None
            axes.plot(steps, values, color=color, linewidth=1.8, marker=marker, markersize=3.5)
        axes.set_ylim(0, top)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(FuncFormatter(_plain_number))
        _steps_below(axes)

    return _drawing(title, draw)


def plot_precision_recall(scores: Mapping[str, Any]) -> str:
    """Draw precision against recall: the mean over classes at two IoUs, and each class faintly.

    Args:
        scores: `AveragePrecision.as_dict()`.

    Returns:
        An inline SVG element.
    """

    def draw(axes: Axes) -> None:
        for one in scores["per_class"].values():
            if one["precision50"]:
                axes.plot(
                    RECALL_POINTS, one["precision50"], color=_SERIES[0], alpha=0.28, linewidth=0.9
                )
        for color, name in zip(_SERIES, ("precision50", "precision75"), strict=False):
            if scores[name]:
                axes.plot(RECALL_POINTS, scores[name], color=color, linewidth=2.2)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(_plain_number))
        axes.set_xlabel("recall")
        axes.set_ylabel("precision")

    return _drawing("Precision against recall", draw, height=260)


def _drawing(title: str, draw: Callable[[Axes], None], *, height: int = _HEIGHT) -> str:
    """Set up axes, let `draw` fill them, and turn the figure into SVG for this page."""
    # text stays text (the page's font), and ids depend on the drawing alone.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": title, "font.size": 10}):
        figure = Figure(figsize=(_WIDTH / 72, height / 72), layout="constrained")
        axes = figure.add_subplot()
        axes.patch.set_visible(False)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(_LINE)
        axes.grid(axis="y", color=_LINE, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(which="both", length=0, labelcolor=_INK)
        axes.xaxis.label.set_color(_INK)
        axes.yaxis.label.set_color(_INK)
        draw(axes)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True)
    return _for_page(file.getvalue(), title)


def _for_page(svg: str, title: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Inside HTML the namespaces are known, and group ids would repeat from drawing to drawing.
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"| id="[a-zA-Z.]+_\d+"', "", svg)
    svg = re.sub(r'(<svg)( width="[^"]*"| height="[^"]*"| version="[^"]*")*', r"\1", svg, count=1)
    svg = re.sub(r"<svg[^>]*?viewBox=(\"[^\"]*\")[^>]*>", r"<svg viewBox=\1>", svg, count=1)
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, variable)
    return svg.replace("<svg", f'<svg role="img" aria-label="{title}"', 1).strip()


def _cycle(count: int) -> list[str]:
    return [_SERIES[index % len(_SERIES)] for index in range(count)]


def _steps_below(axes: Axes) -> None:
    axes.set_xlabel("training step")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(_short_number))


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
    """Average over neighbours on both sides: a mean over the past alone would lag behind."""
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
