"""Real event recordings of digits (N-MNIST) that move over a larger sensor.

A digit's events are shifted along its path. While the digit moves, its recording plays in a loop;
while it stops, so does the recording, as a sensor has no events of an object at rest. Noise is the
real sensor's, and occurs only around digits.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from evdet.events import Events, join_events
from evdet.synthetic.mnist import SPLITS
from evdet.synthetic.nmnist.digits import PATCH, NmnistDigits, sway_at
from evdet.synthetic.scenes import (
    KINDS,
    MIN_VISIBLE,
    SCENE_BOX_DTYPE,
    Path,
    SceneOptions,
    ScenePiece,
    draw_path,
    frame_times,
)

__all__ = [
    "NmnistScene",
    "SupportedDigit",
    "draw_nmnist_scene",
    "find_support",
    "play_nmnist_scene",
]

_MARGIN = 8  # pixels around a patch that the support of a digit may cover
_SUPPORT_SHARE = 0.2  # of the events of a busy pixel; pixels with fewer have noise only
_BUSY = 100  # number of busy pixels of a digit
_BLOCK = 1_000_000  # microseconds of a recording that are made at once
_LOOP = 1000  # microseconds from the last event to the next repetition


@dataclass(frozen=True)
class SupportedDigit:
    """A recording and the position of the digit in it."""

    events: Events
    """In order of time, from 0 on."""
    period: int
    """Microseconds after which it repeats."""
    support: Bool[np.ndarray, "S S"]
    """Pixels on which the digit gives events, without its shift; the first row and column are 8
    before the patch's."""
    box: tuple[float, float, float, float]
    """Around the support: left, top, right, bottom, in pixels of the patch."""
    digit: int
    """0 to 9."""


@dataclass(frozen=True)
class NmnistScene:
    """The content of a scene; height and width are the sensor's."""

    digits: tuple[SupportedDigit, ...]
    """From back to front; the index of a digit plus 1 is its track id."""
    paths: tuple[Path, ...]
    """The path of the corner of each digit's patch."""
    times: Int64[np.ndarray, " F"]
    """Times of the steps of the paths, in microseconds."""
    height: int
    width: int


def find_support(events: Events, digit: int) -> SupportedDigit:
    """Find the pixels that a digit covers in its recording.

    The sides of the box are 1 pixel outside the ink of the MNIST digit, with a standard deviation
    of at most 0.8 pixels.

    Args:
        events: of the recording, in order of time.
        digit: 0 to 9.
    """
    t = events["t"].astype(np.float64)
    column, row = sway_at(t)
    size = PATCH + 2 * _MARGIN
    x = np.rint(events["x"] - column).astype(np.int64) + _MARGIN
    y = np.rint(events["y"] - row).astype(np.int64) + _MARGIN
    counts = np.bincount(y * size + x, minlength=size * size).reshape(size, size)
    around = np.pad(counts, 1)
    patches = np.lib.stride_tricks.sliding_window_view(around, (3, 3))
    enough = max(1.0, _SUPPORT_SHARE * np.sort(counts, axis=None)[-_BUSY:].mean())
    # An isolated busy pixel is a hot one.
    support: Bool[np.ndarray, "S S"] = (counts >= enough) & (
        patches.mean(axis=(2, 3)) >= enough / 2
    )
    if not support.any():
        support = counts > 0
    rows, columns = np.flatnonzero(support.any(axis=1)), np.flatnonzero(support.any(axis=0))
    box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    left, top, right, bottom = (float(side - _MARGIN) for side in box)
    period = int(events["t"][-1]) + _LOOP
    return SupportedDigit(events, period, support, (left, top, right, bottom), digit)


def draw_nmnist_scene(
    options: SceneOptions, recordings: NmnistDigits, split: str, index: int
) -> NmnistScene:
    """Draw the content of one scene at random.

    Args:
        options: of all scenes; the texture is not used, and frames are the steps of the paths.
        recordings: of digits.
        split: split of the recordings: train, val or test.
        index: index of the scene.

    Raises:
        RecordingError: a recording cannot be read.
        ValueError: the sensor is smaller than the recordings.
    """
    if min(options.height, options.width) < PATCH:
        raise ValueError(
            f"a sensor of {options.width}x{options.height} (width x height) is too small for "
            f"recordings of {PATCH}x{PATCH} pixels"
        )
    rng = np.random.default_rng([options.seed, KINDS.index("nmnist"), SPLITS.index(split), index])
    times = frame_times(options.num_labels, options.label_period, options.frame_rate)
    known = np.unique(recordings.labels)
    digits, paths = [], []
    for _ in range(rng.integers(1, options.max_objects, endpoint=True)):
        digit = int(rng.choice(known))
        chosen = int(rng.choice(recordings.indices_of(split, digit)))
        free = (options.height - PATCH, options.width - PATCH)
        paths.append(draw_path(rng, times, free=free, side=min(options.height, options.width)))
        digits.append(find_support(recordings.read(chosen), digit))
    return NmnistScene(tuple(digits), tuple(paths), times, options.height, options.width)


