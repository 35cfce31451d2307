"""open_frames: a recording, a video or images -> frames for a detector."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from evdet.events import (
    AS_STATED,
    RECORDING_SUFFIXES,
    ReadOptions,
    Recording,
    RecordingError,
    SensorSize,
    is_bag_folder,
    open_recording,
)
from evdet.frame_spec import PICTURES, FrameSpec
from evdet.input_files import check_is_file
from evdet.sources.frame import FrameStream
from evdet.sources.picture_cameras import check_picture_camera
from evdet.sources.recording_source import RecordingSource, check_not_ready_made, check_times

if TYPE_CHECKING:
    from evdet.sources.live_pictures import LivePictures

__all__ = [
    "IMAGE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "check_picture_detector",
    "is_pictures",
    "is_video",
    "open_frames",
    "open_live_pictures",
]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
"""Endings of image files."""
VIDEO_SUFFIXES = (
    *(".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".gif"),
    *(".ts", ".mts", ".m2ts", ".flv", ".ogv", ".3gp", ".3g2", ".asf", ".mxf", ".vob", ".y4m"),
    # Streams of network cameras, and files of camcorders and action cameras.
    *(".h264", ".264", ".h265", ".265", ".hevc", ".mjpeg", ".mjpg", ".m2v"),
    *(".mod", ".tod", ".lrv"),
)
"""Endings of video files."""


def open_frames(
    source: Recording | Path | str,
    spec: FrameSpec,
    *,
    start: int = 0,
    duration: int | None = None,
    size: SensorSize | None = None,
    options: ReadOptions = AS_STATED,
    bit_depth: int | None = None,
) -> FrameStream:
    """Open a source of frames for a detector.

    Nothing is read ahead: hours of input need the RAM of one frame. Where the source does not have
    the size of training, a warning is logged.

    Args:
        source: an event recording of any format, a video, an image, or a folder of images, in
            natural order: 2.png before 10.png.
        spec: the detector's frame spec. `spec.at(delta_t)` has another time bin; a video has its
            own times. Pictures become grey for a detector of one channel.
        start: in microseconds after the source's start.
        duration: in microseconds from `start` on; None reads all.
        size: the sensor's size, where a recording does not state it or states it incorrectly.
        options: what the file of a recording leaves open.
        bit_depth: bits of the camera, from 8 to 16, where images of 16 bits do not state them; None
            judges from their values.

    Raises:
        ValueError: the detector was not trained on this kind of source, or a value is out of
            range.
        RecordingError: the source cannot be opened.
    """
    check_times(start, duration)
    if isinstance(source, Recording):
        if bit_depth is not None:
            raise ValueError(f"cannot set a bit depth for {source.path}: it is an event recording")
        if size is not None and size != source.size:
            raise ValueError(
                f"{source.path} is open, with the size {source.size}: give the size {size} to "
                "open_recording"
            )
        return RecordingSource(source, spec, start=start, duration=duration)
    path = Path(source)
    if bit_depth is not None and (is_video(path) or not is_pictures(path)):
        raise ValueError(
            f"cannot set a bit depth for {path}: --bit-depth (bit_depth) is for images"
        )
    if not is_pictures(path):
        recording = open_recording(path, size=size, options=options)
        return RecordingSource(recording, spec, start=start, duration=duration)
    if size is not None:
        raise ValueError(f"cannot set a sensor size for {path}: it is not an event recording")
    return _open_pictures(path, spec, start=start, duration=duration, bit_depth=bit_depth)


def is_video(path: Path) -> bool:
    """Whether a source is a video, by its name."""
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.is_dir()


def is_pictures(path: Path) -> bool:
    """Whether a source is a video or images, not an event recording."""
    if path.is_dir():
        return not is_bag_folder(path)
    return path.suffix.lower() in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)


def open_live_pictures(
    camera: str, spec: FrameSpec, *, max_age: int | None = None
) -> "LivePictures":
    """Open a webcam or network camera for a detector of pictures.

    The newest picture is taken each time; older ones are skipped and counted. It returns when the
    first picture has arrived.

    Args:
        camera: the number of a webcam, such as 0, a device such as `/dev/video0`, or an address
            that starts with rtsp://, http://, udp:// or the like.
        spec: the detector's frame spec.
        max_age: bound on the age of boxes, in microseconds from when their picture was decoded
            until the next is asked for; a warning is logged before it is broken. None sets none.

    Raises:
        ValueError: the detector was not trained on pictures, or the name is incomplete.
        RecordingError: the camera does not answer, or sends no pictures.
    """
    found = check_picture_camera(camera)
    check_picture_detector(f"{found.name} is a camera of pictures", spec)
    if max_age is not None and max_age < 1:
        raise ValueError(f"max_age must be at least 1 microsecond, got {max_age}")
    try:
        from evdet.sources.live_pictures import LivePictures
    except ImportError as error:
        raise RecordingError(
            f"cannot read {found.name}: PyAV is not installed (pip install av)"
        ) from error
    return LivePictures(found, spec, max_age=max_age)


def check_picture_detector(what: str, spec: FrameSpec) -> None:
    """Refuse a detector that was not trained on pictures.

    Args:
        what: the source, as the beginning of the message.
        spec: the detector's frame spec.

    Raises:
        ValueError: it was trained on events, or on frames of other channels.
    """
    check_not_ready_made(what, spec.preprocess)
    if spec.preprocess != PICTURES:
        raise ValueError(
            f"{what}, and the detector was trained on events (preprocess {spec.preprocess}): use "
            f"an event recording ({' '.join(RECORDING_SUFFIXES)}), or a detector trained on "
            "pictures (preprocess none)"
        )
    if spec.in_channels not in (1, 3):
        raise ValueError(
            f"{what}, and the detector takes frames of {spec.in_channels} channels: pictures have "
            "3, or 1 (grey)"
        )


def _open_pictures(
    path: Path,
    spec: FrameSpec,
    *,
    start: int,
    duration: int | None,
    bit_depth: int | None,
) -> FrameStream:
    check_is_file(path)
    images = [] if is_video(path) else _find_images(path)
    check_picture_detector(
        f"{path} is {'a video' if is_video(path) else 'a source of images'}", spec
    )
    frame_shape = (spec.in_channels, spec.height, spec.width)
    if is_video(path):
        try:
            from evdet.sources.videos import VideoSource
        except ImportError as error:
            raise RecordingError(
                f"cannot read {path}: PyAV is not installed (pip install av)"
            ) from error
        return VideoSource(path, frame_shape=frame_shape, start=start, duration=duration)
    from evdet.sources.images import ImageSource

    return ImageSource(
        path,
        images,
        frame_shape=frame_shape,
        delta_t=spec.delta_t,
        start=start,
        duration=duration,
        bit_depth=bit_depth,
    )


def _find_images(path: Path) -> list[Path]:
    """The images of a folder in natural order (2.png before 10.png), or the one image.

    Raises:
        ValueError: the folder has no images.
    """
    if not path.is_dir():
        return [path]
    images = [
        image
        for image in path.iterdir()
        if image.suffix.lower() in IMAGE_SUFFIXES
        and not image.name.startswith(".")
        and image.is_file()
    ]
    if not images:
        raise ValueError(
            f"{path} has no images ({' '.join(IMAGE_SUFFIXES)}): name a recording, a video, or "
            "the folder that holds the images"
        )
    return sorted(images, key=lambda image: (_natural(image.name), image.name))


def _natural(name: str) -> list[str | int]:
    """Sort key: text and numbers in turn."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)]
