"""Names of the labelled pictures -> frame indices."""

import re
from collections.abc import Sequence

from evdet.labels.source import LabelSource

__all__ = ["check_distinct", "frames_of_names"]


def frames_of_names(names: Sequence[str]) -> list[int] | None:
    """Read the frame index at the end of each name.

    Args:
        names: names, paths or addresses of pictures, such as `frames/frame_000012.png`.

    Returns:
        The indices; None if a name does not end in a number, or two end in the same.

    Example:
        >>> frames_of_names(["images/frame_000012.png", "frame_000013.png"])
        [12, 13]
    """
    stems = [re.sub(r"\.[A-Za-z]{2,5}(\?.*)?$", "", name.strip()) for name in names]
    digits = [re.search(r"(\d{1,12})$", stem) for stem in stems]
    frames = [int(match[1]) for match in digits if match]
    return frames if len(frames) == len(set(frames)) == len(names) else None


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
