"""Errors of exported models, with messages of one line."""

from importlib import import_module

__all__ = ["ExportError", "check_libraries"]


class ExportError(ValueError):
    """A detector cannot be exported, or a file is not an exported detector."""


def check_libraries(*names: str) -> None:
    """Check that libraries for exported models are installed.

    Args:
        names: the required ones of onnx, onnxruntime and onnxscript.

    Raises:
        ExportError: one is missing, or cannot be loaded.
    """
    for name in names:
        try:
            import_module(name)
        except ImportError as error:
            reason = "is missing" if error.name == name else f"cannot be loaded ({error})"
            raise ExportError(
                f"{name} {reason}, and .onnx files need it: pip install 'evdet[onnx]'"
            ) from error
