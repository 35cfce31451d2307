"""The only module that imports OpenCV; the error of a failed import says what to install.

`opencv-python`, a dependency of the trackers, and `opencv-python-headless`, one of evdet, install
into the same folder: the build that was installed last is loaded.
"""

import os

__all__ = ["OpenCVUnavailableError", "cv2"]


class OpenCVUnavailableError(RuntimeError):
    """OpenCV cannot be loaded; the message is one line with the remedy."""


# Read when cv2 is loaded: a file of 3 MB can state a picture that takes gigabytes.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 27))

try:
    import cv2
except ImportError as error:
    # opencv-python needs a window system; without one: "libGL.so.1: cannot open".
    raise OpenCVUnavailableError(
        f"cannot load OpenCV: {error} (install the build without windows: "
        "`pip install --force-reinstall --no-deps opencv-python-headless`)"
    ) from error
