"""Frames -> events: a simulated event sensor.

A pixel fires when its brightness (the natural logarithm of the intensity) has changed by a
threshold since its last event. Brightness is interpolated linearly between frames, so an event has
the time of the crossing, not that of a frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Int32, Int64

from evdet.events.dtypes import EVENT_DTYPE, Events, SensorSize
from evdet.events.simulation.pixels import PixelRates, PixelState, first_wait, watch

__all__ = [
    "MIN_THRESHOLD",
    "PixelState",
    "SensorModel",
    "simulate_frames",
    "simulate_step",
]

MIN_THRESHOLD = 0.01
"""No pixel's threshold falls below this, however large the mismatch."""


@dataclass(frozen=True, kw_only=True)
class SensorModel:
    """Parameters of the sensor; the defaults are those of a sensor with little noise.

    Raises:
        ValueError: a value is out of range.

    Source:
        Thresholds, their crossing on a straight line between frames and the refractory period:
        Rebecq, Gehrig and Scaramuzza, "ESIM: an open event camera simulator", CoRL 2018, and its
        code, https://github.com/uzh-rpg/rpg_esim. Mismatch, leak and shot noise: Hu, Liu and
        Delbruck, "v2e: From video frames to realistic DVS events", CVPR workshops 2021, as in
        its code, https://github.com/SensorsINI/v2e. Its low-pass filter is left out.
    """

    threshold_on: float = 0.25
    """Rise of the brightness that gives an ON event."""
    threshold_off: float = 0.25
    """Fall of the brightness that gives an OFF event."""
    mismatch: float = 0.03
    """Standard deviation of the thresholds over the pixels, fixed for each pixel."""
    refractory_us: int = 500
    """Microseconds after an event in which a pixel gives no other; changes in them are lost."""
    leak_rate_hz: float = 0.1
    """ON events per second that a pixel at rest leaks."""
    shot_noise_hz: float = 0.25
    """Noise events, ON and OFF together, per second of a pixel in the dark."""
    shot_noise_bright: float = 0.25
    """Share of them that remains at intensity 1, interpolated linearly in between."""
    dark_intensity: float = 0.02
    """Added to every intensity: the dark current, on a scale where 1 is white."""
    seed: int = 0
    """Seed of the mismatch and the noise."""

    def __post_init__(self) -> None:
        for name in ("threshold_on", "threshold_off"):
            if not getattr(self, name) >= MIN_THRESHOLD:
                raise ValueError(
                    f"{name} must be at least {MIN_THRESHOLD}, got {getattr(self, name)}"
                )
        for name in ("mismatch", "refractory_us", "leak_rate_hz", "shot_noise_hz", "seed"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        if not 0 <= self.shot_noise_bright <= 1:
            raise ValueError(
                f"shot_noise_bright must be between 0 and 1, got {self.shot_noise_bright}"
            )
        if not 0 < self.dark_intensity < np.inf:
            raise ValueError(
                f"dark_intensity must be above 0, got {self.dark_intensity}: the logarithm of a "
                "black pixel would be infinite"
            )

    def without_noise(self) -> "SensorModel":
        """The same sensor without mismatch, leak, noise and refractory period: an ideal one."""
        return replace(self, mismatch=0.0, refractory_us=0, leak_rate_hz=0.0, shot_noise_hz=0.0)


def simulate_step(
    model: SensorModel,
    frame: Float32[np.ndarray, "H W"],
    t_us: int,
    state: PixelState | None = None,
) -> tuple[Events, PixelState]:
    """Show one frame to the sensor.

    Args:
        model: the sensor.
        frame: linear intensities, 1 being white.
        t_us: time of the frame, in microseconds.
        state: what the previous call returned; None makes this the first frame, which gives no
            events.

    Returns:
        The events after the last frame and up to this one, in order of time (of equal times, by
        pixel), and the new state.

    Raises:
        ValueError: the frame is not later than the last, of another size, or has an intensity
            that is negative or not a number.

    Example:
        >>> model = SensorModel(threshold_on=0.5).without_noise()
        >>> dark, light = np.full((1, 1), 0.1, np.float32), np.full((1, 1), 0.3, np.float32)
        >>> _, state = simulate_step(model, dark, 0)
        >>> simulate_step(model, light, 1000, state)[0]["t"]
        array([510])
    """
    return simulate_frames(model, frame[None], [t_us], state)


def simulate_frames(
    model: SensorModel,
    frames: Float32[np.ndarray, "T H W"],
    times_us: Sequence[int] | Int64[np.ndarray, " T"],
    state: PixelState | None = None,
    *,
    changed: Int32[np.ndarray, "T R 4"] | None = None,
) -> tuple[Events, PixelState]:
    """Show several frames to the sensor: the events of `simulate_step`, frame by frame.

    Args:
        model: the sensor.
        frames: linear intensities, 1 being white.
        times_us: time of each frame, in microseconds.
        state: what the previous call returned; None makes the first frame the sensor's first.
        changed: rectangles (top, left, bottom, right; the latter two exclusive) outside of which
            a frame equals the one before it. They save time and do not change the events. None
            reads every pixel of every frame.

    Returns:
        The events after the last frame of the previous call and up to the last of this one, in
        order of time (of equal times, by pixel), and the new state.

    Raises:
        ValueError: the times are not one for each frame or do not increase, a frame has another
            size, an intensity is negative or not a number, or a rectangle lies outside the sensor.
    """
    times = np.asarray(times_us, np.int64)
    if not len(times) == len(frames) == len(frames if changed is None else changed):
        raise ValueError(f"{len(frames)} frames have {len(times)} times: give one for each")
    if state is None:
        if not len(frames):
            raise ValueError("the first call needs at least one frame")
        state = _first_state(model, frames[0], int(times[0]))
        frames, times = frames[1:], times[1:]
        changed = changed if changed is None else changed[1:]
    size = state.size
    if frames.shape[1:] != size:
        raise ValueError(f"the frames are {SensorSize(*frames.shape[1:])}, the sensor is {size}")
    if not len(frames):
        return np.empty(0, EVENT_DTYPE), state
    clock = np.concatenate([[state.t], times])
    if (np.diff(clock) <= 0).any():
        late = int((np.diff(clock) <= 0).argmax())
        raise ValueError(
            f"a frame at {clock[late + 1]} us follows one at {clock[late]} us: times must increase"
        )
    if changed is None:
        changed = np.tile(np.array([[[0, 0, *size]]], np.int32), (len(frames), 1, 1))
    elif changed.size and (changed.min() < 0 or (changed[..., 2:] > size).any()):
        raise ValueError(f"a rectangle lies outside the sensor, {size}")
    return watch(frames, times, changed, state, _rates_of(model))


def _first_state(model: SensorModel, frame: Float32[np.ndarray, "H W"], t: int) -> PixelState:
    """The steady state of a sensor that has seen the first frame for a long time."""
    if not (frame >= 0).all() or not np.isfinite(frame).all():
        raise ValueError("the first frame has an intensity that is negative or not a number")
    size, rates = SensorSize(*frame.shape), _rates_of(model)
    rng = np.random.default_rng([model.seed, 0])
    nominal = np.array([model.threshold_off, model.threshold_on]).reshape(2, 1, 1)
    thresholds = nominal + model.mismatch * rng.standard_normal((2, *size))
    thresholds = np.maximum(thresholds, MIN_THRESHOLD)
    offset, due = np.zeros(size), np.full(size, np.inf)
    if rates.leak:
        # In the steady state pixels are anywhere between two leak events.
        offset = thresholds[1] * rng.random(size)
        due = t + (thresholds[1] - offset) / rates.leak
    return PixelState(
        t=t,
        intensity=frame.copy(),
        brightness=np.log(frame.astype(np.float64) + model.dark_intensity),
        state=np.stack([offset, np.full(size, float(t)), due]),
        thresholds=thresholds,
        next_noise=t + first_wait(rates, size),
        num_noise=0,
    )


def _rates_of(model: SensorModel) -> PixelRates:
    return PixelRates(
        leak=model.leak_rate_hz * model.threshold_on / 1e6,
        refractory=float(model.refractory_us),
        dark_intensity=model.dark_intensity,
        noise=model.shot_noise_hz / 1e6,
        noise_bright=model.shot_noise_bright,
        noise_seed=int(np.random.default_rng([model.seed, 1]).integers(1 << 63)),
    )
