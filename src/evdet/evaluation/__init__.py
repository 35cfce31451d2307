"""Detectors, or files of detections, against ground truth: scores by a protocol, and pictures."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
