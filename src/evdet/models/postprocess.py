"""Scores and boxes of all anchors -> the final boxes of each frame."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from evdet.boxes import clip_boxes
from evdet.frame_spec import SelectionThresholds
from evdet.nms import suppress
from evdet.shapes import ClipDetections, Detections, Size

__all__ = [
    "Selection",
    "choose_candidates",
    "select_boxes",
    "select_detections",
    "suppress_candidates",
    "to_detections",
]


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
    class_scores: Float[Tensor, "F n"] | None = None
    """Scores without objectness, by which a protocol may rank; None without objectness."""


@torch.no_grad()
def select_boxes(
    boxes: Float[Tensor, "F A 4"],
    scores: Float[Tensor, "F A C"],
    size: Size,
    thresholds: SelectionThresholds,
    *,
    class_scores: Float[Tensor, "F A C"] | None = None,
) -> Selection:
    """Select the final boxes of all frames at once, without synchronising with the accelerator.

    A candidate is a pair of an anchor and a class. The best `max_boxes` of a frame enter
    non-maximum suppression, class by class or, with `agnostic`, all together; of equal scores the
    lower anchor, then the lower class, counts as better. A score or an IoU that equals its
    threshold stays.

    Args:
        boxes: decoded boxes.
        scores: scores in [0, 1], without background.
        size: height and width of the frame, to which the boxes are clipped.
        thresholds: which candidates become final boxes.
        class_scores: a second score of every candidate; it has no effect on the selection.

    Returns:
        n = min(max_boxes, A·C) candidates per frame, and a mask of the final ones.
    """
    candidates = choose_candidates(boxes, scores, thresholds, class_scores=class_scores)
    return suppress_candidates(candidates, size, thresholds)


def select_detections(
    boxes: Float[Tensor, "F A 4"],
    scores: Float[Tensor, "F A C"],
    clip: Num[Tensor, "T B _ H W"],
    thresholds: SelectionThresholds,
    *,
    class_scores: Float[Tensor, "F A C"] | None = None,
) -> ClipDetections:
    """Select the final boxes of a clip and copy them to the CPU.

    Args:
        boxes: decoded boxes of the T·B frames, time-major.
        scores: scores in [0, 1], without background.
        clip: the clip that the boxes are of; only its shape matters.
        thresholds: which candidates become final boxes.
        class_scores: as `select_boxes` takes them.

    Returns:
        `out[t][b]` as `to_detections` gives it.
    """
    size = (clip.shape[-2], clip.shape[-1])
    selection = select_boxes(boxes, scores, size, thresholds, class_scores=class_scores)
    return to_detections(selection, clip.shape[1])


@torch.no_grad()
def choose_candidates(
    boxes: Float[Tensor, "F A 4"],
    scores: Float[Tensor, "F A C"],
    thresholds: SelectionThresholds,
    *,
    class_scores: Float[Tensor, "F A C"] | None = None,
) -> Selection:
    """Choose the candidates that enter non-maximum suppression: the first half of `select_boxes`.

    Args:
        boxes: decoded boxes.
        scores: scores in [0, 1], without background.
        thresholds: `score_thresh` and `max_boxes` apply.
        class_scores: a second score of every candidate; it has no effect on the choice.

    Returns:
        n = min(max_boxes, A·C) candidates per frame, not yet clipped, and a mask of those whose
        score is high enough.
    """
    num_classes = scores.shape[2]
    values = scores.float().flatten(1)
    # NaN passes no threshold.
    values = torch.where(values >= thresholds.score_thresh, values, -1.0)
    best, index = _top(values, min(thresholds.max_boxes, values.shape[1]))
    labels = index % num_classes + 1
    anchor = torch.div(index, num_classes, rounding_mode="floor")
    chosen = boxes.gather(1, anchor[..., None].expand(-1, -1, 4))
    along = None if class_scores is None else class_scores.float().flatten(1).gather(1, index)
    return Selection(chosen, labels, best.clamp(min=0), best >= 0, along)


@torch.no_grad()
def suppress_candidates(
    candidates: Selection, size: Size, thresholds: SelectionThresholds
) -> Selection:
    """Apply non-maximum suppression to the candidates: the second half of `select_boxes`.

    Args:
        candidates: of every frame, as `choose_candidates` gives them, on any device.
        size: height and width of the frame, to which the boxes are clipped.
        thresholds: `nms_thresh` and `agnostic` apply.

    Returns:
        The same candidates, clipped, and a mask of the final ones.
    """
    classes = torch.zeros_like(candidates.labels) if thresholds.agnostic else candidates.labels
    keep = suppress(candidates.boxes, classes, candidates.keep, thresholds.nms_thresh)
    return candidates._replace(boxes=clip_boxes(candidates.boxes, size), keep=keep)


def _top(values: Float[Tensor, "F m"], num: int) -> tuple[Float[Tensor, "F n"], Int[Tensor, "F n"]]:
    """The `num` highest values of each row and their indices; of equal ones the lower index."""
    last = values.shape[1] - 1
    # One integer per value: its bits, which sort like the number itself where it is positive, then
    # its index counted from the end. No two are equal, so every device gives the same order.
    index_from_end = torch.arange(last, -1, -1, device=values.device)
    keys = values.view(torch.int32).long() * 2**32 + index_from_end
    index = last - keys.topk(num, dim=1).values % 2**32
    return values.gather(1, index), index


def to_detections(selection: Selection, num_lanes: int) -> ClipDetections:
    """Split the final boxes by time bin and lane, in one transfer from the device.

    Args:
        selection: the candidates of T·B frames, time-major.
        num_lanes: lanes B.

    Returns:
        `out[t][b]` with boxes, labels, scores and, where there are any, class_scores on the
        CPU, best first; empty tensors where nothing was found.
    """
    columns = [
        selection.boxes.to(selection.scores.dtype),
        selection.labels.to(selection.scores.dtype)[..., None],
        selection.scores[..., None],
        selection.keep.to(selection.scores.dtype)[..., None],
    ]
    if selection.class_scores is not None:
        columns.append(selection.class_scores[..., None])
    table = torch.cat(columns, dim=-1).cpu()
    keep = table[..., 6] > 0
    frames = [_named(rows) for rows in torch.split(table[keep], keep.sum(dim=1).tolist())]
    return [frames[start : start + num_lanes] for start in range(0, len(frames), num_lanes)]


def _named(rows: Float[Tensor, "N _"]) -> Detections:
    found: Detections = {"boxes": rows[:, :4], "labels": rows[:, 4].long(), "scores": rows[:, 5]}
    if rows.shape[1] > 7:
        found["class_scores"] = rows[:, 7]
    return found
