"""Whatever names a detector -> the detector: checkpoints, runs, ONNX files, bundled weights."""

from evdet.detectors.published_rvt import RVT_NAMES, import_rvt, published_name

__all__ = ["RVT_NAMES", "import_rvt", "published_name"]
