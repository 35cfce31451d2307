"""The pixels of a simulated sensor: their state, and the compiled loops that make events.

A pixel's state changes only at an event, a change of its intensity or a noise event. In between it
follows from a formula, so a pixel at rest can be skipped for some frames.
"""

import typing
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64, Shaped

from evdet.compiled import kernel
from evdet.events.dtypes import EVENT_DTYPE, Events, SensorSize

__all__ = ["PixelRates", "PixelState", "first_wait", "watch"]

_TOLERANCE = 1e-6  # of brightness: a step of k thresholds is k events, whatever the rounding
_OFF, _ON = 0, 1
_OFFSET, _SINCE, _DUE = 0, 1, 2
_MANY = 4096  # initial capacity, in events

_Numbers = tuple[float, float, float, float, float]  # the fields of `PixelRates`, without the seed
_Line = tuple[float, float, float, float]  # brightness at t0 and at t1, t0, t1
_Found = tuple[np.ndarray, int]  # packed events, and how many of them are used


@dataclass(frozen=True)
class PixelState:
    """The state of all pixels after a frame; calls return a new one."""

    t: int
    """Time of the last frame, in microseconds."""
    intensity: Float32[np.ndarray, "H W"]
    """The last frame."""
    brightness: Float64[np.ndarray, "H W"]
    """Its logarithm."""
    state: Float64[np.ndarray, "3 H W"]
    """Per pixel: the brightness relative to the reference, the time of that value (in the future
    during the refractory period), and the time of the next leak event of a pixel at rest."""
    thresholds: Float64[np.ndarray, "2 H W"]
    """Per pixel: OFF, ON."""
    next_noise: float
    """Time of the next candidate for a noise event, in microseconds."""
    num_noise: int
    """Candidates so far; the random numbers of a candidate depend only on this count."""

    @property
    def size(self) -> SensorSize:
        """The sensor's size."""
        height, width = self.intensity.shape
        return SensorSize(height, width)


@dataclass(frozen=True)
class PixelRates:
    """A sensor model in the units of the pixels: microseconds and brightness."""

    leak: float
    """Brightness that a pixel gains per microsecond at rest."""
    refractory: float
    """Microseconds after an event in which a pixel gives no other."""
    dark_intensity: float
    """Added to intensities before the logarithm."""
    noise: float
    """Noise events of a dark pixel per microsecond."""
    noise_bright: float
    """Share of them at intensity 1."""
    noise_seed: int
    """Seed of their random numbers."""


def first_wait(rates: PixelRates, size: SensorSize) -> float:
    """Microseconds from the first frame to the first candidate for a noise event."""
    rate = rates.noise * size.height * size.width
    return float(_wait(np.uint64(rates.noise_seed), 0, rate))


def watch(
    frames: Float32[np.ndarray, "T H W"],
    times: Int64[np.ndarray, " T"],
    changed: Int32[np.ndarray, "T R 4"],
    before: PixelState,
    rates: PixelRates,
) -> tuple[Events, PixelState]:
    """Show checked frames to the pixels.

    Args:
        frames: linear intensities.
        times: of the frames, increasing, and after `before.t`.
        changed: rectangles (top, left, bottom, right) inside the sensor, outside of which a frame
            equals the one before it.
        before: the state after the frames so far.
        rates: of the sensor.

    Returns:
        Events in order of time, and the new state.

    Raises:
        ValueError: an intensity is negative or not a number.
    """
    intensity, brightness = before.intensity.copy(), before.brightness.copy()
    state = before.state.copy()
    packed, num_events, next_noise, num_noise, bad = _watch(
        np.ascontiguousarray(frames),
        np.concatenate([[before.t], times]),
        np.ascontiguousarray(changed),
        intensity.reshape(-1),
        brightness.reshape(-1),
        state.reshape(3, -1),
        before.thresholds.reshape(2, -1),
        (rates.leak, rates.refractory, rates.dark_intensity, rates.noise, rates.noise_bright),
        np.uint64(rates.noise_seed),
        before.next_noise,
        before.num_noise,
    )
    if bad >= 0:
        raise ValueError(
            f"the frame at {times[bad]} us has an intensity that is negative or not a number"
        )
    after = PixelState(
        int(times[-1]),
        intensity,
        brightness,
        state,
        before.thresholds,
        float(next_noise),
        int(num_noise),
    )
    return _unpack(packed[:num_events], before.t, before.size), after


