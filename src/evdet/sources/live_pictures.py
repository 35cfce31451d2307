"""open_live_pictures: a webcam or network camera -> frames, the newest picture each time."""

import errno
import logging
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream as Track

from evdet.events import RecordingError, SensorSize
from evdet.events.live import AgeBound
from evdet.frame_spec import FrameSpec
from evdet.shapes import Picture
from evdet.sources.frame import StreamedFrame
from evdet.sources.frame_layout import LaidOut, fit_pictures
from evdet.sources.images import picture_to_frame
from evdet.sources.picture_cameras import PictureCamera

__all__ = ["LivePictures"]

_log = logging.getLogger(__name__)

_ERRORS = (av.FFmpegError, OSError)
# How FFmpeg reports that the other side has closed a connection.
_CLOSED = (errno.EIO, errno.ECONNRESET, errno.EPIPE)
_SECOND = 1_000_000
_TIMEOUT = 10.0  # seconds without an answer, and without a picture
_USUAL_DELTA_T = 40_000  # 25 pictures/s, where a camera does not state its rate
_LONGEST_STEP = 60 * _SECOND  # a camera's clock that jumps further was set anew
_LONGEST_WAIT = 0.5  # seconds; some systems deliver Ctrl-C only between two waits
_LONGEST_CLOSE = 1.0
_LOG_PERIOD = 10.0  # seconds between two warnings
# Larger pictures are refused by the decoder.
_MAX_PIXELS = 1 << 26
# RTSP over TCP where the camera has it, since lost UDP packets damage pictures.
_OPTIONS = {"max_pixels": str(_MAX_PIXELS), "rtsp_flags": "prefer_tcp"}


class LivePictures(LaidOut):
    """The pictures of a camera; a `FrameStream` for one iteration. `open_live_pictures` makes it.

    A thread decodes all pictures, of which the iteration gets the newest; the others are skipped
    and counted. Times are those of the camera, from its first picture on. What has an end, such as
    a video file on a server, waits, and no picture of it is skipped.

    `time.monotonic() - frame.arrived` is the latency of a frame's boxes.

    Args:
        camera: what to open.
        spec: the detector's frame spec.
        max_age: bound on the age of boxes, in microseconds from when their picture was decoded
            until the next is asked for; a warning is logged before it is broken. None sets none.

    Raises:
        RecordingError: there is no such camera, it does not answer, or sends no pictures.
    """

    num_frames = None

    def __init__(self, camera: PictureCamera, spec: FrameSpec, *, max_age: int | None) -> None:
        self.name = camera.name.replace("://", "_").replace(" ", "_").replace("/", "_")
        self.num_skipped = 0
        """Pictures that were skipped, because a newer one came before they were asked for."""
        self._camera = camera
        self._num_channels = spec.in_channels
        self._waits = False
        self._newest: tuple[av.VideoFrame, int, float] | None = None
        self._problem: RecordingError | None = None
        self._has_ended = self._is_stopped = False
        self._num_damaged = 0
        self._last_log = float("-inf")
        self._bound = None
        if max_age is not None:
            self._bound = AgeBound(
                max_age / _SECOND, name=camera.name, frame_time=None, clock=time.monotonic
            )
        # Guards all attributes above.
        self._changed = threading.Condition()
        self._container, self._track = _open(camera)
        rate = self._track.average_rate or self._track.base_rate
        self.delta_t = max(1, round(_SECOND / rate)) if rate else _USUAL_DELTA_T
        self._waits = bool(self._container.duration)
        self._thread = threading.Thread(target=self._read, name=f"read {camera.name}", daemon=True)
        self._thread.start()
        first = self._wait()
        if first is None:
            raise self._problem or RecordingError(f"{camera.name} has no pictures")
        size = SensorSize(*_upright(first[0]).shape[:2])
        super().__init__(fit_pictures(camera.name, size, SensorSize(spec.height, spec.width)))

    def __iter__(self) -> Iterator[StreamedFrame]:
        """Read the camera, up to its end, `stop`, or Ctrl-C while it waits.

        Raises:
            RecordingError: the camera does not answer any more.
        """
        before = None
        try:
            while True:
                if self._bound is not None:
                    self._bound.end()
                found = self._take()
                if found is None:
                    break
                decoded, t, arrived = found
                if self._bound is not None:
                    self._bound.begin(arrived)
                yield self._make(decoded, t, t - before if before is not None else self.delta_t,
                                 arrived)  # fmt: skip
                before = t
        finally:
            self.stop()
            self._thread.join(_LONGEST_CLOSE)
        if self._problem is not None:
            raise self._problem

    def stop(self) -> None:
        """End the source. A signal handler may call it."""
        if self._bound is not None:
            self._bound.close()
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def _make(self, decoded: av.VideoFrame, t: int, delta_t: int, arrived: float) -> StreamedFrame:
        picture = _upright(decoded)
        size = SensorSize(*picture.shape[:2])
        if size != self.size:
            raise RecordingError(
                f"{self._camera.name}: its pictures are now {size}, those before were {self.size}. "
                "Start again"
            )
        frame = picture_to_frame(picture, self._layout, self._num_channels)
        return StreamedFrame(t, delta_t, frame, picture=picture, arrived=arrived)

    # The consumer.

    def _take(self) -> tuple[av.VideoFrame, int, float] | None:
        """Wait for a picture, and take it; None at the end."""
        try:
            found = self._wait()
        except KeyboardInterrupt:
            return None
        with self._changed:
            if found is not None and self._newest is not None:
                found = self._newest  # a newer one may have come
            self._newest = None
            self._changed.notify_all()
        return found

    def _wait(self) -> tuple[av.VideoFrame, int, float] | None:
        with self._changed:
            while self._newest is None and not (self._has_ended or self._is_stopped):
                self._changed.wait(_LONGEST_WAIT)
            return None if self._is_stopped else self._newest

    # The thread.

    def _read(self) -> None:
        clock = _CameraClock(self._track.time_base, self.delta_t)
        try:
            for packet in self._container.demux(self._track):
                for decoded in self._decode(packet):
                    self._put(decoded, clock)
                if self._is_stopped:
                    break
        except _ERRORS as error:
            if self._camera.format is None and error.errno in _CLOSED:
                _log.warning("%s ended the connection", self._camera.name)
            else:
                with self._changed:
                    self._problem = _ended(self._camera, error)
        finally:
            self._container.close()
            with self._changed:
                self._has_ended = True
                self._changed.notify_all()

    def _decode(self, packet: Any) -> list[av.VideoFrame]:
        """The whole pictures of a packet: a stream may be entered between two of them."""
        try:
            found = packet.decode()
        except av.InvalidDataError:
            found, is_damaged = [], True
        else:
            is_damaged = any(decoded.is_corrupt for decoded in found)
        if is_damaged:
            self._num_damaged += 1
            now = time.monotonic()
            if now - self._last_log >= _LOG_PERIOD:
                self._last_log = now
                _log.warning(
                    "%s: pictures arrive damaged, and are left out (%d so far)",
                    self._camera.name, self._num_damaged,
                )  # fmt: skip
        return [decoded for decoded in found if not decoded.is_corrupt]

    def _put(self, decoded: av.VideoFrame, clock: "_CameraClock") -> None:
        arrived = time.monotonic()
        t = clock.time_of(decoded.pts, arrived)
        with self._changed:
            while self._waits and self._newest is not None and not self._is_stopped:
                self._changed.wait(_LONGEST_WAIT)
            self.num_skipped += self._newest is not None
            self._newest = decoded, t, arrived
            self._changed.notify_all()


