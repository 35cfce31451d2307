"""Layout of a source's pixels in the frames of a detector.

Frames always have the size of training, which detectors and exported files require. A source fills
the frame if it has its proportions, up to 3 % (the effect of rounded sizes), and is at least as
large. Any other source keeps its proportions: it is scaled to fit into the top left corner, and the
rest of the frame is empty. Events are not scaled up, since frames of training have no gaps between
pixels; pictures are.
"""

import logging
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped

from evdet.events import SensorSize

__all__ = ["FrameLayout", "LaidOut", "fit_events", "fit_pictures"]

_log = logging.getLogger(__name__)

_MAX_STRETCH = 0.03


class FrameLayout(NamedTuple):
    """The position of a source in its frames."""

    size: SensorSize
    """Size of the source, in its own pixels."""
    shown: SensorSize
    """Its size in a frame, from the top left corner on."""
    frame: SensorSize
    """Size of the whole frame."""

    def pad(self, shown: Shaped[np.ndarray, "C h w"]) -> Shaped[np.ndarray, "C H W"]:
        """Pad an image of the source to the frame; returns it unchanged if it fills the frame."""
        if self.shown == self.frame:
            return shown
        frame = np.zeros((len(shown), *self.frame), shown.dtype)
        frame[:, : self.shown.height, : self.shown.width] = shown
        return frame


class LaidOut:
    """A source whose frames all have one layout."""

    def __init__(self, layout: FrameLayout) -> None:
        self._layout = layout

    @property
    def size(self) -> SensorSize:
        """Size of the source, in its own pixels."""
        return self._layout.size

    @property
    def frame_size(self) -> SensorSize:
        """Its size in a frame, from the top left corner on."""
        return self._layout.shown


def fit_events(name: str, size: SensorSize, frame: SensorSize) -> FrameLayout:
    """The layout of an event sensor; logs a warning where it differs from that of training.

    Args:
        name: the recording, for the warning.
        size: the sensor's size.
        frame: the frame size of training.
    """
    if size.height >= frame.height and size.width >= frame.width and _is_alike(size, frame):
        return FrameLayout(size, frame, frame)
    shown = _scaled(size, frame, most=1.0)
    if shown == size:
        what = (
            "its pixels fill the frame's top left corner, and the rest stays empty. Objects are "
            "smaller than in training if the cameras have the same field of view"
        )
    else:
        what = (
            f"it is scaled to {shown} with its proportions, and the rest of the frame stays empty"
        )
    _log.warning("%s is %s, and the detector was trained on frames of %s: %s", name, size, frame,
                 what)  # fmt: skip
    return FrameLayout(size, shown, frame)


def fit_pictures(name: str, size: SensorSize, frame: SensorSize) -> FrameLayout:
    """The layout of a video or images; logs a warning where they do not fill the frame.

    Args:
        name: the source, for the warning.
        size: the size of the pictures.
        frame: the frame size of training.
    """
    if _is_alike(size, frame):
        return FrameLayout(size, frame, frame)
    shown = _scaled(size, frame, most=float("inf"))
    _log.warning(
        "%s is %s, and the detector was trained on frames of %s: it is scaled to %s with its "
        "proportions, and the rest of the frame stays black",
        name, size, frame, shown,
    )  # fmt: skip
    return FrameLayout(size, shown, frame)


def _is_alike(size: SensorSize, frame: SensorSize) -> bool:
    """Whether the proportions are equal up to rounding."""
    across, down = size.width * frame.height, size.height * frame.width
    return abs(across - down) <= _MAX_STRETCH * max(across, down)


def _scaled(size: SensorSize, frame: SensorSize, *, most: float) -> SensorSize:
    """The largest size of the same proportions that fits into the frame."""
    scale = min(most, frame.height / size.height, frame.width / size.width)
    return SensorSize(
        *(min(room, max(1, round(side * scale))) for side, room in zip(size, frame, strict=True))
    )
