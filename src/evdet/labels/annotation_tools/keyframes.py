"""Keyframes of an object -> its box on every frame, as video annotation tools interpolate."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from evdet.labels.source import BoxRows, LabelSource

__all__ = ["Keyframe", "NumberedBox", "TrackIds", "add_empty_frames", "fill_frames", "last_frame"]

# The boxes of a file whose numbers are damaged must not fill the memory.
_MAX_FRAMES = 1_000_000
# A task may be longer than the recording, but not by this.
_MAX_TIMES_LONGER, _MAX_MORE = 10, 1000


class Keyframe(NamedTuple):
    """The box of an object on a frame that the annotator drew."""

    frame: int
    """Index of the frame, from 0."""
    xywh: tuple[float, float, float, float]
    """Top left corner, width and height, in pixels."""
    rotation: float = 0.0
    """In degrees."""
    is_shown: bool = True
    """The object is visible on this frame."""
    continues: bool = True
    """The object is visible on the frames up to the next keyframe."""


class NumberedBox(NamedTuple):
    """The box of an object on one frame."""

    frame: int
    """Index of the frame, from 0."""
    xywh: tuple[float, float, float, float]
    """Top left corner, width and height, in pixels."""
    is_rotated: bool
    """Its sides are not parallel to those of the picture."""


class TrackIds:
    """Track ids of a tool as those of evdet, where 0 is a box without a track.

    Args:
        names: the ids in the file. Whole numbers are kept; one is added to all where one is 0.
            Other names are numbered from 1, in the order of the file.
    """

    def __init__(self, names: Sequence[str]) -> None:
        numbers = {name: int(name) for name in names if name.isdecimal() and len(name) < 10}
        if len(numbers) == len(set(names)):
            shift = 1 if 0 in numbers.values() else 0
            self._ids = {name: number + shift for name, number in numbers.items()}
        else:
            self._ids = {name: i for i, name in enumerate(dict.fromkeys(names), start=1)}

    def __getitem__(self, name: str) -> int:
        return self._ids[name]


def fill_frames(
    source: LabelSource, keyframes: Sequence[Keyframe], *, last: int, step: int = 1, where: str = ""
) -> Iterator[NumberedBox]:
    """Give the box of an object on every frame where it is visible.

    Between two keyframes the box moves linearly. After the last one it stays where it is.

    Args:
        source: the file, for the error.
        keyframes: in any order.
        last: the last frame on which a box stays.
        step: frames from one annotated frame to the next.
        where: location in the file, for the error.

    Raises:
        LabelError: two keyframes have the same frame, or a frame lies far beyond the recording.
    """
    ordered = sorted(set(keyframes))
    if ordered:
        _check_frame(source, max(last, ordered[-1].frame), where)
    for one, other in pairwise(ordered):
        if one.frame == other.frame:
            raise source.error(f"two different boxes on frame {one.frame}", where)
    for i, keyframe in enumerate(ordered):
        following = ordered[i + 1] if i + 1 < len(ordered) else None
        if keyframe.is_shown:
            yield NumberedBox(keyframe.frame, keyframe.xywh, keyframe.rotation % 360 != 0)
        if not keyframe.continues:
            continue
        stop = last + 1 if following is None else following.frame
        for frame in range(keyframe.frame + step, stop, step):
            if following is None:
                yield NumberedBox(frame, keyframe.xywh, keyframe.rotation % 360 != 0)
                continue
            share = (frame - keyframe.frame) / (following.frame - keyframe.frame)
            x, y, w, h = (
                a + (b - a) * share for a, b in zip(keyframe.xywh, following.xywh, strict=True)
            )
            rotation = keyframe.rotation + (following.rotation - keyframe.rotation) * share
            yield NumberedBox(frame, (x, y, w, h), rotation % 360 != 0)


def add_empty_frames(source: LabelSource, rows: BoxRows, frames: range) -> None:
    """Add the frames without a box as times without objects.

    Args:
        source: the file.
        rows: the boxes of the file; changed.
        frames: the frames that were annotated.

    Raises:
        LabelError: a frame lies far beyond the recording, or the frame period is not known.
    """
    _check_frame(source, frames[-1] if frames else 0)
    with_boxes = {row[0] for row in rows.rows}
    times = (source.frame_time(frame) for frame in frames)
    rows.empty_times += [t for t in times if t not in with_boxes]


def last_frame(source: LabelSource) -> int | None:
    """The last frame of the recording; None if the recording or the period is not known."""
    recording, period = source.recording, source.frame_period
    if recording is None or not period or recording.end is None:
        return None
    return recording.end // period - (recording.start or 0) // period


def _check_frame(source: LabelSource, frame: int, where: str = "") -> None:
    in_recording = last_frame(source)
    most = _MAX_FRAMES if in_recording is None else in_recording * _MAX_TIMES_LONGER + _MAX_MORE
    if frame <= most:
        return
    what = f"frame {frame:,} is far beyond the last"
    if in_recording is not None:
        what = (
            f"frame {frame:,} is far beyond the recording, which has {in_recording + 1:,} frames "
            f"of {source.frame_period} us: is --frame-period right, and the recording?"
        )
    raise source.error(what, where)
