"""What a writer of labels needs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evdet.events import SensorSize
from evdet.labels.binning import LabeledTimes
from evdet.labels.conversion.frames import label_times
from evdet.shapes import BoxEvents

__all__ = ["Target"]


@dataclass(frozen=True, eq=False)
class Target:
    """Labels, and where and how they are written."""

    path: Path
    """The file, or the folder."""
    part: Path
    """Where a folder is written; it gets its name at the end."""
    labeled: LabeledTimes
    """Ids from 1."""
    label_map: Mapping[int, str]
    """Names of the ids on disk."""
    size: SensorSize | None
    """The sensor's size, where the format needs it."""
    frames: Mapping[int, int]
    """Frame number of each annotated time; empty for formats with times."""

    def by_time(self) -> Iterator[tuple[int, BoxEvents]]:
        """Each annotated time and all its boxes, with flags if there are any; ids from 1."""
        boxes = self.labeled.flagged()
        times = np.array(label_times(self.labeled), np.int64)
        starts = np.searchsorted(boxes["t"], times)
        stops = np.searchsorted(boxes["t"], times, side="right")
        for t, start, stop in zip(times.tolist(), starts, stops, strict=True):
            yield t, boxes[start:stop]

    def name_of(self, class_id: int) -> str:
        """The name of a class.

        Args:
            class_id: id on disk.

        Raises:
            ValueError: the label map has no class with the id.
        """
        if class_id not in self.label_map:
            raise ValueError(f"the label map has no class with the id {class_id}")
        return self.label_map[class_id]
