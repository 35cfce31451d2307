"""The toy detector of toy_onnx.py."""

from toy_onnx import make_toy, toy, toy_path, toy_windows

__all__ = ["make_toy", "toy", "toy_path", "toy_windows"]
