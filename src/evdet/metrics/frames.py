"""Ground truth and detections, collected frame by frame.

A frame that is not annotated is left out by the caller. A frame annotated as empty stays in,
with a truth of shape (0, 5): false alarms on it count.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float32

from evdet.metrics.frame_table import Detection, Truth, tabulate, to_array

__all__ = ["FrameKey", "FrameResults", "merge"]

FrameKey = tuple[int, int]
"""Which frame: (index of the video, index of the frame in it)."""
_COLUMNS = ("boxes", "labels", "scores")


class FrameResults:
    """Ground truth and detections of many frames, kept under each frame's key.

    Whatever order the frames arrive in, `truths` and `detections` list them by key: metrics
    settle equal scores by position, so a number must not depend on who was faster. Each frame
    is kept as two small float32 arrays, which pickles well.

    Example:
        >>> results = FrameResults()
        >>> detection = {"boxes": np.zeros((0, 4)), "labels": np.zeros(0), "scores": np.zeros(0)}
        >>> results.add((0, 7), np.array([[1.0, 2.0, 3.0, 4.0, 1.0]]), detection)
        >>> results.keys
        [(0, 7)]
    """

    def __init__(self) -> None:
        self._rows: dict[
            FrameKey, tuple[Float32[np.ndarray, "_ 5"], Float32[np.ndarray, "_ 6"]]
        ] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, key: FrameKey, truth: Truth, detection: Detection) -> None:
        """Keep one annotated frame; the arrays are copied to the host.

        Args:
            key: (index of the video, index of the frame in it).
            truth: its objects.
            detection: what was found in it.

        Raises:
            ValueError: the frame is there already, it is of an exhausted lane (video
                index -1), or the arrays have other shapes than they should.
        """
        if key[0] < 0:
            raise ValueError(
                f"frame {key} is of an exhausted lane: it has no video, so it has no truth. "
                "Add only annotated frames."
            )
        if key in self._rows:
            raise ValueError(
                f"frame {key} (video, frame) is there already: every frame is scored once"
            )
        rows, found = to_array(truth), {name: to_array(detection[name]) for name in _COLUMNS}
        tabulate([rows], [found], names=[f"frame {key}"])
        self._rows[key] = (
            rows.astype(np.float32),
            np.column_stack([found[name] for name in _COLUMNS]).astype(np.float32),
        )

    @property
    def keys(self) -> list[FrameKey]:
        """The frames that are there, in order."""
        return sorted(self._rows)

    @property
    def truths(self) -> list[Float32[np.ndarray, "_ 5"]]:
        """The objects of each frame, in the order of `keys`."""
        return [self._rows[key][0] for key in self.keys]

    @property
    def detections(self) -> list[dict[str, np.ndarray]]:
        """The detections of each frame, in the order of `keys`."""
        found = (self._rows[key][1] for key in self.keys)
        return [
            {"boxes": rows[:, :4], "labels": rows[:, 4].astype(np.int64), "scores": rows[:, 5]}
            for rows in found
        ]


def merge(parts: Iterable[FrameResults]) -> FrameResults:
    """Join the results of several processes.

    Args:
        parts: results over different frames; any of them may be empty.

    Returns:
        All their frames in a new container.

    Raises:
        ValueError: two parts hold the same frame.
    """
    merged = FrameResults()
    for part in parts:
        repeated = merged._rows.keys() & part._rows.keys()
        if repeated:
            raise ValueError(
                f"{len(repeated)} frames were scored by two processes; the first is "
                f"{min(repeated)} (video, frame). Did both play the same lanes?"
            )
        merged._rows.update(part._rows)
    return merged
