"""Ground truth and detections, collected frame by frame.

The caller adds annotated frames only. A frame annotated as empty has a truth of shape (0, 5):
false alarms on it count.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float32

from evdet.metrics.frame_table import Detection, Truth, tabulate, to_array

__all__ = ["FrameKey", "FrameResults", "merge"]

FrameKey = tuple[int, int]
"""(Index of the video, index of the frame in it)."""
_COLUMNS = ("boxes", "labels", "scores")


class FrameResults:
    """Ground truth and detections of many frames, by the frame's key.

    `truths` and `detections` are sorted by key: metrics rank equal scores by position, so a score
    must not depend on the order in which processes finish. Each frame is kept as two small float32
    arrays, which pickle well.

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
        """Add one annotated frame; the arrays are copied to the host.

        Args:
            key: (index of the video, index of the frame in it).
            truth: its objects.
            detection: its detections.

        Raises:
            ValueError: the frame was added already, is of an exhausted lane (video index -1), or
                an array has a wrong shape.
        """
        if key[0] < 0:
            raise ValueError(
                f"frame {key} is of an exhausted lane: it has no video and no ground truth. Add "
                "only annotated frames."
            )
        if key in self._rows:
            raise ValueError(
                f"frame {key} (video, frame) was added already: every frame is scored once"
            )
        rows, found = to_array(truth), {name: to_array(detection[name]) for name in _COLUMNS}
        tabulate([rows], [found], names=[f"frame {key}"])
        self._rows[key] = (
            rows.astype(np.float32),
            np.column_stack([found[name] for name in _COLUMNS]).astype(np.float32),
        )

    def state(self) -> dict[FrameKey, list[list[list[float]]]]:
        """What was added, as plain values: truth and detections of each frame."""
        return {key: [rows.tolist() for rows in both] for key, both in self._rows.items()}

    def restore(self, state: Mapping[FrameKey, Sequence[Sequence[Sequence[float]]]]) -> None:
        """Continue from what `state` gave.

        Args:
            state: truth and detections of each frame; float32 values are exact in it.
        """
        self._rows = {
            key: (
                np.array(truth, np.float32).reshape(-1, 5),
                np.array(found, np.float32).reshape(-1, 6),
            )
            for key, (truth, found) in state.items()
        }

    @property
    def keys(self) -> list[FrameKey]:
        """The keys of all frames, sorted."""
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
    """Join the results of several processes over different frames.

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
