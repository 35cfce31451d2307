"""Images -> frames for a detector that was trained on pictures. OpenCV decodes and scales them."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Shaped, UInt8

from evdet.events import RecordingError, SensorSize
from evdet.opencv import cv2
from evdet.shapes import Picture
from evdet.sources.frame import StreamedFrame
from evdet.sources.frame_layout import FrameLayout, LaidOut, fit_pictures

__all__ = ["ImageSource", "picture_to_frame", "read_image"]


_JPEG = b"\xff\xd8"  # how such files begin; nothing in them is transparent


class ImageSource(LaidOut):
    """Images as frames; a `FrameStream`. `open_frames` makes it.

    Image number i is shown at i·delta_t, the first at 0.

    Args:
        path: the image or folder, for messages.
        images: in the order in which they are played; all of one size.
        frame_shape: channels, height and width of the training's frames.
        delta_t: from one image to the next, in microseconds.
        start: images before this time are left out, in microseconds.
        duration: images so many microseconds after `start` are left out; None plays all.

    Raises:
        ValueError: there is no image from `start` on.
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
    ) -> None:
        first = -(-start // delta_t)
        stop = len(images) if duration is None else -(-(start + duration) // delta_t)
        if first >= len(images):
            raise ValueError(
                f"nothing lies from {start / 1e6:g} s on: {path} has {len(images)} images, one "
                f"every {delta_t} us"
            )
        self.name = path.stem if path.is_file() else path.resolve().name
        self.delta_t = delta_t
        self._images = images
        self._numbers = range(first, min(stop, len(images)))
        self._num_channels, *frame_size = frame_shape
        height, width, _ = read_image(images[first]).shape
        super().__init__(
            fit_pictures(path.name, SensorSize(height, width), SensorSize(*frame_size))
        )

    @property
    def num_frames(self) -> int:
        """Images that are played."""
        return len(self._numbers)

    def __iter__(self) -> Iterator[StreamedFrame]:
        """Play the images.

        Raises:
            RecordingError: one cannot be read, or has another size than the first; those before
                have been delivered.
        """
        for number in self._numbers:
            path = self._images[number]
            picture = read_image(path)
            size = SensorSize(*picture.shape[:2])
            if size != self.size:
                raise RecordingError(
                    f"{path}: image {number + 1} of {len(self._images)} is {size}, and those "
                    f"before are {self.size}. Keep images of one size in a folder."
                )
            frame = picture_to_frame(picture, self._layout, self._num_channels)
            yield StreamedFrame(number * self.delta_t, self.delta_t, frame, picture=picture)


def read_image(path: Path) -> Picture:
    """Read an image of any common format.

    Args:
        path: the file.

    Returns:
        Red, green and blue. Grey images have three times the same; what is transparent lies on
        black; 16 bits become 8.

    Raises:
        RecordingError: the file cannot be read.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise RecordingError(
            f"{path} cannot be read: {error.strerror}. Is the name right?"
        ) from None
    with _quiet():
        image = _decode(data) if len(data) else None
    if image is None:
        raise RecordingError(
            f"{path} is no image that can be decoded, or was cut off. Copy or record it again, or "
            "take it out of its folder; the images before it have been played."
        )
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.shape[2:] == (4,):
        alpha = image[..., 3:].astype(np.uint16)
        image = ((image[..., :3] * alpha + 127) // 255).astype(np.uint8)
    rgb: Picture = np.ascontiguousarray(image[..., ::-1])
    return rgb


def picture_to_frame(
    picture: Picture, layout: FrameLayout, num_channels: int
) -> Float32[np.ndarray, "C H W"]:
    """Make a frame as those of Moving MNIST are.

    Args:
        picture: red, green and blue.
        layout: where it lies in the frame.
        num_channels: 3 for red, green and blue, 1 for grey.

    Returns:
        Values in [0, 1].
    """
    height, width = layout.shown
    if layout.shown != layout.size:
        # Each pixel of a smaller picture is a mean, so that fine things neither vanish nor flicker.
        is_smaller = height < layout.size.height
        method = cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR
        picture = cv2.resize(picture, (width, height), interpolation=method)
    if num_channels == 1:
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    channels = picture.reshape(height, width, num_channels).transpose(2, 0, 1)
    frame: Float32[np.ndarray, "C H W"] = layout.pad(channels.astype(np.float32) / np.float32(255))
    return frame


def _decode(data: UInt8[np.ndarray, " N"]) -> Shaped[np.ndarray, "h w _"] | None:
    """Blue, green, red, and opacity where there is some; None for what is no image."""
    if data[:2].tobytes() != _JPEG:
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        if image is None or image.shape[2:] == (4,):
            return image
    # Makes 3 x 8 bits of anything, and turns the image upright where the camera was held aside.
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep OpenCV from printing what an exception will say."""
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)
