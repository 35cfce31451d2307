"""Enlarging, tiling and encoding pictures."""

import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Shaped, UInt8

from evdet.opencv import cv2

__all__ = [
    "decode_png",
    "encode_gif",
    "encode_jpeg",
    "encode_png",
    "image_grid",
    "reduce_by_maximum",
    "upscale",
]

Image = Shaped[np.ndarray, "H W C"]

_GAP_GRAY = 90


def upscale(image: Image, factor: int) -> Shaped[np.ndarray, "bigH bigW C"]:
    """Enlarge a picture by a whole factor; every pixel becomes a square."""
    if factor < 1:
        raise ValueError(f"factor must be at least 1, got {factor}")
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def reduce_by_maximum(image: Image, factor: int) -> Shaped[np.ndarray, "smallH smallW C"]:
    """Reduce a picture by a whole factor; every pixel is the brightest of its square.

    Raises:
        ValueError: the factor is below 1.
    """
    if factor < 1:
        raise ValueError(f"factor must be at least 1, got {factor}")
    height, width, channels = image.shape
    spare = -height % factor, -width % factor
    padded = np.pad(image, ((0, spare[0]), (0, spare[1]), (0, 0)))
    squares = padded.reshape(-(-height // factor), factor, -(-width // factor), factor, channels)
    smaller: Image = squares.max(axis=(1, 3))
    return smaller


def image_grid(
    images: Sequence[Image], ncols: int, *, pad: int = 2
) -> Shaped[np.ndarray, "gridH gridW C"]:
    """Arrange pictures of one size in rows, left to right, top to bottom.

    Args:
        images: RGB pictures of the same shape and type, at least one.
        ncols: pictures per row; the last row may be shorter.
        pad: gap between pictures, in pixels.

    Returns:
        One picture; gaps and empty cells are grey.

    Raises:
        ValueError: no pictures, pictures of different shapes, or `ncols` < 1.
    """
    shapes = {image.shape for image in images}
    if len(shapes) != 1:
        raise ValueError(f"a grid needs pictures of one shape, got {sorted(shapes) or 'none'}")
    if ncols < 1:
        raise ValueError(f"ncols must be at least 1, got {ncols}")
    height, width, channels = images[0].shape
    nrows = -(-len(images) // ncols)
    shape = (nrows * (height + pad) - pad, ncols * (width + pad) - pad, channels)
    grid = np.full(shape, _GAP_GRAY, images[0].dtype)
    for index, image in enumerate(images):
        top, left = index // ncols * (height + pad), index % ncols * (width + pad)
        grid[top : top + height, left : left + width] = image
    return grid


def encode_png(image: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """Compress a picture to the bytes of a PNG file."""
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def encode_jpeg(image: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """Compress a photo to the bytes of a JPEG file; some of its detail is lost."""
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def encode_gif(frames: Sequence[UInt8[np.ndarray, "H W 3"]], fps: float | int) -> bytes:
    """Compress at least one RGB picture to an animated GIF that repeats, for TensorBoard."""
    if not frames:
        raise ValueError("an animation needs at least one frame, got none")
    # Here: only moving pictures need it.
    from PIL import Image as PillowImage

    first, *others = [PillowImage.fromarray(frame) for frame in frames]
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=others, duration=round(1000 / fps), loop=0)
    return file.getvalue()


def decode_png(file: bytes) -> UInt8[np.ndarray, "H W 3"]:
    """Decode the bytes of a PNG file to an RGB picture.

    Raises:
        ValueError: the bytes are not a PNG file.
    """
    image = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("not a PNG file")
    rgb: UInt8[np.ndarray, "H W 3"] = cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8)
    return rgb
