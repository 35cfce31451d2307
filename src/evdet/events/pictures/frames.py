"""A frame of any representation, or some events -> an RGB picture.

ON is orange, OFF is blue, both together nearly white, on dark grey: distinguishable with common
colour blindness. One event is clearly visible, more are brighter.
"""

import numpy as np
import torch
from jaxtyping import Float32, Shaped
from torch import Tensor

from evdet.events.dtypes import Events, SensorSize
from evdet.events.representations import ON_FIRST, family_of, histogram
from evdet.shapes import Picture

__all__ = ["events_to_picture", "frame_to_picture", "frame_to_rgb"]


_BACKGROUND = (24, 24, 28)
_ON = (255, 170, 50)
_OFF = (60, 130, 255)
_FAINTEST = 0.55  # brightness of the smallest non-zero amount
_FULL_COUNT = 5  # events that give the full colour where the representation has no maximum


def frame_to_picture(frame: Shaped[np.ndarray, "C H W"], representation: str) -> Picture:
    """Draw a frame.

    Args:
        frame: the frame, with any number of micro-bins.
        representation: name of its representation, as `get_representation` takes it.

    Returns:
        RGB. Micro-bins are added up; in time surfaces late events are bright.

    Raises:
        ValueError: unknown representation, or it does not make such frames.
    """
    off, on = _amounts(frame, representation)
    picture = np.empty((*off.shape, 3), np.float32)
    off, on = _brightness(off), _brightness(on)
    for channel, (dark, for_off, for_on) in enumerate(zip(_BACKGROUND, _OFF, _ON, strict=True)):
        picture[..., channel] = dark + off * (for_off - dark) + on * (for_on - dark)
    return np.clip(picture, 0, 255).astype(np.uint8)


def frame_to_rgb(frame: Shaped[np.ndarray | Tensor, "C H W"]) -> Picture:
    """Convert a grey or RGB frame, floats from 0 to 1, to an RGB picture.

    Raises:
        ValueError: the frame does not have 1 or 3 channels.
    """
    values = torch.as_tensor(frame).detach().cpu().float()
    if len(values) not in (1, 3):
        raise ValueError(
            f"a frame of {len(values)} channels cannot be shown (only 1 or 3 channels can): "
            "give the loader a vis_func that makes an RGB picture of it"
        )
    picture = values.clamp(0, 1).mul(255).round().to(torch.uint8)
    return picture.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()


def events_to_picture(events: Events, size: SensorSize) -> Picture:
    """Draw events as RGB, in the sensor's size.

    Args:
        events: in any order; may be empty.
        size: sensor size.

    Raises:
        ValueError: an event lies outside the sensor.
    """
    return frame_to_picture(histogram(events, size, max_count=_FULL_COUNT), "histogram")


def _amounts(
    frame: Shaped[np.ndarray, "C H W"], representation: str
) -> tuple[Float32[np.ndarray, "H W"], Float32[np.ndarray, "H W"]]:
    """Amounts of OFF and ON at each pixel; 1 is full."""
    num_channels, height, width = frame.shape
    family = family_of(representation)
    is_signed = family in ("diff", "voxel_grid")
    if num_channels == 0 or (num_channels % 2 and not is_signed):
        raise ValueError(f"{representation} does not make frames of {num_channels} channels")
    values = frame.astype(np.float32)
    if is_signed:
        scale = np.float32(1 if family == "diff" else 1 / _FULL_COUNT)
        off, on = np.maximum(-values, 0).sum(axis=0), np.maximum(values, 0).sum(axis=0)
        return off * scale, on * scale
    if family == "stacked_histogram":
        first, second = values.reshape(2, -1, height, width).sum(axis=1) / np.float32(_FULL_COUNT)
        return (second, first) if representation in ON_FIRST else (first, second)
    by_micro_bin = values.reshape(-1, 2, height, width)
    if family.endswith("time_surface"):
        off, on = by_micro_bin.max(axis=0)
    else:
        off, on = by_micro_bin.sum(axis=0)
    return off, on


def _brightness(amount: Float32[np.ndarray, "H W"]) -> Float32[np.ndarray, "H W"]:
    visible = _FAINTEST + (1 - _FAINTEST) * np.minimum(amount, 1)
    return np.where(amount > 0, visible, 0).astype(np.float32)
