"""Tables and pictures as HTML, for notebooks: escaped, and in the colours of the page."""

import base64
import html
import math
from collections.abc import Sequence

from evdet.shapes import Picture

__all__ = ["html_beside", "html_picture", "html_table"]

_MAX_TEXT = 200
_BESIDE = "display:flex;flex-wrap:wrap;gap:1em;align-items:flex-start"
_PAD = "padding:0.1em 0.5em 0.1em 0"
_LEFT, _RIGHT = f"text-align:left;{_PAD}", f"text-align:right;{_PAD}"


def html_table(
    rows: Sequence[Sequence[object]], *, title: str = "", head: Sequence[object] = ()
) -> str:
    """Write a table.

    Args:
        rows: the cells; the first of a row is its heading. Long texts are cut, fractions have
            three decimals, and NaN is a dash.
        title: stands above it.
        head: headings of the columns.
    """
    caption = f'<caption style="{_LEFT}"><b>{_text(title)}</b></caption>' if title else ""
    heads = "".join(
        f'<th scope="col" style="{_RIGHT if index else _LEFT}">{_text(cell)}</th>'
        for index, cell in enumerate(head)
    )
    lines = [f"<tr>{heads}</tr>"] if head else []
    aligned = _RIGHT if head else _LEFT
    for first, *others in rows:
        cells = "".join(f'<td style="{aligned}">{_text(cell)}</td>' for cell in others)
        lines.append(f'<tr><th scope="row" style="{_LEFT}">{_text(first)}</th>{cells}</tr>')
    return f"<table>{caption}{''.join(lines)}</table>"


def html_picture(picture: Picture, text: str, *, width: int = 240) -> str:
    """Write a picture that needs no file.

    Args:
        picture: RGB.
        text: what it shows, for those who do not see it.
        width: pixels of the page that it fills.
    """
    # Here, since few callers draw.
    from evdet.opencv import cv2

    png = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()
    return (
        f'<img alt="{_text(text)}" title="{_text(text)}" width="{width}" '
        'style="image-rendering:pixelated;max-width:100%;margin:0" '
        f'src="data:image/png;base64,{base64.b64encode(png).decode()}">'
    )


def html_beside(*parts: str) -> str:
    """Put parts side by side, where the page is wide enough; empty ones are left out."""
    return f'<div style="{_BESIDE}">{"".join(f"<div>{part}</div>" for part in parts if part)}</div>'


def _text(value: object) -> str:
    text = _number(value) if isinstance(value, int | float) else str(value)
    return html.escape(text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…")


def _number(value: int | float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return "–" if math.isnan(value) else f"{value:.3f}"
