"""The letters in shape annotations, and the types that use them.

============  =====================================================================
letter        what it counts
============  =====================================================================
``T``         time bins (frames) of a clip
``B``         lanes of a batch: recordings processed side by side
``F``         frames of a batch, ``T*B`` of them, time-major: row ``t*B + b``
``C``         channels
``H W``       rows and columns of a frame or a feature map
``N M``       boxes
``A``         anchors of a frame, over all levels
``K``         logits per anchor: the classes, plus background under softmax
``D``         channels of a memory
``E``         events
``Q``         queries of a decoder that are made of objects
``G L P R S`` any dimension that is equal within one signature
============  =====================================================================

Boxes on tensors are ``x1 y1 x2 y2`` in pixels, unless a name ends in ``cxcywh``.

Only the types of tensors import torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
