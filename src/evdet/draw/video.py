"""Frames -> an MP4 file. The only module of draw/ that imports PyAV."""

import contextlib
import itertools
import os
import sys
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evdet.atomic_file import replacing, write_error
from evdet.shapes import Picture

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

__all__ = ["VideoUnavailableError", "VideoWriter", "check_video_available", "write_video"]


_SECOND = 1_000_000
_MICROSECOND = Fraction(1, _SECOND)
# The container holds the time from frame to frame in 31 bits.
_LONGEST = 1000 * _SECOND


class VideoUnavailableError(RuntimeError):
    """Videos cannot be written; the message is one line with the reason."""


def write_video(path: str | os.PathLike[str], frames: Iterable[Picture], fps: float | int) -> None:
    """Write an MP4 file (H.264) that browsers play.

    Frames are encoded one by one, so a generator takes little RAM. Colour is stored at half the
    resolution: `upscale` small frames before drawing fine lines on them.

    Args:
        path: the file; it appears when it is complete, and replaces an older one.
        frames: RGB pictures of one size; odd sizes are padded by a black row or column.
        fps: frames per second.

    Raises:
        ValueError: no frames, or frames of different sizes.
        VideoUnavailableError: PyAV is missing, or it has no H.264 encoder.
    """
    check_video_available()
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise ValueError(f"a video needs at least one frame, got none for {path}")
    with replacing(path) as part:
        # faststart: the index comes first, so that playing starts before the download ends.
        rate = _rate(fps)
        encoder = _Encoder(part, first.shape, rate, 1 / rate, flags="faststart")
        try:
            for index, frame in enumerate(itertools.chain([first], iterator)):
                encoder.add(frame, index, 1)
        finally:
            encoder.finish()


class VideoWriter:
    """An MP4 file (H.264) that plays at any time: while it is written, finished, or truncated.

    Frames have times, evenly spaced or not, and each is shown until the next. Until the file is
    closed it consists of fragments, one per frame, that need no index. `close` appends
    an index. The encoder delays frames by up to two seconds.

    Args:
        path: the file; it appears, and replaces an older one, when it has a frame to play (on
            Windows when it is closed).
        fps: usual frames per second; the last frame is shown for one of them.

    Raises:
        VideoUnavailableError: PyAV is missing, or it has no H.264 encoder.
    """

    def __init__(self, path: str | os.PathLike[str], fps: float | int) -> None:
        check_video_available()
        self.path = Path(path)
        self._fps = fps
        self._encoder: _Encoder | None = None
        self._part: Path | None = None  # of a file that does not have its name yet
        self._naming = contextlib.ExitStack()
        self._first = self._last = 0
        self._picture: Picture = np.zeros((0, 0, 3), np.uint8)

    def write(self, picture: Picture, t: int) -> None:
        """Add a frame.

        Args:
            picture: RGB, of the same size as the one before; odd sizes are padded.
            t: its time in microseconds, later than the one before; the video starts at the time of
                its first frame.

        Raises:
            ValueError: the picture has another size.
            OSError: the disk is full; the file plays the frames written before.
        """
        if self._encoder is None:
            flags = "hybrid_fragmented+frag_every_frame"
            self._part = self._naming.enter_context(replacing(self.path))
            self._encoder = _Encoder(
                self._part, picture.shape, _rate(self._fps), _MICROSECOND, flags=flags
            )
            self._first = self._last = t
            self._picture = picture
        duration = min(max(1, round(_SECOND / self._fps)), _LONGEST)
        try:
            # The picture before is repeated in a long pause.
            for time in range(self._last + _LONGEST, t, _LONGEST):
                self._encoder.add(self._picture, time - self._first, duration)
            self._encoder.add(picture, t - self._first, duration)
            # On Windows a file that is open cannot be renamed: it gets its name when it is closed.
            if sys.platform != "win32" and self._part is not None and _whole_fragments(self._part):
                self._name()
        except OSError as error:
            self._give_up(error)
            raise write_error(self.path, error) from error
        self._last, self._picture = t, picture

    def close(self) -> None:
        """Finish the file; without frames it is not created. Closing again does nothing.

        Raises:
            OSError: the disk is full; the file plays the frames written before.
        """
        if self._encoder is None:
            return
        try:
            self._encoder.finish()
            self._name()
        except OSError as error:
            self._give_up(error)
            raise write_error(self.path, error) from error
        except BaseException as error:
            self._naming.__exit__(type(error), error, error.__traceback__)
            raise
        self._encoder = None

    def _name(self) -> None:
        """Give the file its name; it is written on."""
        self._naming.close()
        self._part = None

    def _give_up(self, error: OSError) -> None:
        """Keep only complete fragments; without any, the older file stays."""
        if self._encoder is None:
            return
        with contextlib.suppress(OSError):
            self._encoder.close()
        self._encoder = None
        if self._part is not None and not self._part.exists():
            return  # it could not get its name
        file = self._part or self.path
        whole = _whole_fragments(file)
        os.truncate(file, whole)
        if self._part is not None and whole:
            self._name()
        elif self._part is not None:
            with contextlib.suppress(OSError):
                self._naming.__exit__(type(error), error, error.__traceback__)


