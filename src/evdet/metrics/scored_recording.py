"""Truth and detections of one recording, with their times: what protocols and curves read."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, Shaped

__all__ = ["ScoredRecording"]

BoxEvents = Shaped[np.ndarray, " _"]


@dataclass(frozen=True, eq=False)
class ScoredRecording:
    """The boxes of one recording; ids are memory's, 1 being the first class.

    All boxes count in the same pixels, and all times in microseconds from the same origin.
    """

    name: str
    """The recording's name."""
    truth: BoxEvents
    """`BOX_DTYPE` records in order of time; where it is known with `still_us`, for how long the
    object has not moved, and `num_events`, how many events of its time bin lie in the box."""
    labeled_times: Int64[np.ndarray, " _"]
    """Every time at which somebody looked, in order; those without a box in `truth` are frames
    annotated as empty."""
    detections: BoxEvents
    """`BOX_DTYPE` records in order of time, stamped with the end of their time bin; where a
    detector has an objectness with `class_score`, the score of the class alone."""
