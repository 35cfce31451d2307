"""The boxes of a frame -> one line, and a picture with a table for notebooks."""

from collections.abc import Sequence

from evdet.draw.images import upscale
from evdet.draw.tracks import Trails, box_texts, draw_tracks
from evdet.events import Events, SensorSize, events_to_picture
from evdet.shapes import BoxEvents, Picture
from evdet.structured_text import html_beside, html_picture, html_table

__all__ = ["found_html", "found_line"]

_MOST_IN_LINE = 4
_MOST_ROWS = 10
_LEAST_WIDTH, _SHOWN_WIDTH = 400, 320  # pixels


def found_line(t: int, boxes: BoxEvents) -> str:
    """Put a frame and its boxes into one line: classes by their number, as boxes have no names."""
    texts = box_texts(boxes, _numbers(boxes))
    shown = ", ".join(texts[:_MOST_IN_LINE]) + ", …" * (len(texts) > _MOST_IN_LINE)
    what = f"{len(boxes)} box{'es' * (len(boxes) != 1)}" + (f": {shown}" if texts else "")
    return f"DetectedFrame({t / 1e6:.3f} s, {what})"


def found_html(t: int, boxes: BoxEvents, *, events: Events | None, picture: Picture | None) -> str:
    """Show a frame with its boxes, and list them.

    Args:
        t: time of the boxes, in microseconds.
        boxes: best first.
        events: of its time bin; None for a picture.
        picture: of its source; None for events, which are shown as far as they and the boxes
            reach.
    """
    if picture is None and events is not None:
        picture = events_to_picture(events, _reach(events, boxes))
    names = _numbers(boxes)
    shown = ""
    if picture is not None and picture.size:
        scale = max(1, -(-_LEAST_WIDTH // picture.shape[1]))
        is_tracked = bool(boxes["track_id"].any())
        drawn = draw_tracks(
            upscale(picture, scale), boxes, names, Trails() if is_tracked else None, scale=scale
        )
        shown = html_picture(drawn, f"Frame at {t / 1e6:.3f} s", width=_SHOWN_WIDTH)
    sides = ("x", "y", "w", "h")
    rows = [
        (text, *(f"{box[side]:.1f}" for side in sides))
        for box, text in zip(boxes[:_MOST_ROWS], box_texts(boxes, names), strict=False)
    ]
    if len(boxes) > _MOST_ROWS:
        rows.append((f"and {len(boxes) - _MOST_ROWS} more", *[""] * len(sides)))
    title = f"{t / 1e6:.3f} s: {len(boxes)} box{'es' * (len(boxes) != 1)}"
    head = ("class, score, track", "x", "y", "width", "height") if rows else ()
    return html_beside(shown, html_table(rows, title=title, head=head))


def _numbers(boxes: BoxEvents) -> Sequence[str]:
    """Stands for the names of the classes."""
    return [f"class {number}" for number in range(int(boxes["class_id"].max(initial=0)) + 1)]


def _reach(events: Events, boxes: BoxEvents) -> SensorSize:
    right = max(int(events["x"].max(initial=0)) + 1, int((boxes["x"] + boxes["w"]).max(initial=0)))
    low = max(int(events["y"].max(initial=0)) + 1, int((boxes["y"] + boxes["h"]).max(initial=0)))
    return SensorSize(low, right)