class _Encoder:
    """H.264 pictures in an MP4 container."""

    def __init__(
        self, path: Path, shape: tuple[int, ...], rate: Fraction, time_base: Fraction, *, flags: str
    ) -> None:
        import av

        self._time_base = time_base

        self._shape = shape
        height, width = shape[:2]
        self._container: OutputContainer = av.open(
            str(path), "w", format="mp4", options={"movflags": flags, "flush_packets": "1"}
        )
        self._stream: VideoStream = self._container.add_stream("libx264", rate=rate)
        self._stream.codec_context.time_base = time_base
        self._stream.height, self._stream.width = height + height % 2, width + width % 2
        self._stream.pix_fmt = "yuv420p"
        # bf: frames that depend on later ones need a time shift, which fragments do not have.
        self._stream.options = {"crf": "20", "preset": "veryfast", "bf": "0"}

    def add(self, picture: Picture, pts: int, duration: int) -> None:
        """Add a picture; both times are in units of the time base."""
        import av

        if picture.shape != self._shape:
            raise ValueError(f"frames differ in size: {self._shape}, then {picture.shape}")
        even = ((0, self._shape[0] % 2), (0, self._shape[1] % 2), (0, 0))
        frame = av.VideoFrame.from_ndarray(np.pad(picture, even), format="rgb24")
        frame.pts, frame.time_base, frame.duration = pts, self._time_base, duration
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        try:
            self._container.mux(self._stream.encode())
        finally:
            self._container.close()

    def close(self) -> None:
        """Close the file without the frames that the encoder still holds."""
        self._container.close()


def _rate(fps: float | int) -> Fraction:
    """Frames per second as videos state them; slower ones have times all the same."""
    return max(Fraction(fps).limit_denominator(1001), Fraction(1, 1001))


def check_video_available() -> None:
    """Check that videos can be written, before any long work.

    Raises:
        VideoUnavailableError: PyAV is missing, or it has no H.264 encoder.
    """
    try:
        import av
    except ImportError as error:
        message = "no video: PyAV is not installed (pip install av)"
        raise VideoUnavailableError(message) from error
    if "libx264" not in av.codecs_available:
        raise VideoUnavailableError("no video: this PyAV has no H.264 encoder (libx264)")


def _whole_fragments(path: Path) -> int:
    """Where the last complete frame of a fragmented file ends; 0 without frames.

    Source:
        ISO/IEC 14496-12: a file is a sequence of boxes; each begins with its size in 4 bytes, or
        with 1, its name and its size in 8 bytes.
    """
    end = whole = 0
    num_bytes = path.stat().st_size
    with path.open("rb") as file:
        while len(head := file.read(16)) >= 8:
            size = int.from_bytes(head[:4])
            if size == 1:
                size = int.from_bytes(head[8:])
            end += size
            if size < 8 or end > num_bytes:
                break
            # The index comes last; before the first frame there is one of nothing.
            if head[4:8] == b"mdat" or (whole and head[4:8] == b"moov"):
                whole = end
            file.seek(end)
    return whole
