"""Objects in depth order -> frames at subpixel positions, redrawn only where they change."""

import typing
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int32

from evdet.compiled import kernel

__all__ = ["INK_THRESH", "SceneObject", "cover_of", "draw_frames"]

INK_THRESH = 1 / 8
"""Lowest share of a pixel at which an object is visible in it: boxes are tight around it."""


@dataclass(frozen=True)
class SceneObject:
    """One flat object, which may cover pixels in part."""

    cover: Float32[np.ndarray, "h w"]
    """Covered share of each pixel, in [0, 1]."""
    level: float
    """Its intensity; 1 is white."""
    class_id: int
    """Its class, from 1."""


def cover_of(
    thing: SceneObject, corner: Float64[np.ndarray, "2"]
) -> tuple[Float32[np.ndarray, "h w"], int, int]:
    """The pixels that an object covers at a subpixel position.

    Args:
        thing: the object.
        corner: row and column of its top left corner.

    Returns:
        The shares of the pixels of a patch that is one pixel larger than the object, and the
        patch's first row and column.
    """
    top, left = np.floor(corner)
    down, right = np.float32(corner[0] - top), np.float32(corner[1] - left)
    padded = np.pad(thing.cover, 1)
    rows = (1 - down) * padded[1:] + down * padded[:-1]
    cover: Float32[np.ndarray, "h w"] = (1 - right) * rows[:, 1:] + right * rows[:, :-1]
    return cover, int(top), int(left)


def draw_frames(
    background: Float32[np.ndarray, "H W"],
    objects: tuple[SceneObject, ...],
    corners: Float64[np.ndarray, "T N 2"],
    previous: Float32[np.ndarray, "H W"] | None,
) -> tuple[Float32[np.ndarray, "_ H W"], Int32[np.ndarray, "_ N 4"]]:
    """Draw frame after frame; nearer objects occlude those behind them.

    Args:
        background: intensities of the background.
        objects: from back to front.
        corners: position of each object before the first frame and at every frame.
        previous: the frame before the first; None draws it, as the first of the result.

    Returns:
        The frames, and for each the rectangles (top, left, bottom, right) outside of which it
        equals the previous one.
    """
    height, width = background.shape
    if previous is None:
        corners = np.concatenate([corners[:1], corners])
    frames = np.empty((len(corners) - 1, height, width), np.float32)
    changed = np.zeros((len(frames), len(objects), 4), np.int32)
    sizes = np.array([thing.cover.shape for thing in objects], np.int32).reshape(-1, 2)
    largest = sizes.max(axis=0, initial=1)
    # An empty border saves tests for the edge.
    covers = np.zeros((len(objects), largest[0] + 2, largest[1] + 2), np.float32)
    for cover, thing in zip(covers, objects, strict=True):
        cover[1 : 1 + thing.cover.shape[0], 1 : 1 + thing.cover.shape[1]] = thing.cover
    levels = np.array([thing.level for thing in objects], np.float32)
    _draw(background, covers, sizes, levels, corners, previous is None,
          background if previous is None else previous, frames, changed)  # fmt: skip
    return frames, changed


@kernel
@typing.no_type_check
def _draw(
    background: np.ndarray,
    covers: np.ndarray,
    sizes: np.ndarray,
    levels: np.ndarray,
    corners: np.ndarray,
    is_first: bool,
    previous: np.ndarray,
    frames: np.ndarray,
    changed: np.ndarray,
) -> None:
    """Fill `frames` and `changed`."""
    num_frames, height, width = frames.shape
    num_objects = len(levels)
    for k in range(num_frames):
        frame, last = frames[k], previous if k == 0 else frames[k - 1]
        for y in range(height):
            for x in range(width):
                frame[y, x] = last[y, x]
        for i in range(num_objects):
            before, now = corners[k, i], corners[k + 1, i]
            fresh = is_first and k == 0
            if not fresh and before[0] == now[0] and before[1] == now[1]:
                continue
            top = max(0, int(np.floor(min(before[0], now[0]))))
            left = max(0, int(np.floor(min(before[1], now[1]))))
            bottom = min(height, int(np.floor(max(before[0], now[0]))) + sizes[i, 0] + 1)
            right = min(width, int(np.floor(max(before[1], now[1]))) + sizes[i, 1] + 1)
            changed[k, i, 0], changed[k, i, 1] = top, left
            changed[k, i, 2], changed[k, i, 3] = bottom, right
            for y in range(top, bottom):
                for x in range(left, right):
                    frame[y, x] = background[y, x]
            for j in range(num_objects):
                _paint(
                    frame, covers[j], sizes[j], levels[j], corners[k + 1, j], top, left, bottom,
                    right,
                )  # fmt: skip


@kernel
@typing.no_type_check
def _paint(
    frame: np.ndarray,
    cover: np.ndarray,
    size: np.ndarray,
    level: float,
    corner: np.ndarray,
    top: int,
    left: int,
    bottom: int,
    right: int,
) -> None:
    """Paint the part of one object in a rectangle."""
    first_row, first_column = int(np.floor(corner[0])), int(np.floor(corner[1]))
    down = np.float32(corner[0] - first_row)
    across = np.float32(corner[1] - first_column)
    one = np.float32(1)
    for y in range(max(top, first_row), min(bottom, first_row + size[0] + 1)):
        row = y - first_row + 1
        for x in range(max(left, first_column), min(right, first_column + size[1] + 1)):
            column = x - first_column + 1
            upper = (one - across) * cover[row - 1, column] + across * cover[row - 1, column - 1]
            lower = (one - across) * cover[row, column] + across * cover[row, column - 1]
            share = down * upper + (one - down) * lower
            frame[y, x] += share * (level - frame[y, x])
