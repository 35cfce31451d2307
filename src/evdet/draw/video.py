"""Frames -> an MP4 file. The only module that knows PyAV."""

import itertools
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

__all__ = ["VideoUnavailableError", "write_video"]


class VideoUnavailableError(RuntimeError):
    """Videos cannot be written here; the message is one line that says why."""


def write_video(
    path: str | os.PathLike[str], frames: Iterable[UInt8[np.ndarray, "H W 3"]], fps: float | int
) -> None:
    """Write an MP4 file (H.264) that every browser plays.

    Frames are encoded as they come, so that a generator needs no memory. Colour is stored at
    half the resolution: `upscale` small frames before drawing fine lines on them.

    Args:
        path: the file; it appears when it is complete, and replaces an older one.
        frames: RGB pictures of one size; odd sizes are padded by a black row or column.
        fps: frames per second.

    Raises:
        ValueError: no frames, or frames of different sizes.
        VideoUnavailableError: PyAV is missing, or it has no H.264 encoder.
    """
    _check_video_available()
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise ValueError(f"a video needs at least one frame, got none for {path}")
    part = Path(path).with_name(f".{Path(path).name}.part")
    try:
        _encode_video(part, first, iterator, fps)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _check_video_available() -> None:
    try:
        import av
    except ImportError as error:
        message = "no video: PyAV is not installed (pip install av)"
        raise VideoUnavailableError(message) from error
    if "libx264" not in av.codecs_available:
        raise VideoUnavailableError("no video: this PyAV has no H.264 encoder (libx264)")


def _encode_video(
    path: Path,
    first: UInt8[np.ndarray, "H W 3"],
    others: Iterator[UInt8[np.ndarray, "H W 3"]],
    fps: float | int,
) -> None:
    import av

    height, width = first.shape[:2]
    even = ((0, height % 2), (0, width % 2), (0, 0))
    # faststart: the index comes first, so that a browser plays before it has everything.
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.height, stream.width = height + height % 2, width + width % 2
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "20", "preset": "veryfast"}
        for frame in itertools.chain([first], others):
            if frame.shape != first.shape:
                raise ValueError(f"frames differ in size: {first.shape}, then {frame.shape}")
            picture = av.VideoFrame.from_ndarray(np.pad(frame, even), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
