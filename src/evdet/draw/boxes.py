"""Boxes on a frame, with their class names and scores, and captions."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped, UInt8

from evdet.boxes import BOX_DTYPE
from evdet.draw.images import upscale
from evdet.opencv import cv2
from evdet.shapes import BoxEvents, Size

__all__ = [
    "BoxStyle",
    "check_names",
    "class_color",
    "draw_box_events",
    "draw_caption",
    "draw_detections_and_truth",
    "draw_labeled_boxes",
    "scale_box_events",
]


class BoxStyle(NamedTuple):
    """How a box is drawn."""

    color: Sequence[int]
    """Red, green, blue."""
    thickness: int = 1
    """Width of its lines, in pixels."""
    is_dashed: bool = False
    """Whether its lines are dashed."""
    has_label_below: bool = False
    """Whether its label is at the lower edge, if there is room."""


Image = Shaped[np.ndarray, "H W C"]
Color = tuple[int, int, int]
Rectangle = tuple[int, int, int, int]

# Visible on black and on white frames; neighbours are far apart in hue.
_PALETTE: tuple[Color, ...] = (
    (77, 157, 255),
    (255, 149, 20),
    (60, 200, 100),
    (255, 80, 150),
    (240, 200, 30),
    (165, 110, 255),
    (40, 205, 225),
    (250, 80, 65),
    (160, 215, 60),
    (200, 150, 105),
    (225, 110, 235),
    (0, 170, 150),
)
_TRUTH_COLOR: Color = (255, 255, 255)
_BACKGROUND_COLOR: Color = (150, 150, 150)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
# Height of a capital of _FONT at scale 1, in pixels.
_FONT_HEIGHT = 22
_CAPTION_PLATE, _CAPTION_INK = (0, 0, 0), (235, 235, 235)
_CAPTION_PAD = 3
_DASH = 4  # length of a dash, in widths of the line


def class_color(class_id: int) -> Color:
    """The fixed colour of a class, as (red, green, blue)."""
    return _PALETTE[(class_id - 1) % len(_PALETTE)] if class_id > 0 else _BACKGROUND_COLOR


def draw_box_events(
    frame: Image,
    box_events: BoxEvents,
    label_map: Sequence[str],
    draw_score: bool = True,
    thickness: int = 1,
    force_color: Sequence[int] | None = None,
) -> Image:
    """Draw boxes with their class names, and optionally scores, on a copy of a frame.

    Labels stay inside the frame and do not overlap: where there is no room, the boxes of lower
    scores have none. With `force_color` labels are at the lower edges, so that ground truth drawn
    with detections leaves the detections' labels readable.

    Args:
        frame: RGB picture (H, W, 3), of integers or floats from 0 to 255.
        box_events: `BOX_DTYPE` records; may be empty.
        label_map: class names by class_id, beginning with 'background'.
        draw_score: write the confidence after the name, in percent.
        thickness: width of the lines, in pixels.
        force_color: red, green, blue of all boxes; by default each class has its colour.

    Raises:
        ValueError: the frame is not (H, W, 3), or a class_id has no name in `label_map`.
    """
    check_names(box_events["class_id"], label_map)
    is_forced = force_color is not None
    colors = [_color(event, force_color) for event in box_events]
    styles = [BoxStyle(color, thickness, has_label_below=is_forced) for color in colors]
    return draw_labeled_boxes(
        frame, box_events, _names(box_events, label_map, with_score=draw_score), styles
    )


def draw_labeled_boxes(
    frame: Image,
    box_events: BoxEvents,
    texts: Sequence[str],
    styles: Sequence[BoxStyle],
) -> Image:
    """Draw boxes with any labels on a copy of a frame.

    Args:
        frame: RGB picture (H, W, 3), of integers or floats from 0 to 255.
        box_events: `BOX_DTYPE` records; may be empty.
        texts: the label of each; an empty one is not drawn, nor one without room beside those of
            higher scores.
        styles: how each is drawn.

    Raises:
        ValueError: the frame is not (H, W, 3).
    """
    if frame.shape[2] != 3:
        raise ValueError(
            f"the frame must be (height, width, 3), got {frame.shape}; "
            "a (3, height, width) frame needs .transpose(1, 2, 0) first"
        )
    canvas = np.clip(frame, 0, 255).astype(np.uint8)
    before = canvas.copy()
    # By score, so that the highest is drawn on top.
    visible = [i for i, event in enumerate(box_events) if _is_visible(event, frame.shape)]
    visible.sort(key=lambda i: float(box_events[i]["class_confidence"]))
    for i in visible:
        _draw_rectangle(canvas, _pixels(box_events[i], frame.shape), styles[i])
    plates: list[Rectangle] = []
    for i in reversed(visible):
        if texts[i]:
            box = _pixels(box_events[i], frame.shape)
            plates += _draw_label(canvas, texts[i], box, styles[i], plates)
    # A float frame keeps its exact values outside the drawing.
    return np.where(canvas != before, canvas, frame).astype(frame.dtype)


def _names(box_events: BoxEvents, label_map: Sequence[str], *, with_score: bool) -> list[str]:
    names = [label_map[class_id] for class_id in box_events["class_id"]]
    if not with_score:
        return names
    scores = box_events["class_confidence"]
    return [f"{name} {score:.0%}" for name, score in zip(names, scores, strict=True)]


def check_names(class_ids: Shaped[np.ndarray, " N"], label_map: Sequence[str]) -> None:
    """Refuse a class without a name; `label_map` begins with 'background'.

    Raises:
        ValueError: a class_id has no name in `label_map`.
    """
    if len(class_ids) and class_ids.max() >= len(label_map):
        raise ValueError(
            f"class_id {class_ids.max()} has no name: label_map has {len(label_map)} entries, "
            f"{list(label_map)}. Does it begin with 'background'?"
        )


def _is_visible(event: np.void, shape: tuple[int, ...]) -> bool:
    # False for a box with a NaN.
    across = event["x"] < shape[1] and event["x"] + event["w"] > 0
    down = event["y"] < shape[0] and event["y"] + event["h"] > 0
    return bool(across and down)


def _pixels(event: np.void, shape: tuple[int, ...]) -> Rectangle:
    """First and last pixel of a box, inside the frame."""
    height, width = shape[:2]
    x1, y1 = max(0.0, float(event["x"])), max(0.0, float(event["y"]))
    x2 = min(float(width), float(event["x"] + event["w"]))
    y2 = min(float(height), float(event["y"] + event["h"]))
    left, top = min(round(x1), width - 1), min(round(y1), height - 1)
    return left, top, max(left, round(x2) - 1), max(top, round(y2) - 1)


def _color(event: np.void, force_color: Sequence[int] | None) -> Sequence[int]:
    return class_color(int(event["class_id"])) if force_color is None else list(force_color)


def _draw_rectangle(canvas: UInt8[np.ndarray, "H W 3"], box: Rectangle, style: BoxStyle) -> None:
    x1, y1, x2, y2 = box
    if not style.is_dashed:
        cv2.rectangle(canvas, (x1, y1), (x2, y2), style.color, style.thickness)
        return
    step = _DASH * style.thickness
    for x in range(x1, x2 + 1, 2 * step):
        for y in (y1, y2):
            cv2.line(canvas, (x, y), (min(x + step - 1, x2), y), style.color, style.thickness)
    for y in range(y1, y2 + 1, 2 * step):
        for x in (x1, x2):
            cv2.line(canvas, (x, y), (x, min(y + step - 1, y2)), style.color, style.thickness)


def _draw_label(
    canvas: UInt8[np.ndarray, "H W 3"],
    text: str,
    box: Rectangle,
    style: BoxStyle,
    taken: Sequence[Rectangle],
) -> list[Rectangle]:
    """Write a label on its plate in the canvas if there is room, and return the plate."""
    height, width = canvas.shape[:2]
    text_height = max(7, round(0.6 * math.sqrt(min(height, width))))
    scale = text_height / _FONT_HEIGHT
    text_width = _text_width(text, scale)
    while text_width + 3 > width and len(text) > 1:
        text = text[:-1]
        text_width = _text_width(text, scale)
    # Space below the baseline for g, j and y.
    tail = round(0.3 * text_height)
    plate_width, plate_height = min(text_width + 3, width), min(text_height + tail + 2, height)
    size = plate_height, plate_width
    corner = _free_corner(box, size, (height, width), taken, style.has_label_below)
    if corner is None:
        return []
    (x, y), color = corner, style.color
    plate = (x, y, x + plate_width - 1, y + plate_height - 1)
    cv2.rectangle(canvas, plate[:2], plate[2:], color, cv2.FILLED)
    is_light = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] > 140
    ink = (15, 15, 15) if is_light else (255, 255, 255)
    baseline = (x + 1, y + 1 + text_height)
    cv2.putText(canvas, text, baseline, _FONT, scale, ink, 1, cv2.LINE_AA)
    return [plate]


def _text_width(text: str, scale: float) -> int:
    return int(cv2.getTextSize(text, _FONT, scale, 1)[0][0])


def _free_corner(
    box: Rectangle, plate: Size, size: Size, taken: Sequence[Rectangle], is_below: bool
) -> tuple[int, int] | None:
    """Find the first free position of a plate: above or below the box, inside, or beside it."""
    (left, top, right, bottom), (height, width) = box, plate
    above, below = (left, top - height), (right - width + 1, bottom + 1)
    inside_top, inside_bottom = (left, top), (right - width + 1, bottom - height + 1)
    beside = [(right + 1, top), (left - width, top)]
    wanted = [below, inside_bottom, above] if is_below else [above, inside_top, below]
    # Inside a small box the plate would hide what the box shows.
    if 2 * height > bottom - top:
        wanted = [wanted[0], wanted[2], *beside, wanted[1]]
    else:
        wanted = [*wanted, *beside]
    for x, y in wanted:
        x = min(max(x, 0), size[1] - width)
        plate_at = (x, y, x + width - 1, y + height - 1)
        is_inside = 0 <= y <= size[0] - height
        if is_inside and not any(_overlap(plate_at, other) for other in taken):
            return x, y
    return None


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]


def draw_detections_and_truth(
    frame: Image,
    detections: BoxEvents,
    truth: Shaped[np.ndarray, " M"],
    label_map: Sequence[str],
    *,
    factor: int = 3,
) -> Shaped[np.ndarray, "bigH bigW C"]:
    """Enlarge a frame and draw detections, in colour, over ground truth, in white.

    Args:
        frame: RGB picture (H, W, 3), of integers or floats from 0 to 255.
        detections: `BOX_DTYPE` records, drawn with their scores; may be empty.
        truth: `BOX_DTYPE` records; may be empty.
        label_map: class names by class_id, beginning with 'background'.
        factor: enlargement, for fine lines and small labels.
    """
    check_names(truth["class_id"], label_map)
    check_names(detections["class_id"], label_map)
    below = scale_box_events(truth, factor)
    # Below all detections, whose labels have the first choice of places.
    below["class_confidence"] = -1
    fields = list(BOX_DTYPE.names or ())
    boxes = np.concatenate([below[fields], scale_box_events(detections, factor)[fields]])
    texts = [
        *_names(truth, label_map, with_score=False),
        *_names(detections, label_map, with_score=True),
    ]
    styles = [
        *[BoxStyle(_TRUTH_COLOR, has_label_below=True)] * len(truth),
        *[BoxStyle(_color(event, None), 2) for event in detections],
    ]
    return draw_labeled_boxes(upscale(frame, factor), boxes, texts, styles)


def scale_box_events(box_events: BoxEvents, factor: float | int) -> BoxEvents:
    """Scale a copy of boxes by a factor, to draw fine lines on a frame enlarged by `upscale`."""
    scaled = box_events.copy()
    for name in ("x", "y", "w", "h"):
        scaled[name] *= factor
    return scaled


def draw_caption(image: UInt8[np.ndarray, "H W 3"], text: str) -> UInt8[np.ndarray, "H W 3"]:
    """Write a line in the lower left corner of a copy of a picture; it is cut to fit."""
    height, width = image.shape[:2]
    picture = image.copy()
    scale = max(0.32, 0.0165 * math.sqrt(min(height, width)))
    while text and _text_width(text, scale) + 2 * _CAPTION_PAD > width:
        text = text[:-1]
    (text_width, text_height), below = cv2.getTextSize(text, _FONT, scale, 1)
    if not text or text_height + below + 2 * _CAPTION_PAD > height:
        return picture
    top = height - text_height - below - 2 * _CAPTION_PAD
    corner = (text_width + 2 * _CAPTION_PAD, height - 1)
    cv2.rectangle(picture, (0, top), corner, _CAPTION_PLATE, cv2.FILLED)
    baseline = (_CAPTION_PAD, height - below - _CAPTION_PAD)
    cv2.putText(picture, text, baseline, _FONT, scale, _CAPTION_INK, 1, cv2.LINE_AA)
    return picture