def play_nmnist_scene(scene: NmnistScene, label_period: int) -> Iterator[ScenePiece]:
    """Make the pieces of a scene's recording, in order.

    Args:
        scene: the scene to play.
        label_period: microseconds from one label to the next.
    """
    end = int(scene.times[-1])
    label_times = np.arange(label_period, end + 1, label_period)
    for start in range(0, end + 1, _BLOCK):
        stop = min(start + _BLOCK, end + 1)
        parts = [_events_between(scene, index, start, stop) for index in range(len(scene.digits))]
        events = join_events(parts)
        labelled = label_times[(label_times >= start) & (label_times < stop)]
        boxes = [_label(scene, int(t)) for t in labelled]
        yield ScenePiece(
            events[np.argsort(events["t"], kind="stable")],
            np.concatenate([np.empty(0, SCENE_BOX_DTYPE), *boxes]),
        )


def _events_between(scene: NmnistScene, index: int, start: int, stop: int) -> Events:
    """The events of one digit in an interval."""
    digit, path = scene.digits[index], scene.paths[index]
    now = scene.times.astype(np.float64)
    first, last = np.interp([start, stop], now, path.clock)
    loops = range(int(first // digit.period), int(last // digit.period) + 1)
    clock = np.concatenate([digit.events["t"] + float(loop * digit.period) for loop in loops])
    events = np.tile(digit.events, len(loops))
    # The inverse of the clock, which is constant at a stop, without events.
    moves = np.r_[True, np.diff(path.clock) > 0]
    moves[:-1] |= np.diff(path.clock) > 0
    t = np.interp(clock, path.clock[moves], now[moves])
    events["t"] = np.floor(t)
    inside = (events["t"] >= start) & (events["t"] < stop) & (clock <= path.clock[-1])
    events, t, clock = events[inside], t[inside], clock[inside]
    row, column = _corner_at(scene, index, t)
    x, y = events["x"] + column, events["y"] + row
    visible = np.ones(len(events), np.bool_)
    for nearer in range(index + 1, len(scene.digits)):
        visible &= ~_covers(scene, nearer, t, x, y)
    events["x"], events["y"] = x, y
    seen: Events = events[visible]
    return seen


def _corner_at(
    scene: NmnistScene, index: int, t: Float64[np.ndarray, " E"]
) -> tuple[Int64[np.ndarray, " E"], Int64[np.ndarray, " E"]]:
    """Row and column of a patch's corner, in whole pixels."""
    corner = scene.paths[index].corner
    row, column = (np.interp(t, scene.times, corner[:, axis]) for axis in range(2))
    return np.rint(row).astype(np.int64), np.rint(column).astype(np.int64)


def _sway_at(
    scene: NmnistScene, index: int, t: Float64[np.ndarray, " E"]
) -> tuple[Float64[np.ndarray, " E"], Float64[np.ndarray, " E"]]:
    """Shift of a digit in its patch: columns, rows."""
    clock = np.interp(t, scene.times, scene.paths[index].clock)
    column, row = sway_at(clock % scene.digits[index].period)
    return column, row


def _covers(
    scene: NmnistScene,
    index: int,
    t: Float64[np.ndarray, " E"],
    x: Int64[np.ndarray, " E"],
    y: Int64[np.ndarray, " E"],
) -> Bool[np.ndarray, " E"]:
    """Whether a digit covers pixels at times."""
    row, column = _corner_at(scene, index, t)
    sway_column, sway_row = _sway_at(scene, index, t)
    support = scene.digits[index].support
    i = np.rint(y - row - sway_row).astype(np.int64) + _MARGIN
    j = np.rint(x - column - sway_column).astype(np.int64) + _MARGIN
    inside = (i >= 0) & (i < len(support)) & (j >= 0) & (j < len(support))
    covered: Bool[np.ndarray, " E"] = (
        inside & support[np.where(inside, i, 0), np.where(inside, j, 0)]
    )
    return covered


def _label(scene: NmnistScene, t: int) -> np.ndarray:
    """The boxes at one time; digits that are almost hidden have none."""
    boxes = []
    frame = int(np.searchsorted(scene.times, t))
    when = np.array([float(t)])
    for index, (digit, path) in enumerate(zip(scene.digits, scene.paths, strict=True)):
        row, column = (int(at[0]) for at in _corner_at(scene, index, when))
        sway_column, sway_row = (float(at[0]) for at in _sway_at(scene, index, when))
        left, top, right, bottom = digit.box
        left, right = (min(max(side + sway_column, 0), PATCH) for side in (left, right))
        top, bottom = (min(max(side + sway_row, 0), PATCH) for side in (top, bottom))
        i, j = np.nonzero(digit.support)
        y = row + np.rint(i - _MARGIN + sway_row).astype(np.int64)
        x = column + np.rint(j - _MARGIN + sway_column).astype(np.int64)
        hidden = np.zeros(len(i), np.bool_)
        for nearer in range(index + 1, len(scene.digits)):
            hidden |= _covers(scene, nearer, np.full(len(i), float(t)), x, y)
        if (~hidden).mean() >= MIN_VISIBLE:
            boxes.append(
                (
                    t, column + left, row + top, right - left, bottom - top,
                    digit.digit + 1, index + 1, 1, path.still_us[frame],
                )
            )  # fmt: skip
    return np.array(boxes, SCENE_BOX_DTYPE)
