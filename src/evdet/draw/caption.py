"""A line of text in the corner of a picture."""

import math

import numpy as np
from jaxtyping import UInt8

from evdet.opencv import cv2

__all__ = ["draw_caption"]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_PLATE, _INK = (0, 0, 0), (235, 235, 235)
_PAD = 3


def draw_caption(image: UInt8[np.ndarray, "H W 3"], text: str) -> UInt8[np.ndarray, "H W 3"]:
    """Write a line in the lower left corner of a copy of a picture.

    Args:
        image: RGB picture.
        text: a short line; what does not fit is left out at its end.

    Returns:
        A new picture of the same size.
    """
    height, width = image.shape[:2]
    picture = image.copy()
    scale = max(0.32, 0.0165 * math.sqrt(min(height, width)))
    while text and _text_width(text, scale) + 2 * _PAD > width:
        text = text[:-1]
    (text_width, text_height), below = cv2.getTextSize(text, _FONT, scale, 1)
    if not text or text_height + below + 2 * _PAD > height:
        return picture
    top = height - text_height - below - 2 * _PAD
    cv2.rectangle(picture, (0, top), (text_width + 2 * _PAD, height - 1), _PLATE, cv2.FILLED)
    baseline = (_PAD, height - below - _PAD)
    cv2.putText(picture, text, baseline, _FONT, scale, _INK, 1, cv2.LINE_AA)
    return picture


def _text_width(text: str, scale: float) -> int:
    return int(cv2.getTextSize(text, _FONT, scale, 1)[0][0])
