"""Assignment of anchors to objects by overlap, for all frames at once."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["BACKGROUND", "IGNORED", "MATCHED", "NEGATIVE_THRESH", "POSITIVE_THRESH", "match"]

IGNORED = -1
"""State of an anchor that enters no loss."""
BACKGROUND = 0
"""State of an anchor whose target is background."""
MATCHED = 1
"""State of an anchor whose target is an object."""
POSITIVE_THRESH = 0.5
"""IoU from which an object claims an anchor."""
NEGATIVE_THRESH = 0.3
"""IoU with every object below which an unclaimed anchor is background; from there on it is
ignored."""


def match(ious: Float[Tensor, "F M A"]) -> tuple[Int[Tensor, "F A"], Int[Tensor, "F A"]]:
    """Assign objects to anchors.

    An object claims the anchors with an overlap of at least `POSITIVE_THRESH`, and those of its
    highest overlap where that is above 0. An anchor that several objects claim goes to the object
    of the highest overlap, the first one if these are equal.

    Args:
        ious: overlap of each object with each anchor; 0 for the padding among the objects.

    Returns:
        For each anchor the index of its object (arbitrary where it has none), and its state:
        `MATCHED`, `BACKGROUND` or `IGNORED`.

    Source:
        Liu et al., "SSD: Single shot multibox detector", ECCV 2016,
        https://arxiv.org/abs/1512.02325, section 2.2; with a band of ignored anchors.
    """
    num_frames, num_objects, num_anchors = ious.shape
    if num_objects == 0:
        nothing = torch.zeros(num_frames, num_anchors, dtype=torch.long, device=ious.device)
        return nothing, nothing.clone()
    best = ious.amax(dim=2, keepdim=True)
    # Without any overlap both sides are 0, and an overlap of 0 is not a claim.
    claims = ious.masked_fill(ious < best.clamp(max=POSITIVE_THRESH), 0)
    won_by, matched = claims.max(dim=1)
    ignored = ious.amax(dim=1) >= NEGATIVE_THRESH
    state = torch.where(won_by > 0, MATCHED, torch.where(ignored, IGNORED, BACKGROUND))
    return matched, state
