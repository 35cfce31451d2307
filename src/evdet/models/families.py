"""The families of detectors: whoever is given one must not ask which it is."""

from evdet.models.detector import Detector
from evdet.models.rvt.detector import RVT

__all__ = ["AnyDetector"]

AnyDetector = Detector | RVT
"""A detector: `step`, `predict`, `get_boxes`, `compute_loss`, `memory_names`, `frame_spec` ..."""
