"""What a clip and a batch hold, and how the lanes' clips become one batch."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, NotRequired, TypedDict

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from torch import Tensor

from evdet.shapes import Durations

__all__ = ["Batch", "Clip", "ClipInfo", "ClipShape", "make_batch"]

ClipShape = tuple[int, int, int, int]
"""(T, C, H, W) of a clip."""


class ClipInfo(NamedTuple):
    """Where a clip comes from."""

    name: str
    """The video's name; empty for an exhausted lane."""
    index: int  # type: ignore[assignment]  # hides tuple.index, which is not used here
    """The video's index in its epoch; -1 for an exhausted lane."""
    first_frame: int
    """Index of the clip's first frame, from the video's first played frame: 0 clears memory."""
    delta_t: int
    """Duration of a frame, in microseconds."""
    error: str = ""
    """Why a part of the clip could not be read: that part is empty and not labelled."""
    num_padding: int = 0
    """Empty frames at the clip's end, after the video's last."""


class Clip(NamedTuple):
    """T consecutive frames of one video, with their boxes.

    Labels are arrays: between processes every tensor takes a file descriptor.
    """

    inputs: UInt8[Tensor, "T C H W"] | Float32[Tensor, "T C H W"]
    """The frames; bytes (four times faster to transfer) are divided by `byte_divisor`."""
    labels: list[Float32[np.ndarray, "N 5"]]
    """Boxes of each frame, x1 y1 x2 y2 label."""
    frame_is_labeled: Bool[np.ndarray, " T"]
    """False for a frame that is not annotated; True for an annotated one without objects."""
    info: ClipInfo
    byte_divisor: int = 255
    """Divisor of frames of bytes: 255 gives grey values from 0 to 1, 1 keeps counts."""
    counts: Mapping[str, int] = {}
    """What was left out, such as noise, by reason; the loader sums it."""


class Batch(TypedDict):
    """The clips of B lanes; `labels[t][b]` are a frame's boxes, `video_infos[b]` is a lane's.

    With `byte_divisor`, `inputs` are bytes, which transfer to an accelerator four times faster and
    are divided by it there; without, they are floats. Without `durations` every frame
    lasts as long as in the detector's training.
    """

    inputs: Float[Tensor, "T B C H W"] | UInt8[Tensor, "T B C H W"]
    byte_divisor: NotRequired[int]
    labels: list[list[Float[Tensor, "N 5"]]]
    mask_keep_memory: Float[Tensor, "B 1 1 1"]
    frame_is_labeled: Bool[Tensor, "T B"]
    durations: NotRequired[Durations]
    video_infos: list[ClipInfo]


_EXHAUSTED = ClipInfo(name="", index=-1, first_frame=0, delta_t=0)


def make_batch(
    clips: Sequence[Clip | None],
    clip_shape: ClipShape,
    *,
    pin_memory: bool = False,
    keep_bytes: bool = False,
) -> Batch:
    """Join the lanes' clips.

    Args:
        clips: one clip per lane; None for an exhausted lane, which then delivers empty frames
            that are not labelled, and clears its memory.
        clip_shape: the shape of every clip.
        pin_memory: pin the frames, so that they copy to an accelerator asynchronously.
        keep_bytes: keep frames of bytes and set `byte_divisor`: they are divided on the
            accelerator.

    Returns:
        The batch, on the CPU; `mask_keep_memory` is 0 where a video starts, 1 where it continues.
    """
    num_tbins, *frame_shape = clip_shape
    divisor = _common_divisor(clips) if keep_bytes else None
    dtype = torch.float32 if divisor is None else torch.uint8
    inputs = torch.empty(num_tbins, len(clips), *frame_shape, dtype=dtype, pin_memory=pin_memory)
    labels: list[list[Tensor]] = [[] for _ in range(num_tbins)]
    labeled = torch.zeros(num_tbins, len(clips), dtype=torch.bool)
    keep = torch.zeros(len(clips), 1, 1, 1)
    # An exhausted lane's frames last as long as others': no network divides by 0.
    longest = max((clip.info.delta_t for clip in clips if clip is not None), default=1)
    durations = torch.full((num_tbins, len(clips)), float(longest))
    for lane, clip in enumerate(clips):
        if clip is None:
            inputs[:, lane] = 0
            for boxes_of_lanes in labels:
                boxes_of_lanes.append(torch.zeros(0, 5))
            continue
        inputs[:, lane] = clip.inputs
        if divisor is None and clip.inputs.dtype == torch.uint8 and clip.byte_divisor != 1:
            # Converted first: dividing bytes into floats in one step takes torch longer.
            inputs[:, lane] /= clip.byte_divisor
        for boxes_of_lanes, boxes in zip(labels, clip.labels, strict=True):
            boxes_of_lanes.append(torch.from_numpy(boxes))
        labeled[:, lane] = torch.from_numpy(clip.frame_is_labeled)
        keep[lane] = float(clip.info.first_frame > 0)
        durations[:, lane] = clip.info.delta_t
    batch = Batch(
        inputs=inputs,
        labels=labels,
        mask_keep_memory=keep,
        frame_is_labeled=labeled,
        durations=durations,
        video_infos=[_EXHAUSTED if clip is None else clip.info for clip in clips],
    )
    if divisor is not None:
        batch["byte_divisor"] = divisor
    return batch


def _common_divisor(clips: Sequence[Clip | None]) -> int | None:
    """The divisor of all clips' bytes; None where some clips hold floats or the divisors differ."""
    playing = [clip for clip in clips if clip is not None]
    divisors = {clip.byte_divisor for clip in playing}
    are_bytes = all(clip.inputs.dtype == torch.uint8 for clip in playing)
    return divisors.pop() if are_bytes and len(divisors) == 1 else None
