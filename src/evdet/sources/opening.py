"""open_frames: a recording, a video or a folder of images -> frames for a detector, one by one."""

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from evdet.events import RECORDING_SUFFIXES, Recording, RecordingError, SensorSize, open_recording
from evdet.sources.event_frames import EventFrames
from evdet.sources.frame import FrameStream, StreamedFrame
from evdet.sources.frame_layout import LaidOut
from evdet.sources.noise_removal import Mask, NoiseRemoval, check_noise_window, find_hot_mask

__all__ = [
    "DEFAULT_DELTA_T",
    "IMAGE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "FrameStream",
    "RecordingStream",
    "StreamedFrame",
    "check_event_detector",
    "open_frames",
]

DEFAULT_DELTA_T = 50_000
"""Microseconds of a bin, and from image to image, where nobody says."""
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
"""How the names of images end."""
VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".gif")
"""How the names of ordinary videos end."""

_READY_MADE = "ready_made"
_PICTURES = "none"


class RecordingStream(LaidOut):
    """An event recording as frames; a `FrameStream`. `open_frames` makes it.

    Args:
        recording: it is played in bins [k·delta_t, (k + 1)·delta_t), the empty ones too.
        preprocess: the representation that makes a frame.
        delta_t: duration of a bin, in microseconds.
        height: of the training's frames, in pixels.
        width: of the training's frames, in pixels.
        in_channels: channels of the training's frames.
        remove_hot_pixels: leave out the events of pixels that fire by themselves, as training did;
            the first seconds of a recording tell which.
        noise_window: leave out events without another beside them in so many microseconds before,
            as training did; 0 keeps all.
        start: microseconds after the recording's start; the bin that holds it is the first.
        duration: microseconds from then on; the bin that holds the last of them is the last one.
            None plays up to the last event.

    Raises:
        ValueError: a value is out of range, or the detector does not take such frames.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        preprocess: str,
        delta_t: int = DEFAULT_DELTA_T,
        height: int,
        width: int,
        in_channels: int,
        remove_hot_pixels: bool = False,
        noise_window: int = 0,
        start: int = 0,
        duration: int | None = None,
    ) -> None:
        _check_times(delta_t, start, duration)
        check_noise_window(noise_window)
        check_event_detector(f"{recording.path} is an event recording", preprocess)
        if start > 0 and len(recording) and start > recording.duration:
            raise ValueError(
                f"nothing lies from {start / 1e6:g} s on: {recording.path} has "
                f"{recording.duration / 1e6:g} s"
            )
        self.delta_t = delta_t
        self._recording = recording
        self._start = start
        self._duration = duration
        self._remove_hot_pixels = remove_hot_pixels
        self._noise_window = noise_window
        self._frames = EventFrames(
            recording.path.name,
            recording.size,
            preprocess=preprocess,
            height=height,
            width=width,
            in_channels=in_channels,
        )
        super().__init__(self._frames.layout)

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self._recording.name

    @cached_property
    def num_frames(self) -> int | None:
        """Bins that are played; asking may read the file once, as the end of some formats does."""
        try:
            if not len(self._recording):
                return 0
            last = self._recording.end
        except RecordingError:
            return None  # playing it says what is wrong
        first = self._recording.start + self._start
        if self._duration is not None:
            last = min(last, first + self._duration - 1)
        return max(0, last // self.delta_t - first // self.delta_t + 1)

    def __iter__(self) -> Iterator[StreamedFrame]:
        """Play the recording.

        Raises:
            RecordingError: it is damaged; the frames before have been delivered.
        """
        # Some formats have to be read once to know where they start.
        is_whole = self._start == 0 and self._duration is None
        first = 0 if is_whole else self._recording.start + self._start
        # The filter remembers no longer than its window: it reads that much of what lies before.
        before = -(-self._noise_window // self.delta_t) * self.delta_t
        since = max(self._recording.start, first - before) if self._start else None
        noise = NoiseRemoval(self.size, self._hot_mask, self._noise_window)
        for time_bin in self._recording.slices(self.delta_t, since=since):
            if self._duration is not None and time_bin.start >= first + self._duration:
                return
            events, _ = noise.clean(time_bin.events)
            if time_bin.start + self.delta_t > first:
                yield self._frames.make(time_bin._replace(events=events))

    @cached_property
    def _hot_mask(self) -> Mask | None:
        return find_hot_mask(self._recording, self.delta_t) if self._remove_hot_pixels else None


def open_frames(
    source: Recording | Path | str,
    *,
    preprocess: str,
    delta_t: int | None,
    height: int,
    width: int,
    in_channels: int,
    remove_hot_pixels: bool = False,
    noise_window: int = 0,
    start: int = 0,
    duration: int | None = None,
    size: SensorSize | None = None,
) -> FrameStream:
    """Open anything that a detector can play.

    Args:
        source: an event recording of any format, an ordinary video, an image, or a folder of
            images, which are played in natural order: 2.png before 10.png.
        preprocess: what the detector's frames are made of, as its `FrameSpec` says: the name of
            a representation for events, or none for pictures with values in [0, 1].
        delta_t: duration of a bin of events, or from one image to the next, in microseconds;
            None is `DEFAULT_DELTA_T`. A video has times of its own.
        height: of the training's frames, in pixels.
        width: of the training's frames, in pixels.
        in_channels: channels of the training's frames. Pictures become grey for one.
        remove_hot_pixels: leave out the events of pixels that fire by themselves, as training did.
        noise_window: leave out events without another beside them in so many microseconds before.
        start: what comes earlier is left out, in microseconds after the source's start.
        duration: what comes later is left out, in microseconds from `start` on; None plays all.
        size: the sensor's size, where a recording does not state it, or states it wrong.

    Returns:
        The stream. Nothing is read ahead: hours of input need no more memory than a frame.
        Where its size is not what the detector was trained for, a warning says what happens.

    Raises:
        ValueError: the detector was trained on something else than the source is, or a value is
            out of range.
        RecordingError: the source cannot be opened.
    """
    delta_t = DEFAULT_DELTA_T if delta_t is None else delta_t
    _check_times(delta_t, start, duration)
    if isinstance(source, Recording):
        if size is not None and size != source.size:
            raise ValueError(
                f"{source.path} is open, with the size {source.size}: give the size {size} to "
                "open_recording instead"
            )
        recording = source
    else:
        path = Path(source)
        suffix = path.suffix.lower()
        if path.is_dir() or suffix in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES):
            if size is not None:
                raise ValueError(
                    f"{path} states the size of its pictures: a sensor size is for event recordings"
                )
            return _open_pictures(
                path,
                preprocess=preprocess,
                delta_t=delta_t,
                frame_shape=(in_channels, height, width),
                start=start,
                duration=duration,
            )
        recording = open_recording(path, size=size)
    return RecordingStream(
        recording,
        preprocess=preprocess,
        delta_t=delta_t,
        height=height,
        width=width,
        in_channels=in_channels,
        remove_hot_pixels=remove_hot_pixels,
        noise_window=noise_window,
        start=start,
        duration=duration,
    )


def check_event_detector(what: str, preprocess: str) -> None:
    """Check that a detector takes frames that are made of events.

    Args:
        what: the source, as "drive.dat is an event recording".
        preprocess: what the detector's frames are made of.

    Raises:
        ValueError: it takes pictures, or frames that only somebody else can make.
    """
    if preprocess == _PICTURES:
        raise ValueError(
            f"{what}, and the detector was trained on pictures (preprocess none): give it an "
            "ordinary video or a folder of images, or take a detector that was trained on events"
        )
    _check_not_ready_made(what, preprocess)


def _open_pictures(
    path: Path,
    *,
    preprocess: str,
    delta_t: int,
    frame_shape: tuple[int, int, int],
    start: int,
    duration: int | None,
) -> FrameStream:
    is_video = path.suffix.lower() in VIDEO_SUFFIXES and not path.is_dir()
    images = [] if is_video else _find_images(path)
    what = f"{path} is {'an ordinary video' if is_video else 'a source of images'}"
    _check_not_ready_made(what, preprocess)
    if preprocess != _PICTURES:
        raise ValueError(
            f"{what}, and the detector was trained on events (preprocess {preprocess}): give it "
            f"an event recording ({' '.join(RECORDING_SUFFIXES)}), or take a detector that was "
            "trained on pictures (preprocess none)"
        )
    if frame_shape[0] not in (1, 3):
        raise ValueError(
            f"{what}, and the detector takes frames of {frame_shape[0]} channels: pictures have 3, "
            "or 1 where they are grey"
        )
    if is_video:
        try:
            from evdet.sources.videos import VideoStream
        except ImportError as error:
            raise RecordingError(
                f"{path} cannot be read: PyAV is not installed (pip install av)"
            ) from error
        return VideoStream(path, frame_shape=frame_shape, start=start, duration=duration)
    from evdet.sources.images import ImageStream

    return ImageStream(
        path,
        images,
        frame_shape=frame_shape,
        delta_t=delta_t,
        start=start,
        duration=duration,
    )


def _find_images(path: Path) -> list[Path]:
    """List the images of a folder in natural order: 2.png before 10.png.

    Args:
        path: the folder, whose other files are left out; or one image.

    Returns:
        The images.

    Raises:
        ValueError: there are none.
    """
    if not path.is_dir():
        return [path]
    images = [
        image
        for image in path.iterdir()
        if image.suffix.lower() in IMAGE_SUFFIXES and not image.name.startswith(".")
    ]
    if not images:
        raise ValueError(
            f"{path} is a folder without images ({' '.join(IMAGE_SUFFIXES)}): name a recording, a "
            "video, or the folder that holds the images themselves"
        )
    return sorted(images, key=lambda image: (_natural(image.name), image.name))


def _natural(name: str) -> list[str | int]:
    """Text and numbers in turn, to sort by."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)]


def _check_not_ready_made(what: str, preprocess: str) -> None:
    if preprocess == _READY_MADE:
        raise ValueError(
            f"{what}, and the detector was trained on frames that somebody else had made "
            "(preprocess ready_made): evdet cannot make such frames. Judge it on a folder of them "
            "with `evdet evaluate`, or train a detector on recordings"
        )


def _check_times(delta_t: int, start: int, duration: int | None) -> None:
    if delta_t < 1:
        raise ValueError(f"delta_t must be at least 1 microsecond, got {delta_t}")
    if start < 0:
        raise ValueError(f"start must be 0 or more, got {start} us")
    if duration is not None and duration < 1:
        raise ValueError(f"duration must be more than 0, got {duration} us")
