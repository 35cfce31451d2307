"""Scores and boxes of all anchors -> the final boxes of each frame."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from evdet.boxes import clip_boxes, suppress
from evdet.shapes import Detections, Size

__all__ = ["Selection", "select_boxes", "to_detections"]


class Selection(NamedTuple):
    """The candidates of every frame, best first, and which of them are its final boxes."""

    boxes: Float[Tensor, "F n 4"]
    """x1 y1 x2 y2, inside the frame."""
    labels: Int[Tensor, "F n"]
    """Classes, from 1."""
    scores: Float[Tensor, "F n"]
    """Scores, falling along a frame."""
    keep: Bool[Tensor, "F n"]
    """The final boxes; the rest is padding."""


@torch.no_grad()
def select_boxes(
    boxes: Float[Tensor, "F A 4"],
    scores: Float[Tensor, "F A C"],
    size: Size,
    *,
    score_thresh: float,
    nms_thresh: float,
    max_boxes: int,
) -> Selection:
    """Choose the final boxes of all frames at once, without waiting for an accelerator.

    A candidate is a pair of an anchor and a class. The best `max_boxes` of a frame enter
    non-maximum suppression, class by class; of equal scores the lower anchor, then the lower
    class, counts as better.

    Args:
        boxes: decoded boxes.
        scores: scores in [0, 1], without background.
        size: height and width of the frame, to which the boxes are clipped in the end.
        score_thresh: candidates with a lower score are dropped; one that equals it stays.
        nms_thresh: of two boxes of a class that overlap by a higher IoU the better stays.
        max_boxes: candidates per frame.

    Returns:
        n = min(max_boxes, A·C) candidates per frame, and a mask of the final ones.
    """
    num_classes = scores.shape[2]
    values = scores.float().flatten(1)
    # nan is not over any threshold.
    values = torch.where(values >= score_thresh, values, -1.0)
    best, index = _top(values, min(max_boxes, values.shape[1]))
    labels = index % num_classes + 1
    anchor = torch.div(index, num_classes, rounding_mode="floor")
    chosen = boxes.gather(1, anchor[..., None].expand(-1, -1, 4))
    keep = suppress(chosen, labels, best >= 0, nms_thresh)
    return Selection(clip_boxes(chosen, size), labels, best.clamp(min=0), keep)


def _top(values: Float[Tensor, "F m"], num: int) -> tuple[Float[Tensor, "F n"], Int[Tensor, "F n"]]:
    """The `num` highest values of each row and their indices; of equal ones the lower index."""
    last = values.shape[1] - 1
    # One integer per value: its bits, which order like the number itself where it is positive,
    # then its place counted from the end. No two are equal, so every device agrees on the order.
    place = torch.arange(last, -1, -1, device=values.device)
    keys = values.view(torch.int32).long() * 2**32 + place
    index = last - keys.topk(num, dim=1).values % 2**32
    return values.gather(1, index), index


def to_detections(selection: Selection, num_lanes: int) -> list[list[Detections]]:
    """Hand the final boxes out by time bin and lane, in one transfer from the device.

    Args:
        selection: the candidates of T·B frames, time-major.
        num_lanes: lanes B.

    Returns:
        `out[t][b]` with boxes, labels and scores on the CPU, best first; empty tensors where
        nothing was found.
    """
    columns = [
        selection.boxes.to(selection.scores.dtype),
        selection.labels.to(selection.scores.dtype)[..., None],
        selection.scores[..., None],
        selection.keep.to(selection.scores.dtype)[..., None],
    ]
    table = torch.cat(columns, dim=-1).cpu()
    keep = table[..., 6] > 0
    frames: list[Detections] = [
        {"boxes": rows[:, :4], "labels": rows[:, 4].long(), "scores": rows[:, 5]}
        for rows in torch.split(table[keep], keep.sum(dim=1).tolist())
    ]
    return [frames[start : start + num_lanes] for start in range(0, len(frames), num_lanes)]
