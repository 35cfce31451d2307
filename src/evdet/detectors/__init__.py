"""Checkpoints, run folders, ONNX files and bundled weights -> detectors."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
