"""What a picture shows of a frame: the likely detections, one for each object, and the truth."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from evdet.boxes import to_box_events
from evdet.draw import draw_detections_and_truth
from evdet.metrics import CONFIDENT_SCORE
from evdet.nms import nms
from evdet.shapes import Detections

__all__ = ["Image", "ShowFrame", "activity_of", "draw_shown", "select_shown"]

Image = UInt8[np.ndarray, "_ _ 3"]
ShowFrame = Callable[[Float[Tensor, "_ _ _"]], Image]


def select_shown(found: Detections, nms_thresh: float) -> Detections:
    """Choose the detections that a picture shows; scores of a protocol use all of them.

    Args:
        found: the detections of a frame, class by class.
        nms_thresh: of two boxes with a higher IoU, whatever their classes, the better is shown.

    Returns:
        Those with a score of at least `CONFIDENT_SCORE`.
    """
    likely = (found["scores"] >= CONFIDENT_SCORE).nonzero()[:, 0]
    kept = likely[nms(found["boxes"][likely].float(), found["scores"][likely], nms_thresh)]
    return {name: values[kept] for name, values in found.items()}


def draw_shown(
    frame: Image,
    shown: Detections,
    truth: Float[Tensor, "N 5"],
    label_map: Sequence[str],
    *,
    factor: int,
) -> Image:
    """Draw the detections of `select_shown` and, in white, the ground truth.

    Args:
        frame: the frame as a picture.
        shown: its detections.
        truth: its objects, x1 y1 x2 y2 label.
        label_map: class names, background first.
        factor: enlargement.
    """
    return draw_detections_and_truth(
        frame,
        to_box_events(shown["boxes"], shown["labels"], shown["scores"]),
        to_box_events(truth[:, :4], truth[:, 4]),
        label_map,
        factor=factor,
    )


def activity_of(frame: Shaped[Tensor, "C H W"], truth: Float[Tensor, "N 5"]) -> float:
    """The share of the pixels with events: in the boxes of the objects, or without any, of all."""
    changed = (frame != 0).any(dim=0)
    inside = torch.zeros_like(changed)
    for x1, y1, x2, y2 in truth[:, :4].round().int().clamp(min=0).tolist():
        inside[y1:y2, x1:x2] = True
    looked_at = changed[inside] if inside.any() else changed
    return float(looked_at.float().mean())
