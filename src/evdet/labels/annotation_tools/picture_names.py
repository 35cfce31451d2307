"""Names of the labelled pictures -> frame indices."""

import re
from collections.abc import Sequence

from evdet.labels.frame_numbers import frame_numbers
from evdet.labels.source import LabelSource

__all__ = ["check_distinct", "frames_of_names"]


def frames_of_names(source: LabelSource, names: Sequence[str]) -> list[int] | None:
    """Read the frame index in each name, as in the names of files.

    Args:
        source: the labels, for messages.
        names: names, paths or addresses of pictures, such as `frames/frame_000012.png`.

    Returns:
        The indices; None if no name has a number.

    Raises:
        LabelError: it is not clear which number counts the frames, or two names have the same.
    """
    names = [
        re.sub(r"\?[^/]*$", "", name) if "." in name.partition("?")[0] else name for name in names
    ]
    if not any(re.search("[0-9]", name.rpartition("/")[2]) for name in names):
        return None
    return frame_numbers(source, names, what="picture")


def check_distinct(source: LabelSource, frames: Sequence[int], names: Sequence[str]) -> None:
    """Check that no two pictures are the same frame.

    Raises:
        LabelError: two are.
    """
    seen: dict[int, str] = {}
    for frame, name in zip(frames, names, strict=True):
        if frame in seen:
            raise source.error(
                f"{seen[frame]!r:.60} and {name!r:.60} both are frame {frame}: number the pictures "
                "by frame, as in frame_000012.png"
            )
        seen[frame] = name
