"""The HTML elements of the pages; text from outside is escaped here."""

import base64
import html
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

from evdet.atomic_file import replacing
from evdet.draw import encode_png
from evdet.report.contents import Picture

__all__ = [
    "document",
    "duration",
    "figure",
    "header",
    "large_number",
    "legend",
    "pictures",
    "section",
    "video",
    "write_page",
]

_MAX_VIDEO_BYTES = 8_000_000
# With this policy the browser refuses all scripts and everything that is not in the page.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"


def write_page(path: str | os.PathLike[str], page: str) -> None:
    """Write a page; it appears when it is complete, and replaces an older one.

    Args:
        path: the file.
        page: its text.
    """
    with replacing(path) as part:
        part.write_text(page, encoding="utf-8")


def document(title: str, sections: Sequence[str]) -> str:
    """Make a self-contained page.

    Args:
        title: as text.
        sections: as HTML; they may be empty.
    """
    style = resources.files("evdet.report").joinpath("style.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n<main>\n{''.join(sections)}</main>\n</body>\n</html>\n"
    )


def header(
    title: str, summary: str, *, tiles: Mapping[str, str] | None = None, notes: Sequence[str] = ()
) -> str:
    """Make the head of a page.

    Args:
        title: as text.
        summary: one or two sentences, as text; may be empty.
        tiles: headline numbers by name, as HTML.
        notes: warnings and missing parts, as text.
    """
    shown = "".join(
        f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in (tiles or {}).items()
    )
    listed = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    paragraph = f"<p>{html.escape(summary)}</p>" if summary else ""
    return (
        f"<header>\n<h1>{html.escape(title)}</h1>\n{paragraph}\n"
        + (f'<dl class="tiles">{shown}</dl>\n' if shown else "")
        + (f'<ul class="notes">{listed}</ul>\n' if listed else "")
        + "</header>\n"
    )


def section(title: str, body: str) -> str:
    """Make a section; empty without a body."""
    return f"<section>\n<h2>{title}</h2>\n{body}\n</section>\n" if body else ""


def figure(title: str, names: Sequence[str], drawing: str) -> str:
    """Make a figure of a drawing, with a legend of its curves."""
    return f"<figure><h3>{title}</h3>{legend(names)}{drawing}</figure>"


def legend(names: Sequence[str]) -> str:
    """List names in the colours of the curves, in their order."""
    items = "".join(
        f'<li style="--color:var(--series-{index})">{html.escape(name)}</li>'
        for index, name in enumerate(names, start=1)
    )
    return f'<ul class="legend">{items}</ul>' if items else ""


def pictures(shown: Sequence[Picture], kind: str) -> str:
    """Arrange pictures in a grid; empty without pictures.

    Args:
        shown: the pictures.
        kind: class of the grid in the style sheet.
    """
    figures = []
    for picture in shown:
        data = base64.b64encode(encode_png(picture.image)).decode()
        caption = html.escape(picture.caption)
        figures.append(
            f'<figure><img alt="{caption}" src="data:image/png;base64,{data}">'
            f"<figcaption>{caption}</figcaption></figure>"
        )
    return f'<div class="{kind}">{"".join(figures)}</div>' if figures else ""


def video(path: Path | None) -> tuple[str, list[str]]:
    """Make the element of an MP4 file, or an empty text and a note with the reason."""
    if path is None:
        return "", []
    if not path.exists():
        return "", [f"no video: {path.name} does not exist"]
    size = path.stat().st_size
    if size > _MAX_VIDEO_BYTES:
        return "", [f"no video: {path} is too large for this page ({size / 1e6:.0f} MB)"]
    data = base64.b64encode(path.read_bytes()).decode()
    return (
        "<video controls autoplay muted loop playsinline "
        f'src="data:video/mp4;base64,{data}"></video>',
        [],
    )


def duration(seconds: float) -> str:
    """Write a duration as hours and minutes, or as minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def large_number(number: int) -> str:
    """Write a large number with three digits and a unit, such as 1.23 M."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)
