"""Matplotlib -> SVG with the colours of the page, light or dark.

Placeholder colours become CSS variables in the SVG.
"""

import html
import io
import re
from collections.abc import Callable

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["INK", "LINE", "SERIES", "draw_svg"]

INK = "#010101"
"""Text."""
LINE = "#010102"
"""Grid and bars in the background."""
SERIES = ("#010103", "#010104", "#010105", "#010106", "#010107", "#010108")
"""Curves, in order."""
_VARIABLES = {INK: "var(--muted)", LINE: "var(--line)"} | {
    color: f"var(--series-{index})" for index, color in enumerate(SERIES, start=1)
}
# In points, which are the page's pixels; the width of a phone, so that text is not scaled.
_WIDTH, _HEIGHT = 350, 215


def draw_svg(title: str, draw: Callable[[Axes], None], *, height: int = _HEIGHT) -> str:
    """Set up axes, let `draw` fill them, and turn the figure into SVG for this page.

    Args:
        title: alternative text of the drawing.
        draw: draws with the colours above only.
        height: of the drawing, in points; the width is 350.

    Returns:
        An inline SVG element.
    """
    # Text stays text in the page's font, and ids depend on the drawing only.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": title, "font.size": 10}):
        figure = Figure(figsize=(_WIDTH / 72, height / 72), layout="constrained")
        axes = figure.add_subplot()
        axes.patch.set_visible(False)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(LINE)
        axes.grid(axis="y", color=LINE, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(which="both", length=0, labelcolor=INK)
        axes.xaxis.label.set_color(INK)
        axes.yaxis.label.set_color(INK)
        draw(axes)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True)
    return _for_page(file.getvalue(), title)


def _for_page(svg: str, title: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # HTML needs no namespaces, and group ids would repeat from drawing to drawing.
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"| id="[a-zA-Z.]+_\d+"', "", svg)
    svg = re.sub(r'(<svg)( width="[^"]*"| height="[^"]*"| version="[^"]*")*', r"\1", svg, count=1)
    svg = re.sub(r"<svg[^>]*?viewBox=(\"[^\"]*\")[^>]*>", r"<svg viewBox=\1>", svg, count=1)
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, variable)
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{html.escape(title)}"', 1)
    return svg.strip()
