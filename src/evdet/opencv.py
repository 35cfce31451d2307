"""The door to OpenCV: where it cannot be loaded, one line says what to install.

`opencv-python`, which the trackers bring along, and `opencv-python-headless`, which evdet asks for,
write into one folder: the build that was installed last is the one that is loaded.
"""

__all__ = ["OpenCVUnavailableError", "cv2"]


class OpenCVUnavailableError(RuntimeError):
    """OpenCV cannot be loaded here; the message is one line with the remedy."""


try:
    import cv2
except ImportError as error:
    # opencv-python needs a window system: without one the loader says "libGL.so.1: cannot open".
    raise OpenCVUnavailableError(
        f"OpenCV cannot be loaded ({error}): evdet needs no windows, and the build without them "
        "is had by `pip install --force-reinstall --no-deps opencv-python-headless`"
    ) from error
