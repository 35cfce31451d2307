"""Videos -> frames for a detector trained on pictures; PyAV decodes them."""

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream as Track

from evdet.events import RecordingError, SensorSize
from evdet.shapes import Picture
from evdet.sources.frame import StreamedFrame
from evdet.sources.frame_layout import LaidOut, fit_pictures
from evdet.sources.images import picture_to_frame

__all__ = ["VideoSource"]


_ERRORS = (av.FFmpegError, OSError, ValueError)
_SECOND = 1_000_000
_USUAL_DELTA_T = 40_000  # 25 frames/s, where a file does not state its rate
_MAX_PIXELS = 1 << 26  # 8K has 33 million
# For the decoder, too: pictures in a file may be larger than its header says.
_OPTIONS = {"max_pixels": str(_MAX_PIXELS)}


class VideoSource(LaidOut):
    """A video as frames; a `FrameStream`. `open_frames` makes it.

    Times are those of its frames, from 0 on, evenly spaced or not.

    Args:
        path: the file.
        frame_shape: channels, height and width of training's frames.
        start: time of the first frame to read, in microseconds.
        duration: in microseconds from `start` on; None reads all.

    Raises:
        ValueError: the video ends before `start`.
        RecordingError: the file has no video that can be decoded.
    """

    def __init__(
        self,
        path: Path,
        *,
        frame_shape: tuple[int, int, int],
        start: int = 0,
        duration: int | None = None,
    ) -> None:
        self.name = path.stem
        self._path = path
        self._start = start
        self._duration = duration
        self._num_channels, *frame_size = frame_shape
        with _open(path) as container:
            track = _track(path, container)
            rate = track.average_rate or track.base_rate
            self.delta_t = max(1, round(_SECOND / rate)) if rate else _USUAL_DELTA_T
            self._num_stated = track.frames or None
            length = _length(container, track)
            # Times in a file may start at any value.
            self._origin = 0
            try:
                first = next(self._frames(container, track, start=0), None)
            except _ERRORS as error:
                raise self._damage(-1, _reason(error)) from None
            if first is None:
                raise RecordingError(f"{path} has no frames: copy or record it again")
            self._origin = first.pts or 0
        if start and length is not None and start >= length:
            raise ValueError(
                f"no frames from {start / _SECOND:g} s on: {path} has {length / _SECOND:g} s"
            )
        size = SensorSize(*_upright(first).shape[:2])
        super().__init__(fit_pictures(path.name, size, SensorSize(*frame_size)))

    @property
    def num_frames(self) -> int | None:
        """Number of frames, according to the file's header and mean rate."""
        if self._num_stated is None:
            return None
        rest = max(0, self._num_stated - -(-self._start // self.delta_t))
        return rest if self._duration is None else min(rest, -(-self._duration // self.delta_t))

    def __iter__(self) -> Iterator[StreamedFrame]:
        """Read the video.

        Raises:
            RecordingError: it is damaged; the frames before are delivered first.
        """
        before = None
        for t, picture in self._pictures(self._start):
            if self._duration is not None and t >= self._start + self._duration:
                return
            size = SensorSize(*picture.shape[:2])
            if size != self.size:
                raise RecordingError(
                    f"{self._path}: from {t / _SECOND:g} s on its frames are {size}, the frames "
                    f"before are {self.size}. Cut the video there."
                )
            delta_t = self.delta_t if before is None else t - before
            before = t
            frame = picture_to_frame(picture, self._layout, self._num_channels)
            yield StreamedFrame(t, delta_t, frame, picture=picture)

    def _pictures(self, start: int) -> Iterator[tuple[int, Picture]]:
        """Times and pictures from `start` on."""
        with _open(self._path) as container:
            track = _track(self._path, container)
            base = track.time_base or Fraction(1, _SECOND)
            latest = -1
            frames = self._frames(container, track, start=start)
            while True:
                try:
                    frame = next(frames, None)
                except _ERRORS as error:
                    raise self._damage(latest, _reason(error)) from None
                if frame is None:
                    return
                t = latest + self.delta_t if latest >= 0 else 0
                if frame.pts is not None:
                    t = round((frame.pts - self._origin) * base * _SECOND)
                if t < start:
                    continue
                if frame.is_corrupt:
                    raise self._damage(latest, "the next frame can only be decoded in part")
                latest = max(t, latest + 1)  # times increase strictly
                yield latest, _upright(frame)

    def _frames(
        self, container: InputContainer, track: Track, *, start: int
    ) -> Iterator[av.VideoFrame]:
        """The frames in display order.

        Raises:
            FFmpegError, ValueError: the rest is damaged or missing; the frames before are
                delivered first.
        """
        if start and track.time_base:
            # Seeks to the last keyframe before.
            container.seek(self._origin + int(start / _SECOND / track.time_base), stream=track)
        num_packets = 0
        try:
            for packet in container.demux(track):
                num_packets += packet.size > 0
                yield from packet.decode()
        except _ERRORS:
            # Complete frames that wait for their display order.
            with contextlib.suppress(*_ERRORS):
                yield from track.codec_context.decode(None)
            raise
        # Others state the number of frames at an even rate.
        if not start and "mp4" in container.format.name and num_packets < track.frames:
            raise ValueError(f"it has {num_packets} of the {track.frames} frames that it states")

    def _damage(self, latest: int, reason: str) -> RecordingError:
        where = "its first frame" if latest < 0 else f"the frame after {latest / _SECOND:.3f} s"
        return RecordingError(
            f"{self._path}: {where} cannot be decoded: {reason}. The file is damaged or "
            "truncated: copy it again, or use the frames before."
        )


def _open(path: Path) -> InputContainer:
    try:
        return av.open(str(path), options=_OPTIONS)
    except _ERRORS as error:
        raise RecordingError(
            f"cannot read {path} as a video: {_reason(error)}. Is the name right, and was it "
            "finished and copied completely?"
        ) from None


def _track(path: Path, container: InputContainer) -> Track:
    if not container.streams.video:
        raise RecordingError(f"{path} has no video stream, only others")
    track = container.streams.video[0]
    if track.width * track.height > _MAX_PIXELS:
        raise RecordingError(
            f"cannot read {path}: its pictures are {track.width}x{track.height} (width x height), "
            f"more than {_MAX_PIXELS:,} pixels. Scale the video first."
        )
    track.codec_context.options = _OPTIONS
    return track


def _length(container: InputContainer, track: Track) -> int | None:
    """Duration as stated, in microseconds."""
    if track.duration is not None and track.time_base is not None:
        return round(track.duration * track.time_base * _SECOND)
    return container.duration  # PyAV counts it in microseconds


def _upright(frame: av.VideoFrame) -> Picture:
    """RGB, rotated as the file states: phones record sideways."""
    picture = frame.to_ndarray(format="rgb24")
    turned: Picture = np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90)))
    return turned


def _reason(error: Exception) -> str:
    if isinstance(error, av.ArgumentError):
        return f"it is damaged, or has more than {_MAX_PIXELS:,} pixels"
    return (getattr(error, "strerror", None) or str(error)).rstrip(".").lower()
