"""The legend of the letters in shape annotations, and the tensor types made of them.

============  =====================================================================
letter        what it counts
============  =====================================================================
``T``         time bins (frames) of a clip
``B``         lanes of a batch: recordings that play side by side
``F``         frames of a batch, ``T*B`` of them, time-major: row ``t*B + b``
``C``         channels
``H W``       rows and columns of a frame or a feature map
``N M``       boxes
``A``         anchors of a frame, over all levels
``K``         logits per anchor: the classes, plus background under softmax
``D``         channels of a memory
``E``         events
``G L P R S`` free: dimensions that are equal within one signature
============  =====================================================================

Boxes on tensors are ``x1 y1 x2 y2`` in pixels; a name that ends in ``cxcywh`` says otherwise.
"""

from jaxtyping import Float, Int
from torch import Tensor

__all__ = [
    "Boxes",
    "BoxesCxcywh",
    "Clip",
    "Detections",
    "FeatureMap",
    "Labels",
    "Memory",
    "Size",
]

Clip = Float[Tensor, "T B C H W"]
"""A batch of clips."""
FeatureMap = Float[Tensor, "F C H W"]
"""One level's features of all frames."""
Boxes = Float[Tensor, "*batch 4"]
"""Boxes as x1 y1 x2 y2."""
BoxesCxcywh = Float[Tensor, "*batch 4"]
"""Boxes as centre x, centre y, width, height."""
Labels = Float[Tensor, "N 5"]
"""The boxes of one frame: x1 y1 x2 y2 label, label 1 being the first class."""
Memory = tuple[Float[Tensor, "B _ _ _"], ...]
"""What a recurrent model carries from clip to clip, in a fixed, named order."""
# Frames of a list differ in their number of boxes, which a letter would bind to the first.
Detections = dict[str, Float[Tensor, "_ 4"] | Float[Tensor, " _"] | Int[Tensor, " _"]]
"""The final boxes of one frame: ``boxes`` (N, 4), ``labels`` (N,), ``scores`` (N,), best first."""
Size = tuple[int, int]
"""(height, width) in pixels."""
