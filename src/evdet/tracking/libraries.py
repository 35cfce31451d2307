"""The libraries of the extra `tracking`, loaded when they are first used."""

from types import ModuleType

__all__ = ["TrackingUnavailableError", "load_supervision", "load_trackers"]


class TrackingUnavailableError(RuntimeError):
    """A library of the extra `tracking` is missing; the message is one line."""


def load_trackers() -> ModuleType:
    """Load the library `trackers`.

    Raises:
        TrackingUnavailableError: it is not installed.
    """
    # Both libraries use OpenCV: this import explains what to do if it cannot be loaded.
    import evdet.opencv  # noqa: F401

    try:
        import trackers
    except ImportError as error:
        raise _unavailable(error) from error
    return trackers


def load_supervision() -> ModuleType:
    """Load the library `supervision`.

    Raises:
        TrackingUnavailableError: it is not installed.
    """
    import evdet.opencv  # noqa: F401

    try:
        import supervision
    except ImportError as error:
        raise _unavailable(error) from error
    return supervision


def _unavailable(error: ImportError) -> TrackingUnavailableError:
    return TrackingUnavailableError(f"no tracking ({error}): pip install 'evdet[tracking]'")
