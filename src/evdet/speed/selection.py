"""Candidates -> boxes, with thresholds that are chosen once for a whole measurement."""

from jaxtyping import Float, Shaped
from torch import Tensor

from evdet.models import SelectionThresholds, select_boxes, to_detections

__all__ = ["select"]


def select(
    boxes: Float[Tensor, "F A 4"],
    scores: Float[Tensor, "F A C"],
    clip: Shaped[Tensor, "T B _ H W"],
    thresholds: SelectionThresholds,
) -> list[list[dict[str, Tensor]]]:
    """Choose the boxes of a clip, and bring them to the CPU: the stage select.

    Args:
        boxes: candidates, as `predict` gives them.
        scores: theirs.
        clip: what they were found in.
        thresholds: which of them stay.

    Returns:
        `out[t][b]`, as every detector's `step` gives it.
    """
    selection = select_boxes(
        boxes,
        scores,
        (clip.shape[-2], clip.shape[-1]),
        score_thresh=thresholds.score_thresh,
        nms_thresh=thresholds.nms_thresh,
        max_boxes=thresholds.max_boxes,
    )
    return to_detections(selection, clip.shape[1])