def _unpack(packed: Int64[np.ndarray, " E"], start: int, size: SensorSize) -> Events:
    """Events of the integers (time, pixel, polarity) that are also their order."""
    packed = np.sort(packed)
    shift = _shift_of(size.height * size.width)
    pixel = (packed & ((1 << shift) - 1)) >> 1
    row = pixel // size.width
    events: Shaped[np.ndarray, " E"] = np.empty(len(packed), EVENT_DTYPE)
    events["t"] = (packed >> shift) + start
    events["x"] = pixel - row * size.width
    events["y"] = row
    events["p"] = packed & 1
    return events


# typing.no_type_check: numba cannot compile what the tests' type checks have wrapped.


@kernel
@typing.no_type_check
def _watch(
    frames: np.ndarray,
    clock: np.ndarray,
    changed: np.ndarray,
    intensity: np.ndarray,
    brightness: np.ndarray,
    state: np.ndarray,
    thresholds: np.ndarray,
    numbers: _Numbers,
    seed: int,
    noise_t: float,
    noise_n: int,
) -> tuple[np.ndarray, int, float, int, int]:
    """Packed events and their number, time and index of the next noise, index of a bad frame."""
    leak, refractory, dark, noise, noise_bright = numbers
    num_frames, height, width = frames.shape
    num_pixels = height * width
    # np.int64 here and below: a literal would be a type of its own, and compiled once more.
    found = np.empty(_MANY, np.int64), np.int64(0)
    code = clock[0], _shift_of(num_pixels)
    for k in range(num_frames):
        t0, t1 = np.float64(clock[k]), np.float64(clock[k + 1])
        while noise_t <= t1:
            pixel = int(_random(seed, noise_n, np.int64(1)) * num_pixels)
            seen = frames[k, pixel // width, pixel % width]
            share = 1 - (1 - noise_bright) * min(max(np.float64(seen), 0.0), 1.0)
            if _random(seed, noise_n, np.int64(2)) < share:
                line = brightness[pixel], brightness[pixel], t0, t1
                if seen != intensity[pixel]:
                    line = brightness[pixel], np.log(np.float64(seen) + dark), t0, t1
                found = _advance(found, pixel, line, noise_t, numbers, state, thresholds, code)
                if state[_SINCE, pixel] <= noise_t:
                    polarity = 1 if _random(seed, noise_n, np.int64(3)) < 0.5 else 0
                    found = _append(found, np.ceil(noise_t), pixel, polarity, code)
                    state[_OFFSET, pixel] = _offset_at(noise_t, pixel, line, leak, state)
                    state[_SINCE, pixel] = noise_t + refractory
                    _foresee(pixel, leak, state, thresholds)
            noise_n += 1
            noise_t += _wait(seed, noise_n, noise * num_pixels)
        # The last frame is read as a whole, for leak events of pixels that were skipped.
        is_last = k == num_frames - 1
        for r in range(1 if is_last else changed.shape[1]):
            top, left, bottom, right = 0, 0, height, width
            if not is_last:
                top, left, bottom, right = changed[k, r]
            for y in range(top, bottom):
                for x in range(left, right):
                    pixel, seen = y * width + x, frames[k, y, x]
                    if seen == intensity[pixel] and state[_DUE, pixel] > t1:
                        continue
                    line = brightness[pixel], brightness[pixel], t0, t1
                    if seen != intensity[pixel]:
                        if not 0 <= seen < np.inf:
                            return found[0], 0, noise_t, noise_n, k
                        line = brightness[pixel], np.log(np.float64(seen) + dark), t0, t1
                    end = _offset_at(t1, pixel, line, leak, state)
                    # Most pixels stay far from their thresholds: skip the exact computation.
                    if (
                        state[_SINCE, pixel] > t0
                        or state[_DUE, pixel] <= t0
                        or end >= thresholds[_ON, pixel] - _TOLERANCE
                        or end <= _TOLERANCE - thresholds[_OFF, pixel]
                    ):
                        found = _advance(found, pixel, line, t1, numbers, state, thresholds, code)
                        end = _offset_at(t1, pixel, line, leak, state)
                    if line[0] != line[1] and state[_SINCE, pixel] < t1:
                        state[_OFFSET, pixel], state[_SINCE, pixel] = end, t1
                    _foresee(pixel, leak, state, thresholds)
                    intensity[pixel], brightness[pixel] = seen, line[1]
    return found[0], found[1], noise_t, noise_n, -1


@kernel
@typing.no_type_check
def _advance(
    found: _Found,
    pixel: int,
    line: _Line,
    stop: float,
    numbers: _Numbers,
    state: np.ndarray,
    thresholds: np.ndarray,
    code: tuple[int, int],
) -> _Found:
    """Let one pixel fire until `stop`: light at rest up to t0, then on the line."""
    log0, log1, t0, t1 = line
    leak, refractory = numbers[0], numbers[1]
    on, off = thresholds[_ON, pixel], thresholds[_OFF, pixel]
    rate = (log1 - log0) / (t1 - t0) + leak
    # At rest the formula does not mention the frames: skipping some changes nothing.
    rest = stop if log0 == log1 else t0
    while state[_SINCE, pixel] < stop:
        since, offset = state[_SINCE, pixel], state[_OFFSET, pixel]
        if since < rest:
            fires = since + (on - offset) / leak if leak > 0 else np.inf
            if fires <= rest:
                found = _append(found, np.ceil(fires), pixel, np.int64(1), code)
                state[_OFFSET, pixel], state[_SINCE, pixel] = 0.0, fires + refractory
                continue
            if rest == stop:
                break
            offset += leak * (t0 - since)
            since = t0
        if rate > 0:
            fires, step, polarity = since + max(on - offset - _TOLERANCE, 0.0) / rate, on, 1
        elif rate < 0:
            fires, step, polarity = since - max(off + offset - _TOLERANCE, 0.0) / rate, -off, 0
        else:
            break
        if fires > stop:
            break
        found = _append(found, max(np.ceil(fires), t0 + 1), pixel, polarity, code)
        state[_OFFSET, pixel] = offset + rate * (fires - since) - step
        state[_SINCE, pixel] = fires + refractory
    return found


@kernel
@typing.no_type_check
def _offset_at(t: float, pixel: int, line: _Line, leak: float, state: np.ndarray) -> float:
    """A pixel's brightness relative to the reference if it has not fired before t."""
    log0, log1, t0, t1 = line
    since, offset = state[_SINCE, pixel], state[_OFFSET, pixel]
    offset += leak * (t - since)
    if log0 != log1:
        offset += (log1 - log0) * ((t - max(since, t0)) / (t1 - t0))
    return offset


@kernel
@typing.no_type_check
def _foresee(pixel: int, leak: float, state: np.ndarray, thresholds: np.ndarray) -> None:
    """Set the time of the next leak event of a pixel at rest."""
    wait = (thresholds[_ON, pixel] - state[_OFFSET, pixel]) / leak if leak > 0 else np.inf
    state[_DUE, pixel] = state[_SINCE, pixel] + wait


@kernel
@typing.no_type_check
def _random(seed: int, index: int, draw: int) -> float:
    """A number in [0, 1) that depends only on the arguments (SplitMix64)."""
    step = np.uint64(4) * np.uint64(index) + np.uint64(draw)
    z = seed + step * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.float64(z >> np.uint64(11)) / 9007199254740992.0


@kernel
@typing.no_type_check
def _wait(seed: int, index: int, rate: float) -> float:
    """Microseconds to the next candidate of a Poisson process."""
    return -np.log(1 - _random(seed, index, np.int64(0))) / rate if rate > 0 else np.inf


@kernel
@typing.no_type_check
def _append(found: _Found, t: float, pixel: int, polarity: int, code: tuple[int, int]) -> _Found:
    packed, count = found
    if count == len(packed):
        longer = np.empty(2 * count, np.int64)
        longer[:count] = packed
        packed = longer
    origin, shift = code
    packed[count] = (np.int64(t) - origin) << shift | pixel << 1 | polarity
    return packed, count + 1


@kernel
@typing.no_type_check
def _shift_of(num_pixels: int) -> int:
    """Bits for a pixel's index and its polarity."""
    shift = 1
    while (1 << shift) < 2 * num_pixels:
        shift += 1
    return shift
