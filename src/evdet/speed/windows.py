"""What a measurement plays: windows of a recording, or pictures, over and over."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from evdet.events import TimeBin, open_recording
from evdet.events.representations import (
    TORCH_REPRESENTATIONS,
    events_to_tensors,
    family_of,
    get_representation,
)
from evdet.frame_spec import PICTURES, FrameSpec
from evdet.shapes import Frames
from evdet.sources import (
    EventFrames,
    FrameLayout,
    check_event_detector,
    clean_bins,
    is_pictures,
    open_frames,
)
from evdet.synthetic import make_moving_mnist

__all__ = ["Windows", "open_windows", "picture_windows", "scatter_clips"]


CPU = torch.device("cpu")

_NUM_PICTURES = 60


@dataclass(frozen=True)
class Windows:
    """A source whose reading and representing can be timed apart."""

    name: str
    """What it is, for people."""
    delta_t: int
    """From one window to the next, in microseconds: the time there is for each."""
    play: Callable[[], Iterator[Any]]
    """Plays it from the start, without end; `next` is the stage read."""
    represent: Callable[[Any], Frames]
    """Makes a clip of one window in one lane of what was read, where the network is."""


def open_windows(
    path: Path,
    spec: FrameSpec,
    *,
    device: torch.device = CPU,
    delta_t: int | None = None,
) -> Windows:
    """Open a recording, a video or a folder of images.

    Args:
        path: the source.
        spec: what the detector's frames are made of.
        device: where the network is. An accelerator makes its frames itself, of the events, which
            are a hundredth of their bytes; they are the same frames.
        delta_t: duration of a window of events, in microseconds; None is the training's.

    Returns:
        Its windows. Of a video or of images, reading is decoding and scaling.

    Raises:
        ValueError: the detector was trained on something else.
        RecordingError: the source cannot be opened.
    """
    spec = spec.at(delta_t)
    if is_pictures(path):
        return _picture_files(path, spec, device)
    check_event_detector(f"{path} is an event recording", spec.preprocess)
    size = open_recording(path).size
    frames = EventFrames(path.name, size, spec)

    def play() -> Iterator[TimeBin]:
        # Opened anew: every player has its own place in the file.
        recording = open_recording(path, size=size)
        return _repeat(lambda: clean_bins(recording, spec))

    name = f"{path.name} ({size})"
    fills = frames.layout.shown == frames.layout.frame
    if device.type != "cpu" and fills:
        scatter = scatter_clips(spec.preprocess, frames.layout, device)
        return Windows(name, spec.delta_t, play, scatter)
    return Windows(
        name, spec.delta_t, play, lambda window: _to_clip(frames.make(window).frame, device)
    )


def _picture_files(path: Path, spec: FrameSpec, device: torch.device) -> Windows:
    stream = open_frames(path, spec)
    return Windows(
        f"{path.name} ({stream.size})",
        stream.delta_t,
        lambda: _repeat(lambda: iter(stream)),
        lambda window: _to_clip(window.frame, device),
    )


def scatter_clips(
    preprocess: str, layout: FrameLayout, device: torch.device
) -> Callable[[TimeBin], Frames]:
    """Let a device make frames of events by itself.

    Args:
        preprocess: the representation.
        layout: of a sensor that fills the frame.
        device: where frames are wanted.

    Returns:
        Makes the clip of one window.
    """
    make: Callable[..., Tensor] = TORCH_REPRESENTATIONS[family_of(preprocess)]
    variant = get_representation(preprocess).make
    if isinstance(variant, partial):
        make = partial(make, **variant.keywords)

    def represent(window: TimeBin) -> Frames:
        events = events_to_tensors([window], layout.size, device=device)
        return make(events, layout.size, out_size=layout.shown).float()[None]

    return represent


def picture_windows(spec: FrameSpec, *, device: torch.device = CPU) -> Windows:
    """Make pictures for a detector that was trained on them: frames of Moving MNIST.

    Args:
        spec: what the detector's frames are made of.
        device: where the network is.

    Returns:
        The pictures, in memory: there is nothing to read, and nothing to represent.

    Raises:
        ValueError: the detector's frames are no pictures.
    """
    if spec.preprocess != PICTURES or spec.in_channels != 3:
        raise ValueError(
            f"pictures have preprocess none and 3 channels, and the detector takes "
            f"{spec.preprocess} with {spec.in_channels}: give a recording"
        )
    loader = make_moving_mnist(
        False,
        spec.height,
        spec.width,
        tbins=_NUM_PICTURES,
        batch_size=1,
        max_frames_per_video=_NUM_PICTURES,
        max_frames_per_epoch=_NUM_PICTURES,
    )
    pictures = next(iter(loader))["inputs"][:, 0].numpy()
    name = f"Moving MNIST, {len(pictures)} pictures in memory"
    return Windows(
        name,
        spec.delta_t,
        lambda: itertools.cycle(pictures),
        lambda picture: _to_clip(picture, device),
    )


def _repeat(play: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    for turn in itertools.count():
        window = None
        for window in play():
            yield window
        if window is None:
            raise ValueError(f"the source holds no windows{' any more' if turn else ''}")


def _to_clip(frame: Shaped[np.ndarray, "C H W"], device: torch.device) -> Frames:
    """As training has it: counts in bytes are numbers, too."""
    return torch.from_numpy(frame).to(device, torch.float32)[None, None]
