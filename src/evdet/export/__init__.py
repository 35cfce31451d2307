"""Detectors as ONNX models: written, compared with PyTorch, and run by onnxruntime."""

from evdet.detectors.onnx_detector import OnnxDetector, WindowBoxes, load_onnx
from evdet.detectors.onnx_errors import ExportError, check_libraries
from evdet.export.check_frames import other_shape, simulated_windows
from evdet.export.comparison import TOLERANCE, Comparison, compare_onnx
from evdet.export.exporting import ONNX_SUFFIX, Exported, export_onnx
from evdet.export.selection_graph import OPSET

__all__ = [
    "ONNX_SUFFIX",
    "OPSET",
    "TOLERANCE",
    "Comparison",
    "ExportError",
    "Exported",
    "OnnxDetector",
    "WindowBoxes",
    "check_libraries",
    "compare_onnx",
    "export_onnx",
    "load_onnx",
    "other_shape",
    "simulated_windows",
]
