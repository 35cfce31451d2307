"""Simulated input for a detector, of the kind that it was trained on."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from evdet.events import Events, SensorSize, cut_bins
from evdet.events.dat import write_dat
from evdet.events.simulation import SensorModel
from evdet.frame_spec import PICTURES, READY_MADE, FrameSpec
from evdet.sources import make_frame
from evdet.synthetic.moving_mnist import make_moving_mnist
from evdet.synthetic.scenes import MIN_SIZE, SceneOptions, draw_scene, play_scene

__all__ = ["simulate_recording", "simulated_windows"]

Frame = Float32[np.ndarray, "B C H W"]

_LABEL_PERIOD = 50_000
_FRAME_RATE = 200.0  # rendered frames per second: enough for smooth motion, at little cost
_SHARE_OF_DOTS = 0.05
_SIMULATED_SECONDS = 2.0


def simulated_windows(spec: FrameSpec, num_windows: int, *, seed: int = 0) -> Iterator[Frame]:
    """Make consecutive frames of one lane, of the kind that a detector was trained on.

    Args:
        spec: the detector's frames: of simulated events of moving digits, of Moving MNIST for
            pictures, or of moving dots in place of ready-made frames.
        num_windows: number of frames.
        seed: another seed makes others.

    Raises:
        ValueError: the representation is unknown.
    """
    if spec.preprocess == PICTURES and spec.in_channels in (1, 3):
        frames = _pictures(spec, num_windows, seed)
    elif spec.preprocess in (PICTURES, READY_MADE):
        frames = _moving_dots(spec, seed)
    else:
        frames = _events(spec, num_windows, seed)
    yield from itertools.islice(frames, num_windows)


def simulate_recording(folder: Path, size: SensorSize) -> Path:
    """Write a DAT file of two seconds of moving digits to a folder, for a sensor of any size."""
    options = SceneOptions(height=size.height, width=size.width, seconds=_SIMULATED_SECONDS)
    scene = draw_scene(options, SensorModel(), "test", 0)
    path = folder / f"simulated_{size.width}x{size.height}.dat"

    def blocks() -> Iterator[Events]:
        for piece in play_scene(scene, options.label_period):
            if len(piece.events):
                yield piece.events

    write_dat(path, blocks(), size)
    return path


def _events(spec: FrameSpec, num_windows: int, seed: int) -> Iterator[Frame]:
    size = SensorSize(max(spec.height, MIN_SIZE), max(spec.width, MIN_SIZE))
    duration = max(num_windows * spec.delta_t, _LABEL_PERIOD)
    options = SceneOptions(
        height=size.height,
        width=size.width,
        seconds=duration / 1e6 + _LABEL_PERIOD / 1e6,
        label_period=_LABEL_PERIOD,
        frame_rate=_FRAME_RATE,
        seed=seed,
    )
    pieces = play_scene(draw_scene(options, SensorModel(), "test", 0), _LABEL_PERIOD)
    blocks = (piece.events for piece in pieces if len(piece.events))
    out_size = SensorSize(spec.height, spec.width)
    for time_bin in cut_bins(blocks, spec.delta_t, since=0):
        frame = make_frame(time_bin, size, spec, out_size=out_size)
        yield frame[None].astype(np.float32)


def _pictures(spec: FrameSpec, num_windows: int, seed: int) -> Iterator[Frame]:
    loader = make_moving_mnist(
        False,
        spec.height,
        spec.width,
        1,
        batch_size=1,
        max_frames_per_video=num_windows,
        max_frames_per_epoch=num_windows,
        seed=seed,
        delta_t=spec.delta_t,
    )
    for batch in loader:
        for frame in batch["inputs"].float().numpy():
            yield frame if spec.in_channels == 3 else frame.mean(axis=1, keepdims=True)


def _moving_dots(spec: FrameSpec, seed: int) -> Iterator[Frame]:
    rng = np.random.default_rng(seed)
    shape = (1, spec.in_channels, spec.height, spec.width)
    dots = (rng.random(shape) < _SHARE_OF_DOTS).astype(np.float32)
    for step in itertools.count():
        yield np.roll(dots, (step, 2 * step), axis=(2, 3))
