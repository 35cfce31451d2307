"""The losses of the SSD: a classification loss at every anchor, a box loss at positives."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

__all__ = [
    "LOSSES",
    "DetectionLoss",
    "sigmoid_focal_loss",
    "smooth_l1_loss",
    "softmax_focal_loss",
    "softmax_ohem_loss",
]

Scalar = Float[Tensor, ""]
Logits = Float[Tensor, "*batch K"]
Classes = Int[Tensor, "*batch"]


class DetectionLoss:
    """The criterion: classification and localisation, each per positive anchor.

    Args:
        name: a key of `LOSSES`.

    Raises:
        ValueError: an unknown name.
    """

    def __init__(self, name: str = "softmax_focal_loss") -> None:
        if name not in LOSSES:
            raise ValueError(f"unknown loss {name!r}: choose one of {', '.join(sorted(LOSSES))}")
        self.name = name

    @property
    def has_background(self) -> bool:
        """Whether logit 0 is background; otherwise each class has an independent logit."""
        return LOSSES[self.name] is not sigmoid_focal_loss

    def __call__(
        self,
        loc_preds: Float[Tensor, "F A 4"],
        loc_targets: Float[Tensor, "F A 4"],
        cls_preds: Float[Tensor, "F A K"],
        cls_targets: Int[Tensor, "F A"],
        *,
        num_positives: Scalar | None = None,
    ) -> dict[str, Scalar]:
        """Compare predictions with targets, over all frames together.

        Args:
            loc_preds: predicted deltas.
            loc_targets: target deltas; only those of positive anchors count.
            cls_preds: logits of the head.
            cls_targets: class from 1, 0 for background, -1 for anchors that enter no loss.
            num_positives: divisor of the sums, above 0. Where P processes average their
                gradients, max(1, positives of all) / P gives the gradients of one process with
                all the frames. None takes max(1, number of positives).

        Returns:
            `loc_loss` and `cls_loss`: sums divided by `num_positives`.
        """
        count = (cls_targets > 0).sum().clamp(min=1) if num_positives is None else num_positives
        return {
            "loc_loss": smooth_l1_loss(loc_preds, loc_targets, cls_targets) / count,
            "cls_loss": LOSSES[self.name](cls_preds, cls_targets) / count,
        }


def softmax_focal_loss(logits: Logits, classes: Classes) -> Scalar:
    """Focal loss with softmax: (1 - p)² · -ln p of the right class, summed.

    Args:
        logits: background first, then the classes.
        classes: class from 1, 0 for background, -1 for ignored anchors.

    Returns:
        Sum over anchors that are not ignored.

    Source:
        Lin et al., "Focal loss for dense object detection", ICCV 2017,
        https://arxiv.org/abs/1708.02002, with softmax for sigmoid and gamma = 2.
    """
    cross_entropy = _softmax_cross_entropy(logits, classes)
    return (_focus(cross_entropy) * cross_entropy).sum()


def sigmoid_focal_loss(logits: Logits, classes: Classes) -> Scalar:
    """Focal loss with an independent logit per class, and none for background.

    Args:
        logits: one per class; the first is class 1.
        classes: class from 1, 0 for background, -1 for ignored anchors.

    Returns:
        Sum over anchors that are not ignored, and over the classes.

    Source:
        Lin et al., "Focal loss for dense object detection", ICCV 2017,
        https://arxiv.org/abs/1708.02002: gamma = 2, alpha = 0.25.
    """
    logits = _at_least_float32(logits)
    own = torch.arange(1, logits.shape[-1] + 1, device=logits.device) == classes[..., None]
    alpha = torch.where(own, 0.25, 0.75).masked_fill((classes < 0)[..., None], 0)
    cross_entropy = F.binary_cross_entropy_with_logits(
        logits, own.to(logits.dtype), reduction="none"
    )
    return (alpha * _focus(cross_entropy) * cross_entropy).sum()


def softmax_ohem_loss(logits: Logits, classes: Classes) -> Scalar:
    """Cross entropy of the positives and of the hardest negatives, three for each positive.

    Args:
        logits: background first, then the classes.
        classes: class from 1, 0 for background, -1 for ignored anchors.

    Returns:
        Sum over these anchors; 0 without positives.

    Source:
        Liu et al., "SSD: Single shot multibox detector", ECCV 2016,
        https://arxiv.org/abs/1512.02325, section 2.2 (hard negative mining), over all frames.
    """
    cross_entropy = _softmax_cross_entropy(logits, classes)
    positive = classes > 0
    # Ranks instead of a top-k: k is known on the device only. A cross entropy is never negative, so
    # the zeros of the others rank behind the negatives or add nothing.
    hardest = cross_entropy.masked_fill(classes != 0, 0).flatten().sort(descending=True).values
    rank = torch.arange(len(hardest), device=hardest.device)
    negatives = hardest.masked_fill(rank >= 3 * positive.sum(), 0).sum()
    return cross_entropy.masked_fill(~positive, 0).sum() + negatives


def smooth_l1_loss(
    preds: Float[Tensor, "*batch 4"], targets: Float[Tensor, "*batch 4"], classes: Classes
) -> Scalar:
    """Distance of deltas on positive anchors: quadratic up to 0.11, linear above.

    Args:
        preds: predicted deltas.
        targets: target deltas.
        classes: class from 1; anchors of other values do not count.

    Returns:
        Sum over positives and over their four deltas.
    """
    preds = _at_least_float32(preds)
    distance = F.smooth_l1_loss(preds, targets.to(preds.dtype), reduction="none", beta=0.11)
    return distance.masked_fill((classes <= 0)[..., None], 0).sum()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sigmoid_focal_loss": sigmoid_focal_loss,
    "softmax_focal_loss": softmax_focal_loss,
    "softmax_ohem_loss": softmax_ohem_loss,
}
"""Classification losses by name: (logits, classes) -> sum over the anchors."""


def _softmax_cross_entropy(logits: Logits, classes: Classes) -> Float[Tensor, "*batch"]:
    """-ln p of the right class, and 0 where the class is -1."""
    log_p = _at_least_float32(logits).log_softmax(dim=-1)
    own = log_p.gather(-1, classes.clamp(min=0)[..., None]).squeeze(-1)
    return -own.masked_fill(classes < 0, 0)


def _focus(cross_entropy: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """(1 - p)² from -ln p: `1 - p` would lose digits where p is near 1."""
    return torch.expm1(-cross_entropy) ** 2


def _at_least_float32(values: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    return values.to(torch.promote_types(values.dtype, torch.float32))
