"""The libraries of the extra `tracking`, loaded when they are first used."""

import importlib
import warnings
from types import ModuleType

from tqdm import TqdmWarning

__all__ = ["TrackingUnavailableError", "load_supervision", "load_trackers"]


class TrackingUnavailableError(RuntimeError):
    """A library of the extra `tracking` is missing; the message is one line."""


def load_trackers() -> ModuleType:
    """Load the library `trackers`.

    Raises:
        TrackingUnavailableError: it is not installed.
    """
    return _load("trackers")


def load_supervision() -> ModuleType:
    """Load the library `supervision`.

    Raises:
        TrackingUnavailableError: it is not installed.
    """
    return _load("supervision")


def _load(name: str) -> ModuleType:
    # Both libraries use OpenCV: this import explains what to do if it cannot be loaded.
    import evdet.opencv  # noqa: F401

    try:
        with warnings.catch_warnings():
            # The libraries import tqdm.auto, which warns in a notebook without ipywidgets.
            warnings.simplefilter("ignore", TqdmWarning)
            return importlib.import_module(name)
    except ImportError as error:
        raise TrackingUnavailableError(
            f"no tracking ({error}): pip install 'evdet[tracking]'"
        ) from error
