"""Time bins of a recording -> numbered pictures, for annotation tools."""

import re
from collections.abc import Iterator
from pathlib import Path

from evdet.atomic_file import write_bytes
from evdet.draw import encode_png
from evdet.events import Recording, SensorSize, events_to_picture
from evdet.shapes import Picture

__all__ = ["check_picture_folder", "number_of_picture", "picture_name", "write_pictures"]

_NAME = re.compile(r"frame_(\d{6,12})\.png$")


def picture_name(frame: int) -> str:
    """The name of the picture of a frame."""
    return f"frame_{frame:06d}.png"


def number_of_picture(path: Path) -> int | None:
    """The frame of a picture; None if the file is not such a picture."""
    match = _NAME.match(path.name)
    return int(match[1]) if match else None


def check_picture_folder(folder: Path, frames: range, *, overwrite: bool) -> None:
    """Check that pictures can be written to a folder without a mixture of two runs.

    Args:
        folder: the folder; it need not exist.
        frames: the frames to write.
        overwrite: pictures of these frames may exist.

    Raises:
        ValueError: the path is a file, its parent folder does not exist, or the folder has
            pictures.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"cannot write pictures to {folder}: it is not a folder")
    if not folder.absolute().parent.is_dir():
        raise ValueError(f"cannot write pictures to {folder}: {folder.parent} does not exist")
    if not folder.is_dir():
        return
    there = [n for path in folder.iterdir() if (n := number_of_picture(path)) is not None]
    if there and not overwrite:
        raise ValueError(
            f"cannot write pictures to {folder}: it has {len(there):,} already, such as "
            f"{picture_name(min(there))} (--force replaces them)"
        )
    others = sorted(n for n in there if n not in frames)
    if others:
        raise ValueError(
            f"cannot write pictures to {folder}: it has pictures of other frames, such as "
            f"{picture_name(others[0])}, which would stay. Remove them, or name another folder"
        )


def write_pictures(
    recording: Recording, folder: Path, *, delta_t: int, bins: range, size: SensorSize
) -> Iterator[Picture]:
    """Write the picture of each time bin, in the sensor's size and without boxes.

    The picture of frame k, frame_00000k.png, shows the k-th bin of `recording.slices(delta_t)`.

    Args:
        recording: the events.
        folder: where the pictures are written; created if it does not exist.
        delta_t: duration of a time bin in microseconds.
        bins: indices of the time bins to write; bin 0 starts at time 0.
        size: the sensor's size.

    Returns:
        The same pictures, each after it is written.

    Raises:
        RecordingError: the recording is damaged; the pictures before the damage are written.
        OSError: a picture cannot be written.
    """
    folder.mkdir(exist_ok=True)
    first = recording.start // delta_t
    for time_bin in recording.slices(delta_t, since=bins.start * delta_t):
        k = time_bin.start // delta_t
        if k >= bins.stop:
            return
        picture = events_to_picture(time_bin.events, size)
        write_bytes(folder / picture_name(k - first), encode_png(picture))
        yield picture
