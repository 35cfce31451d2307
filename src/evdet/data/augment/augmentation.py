"""Augmentation: one draw, applied alike to events, ready-made frames and boxes."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64, Shaped

from evdet.data.augment.events import (
    Borders,
    drop_events,
    make_noise,
    place_events,
    reverse_events,
    swap_polarity,
)
from evdet.events import Events, SensorSize, join_events

__all__ = ["WHOLE_FRAME", "AugmentRules", "Augmentation", "Region", "draw_augmentation"]

Labels = Float32[np.ndarray, "_ 5"]
"""Boxes x1 y1 x2 y2 label; a box covers the pixels x1 to x2 - 1."""


class Region(NamedTuple):
    """A part of a frame, in shares of the frame's width or height."""

    left: float
    top: float
    width: float
    height: float


# Smallest width and height of a crop, as shares of the frame's.
_MIN_CROP = 0.6
# A box of which a smaller share of the area stays in the frame is dropped.
_MIN_VISIBLE = 0.2
WHOLE_FRAME = Region(0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class AugmentRules:
    """Probabilities and ranges of augmentation; the defaults change nothing.

    Raises:
        ValueError: a value is out of range.
    """

    flip_prob: float = 0.0
    """Probability of mirroring left and right."""
    zoom_in_prob: float = 0.0
    """Probability of enlarging a part of the frame to all of it."""
    max_zoom_in: float = 1.5
    """Largest magnification."""
    zoom_out_prob: float = 0.0
    """Probability of shrinking the frame to a part of it; the rest is empty."""
    max_zoom_out: float = 1.5
    """Largest reduction."""
    crop_prob: float = 0.0
    """Probability of clearing all but a part of the frame, which keeps its position."""
    drop_prob: float = 0.0
    """Probability of dropping random events."""
    max_drop: float = 0.5
    """Largest share of events dropped."""
    noise_prob: float = 0.0
    """Probability of adding random events."""
    max_noise_rate: float = 1.0
    """Largest rate of random events, per pixel and second."""
    swap_prob: float = 0.0
    """Probability of swapping ON and OFF."""
    reverse_prob: float = 0.0
    """Probability of playing backwards; for random clips only."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name.endswith("_prob") and not 0 <= value <= 1:
                raise ValueError(f"{name} must be from 0 to 1, got {value}")
        for name in ("max_zoom_in", "max_zoom_out"):
            if not 1 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.max_drop <= 1:
            raise ValueError(f"max_drop must be from 0 to 1, got {self.max_drop}")
        if not 0 <= self.max_noise_rate < float("inf"):
            raise ValueError(f"max_noise_rate must be 0 or more, got {self.max_noise_rate}")
        together = self.zoom_in_prob + self.zoom_out_prob + self.crop_prob
        if together > 1:
            raise ValueError(
                "zoom_in_prob, zoom_out_prob and crop_prob add up to "
                f"{together:g}: at most one of the three happens, so the sum is at most 1"
            )


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """The augmentation of one recording (or random clip); the defaults change nothing."""

    flip: bool = False
    """Mirror left and right, after all else."""
    source: Region = WHOLE_FRAME
    """The part of the frame that is kept."""
    target: Region = WHOLE_FRAME
    """The part of the frame that it is moved to."""
    drop: float = 0.0
    """Share of events dropped."""
    noise_rate: float = 0.0
    """Random events added, per pixel and second."""
    swap: bool = False
    """Swap ON and OFF."""
    reverse: bool = False
    """Play backwards: within a bin; the caller reverses the order of bins."""
    min_visible: float = 0.0
    """A box of which a smaller share of the area stays in the frame is dropped."""
    seed: int = 0
    """With a bin's index, draws its dropped events and its noise."""

    def apply_to_events(
        self, events: Events, size: SensorSize, *, start: int, delta_t: int, bin_index: int = 0
    ) -> Events:
        """Augment the events of one bin.

        Args:
            events: with start <= t < start + delta_t; not modified.
            size: the sensor's size.
            start: first microsecond of the bin.
            delta_t: its duration.
            bin_index: index of the bin in the recording or clip.

        Returns:
            The events of the bin; noise comes last, unsorted.

        Raises:
            ValueError: an event lies outside the sensor.
        """
        rng = None
        if self.drop or self.noise_rate:
            rng = np.random.default_rng([self.seed, bin_index])
        if rng and self.drop:
            events = drop_events(events, self.drop, rng)
        if self.reverse:
            events = reverse_events(events, start, delta_t)
        if self.swap:
            events = swap_polarity(events)
        if self.flip or self._is_scaled:
            columns = self._borders_x(size.width)
            if self.flip:
                columns = size.width - columns
            events = place_events(events, columns, self._borders_y(size.height), size)
        if rng and self.noise_rate:
            noise = make_noise(size, start, delta_t, self.noise_rate, rng)
            events = join_events([events, noise])
        return events

    def apply_to_boxes(self, boxes: Labels, size: SensorSize) -> Labels:
        """Move boxes with their pixels, and drop those that leave the frame.

        Args:
            boxes: of one frame or of many; not modified.
            size: the size of the frame that the boxes are in.

        Returns:
            The boxes that are still visible, in the same order.
        """
        moved = boxes.astype(np.float64)
        if self._is_scaled:
            source = self.source
            x, y = moved[:, 0:3:2], moved[:, 1:4:2]
            visible = _area(
                x.clip(*_span(source.left, source.width, size.width)),
                y.clip(*_span(source.top, source.height, size.height)),
            )
            keep = visible >= self.min_visible * _area(x, y)
            x[:] = np.interp(x, np.arange(size.width + 1), self._borders_x(size.width))
            y[:] = np.interp(y, np.arange(size.height + 1), self._borders_y(size.height))
            moved = moved[keep & (_area(x, y) > 0)]
        if self.flip:
            moved[:, 0:3:2] = size.width - moved[:, 2::-2]
        return moved.astype(np.float32)

    def apply_to_frame(
        self, frame: Shaped[np.ndarray, "C H W"], *, bin_index: int = 0
    ) -> Shaped[np.ndarray, "C H W"]:
        """Augment a frame without its events.

        Dropping clears pixels; noise, polarity and time reversal do not apply.

        Args:
            frame: of any representation in which 0 means no events; not modified.
            bin_index: index of the bin in the recording or clip.
        """
        if self.drop:
            rng = np.random.default_rng([self.seed, bin_index])
            stays = rng.random(frame.shape[1:], dtype=np.float32) >= self.drop
            frame = frame * stays.astype(frame.dtype)
        if self._is_scaled:
            rows, columns = self._borders_y(frame.shape[1]), self._borders_x(frame.shape[2])
            scaled = np.zeros_like(frame)
            scaled[:, rows[0] : rows[-1], columns[0] : columns[-1]] = frame[:, _sources(rows)][
                :, :, _sources(columns)
            ]
            frame = scaled
        if self.flip:
            frame = frame[:, :, ::-1].copy()
        return frame

    @property
    def _is_scaled(self) -> bool:
        return (self.source, self.target) != (WHOLE_FRAME, WHOLE_FRAME)

    def _borders_x(self, width: int) -> Borders:
        source, target = self.source, self.target
        return _borders(
            _span(source.left, source.width, width), _span(target.left, target.width, width), width
        )

    def _borders_y(self, height: int) -> Borders:
        source, target = self.source, self.target
        return _borders(
            _span(source.top, source.height, height),
            _span(target.top, target.height, height),
            height,
        )


def draw_augmentation(rules: AugmentRules, rng: np.random.Generator) -> Augmentation:
    """Draw the augmentation of one recording (or random clip).

    Args:
        rules: probabilities and ranges.
        rng: every call takes the same number of draws from it.
    """
    flip, geometry, drop, noise, swap, reverse = rng.random(6)
    size, width, height, left, top, much_drop, much_noise = rng.random(7)
    source = target = WHOLE_FRAME
    zoom = rules.zoom_in_prob + rules.zoom_out_prob
    if geometry < rules.zoom_in_prob:
        source = _square(1 / (1 + size * (rules.max_zoom_in - 1)), left, top)
    elif geometry < zoom:
        target = _square(1 / (1 + size * (rules.max_zoom_out - 1)), left, top)
    elif geometry < zoom + rules.crop_prob:
        width, height = (_MIN_CROP + (1 - _MIN_CROP) * share for share in (width, height))
        source = target = Region(left * (1 - width), top * (1 - height), width, height)
    return Augmentation(
        flip=bool(flip < rules.flip_prob),
        source=source,
        target=target,
        drop=float(much_drop * rules.max_drop) if drop < rules.drop_prob else 0.0,
        noise_rate=float(much_noise * rules.max_noise_rate) if noise < rules.noise_prob else 0.0,
        swap=bool(swap < rules.swap_prob),
        reverse=bool(reverse < rules.reverse_prob),
        min_visible=_MIN_VISIBLE,
        seed=int(rng.integers(1 << 32)),
    )


def _square(share: float, left: float, top: float) -> Region:
    """A region with the aspect ratio of the frame."""
    return Region(left * (1 - share), top * (1 - share), share, share)


def _span(start: float | int, share: float | int, length: int) -> tuple[int, int]:
    """First pixel of a region, and the first after it."""
    num_pixels = max(1, round(share * length))
    first = min(round(start * length), length - num_pixels)
    return first, first + num_pixels


def _borders(source: tuple[int, int], target: tuple[int, int], length: int) -> Borders:
    """New positions of the borders between pixels: border n is the left one of pixel n.

    A pixel of the target shows the pixel of the source at its centre.
    """
    num_from, num_to = source[1] - source[0], target[1] - target[0]
    steps = np.arange(length + 1).clip(*source) - source[0]
    # Rounded to the nearest pixel, halves down, in integers: ceil(steps * scale - 1/2).
    return target[0] - (num_from - 2 * steps * num_to) // (2 * num_from)


def _sources(borders: Borders) -> Int64[np.ndarray, " _"]:
    """Index of the source pixel of each pixel of the target."""
    sources: Int64[np.ndarray, " _"] = np.repeat(np.arange(len(borders) - 1), np.diff(borders))
    return sources


def _area(
    x: Float64[np.ndarray, "_ 2"], y: Float64[np.ndarray, "_ 2"]
) -> Float64[np.ndarray, " _"]:
    area: Float64[np.ndarray, " _"] = (x[:, 1] - x[:, 0]) * (y[:, 1] - y[:, 0])
    return area
