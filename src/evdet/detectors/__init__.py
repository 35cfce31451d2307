"""Whatever names a detector -> the detector: checkpoints, runs, ONNX files, bundled weights."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
