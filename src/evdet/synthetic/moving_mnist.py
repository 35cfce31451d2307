"""Moving MNIST: videos of digits that move, bounce, grow, shrink, overlap and stop.

A video is a function of (seed, split, epoch, index). Its motion has a closed form, so a clip in
the middle is made without earlier ones.
"""

import colorsys
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64, UInt8

from evdet.data import Clip, ClipInfo, ClipShape, StreamLoader
from evdet.synthetic.mnist import SPLITS, load_digits

__all__ = ["INK_THRESHOLD", "MovingMNIST", "make_moving_mnist"]

INK_THRESHOLD = 32
"""Lowest intensity of visible ink, of 255: boxes are tight around it."""

MIN_SIZE = 32  # pixels; in a smaller frame the smallest digits, 5 pixels, cannot be read
SMALLEST_SHARE = 1 / 6  # of the frame's shorter side, for the longer side of the smallest digits
LARGEST_SHARE = 0.95  # likewise; a digit as large as the frame could not move
PERIOD = (40, 120)  # frames in which it grows and shrinks again
SPEED = (0.005, 0.04)  # shares of the frame's shorter side per frame
MOVING = (15, 90)  # frames between two stops
STOPPED = (5, 20)  # frames of a stop
SATURATION = (0.3, 0.8)  # of its colour; the value is 1, so that no digit is dark
GREY = (0.4, 1.0)  # brightness of a digit without colour


