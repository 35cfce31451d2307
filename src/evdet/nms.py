"""Non-maximum suppression, exact and greedy, of all frames at once."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from evdet.boxes import pairwise_iou

__all__ = ["nms", "suppress"]

# Rows of the overlap matrix that `suppress` holds at once: bounds its RAM at F x 32 x N.
_BLOCK = 32
# Cells of the overlap matrix that a CPU holds at once for few frames: 1 MB of floats.
_CELLS = 2**18


def nms(
    boxes: Float[Tensor, "N 4"], scores: Float[Tensor, " N"], iou_thresh: float
) -> Int[Tensor, " kept"]:
    """Greedy non-maximum suppression in one frame, for boxes of one class.

    Args:
        boxes: candidate boxes.
        scores: their scores; of equal scores the lower index counts as better.
        iou_thresh: a box is dropped if its overlap with a better kept box is greater.

    Returns:
        Indices of the kept boxes, best first.
    """
    order = scores.argsort(descending=True, stable=True)
    one_class = torch.zeros_like(order)[None]
    keep = suppress(boxes[order][None], one_class, torch.ones_like(one_class) > 0, iou_thresh)
    return order[keep[0]]


def suppress(
    boxes: Float[Tensor, "F N 4"],
    classes: Int[Tensor, "F N"],
    valid: Bool[Tensor, "F N"],
    iou_thresh: float,
) -> Bool[Tensor, "F N"]:
    """Exact greedy non-maximum suppression of all frames at once, class by class.

    On an accelerator it loops over the N candidates, not over frames. The number of steps depends
    on shapes only: nothing is copied from the device.

    Args:
        boxes: candidates of each frame, best first.
        classes: a box suppresses only boxes of its own class.
        valid: candidates that take part; the others are padding.
        iou_thresh: a box is dropped if its overlap with a better kept box is greater.

    Returns:
        Mask of the kept boxes.
    """
    keep = valid.clone()
    on_cpu = valid.device.type == "cpu"
    num_boxes = _num_used(valid) if on_cpu else valid.shape[1]
    # For few frames larger blocks are fewer calls in the same RAM.
    block = max(_BLOCK, _CELLS // max(1, valid.shape[0] * num_boxes)) if on_cpu else _BLOCK
    for start in range(0, num_boxes, block):
        stop = min(start + block, num_boxes)
        rivals = pairwise_iou(boxes[:, start:stop], boxes[:, start:num_boxes]) > iou_thresh
        rivals &= classes[:, start:stop, None] == classes[:, None, start:num_boxes]
        if on_cpu:
            _beat_on_cpu(keep[:, start:num_boxes].numpy(), rivals.numpy())
            continue
        for row, best in enumerate(range(start, stop)):
            # All better boxes have been compared with `best`, so `keep` of it is final.
            beaten = rivals[:, row, row + 1 :] & keep[:, best, None]
            keep[:, best + 1 : num_boxes].masked_fill_(beaten, False)
    return keep


def _beat_on_cpu(keep: Bool[np.ndarray, "F m"], rivals: Bool[np.ndarray, "F n m"]) -> None:
    """The loop of `suppress` over one block, in place.

    A row of a frame is one large integer, a bit per box: tensors take ten times as long, with one
    or two calls for every box.
    """
    rows = np.packbits(rivals, axis=2, bitorder="little")
    kept = np.packbits(keep, axis=1, bitorder="little")
    num_rows, num_bytes = rows.shape[1:]
    for frame in range(len(keep)):
        alive = int.from_bytes(kept[frame].tobytes(), "little")
        data = rows[frame].tobytes()
        for best in range(num_rows):
            if alive >> best & 1:
                beaten = int.from_bytes(data[best * num_bytes : (best + 1) * num_bytes], "little")
                # The boxes before are final, and a box does not suppress itself.
                later = best + 1
                alive &= ~(beaten >> later << later)
        kept[frame] = np.frombuffer(alive.to_bytes(num_bytes, "little"), np.uint8)
    keep[:] = np.unpackbits(kept, axis=1, count=keep.shape[1], bitorder="little")


def _num_used(valid: Bool[Tensor, "F N"]) -> int:
    """Columns up to the last valid one; on a CPU this costs less than looping over padding."""
    used = valid.any(dim=0).nonzero()
    return int(used[-1]) + 1 if len(used) else 0
