"""Box geometry on tensors: convert, overlap, clip, encode and decode.

All functions take any number of leading dimensions and copy nothing from the device. `BOX_DTYPE`
records ("box events") are boxes with a time, for files and pictures.
"""

import math

import numpy as np
import torch
from jaxtyping import Float, Num, Shaped
from torch import Tensor

from evdet.shapes import Boxes, BoxesCxcywh, Size

__all__ = [
    "BOX_DTYPE",
    "box_area",
    "clip_boxes",
    "cxcywh_to_xyxy",
    "decode_boxes",
    "encode_boxes",
    "from_box_events",
    "pairwise_iou",
    "to_box_events",
    "xyxy_to_cxcywh",
]

BOX_DTYPE = np.dtype(
    [
        ("t", "<i8"),
        ("x", "<f4"),
        ("y", "<f4"),
        ("w", "<f4"),
        ("h", "<f4"),
        ("class_id", "<u4"),
        ("track_id", "<u4"),
        ("class_confidence", "<f4"),
    ]
)
"""A box at one time: t in microseconds, x and y of its top left corner in pixels."""

# Limit of the ratio of a decoded box to its anchor: `exp` cannot overflow, not even in float16.
_MAX_LOG_RATIO = math.log(1000 / 16)


def cxcywh_to_xyxy(boxes: BoxesCxcywh) -> Boxes:
    """Convert boxes from centre and size to corners."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def xyxy_to_cxcywh(boxes: Boxes) -> BoxesCxcywh:
    """Convert boxes from corners to centre and size."""
    top_left, bottom_right = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(top_left + bottom_right) / 2, bottom_right - top_left], dim=-1)


def box_area(boxes: Boxes) -> Float[Tensor, "*batch"]:
    """Area of each box in square pixels; 0 where the corners are in the wrong order."""
    size = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0)
    return size[..., 0] * size[..., 1]


def pairwise_iou(
    a: Float[Tensor, "*#batch N 4"], b: Float[Tensor, "*#batch M 4"]
) -> Float[Tensor, "*#batch N M"]:
    """Intersection over union of every box of `a` with every box of `b`.

    Args:
        a: boxes; leading dimensions are broadcast against those of `b`.
        b: boxes.

    Returns:
        Overlaps in [0, 1]; 0, not NaN, for a box without area.
    """
    # One contiguous row per coordinate: strided columns would keep the CPU from vectorising.
    ax1, ay1, ax2, ay2 = (side.unsqueeze(-1) for side in a.mT.contiguous().unbind(-2))
    bx1, by1, bx2, by2 = (side.unsqueeze(-2) for side in b.mT.contiguous().unbind(-2))
    # In place: these matrices are by far the largest tensors here.
    width = torch.minimum(ax2, bx2).sub_(torch.maximum(ax1, bx1)).clamp_(min=0)
    height = torch.minimum(ay2, by2).sub_(torch.maximum(ay1, by1)).clamp_(min=0)
    intersection = width.mul_(height)
    union = (box_area(a).unsqueeze(-1) + box_area(b).unsqueeze(-2)).sub_(intersection)
    # Not a tiny constant in the denominator: it would change the overlap of very small boxes.
    return intersection.div_(union).masked_fill_((union > 0).logical_not_(), 0)


def clip_boxes(boxes: Boxes, size: Size) -> Boxes:
    """Clip boxes to a frame.

    Args:
        boxes: boxes that may extend beyond the frame.
        size: height and width of the frame in pixels.

    Returns:
        Boxes with x in [0, width] and y in [0, height].
    """
    height, width = size
    x = boxes[..., 0::2].clamp(0, width)
    y = boxes[..., 1::2].clamp(0, height)
    return torch.stack([x, y], dim=-1).flatten(-2)


def encode_boxes(
    boxes_cxcywh: Float[Tensor, "*#batch 4"],
    anchors_cxcywh: Float[Tensor, "*#batch 4"],
    variances: tuple[float, float] = (0.1, 0.2),
) -> Float[Tensor, "*#batch 4"]:
    """Express boxes as deltas from anchors.

    Args:
        boxes_cxcywh: boxes with a positive size.
        anchors_cxcywh: the anchor of each box.
        variances: what the deltas of centre and of size are divided by.

    Returns:
        Deltas (dx, dy, dw, dh): offsets in units of the anchor's size, and logarithms of
        size ratios.

    Source:
        Liu et al., "SSD: Single shot multibox detector", ECCV 2016,
        https://arxiv.org/abs/1512.02325; the variances are those of its code.
    """
    anchor_size = anchors_cxcywh[..., 2:]
    offset = (boxes_cxcywh[..., :2] - anchors_cxcywh[..., :2]) / anchor_size / variances[0]
    log_ratio = (boxes_cxcywh[..., 2:] / anchor_size).log() / variances[1]
    return torch.cat([offset, log_ratio], dim=-1)


def decode_boxes(
    deltas: Float[Tensor, "*#batch 4"],
    anchors_cxcywh: Float[Tensor, "*#batch 4"],
    variances: tuple[float, float] = (0.1, 0.2),
) -> Float[Tensor, "*#batch 4"]:
    """Apply deltas to anchors: the inverse of `encode_boxes`, with corners as the result.

    Args:
        deltas: (dx, dy, dw, dh).
        anchors_cxcywh: the anchor of each box.
        variances: as given to `encode_boxes`.

    Returns:
        Boxes as x1 y1 x2 y2. A side is at most 62.5 times its anchor's.
    """
    anchor_size = anchors_cxcywh[..., 2:]
    centre = anchors_cxcywh[..., :2] + deltas[..., :2] * variances[0] * anchor_size
    half = anchor_size / 2 * (deltas[..., 2:] * variances[1]).clamp(max=_MAX_LOG_RATIO).exp()
    return torch.cat([centre - half, centre + half], dim=-1)


def to_box_events(
    boxes: Float[Tensor, "N 4"] | Num[np.ndarray, "N 4"],
    labels: Num[Tensor, " N"] | Num[np.ndarray, " N"],
    scores: Float[Tensor, " N"] | Num[np.ndarray, " N"] | None = None,
    *,
    t: int = 0,
) -> Shaped[np.ndarray, " N"]:
    """Turn the boxes of one frame into box events.

    Args:
        boxes: boxes as x1 y1 x2 y2; tensors may be on any device.
        labels: classes; 0 is background.
        scores: confidences; None gives 1, as for ground truth.
        t: time of the frame in microseconds.

    Returns:
        `BOX_DTYPE` records in the same order, with track id 0.

    Raises:
        ValueError: a label is negative.
    """
    corners, class_ids = _to_numpy(boxes), _to_numpy(labels)
    if (class_ids < 0).any():
        raise ValueError(f"a label is {class_ids.min():g}: labels start at 0, the background")
    box_events = np.zeros(len(corners), BOX_DTYPE)
    box_events["t"] = t
    box_events["x"], box_events["y"] = corners[:, 0], corners[:, 1]
    box_events["w"] = corners[:, 2] - corners[:, 0]
    box_events["h"] = corners[:, 3] - corners[:, 1]
    box_events["class_id"] = class_ids
    box_events["class_confidence"] = 1 if scores is None else _to_numpy(scores)
    return box_events


def from_box_events(box_events: Shaped[np.ndarray, " N"]) -> Num[np.ndarray, "N 5"]:
    """Turn box events into the labels of a frame; their times are not read.

    Args:
        box_events: records with at least x, y, w, h and class_id.

    Returns:
        float32 rows x1 y1 x2 y2 label, in the same order.
    """
    x, y, w, h, label = (box_events[name] for name in ("x", "y", "w", "h", "class_id"))
    return np.stack([x, y, x + w, y + h, label], axis=-1).astype(np.float32)


def _to_numpy(values: Tensor | np.ndarray) -> np.ndarray:
    # float64: numpy has no bfloat16.
    return values.detach().cpu().double().numpy() if isinstance(values, Tensor) else values