@dataclass(frozen=True, kw_only=True)
class MovingMNIST:
    """The videos of Moving MNIST, for a `StreamLoader` to play.

    "train" has new videos every epoch; "val" and "test" have the same ones every time, so that
    evaluations can be compared.

    Raises:
        ValueError: a value is out of range.
    """

    split: str = "train"
    """Split of the digits: train, val or test."""
    height: int = 128
    """Height of a frame, in pixels."""
    width: int = 128
    """Width of a frame, in pixels."""
    tbins: int = 12
    """Frames of a clip."""
    max_frames_per_video: int = 60
    """Length of a video, in frames; whole clips are played."""
    max_frames_per_epoch: int = 30_000
    """Frames of all videos of an epoch; there is at least one video."""
    max_objects: int = 3
    """Maximum number of digits in a video."""
    digits: tuple[int, ...] = tuple(range(10))
    """The digits; the first has label 1, because 0 is background."""
    color: bool = True
    """Give each digit a bright colour; otherwise all are white."""
    grey_share: float = 0.0
    """Probability of a digit in grey or white instead of a colour, in [0, 1]."""
    min_digit_share: float = SMALLEST_SHARE
    """Longer side of the smallest digits, as a share of the frame's shorter side."""
    max_digit_share: float = 0.5
    """Longer side of the largest digits, as a share of the frame's shorter side, at most 0.95."""
    seed: int = 0
    """Another seed makes other videos."""
    delta_t: int = 50_000
    """Duration of a frame, in microseconds."""

    def __post_init__(self) -> None:
        for name in ("tbins", "max_frames_per_epoch", "max_objects", "delta_t"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")
        if not 0 <= self.grey_share <= 1:
            raise ValueError(f"grey_share must be between 0 and 1, got {self.grey_share}")
        if not 0 < self.min_digit_share <= self.max_digit_share <= LARGEST_SHARE:
            raise ValueError(
                "min_digit_share must be above 0, and max_digit_share between it and "
                f"{LARGEST_SHARE}, got {self.min_digit_share} and {self.max_digit_share}"
            )
        if (
            not self.digits
            or {*self.digits} - {*range(10)}
            or len({*self.digits}) < len(self.digits)
        ):
            raise ValueError(f"digits must be different numbers from 0 to 9, got {self.digits}")
        if min(self.height, self.width) < MIN_SIZE:
            raise ValueError(
                f"frames of {self.height}x{self.width} (height x width) are too small: "
                f"below {MIN_SIZE} pixels a side the smaller digits cannot be read"
            )
        if self.max_frames_per_video < self.tbins:
            raise ValueError(
                f"max_frames_per_video ({self.max_frames_per_video}) is smaller than tbins "
                f"({self.tbins}): a video must hold at least one clip. "
                "Lengthen the videos or shorten the clips."
            )
        # Read now, so that forked workers share them.
        _indices_of(self.split, self.digits)

    @property
    def clip_shape(self) -> ClipShape:
        """Shape (T, C, H, W) of every clip."""
        return self.tbins, 3, self.height, self.width

    def clip_counts(self, epoch: int) -> list[int]:
        """Clips of each video: the same number in all videos and epochs."""
        clips_per_video = self.max_frames_per_video // self.tbins
        num_videos = max(1, self.max_frames_per_epoch // (clips_per_video * self.tbins))
        return [clips_per_video] * num_videos

    def clips(self, epoch: int, index: int, first_clip: int) -> Iterator[Clip]:
        """Make the clips of one video.

        Args:
            epoch: index of the epoch.
            index: index of the video.
            first_clip: the clip to begin with.
        """
        clips_per_video = self.max_frames_per_video // self.tbins
        epoch = epoch if self.split == "train" else 0
        rng = np.random.default_rng([self.seed, SPLITS.index(self.split), epoch, index])
        tracks = self._draw_tracks(rng, clips_per_video * self.tbins)
        for first_frame in range(first_clip * self.tbins, len(tracks[0].scale), self.tbins):
            yield self._render(
                [track.cut(first_frame, first_frame + self.tbins) for track in tracks],
                ClipInfo(f"{self.split}-{epoch}-{index}", index, first_frame, self.delta_t),
            )

    def _draw_tracks(self, rng: np.random.Generator, num_frames: int) -> "list[_Track]":
        images, classes = load_digits(self.split)
        size = (self.height, self.width)
        tracks = []
        for _ in range(rng.integers(1, self.max_objects, endpoint=True)):
            index = rng.choice(_indices_of(self.split, self.digits))
            label = self.digits.index(classes[index]) + 1
            tracks.append(
                _draw_track(
                    rng,
                    images[index],
                    label,
                    size,
                    num_frames,
                    shares=(self.min_digit_share, self.max_digit_share),
                    draw_color=self._draw_color,
                )
            )
        return tracks

    def _draw_color(self, rng: np.random.Generator) -> Float32[np.ndarray, "3"]:
        if not self.color:
            return np.ones(3, np.float32)
        # Without greys nothing is drawn for them: the default videos stay those of the tutorial.
        if self.grey_share and rng.uniform() < self.grey_share:
            return np.full(3, rng.uniform(*GREY), np.float32)
        rgb = colorsys.hsv_to_rgb(rng.uniform(), rng.uniform(*SATURATION), 1)
        return np.array(rgb, np.float32)

    def _render(self, tracks: "list[_Track]", info: ClipInfo) -> Clip:
        frames = np.zeros(self.clip_shape, np.uint8)
        boxes = np.empty((len(tracks), self.tbins, 5), np.float32)
        visible = np.empty((len(tracks), self.tbins), np.bool_)
        for i, track in enumerate(tracks):
            ink, top, left = _render_ink(track, (self.height, self.width))
            boxes[i, :, :4], visible[i] = _tight_boxes(ink, top, left)
            boxes[i, :, 4] = track.label
            _paint(frames, ink, top, left, track.color)
        return Clip(
            inputs=torch.from_numpy(frames),
            labels=[boxes[visible[:, t], t] for t in range(self.tbins)],
            frame_is_labeled=np.ones(self.tbins, np.bool_),
            info=info,
        )


def make_moving_mnist(
    train: bool,
    height: int = 128,
    width: int = 128,
    tbins: int = 12,
    num_workers: int = 0,
    batch_size: int = 4,
    max_frames_per_video: int = 60,
    max_frames_per_epoch: int = 30_000,
    *,
    max_objects: int = 3,
    color: bool = True,
    grey_share: float = 0.0,
    min_digit_share: float = SMALLEST_SHARE,
    max_digit_share: float = 0.5,
    seed: int = 0,
    delta_t: int = 50_000,
) -> StreamLoader:
    """Make a loader of Moving MNIST for one process.

    For several processes, or the validation split, give a `MovingMNIST` to a `StreamLoader`.

    Args:
        train: play the training digits, in new videos every epoch; otherwise the test
            digits, in the same videos every time.
        height: of a frame, in pixels.
        width: of a frame, in pixels.
        tbins: frames of a clip.
        num_workers: processes that prepare clips; 0 prepares them in this process.
        batch_size: lanes, videos that play side by side.
        max_frames_per_video: length of a video, in frames; whole clips are played.
        max_frames_per_epoch: frames of all videos of an epoch; there is at least one video.
        max_objects: maximum number of digits in a video.
        color: give each digit a bright colour; otherwise all are white.
        grey_share: probability of a digit in grey or white instead of a colour.
        min_digit_share: longer side of the smallest digits, as a share of the frame's shorter side.
        max_digit_share: longer side of the largest digits, likewise; at most 0.95.
        seed: another seed makes other videos, in another order.
        delta_t: duration of a frame, in microseconds.

    Returns:
        The loader; its labels are the digit plus 1, because 0 is background.

    Raises:
        ValueError: a value is out of range.
    """
    videos = MovingMNIST(
        split="train" if train else "test",
        height=height,
        width=width,
        tbins=tbins,
        max_frames_per_video=max_frames_per_video,
        max_frames_per_epoch=max_frames_per_epoch,
        max_objects=max_objects,
        color=color,
        grey_share=grey_share,
        min_digit_share=min_digit_share,
        max_digit_share=max_digit_share,
        seed=seed,
        delta_t=delta_t,
    )
    return StreamLoader(videos, batch_size=batch_size, num_workers=num_workers, seed=seed)


@dataclass(frozen=True)
class _Track:
    """One digit in a video: its ink, and its position and size in each frame."""

    ink: Float32[np.ndarray, "h w"]
    label: int
    color: Float32[np.ndarray, "3"]
    scale: Float64[np.ndarray, " T"]
    top: Float64[np.ndarray, " T"]
    left: Float64[np.ndarray, " T"]

    def cut(self, start: int, end: int) -> "_Track":
        part = slice(start, end)
        return _Track(
            self.ink, self.label, self.color, self.scale[part], self.top[part], self.left[part]
        )


def _draw_track(
    rng: np.random.Generator,
    image: UInt8[np.ndarray, "28 28"],
    label: int,
    size: tuple[int, int],
    num_frames: int,
    *,
    shares: tuple[float, float],
    draw_color: Callable[[np.random.Generator], Float32[np.ndarray, "3"]],
) -> _Track:
    rows, columns = np.nonzero(image.any(axis=1))[0], np.nonzero(image.any(axis=0))[0]
    ink = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32)
    color = draw_color(rng)

    # The clock of a digit stops while the digit does.
    clock = _draw_clock(rng, num_frames)
    # Its smallest size is up to twice the least of all, its largest from there on: with an even
    # share of large digits, most would overlap.
    middle = min(2 * shares[0], shares[1])
    smallest, largest = rng.uniform(shares[0], middle), rng.uniform(middle, shares[1])
    turns = rng.uniform() + clock / rng.uniform(*PERIOD)
    wave = (1 - np.cos(2 * np.pi * turns)) / 2
    side = min(size) * smallest * (largest / smallest) ** wave
    scale = side / max(ink.shape)

    angle, speed = rng.uniform(0, 2 * np.pi), min(size) * rng.uniform(*SPEED)
    corner = []
    for axis, step in enumerate((speed * np.sin(angle), speed * np.cos(angle))):
        free = size[axis] - ink.shape[axis] * scale
        corner.append(free * _bounce(rng.uniform(0, 2) + clock * step / free.mean()))
    return _Track(ink, label, color, scale, corner[0], corner[1])


@functools.cache
def _indices_of(split: str, digits: tuple[int, ...]) -> Int64[np.ndarray, " N"]:
    """Indices of the images of some digits in their split."""
    return np.flatnonzero(np.isin(load_digits(split).labels, digits))


def _draw_clock(rng: np.random.Generator, num_frames: int) -> Int64[np.ndarray, " T"]:
    moves = np.ones(num_frames, np.int64)
    start = rng.integers(*MOVING)
    while start < num_frames:
        end = start + rng.integers(*STOPPED, endpoint=True)
        moves[start:end] = 0
        start = end + rng.integers(*MOVING)
    return np.cumsum(moves)


def _bounce(distance: Float64[np.ndarray, " T"]) -> Float64[np.ndarray, " T"]:
    """Position after a distance between two walls, at 0 and 1."""
    position: Float64[np.ndarray, " T"] = 1 - np.abs(distance % 2 - 1)
    return position


def _render_ink(
    track: _Track, size: tuple[int, int]
) -> tuple[UInt8[np.ndarray, "T h w"], Int64[np.ndarray, " T"], Int64[np.ndarray, " T"]]:
    """The digit in the smallest patch that contains it; first row and column of the patch."""
    rows, top = _resampling(track.top, track.scale, track.ink.shape[0], size[0])
    columns, left = _resampling(track.left, track.scale, track.ink.shape[1], size[1])
    ink = rows @ track.ink @ columns.transpose(0, 2, 1)
    return (ink + 0.5).astype(np.uint8), top, left


def _resampling(
    start: Float64[np.ndarray, " T"],
    scale: Float64[np.ndarray, " T"],
    num_inks: int,
    num_pixels: int,
) -> tuple[Float32[np.ndarray, "T h n"], Int64[np.ndarray, " T"]]:
    """Weights of the ink's rows (or columns) in the frame's, at subpixel positions.

    A pixel averages the ink that it covers, at least one row of it; for enlarged ink this is
    linear interpolation. A moving digit does not flicker.
    """
    reach = np.maximum(1, 1 / scale) / 2
    blur = reach * scale
    length = min(num_pixels, int(np.ceil((num_inks * scale + 2 * blur).max())) + 1)
    first = np.clip(np.floor(start - blur).astype(np.int64), 0, num_pixels - length)
    centre = (first[:, None] + np.arange(length) + 0.5 - start[:, None]) / scale[:, None]
    low, high = (centre - reach[:, None])[..., None], (centre + reach[:, None])[..., None]
    inks = np.arange(num_inks)
    seen = np.minimum(high, inks + 1) - np.maximum(low, inks)
    weights = np.maximum(seen, 0) / (2 * reach[:, None, None])
    return weights.astype(np.float32), first


def _tight_boxes(
    ink: UInt8[np.ndarray, "T h w"], top: Int64[np.ndarray, " T"], left: Int64[np.ndarray, " T"]
) -> tuple[Int64[np.ndarray, "T 4"], Bool[np.ndarray, " T"]]:
    """Boxes around the visible ink, and whether any is visible."""
    seen: Bool[np.ndarray, "T h w"] = ink >= INK_THRESHOLD
    rows: Bool[np.ndarray, "T h"] = np.any(seen, axis=2)
    columns: Bool[np.ndarray, "T w"] = np.any(seen, axis=1)
    visible: Bool[np.ndarray, " T"] = np.any(rows, axis=1)
    boxes = np.stack(
        [
            left + columns.argmax(axis=1),
            top + rows.argmax(axis=1),
            left + columns.shape[1] - columns[:, ::-1].argmax(axis=1),
            top + rows.shape[1] - rows[:, ::-1].argmax(axis=1),
        ],
        axis=1,
    )
    return boxes, visible


def _paint(
    frames: UInt8[np.ndarray, "T 3 H W"],
    ink: UInt8[np.ndarray, "T h w"],
    top: Int64[np.ndarray, " T"],
    left: Int64[np.ndarray, " T"],
    color: Float32[np.ndarray, "3"],
) -> None:
    """Add a digit in place; overlapping digits take the brighter pixel, so none hides another."""
    painted = (ink[:, None] * color[:, None, None] + 0.5).astype(np.uint8)
    height, width = ink.shape[1:]
    for frame, patch, y, x in zip(frames, painted, top, left, strict=True):
        region = frame[:, y : y + height, x : x + width]
        np.maximum(region, patch, out=region)
