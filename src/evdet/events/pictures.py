"""A frame of any representation, or a slice of events -> a picture for people.

ON is orange, OFF is blue, both at once nearly white, on dark grey: colours that stay apart in the
common kinds of colour blindness. One event is plainly visible, more make it brighter.
"""

import numpy as np
from jaxtyping import Float32, Shaped

from evdet.events.dtypes import Events, SensorSize
from evdet.events.representations import family_of, histogram
from evdet.shapes import Picture

__all__ = ["events_to_picture", "frame_to_picture"]


_BACKGROUND = (24, 24, 28)
_ON = (255, 170, 50)
_OFF = (60, 130, 255)
_FAINTEST = 0.55  # brightness of the least that is not nothing
_FULL_COUNT = 5  # events that give the full colour where a representation does not say


def frame_to_picture(frame: Shaped[np.ndarray, "C H W"], representation: str) -> Picture:
    """Draw a frame.

    Args:
        frame: what a representation made, with any number of micro-bins.
        representation: its name, as `get_representation` takes it.

    Returns:
        Red, green and blue. Micro-bins are drawn on top of each other; of time surfaces, late
        events are bright.

    Raises:
        ValueError: there is no such representation, or it does not make such frames.
    """
    off, on = _amounts(frame, representation)
    picture = np.empty((*off.shape, 3), np.float32)
    off, on = _brightness(off), _brightness(on)
    for channel, (dark, for_off, for_on) in enumerate(zip(_BACKGROUND, _OFF, _ON, strict=True)):
        picture[..., channel] = dark + off * (for_off - dark) + on * (for_on - dark)
    return np.clip(picture, 0, 255).astype(np.uint8)


def events_to_picture(events: Events, size: SensorSize) -> Picture:
    """Draw the events of a slice.

    Args:
        events: in any order; may be empty.
        size: sensor size.

    Returns:
        Red, green and blue, of the sensor's size.

    Raises:
        ValueError: an event lies outside the sensor.
    """
    return frame_to_picture(histogram(events, size, max_count=_FULL_COUNT), "histogram")


def _amounts(
    frame: Shaped[np.ndarray, "C H W"], representation: str
) -> tuple[Float32[np.ndarray, "H W"], Float32[np.ndarray, "H W"]]:
    """How much OFF and how much ON there is at each pixel; 1 is full."""
    num_channels, height, width = frame.shape
    family = family_of(representation)
    is_signed = family in ("diff", "voxel_grid")
    if num_channels == 0 or (num_channels % 2 and not is_signed):
        raise ValueError(f"{representation} makes no frames of {num_channels} channels")
    values = frame.astype(np.float32)
    if is_signed:
        scale = np.float32(1 if family == "diff" else 1 / _FULL_COUNT)
        off, on = np.maximum(-values, 0).sum(axis=0), np.maximum(values, 0).sum(axis=0)
        return off * scale, on * scale
    if family == "stacked_histogram":
        off, on = values.reshape(2, -1, height, width).sum(axis=1) / np.float32(_FULL_COUNT)
        return off, on
    by_micro_bin = values.reshape(-1, 2, height, width)
    if family.endswith("time_surface"):
        off, on = by_micro_bin.max(axis=0)
    else:
        off, on = by_micro_bin.sum(axis=0)
    return off, on


def _brightness(amount: Float32[np.ndarray, "H W"]) -> Float32[np.ndarray, "H W"]:
    visible = _FAINTEST + (1 - _FAINTEST) * np.minimum(amount, 1)
    return np.where(amount > 0, visible, 0).astype(np.float32)
