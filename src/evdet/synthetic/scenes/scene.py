"""Scenes of digits or shapes that move, stop and occlude one another, seen by a simulated sensor.

A scene is a function of its options, split and index. It is played in pieces of bounded size, so a
recording may have any length.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from evdet.boxes import BOX_DTYPE
from evdet.events import Events
from evdet.events.simulation import SensorModel, simulate_frames
from evdet.synthetic.mnist import SPLITS, load_digits
from evdet.synthetic.scenes.motion import Path, draw_path, frame_times
from evdet.synthetic.scenes.render import INK_THRESH, SceneObject, cover_of, draw_frames
from evdet.synthetic.scenes.shapes import SHAPES, draw_shape, resize

__all__ = [
    "KINDS",
    "MIN_SIZE",
    "MIN_VISIBLE",
    "SCENE_BOX_DTYPE",
    "Scene",
    "SceneOptions",
    "ScenePiece",
    "classes_of",
    "draw_scene",
    "label_scene",
    "play_scene",
]

KINDS = ("digits", "shapes", "nmnist")
"""The objects of a scene: MNIST digits, filled shapes or N-MNIST recordings."""
MIN_SIZE = 32
"""Pixels; on a smaller sensor the smallest digits cannot be read."""
MIN_VISIBLE = 0.1
"""Lowest visible share of an occluded object that is labelled."""
SCENE_BOX_DTYPE = np.dtype([*BOX_DTYPE.descr, ("still_us", "<i8")])
"""A box event with the microseconds since its object last moved."""

SIDE = (0.2, 0.45)  # an object's longer side, as a share of the sensor's shorter one
LEVEL = (0.5, 1.0)  # its intensity
BACKGROUND = (0.15, 0.3)  # the background's
PATCHES = 8  # of the background's texture, along each side
FRAMES_AT_ONCE = 32


@dataclass(frozen=True, kw_only=True)
class SceneOptions:
    """Content, sensor size and duration of scenes.

    Raises:
        ValueError: a value is out of range.
    """

    kind: str = "digits"
    """Kind of objects: digits, shapes or nmnist."""
    height: int = 128
    """Height of the sensor, in pixels."""
    width: int = 128
    """Width of the sensor, in pixels."""
    seconds: float = 10.0
    """Duration of a scene, rounded to whole label periods."""
    label_period: int = 50_000
    """Microseconds from one label to the next; the first is one period after the start."""
    frame_rate: float = 500.0
    """Rendered frames per second; events have times in between."""
    max_objects: int = 3
    """Maximum number of objects in a scene; the minimum is 1."""
    texture: float = 0.1
    """Standard deviation of the background's intensity, as a share of it."""
    seed: int = 0
    """Another seed makes other scenes."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if min(self.height, self.width) < MIN_SIZE:
            raise ValueError(
                f"a sensor of {self.width}x{self.height} (width x height) is too small: below "
                f"{MIN_SIZE} pixels a side the smallest objects cannot be recognised"
            )
        if self.label_period < 1000:
            raise ValueError(f"label_period must be at least 1000 us, got {self.label_period}")
        if not 0 < self.frame_rate <= 100_000:
            raise ValueError(f"frame_rate must be above 0, to 100000, got {self.frame_rate}")
        if not self.label_period / 2e6 < self.seconds < 1e6:
            raise ValueError(
                f"seconds must be at least one label period, {self.label_period} us, "
                f"got {self.seconds}"
            )
        if self.max_objects < 1:
            raise ValueError(f"max_objects must be at least 1, got {self.max_objects}")
        for name in ("texture", "seed"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")

    @property
    def num_labels(self) -> int:
        """Number of label times of a scene."""
        return round(self.seconds * 1e6 / self.label_period)


@dataclass(frozen=True)
class Scene:
    """The content of a scene."""

    background: Float32[np.ndarray, "H W"]
    """Intensities behind the objects."""
    objects: tuple[SceneObject, ...]
    """The objects, from back to front; the index of an object plus 1 is its track id."""
    times: Int64[np.ndarray, " F"]
    """Times of the frames, in microseconds."""
    paths: tuple[Path, ...]
    """The path of each object."""
    sensor: SensorModel
    """The simulated sensor."""


class ScenePiece(NamedTuple):
    """The events and labels of an interval of a recording."""

    events: Events
    """In order of time."""
    boxes: np.ndarray
    """`SCENE_BOX_DTYPE` records; class ids start at 1."""


def classes_of(kind: str) -> tuple[str, ...]:
    """Names of the classes of a kind of scene, without background."""
    return SHAPES if kind == "shapes" else tuple("0123456789")


def draw_scene(options: SceneOptions, sensor: SensorModel, split: str, index: int) -> Scene:
    """Draw the content of one scene at random.

    Args:
        options: of all scenes.
        sensor: the sensor model; each scene has another seed.
        split: split of the digits: train, val or test.
        index: index of the scene.

    Raises:
        ValueError: the kind is nmnist, of which `draw_nmnist_scene` makes scenes.
    """
    if options.kind == "nmnist":
        raise ValueError("recordings are not drawn: use draw_nmnist_scene for kind nmnist")
    rng = np.random.default_rng(
        [options.seed, KINDS.index(options.kind), SPLITS.index(split), index]
    )
    size = (options.height, options.width)
    times = frame_times(options.num_labels, options.label_period, options.frame_rate)
    objects, paths = [], []
    for _ in range(rng.integers(1, options.max_objects, endpoint=True)):
        thing = _draw_object(rng, options, split)
        free = (size[0] - thing.cover.shape[0], size[1] - thing.cover.shape[1])
        objects.append(thing)
        paths.append(draw_path(rng, times, free=free, side=min(size)))
    return Scene(
        background=_draw_background(rng, size, options.texture),
        objects=tuple(objects),
        times=times,
        paths=tuple(paths),
        sensor=replace(sensor, seed=int(rng.integers(1 << 31))),
    )


def play_scene(scene: Scene, label_period: int) -> Iterator[ScenePiece]:
    """Simulate the pieces of a scene's recording, in order.

    Args:
        scene: the scene to play.
        label_period: microseconds from one label to the next.
    """
    corners = np.stack([path.corner for path in scene.paths], axis=1)
    frames, changed = draw_frames(scene.background, scene.objects, corners[:1], None)
    _, state = simulate_frames(scene.sensor, frames, scene.times[:1])
    for start in range(0, len(scene.times) - 1, FRAMES_AT_ONCE):
        end = min(start + FRAMES_AT_ONCE, len(scene.times) - 1)
        frames, changed = draw_frames(
            scene.background, scene.objects, corners[start : end + 1], frames[-1]
        )
        shown = slice(start + 1, end + 1)
        events, state = simulate_frames(
            scene.sensor, frames, scene.times[shown], state, changed=changed
        )
        labelled = [k for k in range(start + 1, end + 1) if scene.times[k] % label_period == 0]
        boxes = [label_scene(scene, k) for k in labelled]
        yield ScenePiece(events, np.concatenate([np.empty(0, SCENE_BOX_DTYPE), *boxes]))


def label_scene(scene: Scene, frame: int) -> np.ndarray:
    """The boxes of a frame, by index, around whole objects including occluded parts.

    Returns:
        `SCENE_BOX_DTYPE` records; objects that are almost hidden have none.
    """
    boxes = []
    height, width = scene.background.shape
    hidden = np.zeros((height + 1, width + 1), np.bool_)  # holds the empty last row of a patch
    for index in reversed(range(len(scene.objects))):
        thing, path = scene.objects[index], scene.paths[index]
        cover, top, left = cover_of(thing, path.corner[frame])
        ink: Bool[np.ndarray, "h w"] = cover >= INK_THRESH
        behind = hidden[top : top + ink.shape[0], left : left + ink.shape[1]]
        if (ink & ~behind).sum() >= MIN_VISIBLE * ink.sum():
            rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
            boxes.append(
                (
                    scene.times[frame], left + columns[0], top + rows[0],
                    columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0],
                    thing.class_id, index + 1, 1, path.still_us[frame],
                )
            )  # fmt: skip
        behind |= cover >= 0.5
    return np.array(boxes[::-1], SCENE_BOX_DTYPE)


def _draw_object(rng: np.random.Generator, options: SceneOptions, split: str) -> SceneObject:
    side = round(min(options.height, options.width) * rng.uniform(*SIDE))
    level = rng.uniform(*LEVEL)
    label = int(rng.integers(len(classes_of(options.kind))))
    if options.kind == "shapes":
        return SceneObject(draw_shape(SHAPES[label], side), level, label + 1)
    images, labels = load_digits(split)
    image = images[rng.choice(np.flatnonzero(labels == label))]
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    ink = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] / np.float32(255)
    ink = np.pad(ink, 1)  # so that strokes at the edge also fade out
    scale = side / max(ink.shape)
    height, width = (max(1, round(length * scale)) for length in ink.shape)
    return SceneObject(resize(ink, height, width), level, label + 1)


def _draw_background(
    rng: np.random.Generator, size: tuple[int, int], texture: float
) -> Float32[np.ndarray, "H W"]:
    patches: Float64[np.ndarray, "h w"] = rng.standard_normal((PATCHES, PATCHES))
    smooth = resize(patches.astype(np.float32), *size)
    return np.clip(rng.uniform(*BACKGROUND) * (1 + texture * smooth), 0, 1).astype(np.float32)
