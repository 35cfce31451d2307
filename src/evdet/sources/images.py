"""Images -> frames for a detector trained on pictures; OpenCV decodes and scales them."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Shaped, UInt8

from evdet.events import RecordingError, SensorSize
from evdet.opencv import cv2
from evdet.shapes import Picture
from evdet.sources.bit_depth import (
    Pixels,
    judge_white,
    to_bytes,
    white_of_depth,
    white_stated_in,
)
from evdet.sources.frame import StreamedFrame
from evdet.sources.frame_layout import FrameLayout, LaidOut, fit_pictures

__all__ = ["ImageSource", "picture_to_frame", "read_image"]


_LOG = logging.getLogger(__name__)

_NUM_JUDGED = 16  # images of a folder that decide on the bit depth of all
_JPEG = b"\xff\xd8"  # magic number; a JPEG has no transparency


class ImageSource(LaidOut):
    """Images as frames; a `FrameStream`. `open_frames` makes it.

    The image with index i has the time i·delta_t. Images of 16 bits have one value of white: that
    of `bit_depth`, or that their files state, or that of their values, judged from some of them.

    Args:
        path: the image or folder, for messages.
        images: in order of time; all of one size.
        frame_shape: channels, height and width of training's frames.
        delta_t: time between images, in microseconds.
        start: time of the first image to read, in microseconds.
        duration: in microseconds from `start` on; None reads all.
        bit_depth: bits of the camera, from 8 to 16, for images of 16 bits; None judges.

    Raises:
        ValueError: the bit depth does not fit the images, or there is no image from
            `start` on.
        RecordingError: the first image cannot be read.
    """

    def __init__(
        self,
        path: Path,
        images: Sequence[Path],
        *,
        frame_shape: tuple[int, int, int],
        delta_t: int,
        start: int = 0,
        duration: int | None = None,
        bit_depth: int | None = None,
    ) -> None:
        first = -(-start // delta_t)
        stop = len(images) if duration is None else -(-(start + duration) // delta_t)
        if first >= len(images):
            raise ValueError(
                f"no images from {start / 1e6:g} s on: {path} has {len(images)} images, one "
                f"every {delta_t} us"
            )
        self.name = path.stem if path.is_file() else path.resolve().name
        self.delta_t = delta_t
        self._images = images
        self._numbers = range(first, min(stop, len(images)))
        self._num_channels, *frame_size = frame_shape
        self._path = path
        self._is_clipped = False
        pixels = _read_pixels(images[first])
        height, width = pixels.values.shape[:2]
        self._white: int | None = None if bit_depth is None else white_of_depth(bit_depth)
        if pixels.values.dtype == np.uint16 and bit_depth is None:
            self._white = judge_white(self._some_pixels(), path)
        elif pixels.values.dtype != np.uint16 and bit_depth not in (None, 8):
            raise ValueError(
                f"{images[first]} has 8 bits, not {bit_depth}: omit --bit-depth (bit_depth)"
            )
        super().__init__(
            fit_pictures(path.name, SensorSize(height, width), SensorSize(*frame_size))
        )

    @property
    def num_frames(self) -> int:
        """Number of images."""
        return len(self._numbers)

    def __iter__(self) -> Iterator[StreamedFrame]:
        """Read the images.

        Raises:
            RecordingError: one cannot be read, or has another size than the first; those before
                are delivered first.
        """
        for index in self._numbers:
            path = self._images[index]
            picture = self._to_picture(_read_pixels(path), path)
            size = SensorSize(*picture.shape[:2])
            if size != self.size:
                raise RecordingError(
                    f"{path}: image {index + 1} of {len(self._images)} is {size}, the images "
                    f"before are {self.size}. Keep images of one size in a folder."
                )
            frame = picture_to_frame(picture, self._layout, self._num_channels)
            yield StreamedFrame(index * self.delta_t, self.delta_t, frame, picture=picture)

    def _some_pixels(self) -> Iterator[Pixels]:
        """Images of 16 bits over the whole source, so that each interval of it is as bright."""
        last = len(self._images) - 1
        for index in np.unique(np.linspace(0, last, _NUM_JUDGED).astype(int)).tolist():
            with contextlib.suppress(RecordingError):  # it is raised when the image is read
                pixels = _read_pixels(self._images[index])
                if pixels.values.dtype == np.uint16:
                    yield pixels

    def _to_picture(self, pixels: Pixels, path: Path) -> Picture:
        if pixels.values.dtype != np.uint16:
            return _to_rgb(pixels, white=pixels.stated_white or 255)
        if self._white is None:  # the first image has 8 bits
            self._white = judge_white([pixels], path)
        if not self._is_clipped and int(pixels.values[..., :3].max(initial=0)) > self._white:
            self._is_clipped = True
            _LOG.warning(
                "%s has values up to %d, and white is %d in %s: brighter values become white. "
                "--bit-depth (bit_depth) sets the bits of the camera",
                path, int(pixels.values.max()), self._white, self._path,
            )  # fmt: skip
        return _to_rgb(pixels, white=self._white)


def read_image(path: Path) -> Picture:
    """Read an image of any common format as RGB.

    Grey images have three equal channels; transparent pixels become black; 16 bits become 8, by
    the value of white that the file states or that is judged from its pixels.

    Raises:
        RecordingError: the file cannot be read.
    """
    pixels = _read_pixels(path)
    if pixels.values.dtype == np.uint16:
        return _to_rgb(pixels, white=judge_white([pixels], path))
    return _to_rgb(pixels, white=pixels.stated_white or 255)


def _read_pixels(path: Path) -> Pixels:
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror} (is the name right?)") from None
    with _quiet():
        try:
            image = _decode(data) if len(data) else None
        except cv2.error:  # more pixels than OPENCV_IO_MAX_IMAGE_PIXELS
            image = None
    if image is None:
        raise RecordingError(
            f"cannot decode {path}: it is truncated, not an image, or over 134 megapixels. Copy or "
            "record it again, or remove it from its folder."
        )
    if image.dtype not in (np.uint8, np.uint16):
        raise RecordingError(
            f"{path}: its pixels are {image.dtype}, and evdet reads 8 and 16 bits: convert it"
        )
    return Pixels(image, white_stated_in(data, image))


def _to_rgb(pixels: Pixels, *, white: int) -> Picture:
    values = pixels.values if pixels.values.ndim == 3 else pixels.values[..., None]
    image = to_bytes(values[..., :3], white)
    if values.shape[2] == 4:
        is_as_deep = int(values[..., 3].max(initial=0)) <= white
        opaque = white if is_as_deep else np.iinfo(values.dtype).max
        alpha = to_bytes(values[..., 3:], int(opaque)).astype(np.uint16)
        image = ((image * alpha + 127) // 255).astype(np.uint8)
    rgb: Picture = np.ascontiguousarray(np.broadcast_to(image[..., ::-1], (*image.shape[:2], 3)))
    return rgb


def picture_to_frame(
    picture: Picture, layout: FrameLayout, num_channels: int
) -> Float32[np.ndarray, "C H W"]:
    """Make a frame in the format of Moving MNIST.

    Args:
        picture: RGB.
        layout: its position in the frame.
        num_channels: 3 for RGB, 1 for grey.

    Returns:
        Values in [0, 1].
    """
    height, width = layout.shown
    if layout.shown != layout.size:
        # Area averaging, so that fine structures neither vanish nor flicker.
        is_smaller = height < layout.size.height
        method = cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR
        picture = cv2.resize(picture, (width, height), interpolation=method)
    if num_channels == 1:
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    channels = picture.reshape(height, width, num_channels).transpose(2, 0, 1)
    frame: Float32[np.ndarray, "C H W"] = layout.pad(channels.astype(np.float32) / np.float32(255))
    return frame


def _decode(data: UInt8[np.ndarray, " N"]) -> Shaped[np.ndarray, "h w *_"] | None:
    """Blue, green, red, and opacity if present; None if it is not an image."""
    if data[:2].tobytes() != _JPEG:
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        if image is None or image.shape[2:] == (4,) or image.dtype not in (np.uint8, np.uint16):
            return image
        if image.dtype == np.uint16:
            # Converts to 3 channels of its own type, and applies the EXIF orientation.
            return cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    # Converts to 3 x 8 bits, and applies the EXIF orientation.
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep OpenCV from printing errors that are raised anyway."""
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)
