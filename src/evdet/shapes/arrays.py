"""Types of arrays that several packages share."""

import numpy as np
from jaxtyping import Shaped, UInt8

__all__ = ["BoxEvents", "Frame", "Picture", "Size"]

Size = tuple[int, int]
"""(height, width) in pixels."""
BoxEvents = Shaped[np.ndarray, " _"]
"""Boxes with times: records with the fields of `BOX_DTYPE`, and `still_us` if a file has it."""
Frame = Shaped[np.ndarray, "C H W"]
"""The network's input for one time bin."""
Picture = UInt8[np.ndarray, "_ _ 3"]
"""RGB picture."""
