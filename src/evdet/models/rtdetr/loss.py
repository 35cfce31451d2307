"""RT-DETR's loss: classes by overlap, boxes by distance and overlap, for every layer's queries."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from evdet.boxes import box_area, cxcywh_to_xyxy
from evdet.models.rtdetr.decoder import DecoderOutputs, Predictions
from evdet.models.rtdetr.denoising import NoisedQueries
from evdet.models.rtdetr.targets import Objects, enclosing_area, match_queries

__all__ = ["BOX_WEIGHT", "OVERLAP_WEIGHT", "Terms", "layer_terms", "loss_terms"]

BOX_WEIGHT, OVERLAP_WEIGHT = 5.0, 2.0
_BACKGROUND = 0.75


class Terms(NamedTuple):
    """The three parts of a loss, weighted; of one layer, or of several."""

    classes: Float[Tensor, "*layers"]
    """Varifocal loss of the classes."""
    boxes: Float[Tensor, "*layers"]
    """Distance of boxes, times `BOX_WEIGHT`."""
    overlap: Float[Tensor, "*layers"]
    """1 - generalised IoU of boxes, times `OVERLAP_WEIGHT`."""


def loss_terms(
    outputs: DecoderOutputs,
    objects: Objects,
    noised: NoisedQueries | None,
    *,
    average: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Terms, Terms, Terms | None]:
    """Compare every layer's predictions with the objects.

    Args:
        outputs: of F frames.
        objects: of the same frames.
        noised: the queries of `outputs.noised`.
        average: takes the mean of a number over all training processes.

    Returns:
        The terms of each layer, of the chosen tokens, and of each layer for the noised queries.
        Each is a sum over all frames, divided by the number of objects, at least 1.
    """
    num = objects.counts.sum().float()
    if average is not None:
        num = average(num)
    num = num.clamp(min=1)
    layers, chosen = outputs.layers, outputs.chosen
    # The chosen tokens are one more layer to match.
    every = Predictions(
        *(torch.cat([many, one[None]]) for many, one in zip(layers, chosen, strict=True))
    )
    matched = match_queries(every.class_logits, every.boxes_cxcywh, objects)
    terms = layer_terms(every, matched, objects, num)
    of_noised = None
    if noised is not None and outputs.noised is not None:
        pairs = noised.pairs(objects).expand(outputs.noised.class_logits.shape[:-1])
        of_noised = layer_terms(outputs.noised, pairs, objects, num * noised.num_groups)
    return (
        Terms(*(part[:-1] for part in terms)),
        Terms(*(part[-1] for part in terms)),
        of_noised,
    )


def layer_terms(
    predictions: Predictions,
    matched: Int[Tensor, "*layers F N"],
    objects: Objects,
    num: Float[Tensor, ""],
) -> Terms:
    """Compare predictions with the objects that they answer for.

    Args:
        predictions: of F frames, of one layer or of several.
        matched: the object of each query, -1 for none.
        objects: of the F frames.
        num: what the sums are divided by.

    Source:
        Zhang et al., "VarifocalNet: an IoU-aware dense object detector", CVPR 2021,
        https://arxiv.org/abs/2008.13367; Rezatofighi et al., "Generalized intersection over
        union", CVPR 2019, https://arxiv.org/abs/1902.09630.
    """
    logits, boxes = predictions.class_logits.float(), predictions.boxes_cxcywh.float()
    answers = matched >= 0
    if not objects.classes.shape[1]:
        targets = torch.zeros_like(logits)
        by_class = _varifocal(logits, targets, targets).sum(dim=(-1, -2, -3)) / num
        # Every weight takes part, so that all training processes reduce the same gradients.
        nothing = boxes.sum(dim=(-1, -2, -3)) * 0.0
        return Terms(by_class, nothing, nothing)
    frame = torch.arange(matched.shape[-2], device=matched.device)[:, None]
    index = matched.clamp(min=0)
    # Elsewhere a box is compared with itself: no loss, and no gradient that is not finite.
    wanted = torch.where(answers[..., None], objects.boxes_cxcywh[frame, index], boxes.detach())
    iou, general = _overlaps(cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(wanted))
    is_class = functional.one_hot(objects.classes[frame, index], logits.shape[-1])
    is_class = is_class * answers[..., None]
    by_class = _varifocal(logits, is_class * iou.detach()[..., None], is_class)
    distance = (boxes - wanted).abs().sum(dim=-1) * answers
    return Terms(
        by_class.sum(dim=(-1, -2, -3)) / num,
        BOX_WEIGHT * distance.sum(dim=(-1, -2)) / num,
        OVERLAP_WEIGHT * ((1 - general) * answers).sum(dim=(-1, -2)) / num,
    )


def _varifocal(logits: Tensor, targets: Tensor, is_class: Tensor) -> Tensor:
    """Cross-entropy with the overlap as target; background counts as much as it is likely."""
    weights = _BACKGROUND * logits.detach().sigmoid().square() * (1 - is_class) + targets
    return functional.binary_cross_entropy_with_logits(
        logits, targets, weight=weights, reduction="none"
    )


def _overlaps(
    a: Float[Tensor, "*batch 4"], b: Float[Tensor, "*batch 4"]
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """IoU and generalised IoU of each box with its counterpart; 0 for boxes without area."""
    sides = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    shared = sides.clamp(min=0).prod(dim=-1)
    union = box_area(a) + box_area(b) - shared
    hull = enclosing_area(a, b)
    tiny = torch.finfo(a.dtype).tiny
    iou = shared / union.clamp(min=tiny)
    return iou, iou - (hull - union) / hull.clamp(min=tiny)
