"""The objects of a batch of frames as tensors, and which query answers for which of them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from evdet.boxes import cxcywh_to_xyxy, pairwise_iou, xyxy_to_cxcywh
from evdet.shapes import Size

__all__ = ["Objects", "collect_objects", "enclosing_area", "match_queries"]

_BOX_COST, _CLASS_COST, _OVERLAP_COST = 5.0, 2.0, 2.0
_ALPHA, _GAMMA = 0.25, 2.0
_TINY = 1e-8


class Objects(NamedTuple):
    """The objects of F frames, at most M a frame; the rest of a row is padding."""

    classes: Int[Tensor, "F M"]
    """Class of each, from 0; 0 in padding."""
    boxes_cxcywh: Float[Tensor, "F M 4"]
    """Centre and size, as shares of the padded frame; 0 in padding."""
    counts: Int[Tensor, " F"]
    """Objects of each frame."""
    per_frame: tuple[int, ...]
    """The same numbers, without a transfer from the device."""


def collect_objects(
    labels: Sequence[Float[Tensor, "_ 5"]], size: Size, device: torch.device
) -> Objects:
    """Put the objects of frames into tensors.

    Args:
        labels: of each frame, x1 y1 x2 y2 label in pixels; label 1 is the first class.
        size: height and width of the padded frame, in pixels.
        device: of the result.
    """
    per_frame = tuple(len(frame) for frame in labels)
    most = max(per_frame, default=0)
    table = torch.zeros(len(labels), most, 5, device=device)
    if most:
        index = [torch.arange(num) + row * most for row, num in enumerate(per_frame)]
        joined = torch.cat([frame.to(device, torch.float32) for frame in labels])
        table.view(-1, 5)[torch.cat(index).to(device, non_blocking=True)] = joined
    whole = torch.tensor([size[1], size[0]] * 2, device=device)
    return Objects(
        (table[..., 4].long() - 1).clamp(min=0),
        xyxy_to_cxcywh(table[..., :4]) / whole,
        torch.tensor(per_frame, device=device),
        per_frame,
    )


@torch.no_grad()
def match_queries(
    class_logits: Float[Tensor, "*layers F N C"],
    boxes_cxcywh: Float[Tensor, "*layers F N 4"],
    objects: Objects,
) -> Int[Tensor, "*layers F N"]:
    """Give each object the query that fits it best, so that the sum over all is the best.

    All layers and frames are compared at once, with one transfer to the host, where scipy solves
    one assignment after the other.

    Args:
        class_logits: of each query.
        boxes_cxcywh: of each query, as shares of the frame.
        objects: of the F frames.

    Returns:
        The object that each query answers for, -1 for none.

    Raises:
        ValueError: scipy is missing.

    Source:
        Carion et al., "End-to-end object detection with transformers", ECCV 2020,
        https://arxiv.org/abs/2005.12872; the cost of classes as in Zhu et al., ICLR 2021.
    """
    shape = class_logits.shape[:-1]
    matched = torch.full(shape, -1)
    if max(objects.per_frame, default=0):
        assign = _solver()
        costs = _costs(class_logits, boxes_cxcywh, objects).cpu()
        rows = matched.view(-1, shape[-1])
        for row, cost in enumerate(costs.flatten(0, -3).numpy()):
            num = objects.per_frame[row % len(objects.per_frame)]
            queries, answers = assign(cost[:, :num])
            rows[row, torch.from_numpy(queries)] = torch.from_numpy(answers)
    return matched.to(class_logits.device, non_blocking=True)


def _solver() -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise ValueError(
            "scipy is missing, and the training of RT-DETR needs it: pip install 'evdet[detr]'"
        ) from error
    solver: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] = linear_sum_assignment
    return solver


def _costs(
    class_logits: Tensor, boxes_cxcywh: Tensor, objects: Objects
) -> Float[Tensor, "*layers F N M"]:
    classes = objects.classes[:, None].expand(*class_logits.shape[:-1], -1)
    likely = class_logits.float().sigmoid().gather(-1, classes)
    is_it = _ALPHA * (1 - likely) ** _GAMMA * -(likely + _TINY).log()
    is_not = (1 - _ALPHA) * likely**_GAMMA * -(1 - likely + _TINY).log()
    boxes = boxes_cxcywh.float()
    apart = (boxes.unsqueeze(-2) - objects.boxes_cxcywh.unsqueeze(-3)).abs().sum(dim=-1)
    ours, theirs = cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(objects.boxes_cxcywh)
    iou = pairwise_iou(ours, theirs)
    hull = enclosing_area(ours.unsqueeze(-2), theirs.unsqueeze(-3))
    areas = (boxes[..., 2:].prod(-1).unsqueeze(-1), objects.boxes_cxcywh[..., 2:].prod(-1))
    union = (areas[0] + areas[1].unsqueeze(-2)) / (1 + iou)
    overlap = iou - (hull - union) / hull.clamp(min=torch.finfo(hull.dtype).tiny)
    # What is not a number must not stop the assignment: the check of the losses says where it is.
    return torch.nan_to_num(
        _BOX_COST * apart + _CLASS_COST * (is_it - is_not) - _OVERLAP_COST * overlap
    )


def enclosing_area(
    a: Float[Tensor, "*#batch 4"], b: Float[Tensor, "*#batch 4"]
) -> Float[Tensor, "*#batch"]:
    """Area of the smallest box around two boxes x1 y1 x2 y2."""
    top_left = torch.minimum(a[..., :2], b[..., :2])
    bottom_right = torch.maximum(a[..., 2:], b[..., 2:])
    return (bottom_right - top_left).prod(dim=-1)
