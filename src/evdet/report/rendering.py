"""Content -> a self-contained page: the templates, and how they write numbers and pictures."""

import base64
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from evdet.atomic_file import replacing
from evdet.draw import encode_png
from evdet.report.contents import Picture

__all__ = ["count_of", "decimal", "duration", "embed_video", "large_number", "write_page"]

_MAX_VIDEO_BYTES = 8_000_000


def write_page(path: str | os.PathLike[str], template: str, content: Mapping[str, object]) -> None:
    """Fill a template and write the page.

    The page appears when it is complete, and replaces an older one.

    Args:
        path: the file.
        template: its name in the folder `templates`.
        content: what it shows; text is escaped.
    """
    folder = resources.files("evdet.report") / "templates"
    pages = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    pages.filters |= {
        "count_of": count_of,
        "data_url": _data_url,
        "decimal": decimal,
        "short": _short,
        "thousands": "{:,}".format,
    }
    style = (folder / "style.css").read_text(encoding="utf-8")
    written = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    page = pages.get_template(template).render({**content, "style": style, "written": written})
    with replacing(path) as part:
        part.write_text(page, encoding="utf-8")


def embed_video(path: Path | None) -> tuple[str, list[str]]:
    """Encode an MP4 file for the page, or give an empty text and a note with the reason."""
    if path is None:
        return "", []
    if not path.exists():
        return "", [f"no video: {path.name} does not exist"]
    size = path.stat().st_size
    if size > _MAX_VIDEO_BYTES:
        return "", [f"no video: {path} is too large for this page ({size / 1e6:.0f} MB)"]
    return f"data:video/mp4;base64,{base64.b64encode(path.read_bytes()).decode()}", []


def decimal(value: float | None) -> str:
    """Write a score with three decimals, or a dash for None and NaN."""
    return "–" if value is None or math.isnan(value) else f"{value:.3f}"


def count_of(number: int, noun: str, plural: str = "") -> str:
    """Write a number with its noun, such as 1 recording, 2 recordings."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


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


def _data_url(picture: Picture) -> str:
    return f"data:image/png;base64,{base64.b64encode(encode_png(picture.image)).decode()}"


def _short(count: Any) -> str:
    """Write a count for a small cell; empty for 0."""
    if count == 0:
        return ""
    return f"{count / 1000:.0f}k" if count >= 10_000 else str(count)
