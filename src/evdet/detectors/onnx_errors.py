"""What goes wrong with exported models, in one line each."""

from importlib import import_module

__all__ = ["ExportError", "check_libraries"]


class ExportError(ValueError):
    """A detector cannot be exported, or a file is no exported detector; the message says why."""


def check_libraries(*names: str) -> None:
    """Refuse to begin without the libraries that exported models need.

    Args:
        names: of onnx, onnxruntime and onnxscript those that will be used.

    Raises:
        ExportError: one is missing, or cannot be loaded.
    """
    for name in names:
        try:
            import_module(name)
        except ImportError as error:
            reason = "is missing" if error.name == name else f"cannot be loaded ({error})"
            raise ExportError(
                f"{name} {reason}, which .onnx files need: pip install 'evdet[onnx]'"
            ) from error
