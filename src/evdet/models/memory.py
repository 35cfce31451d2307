"""Where memory is reset: a lane that begins another recording starts from empty memory."""

from jaxtyping import Float
from torch import Tensor

from evdet.shapes import Memory

__all__ = ["keep_memory"]


def keep_memory(memory: Memory | None, mask: Float[Tensor, "B 1 1 1"]) -> Memory | None:
    """Carry memory on to the next batch, and empty it in lanes where a recording starts.

    Args:
        memory: what `step` returned for the batch before; None before the first.
        mask: the next batch's `mask_keep_memory`: 0 where a recording starts, 1 where it goes on.

    Returns:
        The memory with which the next batch starts.
    """
    if memory is None:
        return None
    return tuple(part * mask.to(part.device, non_blocking=True) for part in memory)
