"""Filled shapes with smooth edges, and resized pictures."""

import numpy as np
from jaxtyping import Bool, Float32

__all__ = ["SHAPES", "draw_shape", "resize"]

SHAPES = ("circle", "square", "triangle", "cross")
"""Names of the shapes."""

FINER = 4  # sampling points along each side of a pixel


def draw_shape(name: str, side: int) -> Float32[np.ndarray, "h w"]:
    """Draw a filled shape that touches all four sides of a square.

    Args:
        name: one of `SHAPES`.
        side: of the square, in pixels.

    Returns:
        Share of each pixel that the shape covers.

    Raises:
        ValueError: the shape is unknown.
    """
    if name not in SHAPES:
        raise ValueError(f"shape must be one of {', '.join(SHAPES)}, got {name!r}")
    # Points of the unit square, (0, 0) in its middle, +-1 at its sides.
    points = (2 * np.arange(side * FINER) + 1) / (side * FINER) - 1
    y, x = points[:, None], points[None]
    inside: Bool[np.ndarray, "s s"] = {
        "circle": x**2 + y**2 < 1,
        "square": (x < 1) & (y < 1),
        "triangle": np.abs(x) < (y + 1) / 2,
        "cross": np.minimum(np.abs(x), np.abs(y)) < 1 / 3,
    }[name]
    picture: Float32[np.ndarray, "s s"] = (
        inside.reshape(side, FINER, side, FINER).mean(axis=(1, 3)).astype(np.float32)
    )
    return picture


def resize(
    picture: Float32[np.ndarray, "h w"], height: int, width: int
) -> Float32[np.ndarray, "H W"]:
    """Enlarge a picture by linear interpolation, or average it to a smaller one."""
    rows, columns = _weights(picture.shape[0], height), _weights(picture.shape[1], width)
    resized: Float32[np.ndarray, "H W"] = (rows @ picture @ columns.T).astype(np.float32)
    return resized


def _weights(num_old: int, num_new: int) -> Float32[np.ndarray, "n m"]:
    """Weight of each old pixel in each new one, which averages the old pixels that it covers."""
    scale = num_old / num_new
    reach = max(1, scale) / 2
    centre = (np.arange(num_new)[:, None] + 0.5) * scale
    old = np.arange(num_old)
    seen = np.minimum(centre + reach, old + 1) - np.maximum(centre - reach, old)
    weights = np.maximum(seen, 0)
    # At the edges, new pixels extend beyond the old picture.
    shares: Float32[np.ndarray, "n m"] = weights / weights.sum(axis=1, keepdims=True)
    return shares.astype(np.float32, copy=False)
