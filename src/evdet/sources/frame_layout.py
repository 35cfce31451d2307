"""Where a source's pixels lie in the frames that a detector was trained on.

Frames always have the size of the training, which every detector and every exported file takes.
A source fills the frame where training would have done the same: it has the frame's proportions,
up to 3 % (so much comes of sizes that are rounded), and is at least as large. Any other keeps its
proportions: it is scaled to fit and lies in the top left corner, and the rest of the frame is
empty. Events are never scaled up, since no frame of the training had pixels between pixels;
pictures are.
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
    """How a source lies in its frames."""

    size: SensorSize
    """The source, in its own pixels."""
    shown: SensorSize
    """What it takes up in a frame, from the top left corner on."""
    frame: SensorSize
    """The whole frame."""

    def pad(self, shown: Shaped[np.ndarray, "C h w"]) -> Shaped[np.ndarray, "C H W"]:
        """Put what shows the source into the corner of an empty frame.

        Args:
            shown: of the size that the source takes up.

        Returns:
            The frame; the same array where the source fills it.
        """
        if self.shown == self.frame:
            return shown
        frame = np.zeros((len(shown), *self.frame), shown.dtype)
        frame[:, : self.shown.height, : self.shown.width] = shown
        return frame


class LaidOut:
    """A source whose pixels lie in its frames as a layout says.

    Args:
        layout: of all its frames.
    """

    def __init__(self, layout: FrameLayout) -> None:
        self._layout = layout

    @property
    def size(self) -> SensorSize:
        """The size of the source, in its own pixels."""
        return self._layout.size

    @property
    def frame_size(self) -> SensorSize:
        """What the source takes up in a frame, from its top left corner on."""
        return self._layout.shown


def fit_events(name: str, size: SensorSize, frame: SensorSize) -> FrameLayout:
    """Lay the pixels of an event sensor out.

    Args:
        name: the recording, for the warning that is logged where training would have done
            something else.
        size: the sensor's.
        frame: that of the training's frames.

    Returns:
        The layout.
    """
    if size.height >= frame.height and size.width >= frame.width and _is_alike(size, frame):
        return FrameLayout(size, frame, frame)
    shown = _scaled(size, frame, most=1.0)
    if shown == size:
        what = (
            "its pixels are those of the frame's top left corner, and the rest stays empty. "
            "Objects look smaller than in training, if the training's camera saw as much"
        )
    else:
        what = (
            f"it is scaled to {shown}, its proportions kept, and the rest of the frame stays empty"
        )
    _log.warning("%s is %s, and the detector was trained on frames of %s: %s", name, size, frame,
                 what)  # fmt: skip
    return FrameLayout(size, shown, frame)


def fit_pictures(name: str, size: SensorSize, frame: SensorSize) -> FrameLayout:
    """Lay the pixels of a video or of images out.

    Args:
        name: the source, for the warning that is logged where it does not fill the frame.
        size: the pictures'.
        frame: that of the training's frames.

    Returns:
        The layout.
    """
    if _is_alike(size, frame):
        return FrameLayout(size, frame, frame)
    shown = _scaled(size, frame, most=float("inf"))
    _log.warning(
        "%s is %s, and the detector was trained on frames of %s: it is scaled to %s, its "
        "proportions kept, and the rest of the frame stays black",
        name, size, frame, shown,
    )  # fmt: skip
    return FrameLayout(size, shown, frame)


def _is_alike(size: SensorSize, frame: SensorSize) -> bool:
    """Whether the proportions are the same, but for rounding."""
    across, down = size.width * frame.height, size.height * frame.width
    return abs(across - down) <= _MAX_STRETCH * max(across, down)


def _scaled(size: SensorSize, frame: SensorSize, *, most: float) -> SensorSize:
    """The largest size of the same proportions that fits into the frame."""
    scale = min(most, frame.height / size.height, frame.width / size.width)
    return SensorSize(
        *(min(room, max(1, round(side * scale))) for side, room in zip(size, frame, strict=True))
    )
