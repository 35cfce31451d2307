"""The source of a measurement: time bins of a recording, or pictures, without end."""

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

from evdet.events import AS_STATED, ReadOptions, SensorSize, TimeBin, open_recording
from evdet.events.representations import (
    TORCH_REPRESENTATIONS,
    TORCH_VARIANTS,
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

__all__ = ["TimeBins", "open_time_bins", "picture_bins", "scatter_clips"]


CPU = torch.device("cpu")

_NUM_PICTURES = 60


@dataclass(frozen=True)
class TimeBins:
    """A source that is read and represented in separate steps, which are timed separately."""

    name: str
    """Name for the report."""
    delta_t: int
    """Duration of a time bin, in microseconds."""
    play: Callable[[], Iterator[Any]]
    """Plays it from the start, without end; `next` is the stage read."""
    represent: Callable[[Any], Frames]
    """Turns what was read into a clip of one time bin in one lane, on the network's device."""


def open_time_bins(
    path: Path,
    spec: FrameSpec,
    *,
    device: torch.device = CPU,
    delta_t: int | None = None,
    options: ReadOptions = AS_STATED,
    size: SensorSize | None = None,
) -> TimeBins:
    """Open a recording, a video or a folder of images.

    Args:
        path: the source.
        spec: how the detector's frames are made.
        device: of the network. An accelerator makes the frames itself, from the events, which are
            a hundredth of the bytes; the frames are the same.
        delta_t: duration of a time bin, in microseconds; None takes that of the training.
        options: what the file of a recording leaves open.
        size: the sensor's size where the file states none or a wrong one.

    Returns:
        Its time bins. For a video or images, reading is decoding and scaling.

    Raises:
        ValueError: the detector was trained on another kind of source.
        RecordingError: the source cannot be opened.
    """
    spec = spec.at(delta_t)
    if is_pictures(path):
        return _picture_files(path, spec, device)
    check_event_detector(f"{path} is an event recording", spec.preprocess)
    size = open_recording(path, size=size, options=options).size
    frames = EventFrames(path.name, size, spec)

    def play() -> Iterator[TimeBin]:
        # Every player opens the file, for its own position in it.
        recording = open_recording(path, size=size, options=options)
        return _repeat(lambda: clean_bins(recording, spec))

    name = f"{path.name} ({size})"
    fills = frames.layout.shown == frames.layout.frame
    if device.type != "cpu" and fills:
        scatter = scatter_clips(spec.preprocess, frames.layout, device)
        return TimeBins(name, spec.delta_t, play, scatter)
    return TimeBins(
        name, spec.delta_t, play, lambda time_bin: _to_clip(frames.make(time_bin).frame, device)
    )


def _picture_files(path: Path, spec: FrameSpec, device: torch.device) -> TimeBins:
    stream = open_frames(path, spec)
    return TimeBins(
        f"{path.name} ({stream.size})",
        stream.delta_t,
        lambda: _repeat(lambda: iter(stream)),
        lambda picture: _to_clip(picture.frame, device),
    )


def scatter_clips(
    preprocess: str, layout: FrameLayout, device: torch.device
) -> Callable[[TimeBin], Frames]:
    """Make a function that turns the events of one time bin into a clip on a device.

    Args:
        preprocess: the representation.
        layout: of a sensor that fills the frame.
        device: of the clip.
    """
    made = TORCH_VARIANTS.get(preprocess)
    make: Callable[..., Tensor] = made or TORCH_REPRESENTATIONS[family_of(preprocess)]
    variant = get_representation(preprocess).make
    if isinstance(variant, partial):
        make = partial(make, **variant.keywords)

    def represent(time_bin: TimeBin) -> Frames:
        events = events_to_tensors([time_bin], layout.size, device=device)
        return make(events, layout.size, out_size=layout.shown).float()[None]

    return represent


def picture_bins(spec: FrameSpec, *, device: torch.device = CPU) -> TimeBins:
    """Make frames of Moving MNIST, for a detector that was trained on pictures.

    Args:
        spec: how the detector's frames are made.
        device: of the network.

    Returns:
        The pictures, in RAM: the stages read and represent do nothing.

    Raises:
        ValueError: the detector was not trained on pictures.
    """
    if spec.preprocess != PICTURES or spec.in_channels != 3:
        raise ValueError(
            f"pictures have preprocess none and 3 channels, but the detector takes "
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
    name = f"Moving MNIST, {len(pictures)} pictures in RAM"
    return TimeBins(
        name,
        spec.delta_t,
        lambda: itertools.cycle(pictures),
        lambda picture: _to_clip(picture, device),
    )


def _repeat(play: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    for turn in itertools.count():
        time_bin = None
        for time_bin in play():
            yield time_bin
        if time_bin is None:
            raise ValueError(f"the source has no time bins{' any more' if turn else ''}")


def _to_clip(frame: Shaped[np.ndarray, "C H W"], device: torch.device) -> Frames:
    """Frames as float32, as in training; bytes are counts."""
    return torch.from_numpy(frame).to(device, torch.float32)[None, None]
