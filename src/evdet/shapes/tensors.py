"""Types of tensors that several packages share."""

from jaxtyping import Float, Int, Num
from torch import Tensor

__all__ = [
    "Boxes",
    "BoxesCxcywh",
    "ClipDetections",
    "Detections",
    "Durations",
    "Frames",
    "Maps",
    "Memory",
]

Frames = Num[Tensor, "T B C H W"]
"""A batch of clips; bytes are counts."""
Durations = Float[Tensor, "T B"]
"""How long each frame of each lane lasts, in microseconds."""
Maps = list[Float[Tensor, "F _ _ _"]]
"""The features of all frames, one map a level, finest first."""
Boxes = Float[Tensor, "*batch 4"]
"""Boxes as x1 y1 x2 y2."""
BoxesCxcywh = Float[Tensor, "*batch 4"]
"""Boxes as centre x, centre y, width, height."""
Memory = tuple[Float[Tensor, "B _ _ _"], ...]
"""The memory of a recurrent model, its hidden state: tensors in a fixed, named order."""
# The number of boxes differs between the frames of a list, so it has no letter.
Detections = dict[str, Float[Tensor, "_ 4"] | Float[Tensor, " _"] | Int[Tensor, " _"]]
"""The final boxes of one frame: ``boxes`` (N, 4), ``labels`` (N,), ``scores`` (N,), best first."""
ClipDetections = list[list[Detections]]
"""The detections ``out[t][b]`` of a batch of clips."""