class _CameraClock:
    """Times of pictures in microseconds, from 0 on, that increase also where a camera's do not."""

    def __init__(self, time_base: Fraction | None, delta_t: int) -> None:
        self._base = time_base or Fraction(1, _SECOND)
        self._delta_t = delta_t
        self._before: tuple[int | None, int, float] | None = None

    def time_of(self, pts: int | None, arrived: float) -> int:
        if self._before is None:
            t = 0
        else:
            earlier, latest, since = self._before
            step = None
            if pts is not None and earlier is not None:
                step = round((pts - earlier) * self._base * _SECOND)
            if step is None or not 0 < step <= _LONGEST_STEP:
                step = round((arrived - since) * _SECOND)
            t = latest + max(1, step)
        self._before = pts, t, arrived
        return t


def _open(camera: PictureCamera) -> tuple[InputContainer, Track]:
    address = camera.address
    if camera.format == "dshow":
        address = _name_on_windows(camera)
    began = time.monotonic()
    options = _OPTIONS | ({"framerate": "30"} if camera.format == "avfoundation" else {})
    try:
        container = av.open(
            address, format=camera.format, options=options, timeout=(_TIMEOUT, _TIMEOUT)
        )
    except _ERRORS as error:
        # RTSP reports the time limit as invalid data.
        if isinstance(error, av.ExitError) or time.monotonic() - began >= _TIMEOUT:
            raise RecordingError(
                f"cannot open {camera.name}: no answer within {_TIMEOUT:g} s (is it on, and is "
                "the address right?)"
            ) from None
        raise RecordingError(
            f"cannot open {camera.name}: {_reason(error)} ({_hint(camera)})"
        ) from None
    if not container.streams.video:
        container.close()
        raise RecordingError(f"{camera.name} sends no pictures, only other streams")
    track = container.streams.video[0]
    track.codec_context.options = {"max_pixels": str(_MAX_PIXELS)}
    track.thread_type = "SLICE"  # threads for whole frames would add their number to the delay
    return container, track


def _name_on_windows(camera: PictureCamera) -> str:
    names = [
        device.name
        for device in av.enumerate_input_devices("dshow")
        if "video" in (device.media_types or ["video"])
    ]
    if int(camera.address) >= len(names):
        raise RecordingError(
            f"cannot open {camera.name}: webcams here: {', '.join(names) or 'none'}"
        )
    return f"video={names[int(camera.address)]}"


def _hint(camera: PictureCamera) -> str:
    if camera.format is None:
        return "is the camera on, and is the address right?"
    if sys.platform != "linux":
        return "is it plugged in, and does another program use it?"
    from pathlib import Path

    found = sorted(path.name.removeprefix("video") for path in Path("/dev").glob("video*"))
    return f"webcams here: {', '.join(found) or 'none'}"


def _ended(camera: PictureCamera, error: Exception) -> RecordingError:
    if isinstance(error, av.ExitError):
        return RecordingError(f"{camera.name} sends nothing for {_TIMEOUT:g} s (is it still on?)")
    return RecordingError(f"cannot read {camera.name} any further: {_reason(error)}")


def _upright(frame: av.VideoFrame) -> Picture:
    """RGB, rotated as the camera states."""
    picture = frame.to_ndarray(format="rgb24")
    turned: Picture = np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90)))
    return turned


def _reason(error: Exception) -> str:
    """The reason without the address, which may hold a password."""
    return (getattr(error, "strerror", None) or type(error).__name__).rstrip(".").lower()
