"""The tutorial's pictures of anchors: one small canvas per anchor."""

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from evdet.draw.boxes import class_color
from evdet.opencv import cv2
from evdet.shapes import Size

__all__ = ["draw_anchors", "draw_anchors_and_predictions"]

Boxes = Float[np.ndarray, "N 4"] | Float[Tensor, "N 4"]
Rectangle = tuple[int, int, int, int]

_ANCHOR_COLOR = (255, 0, 0)
_PREDICTION_COLOR = (0, 0, 255)
_CANVAS_GRAY = 127
# cv2 draws with 16-bit coordinates; parts this far outside are not visible.
_FAR = 30_000


def draw_anchors(
    anchors: Boxes, size: Size, *, num_anchors: int = 6
) -> UInt8[np.ndarray, "N H W 3"]:
    """Draw each anchor and its centre on a picture of its own.

    Args:
        anchors: boxes x1 y1 x2 y2; they may extend beyond the picture.
        size: height and width of the pictures.
        num_anchors: anchors per cell; each keeps its colour from cell to cell.
    """
    pictures = _canvases(len(anchors), size)
    for index, (picture, anchor) in enumerate(zip(pictures, _corners(anchors), strict=True)):
        cv2.rectangle(picture, anchor[:2], anchor[2:], class_color(index % num_anchors + 1), 2)
        _draw_centre(picture, anchor)
    return pictures


def draw_anchors_and_predictions(
    anchors: Boxes, predictions: Boxes, size: Size
) -> UInt8[np.ndarray, "N H W 3"]:
    """Draw each anchor in red, its prediction in blue, and the anchor's centre.

    Args:
        anchors: boxes x1 y1 x2 y2; they may extend beyond the picture.
        predictions: for each anchor, the decoded box x1 y1 x2 y2.
        size: height and width of the pictures.

    Returns:
        One picture per anchor.
    """
    pictures = _canvases(len(anchors), size)
    pairs = zip(pictures, _corners(anchors), _corners(predictions), strict=True)
    for picture, anchor, prediction in pairs:
        cv2.rectangle(picture, anchor[:2], anchor[2:], _ANCHOR_COLOR, 1)
        cv2.rectangle(picture, prediction[:2], prediction[2:], _PREDICTION_COLOR, 1)
        _draw_centre(picture, anchor)
    return pictures


def _canvases(count: int, size: Size) -> UInt8[np.ndarray, "N H W 3"]:
    return np.full((count, *size, 3), _CANVAS_GRAY, np.uint8)


def _corners(boxes: Boxes) -> list[Rectangle]:
    array = boxes.detach().cpu().numpy() if isinstance(boxes, Tensor) else boxes
    whole = np.nan_to_num(array).clip(-_FAR, _FAR).astype(int).tolist()
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in whole]


def _draw_centre(picture: UInt8[np.ndarray, "H W 3"], box: Rectangle) -> None:
    centre = ((box[0] + box[2]) // 2, (box[1] + box[3]) // 2)
    cv2.circle(picture, centre, 1, (255, 255, 255), 2)
