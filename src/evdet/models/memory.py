"""Where memory is reset: a lane that begins another recording starts from empty memory."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from evdet.shapes import Memory

__all__ = ["cut_at_resets", "keep_memory"]


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


def cut_at_resets(
    first_frames: Sequence[int], num_frames: int, reset_every: int | None
) -> Iterator[tuple[slice, Float[Tensor, "B 1 1 1"]]]:
    """Cut a batch in time where a lane's memory is emptied.

    Memory is emptied before every frame whose index is a multiple of `reset_every`, so that the
    result does not depend on how recordings are cut into clips.

    Args:
        first_frames: index of each lane's first frame in its recording; -1 for an exhausted lane,
            which needs no cut.
        num_frames: frames T of the batch.
        reset_every: frames after which memory is emptied; None carries it.

    Yields:
        Each part of the batch, and the mask for `keep_memory` before it.

    Raises:
        ValueError: `reset_every` is less than 1.
    """
    if reset_every is not None and reset_every < 1:
        raise ValueError(f"reset_every must be at least 1, got {reset_every}")
    first = torch.tensor(first_frames)
    resets = torch.zeros(num_frames, len(first), dtype=torch.bool)
    if reset_every is not None:
        frames = first + torch.arange(num_frames)[:, None]
        resets = (frames % reset_every == 0) & (first >= 0)
    starts = sorted({0, *resets.any(dim=1).nonzero()[:, 0].tolist()})
    for start, stop in pairwise([*starts, num_frames]):
        yield slice(start, stop), (~resets[start]).float()[:, None, None, None]
