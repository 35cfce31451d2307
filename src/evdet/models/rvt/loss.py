"""RVT's loss: boxes by IoU, objectness and classes by cross-entropy, per positive candidate."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from evdet.models.rvt.head import RVTOutputs
from evdet.models.rvt.simota import assign_candidates, collect_objects, paired_iou

__all__ = ["BOX_WEIGHT", "rvt_loss"]

BOX_WEIGHT = 5.0
"""Weight of the loss of boxes; the other two weigh 1."""


def rvt_loss(
    outputs: RVTOutputs,
    labels: Sequence[Float[Tensor, "_ 5"]],
    labeled: Bool[Tensor, " F"],
    *,
    average: Callable[[Tensor], Tensor] | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """Compare candidates with the objects of their frames.

    Args:
        outputs: of F frames.
        labels: the objects of each frame, x1 y1 x2 y2 label; label 1 is the first class.
        labeled: frames that enter the loss; the others' labels must be empty.
        average: takes the mean of a number over all training processes.

    Returns:
        `loc_loss` (already times `BOX_WEIGHT`), `obj_loss` and `cls_loss`, each summed over all
        frames and divided by the number of positive candidates, at least 1.

    Source:
        Ge et al., "YOLOX: exceeding YOLO series in 2021", https://arxiv.org/abs/2107.08430.
    """
    objects = collect_objects(labels, outputs.objectness.device)
    assignment = assign_candidates(outputs, objects)
    is_positive = assignment.is_positive
    num_positives = is_positive.sum().float()
    if average is not None:
        num_positives = average(num_positives)
    num_positives = num_positives.clamp(min=1)
    objectness = functional.binary_cross_entropy_with_logits(
        outputs.objectness.float(), is_positive.float(), reduction="none"
    )
    losses = {"obj_loss": (objectness * labeled[:, None]).sum() / num_positives}
    if not len(objects.classes):
        # Every weight takes part, so that all training processes reduce the same gradients.
        nothing = (outputs.boxes_cxcywh.sum() + outputs.class_logits.sum()) * 0.0
        return {"loc_loss": nothing, "cls_loss": nothing, **losses}
    targets = objects.boxes_cxcywh[assignment.object_index]
    # Elsewhere a box is compared with itself: no loss, and no gradient that is not finite.
    targets = torch.where(is_positive[..., None], targets, outputs.boxes_cxcywh.detach().float())
    iou = paired_iou(outputs.boxes_cxcywh.float(), targets)
    boxes = torch.where(is_positive, 1 - iou.square(), 0)
    classes = functional.one_hot(
        objects.classes[assignment.object_index], outputs.class_logits.shape[-1]
    )
    by_class = functional.binary_cross_entropy_with_logits(
        outputs.class_logits.float(), classes * assignment.iou[..., None], reduction="none"
    )
    return {
        "loc_loss": BOX_WEIGHT * boxes.sum() / num_positives,
        "cls_loss": (by_class.sum(dim=-1) * is_positive).sum() / num_positives,
        **losses,
    }
