"""Batches and their detections -> truth and detections of each recording, at their times."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from evdet.boxes import BOX_DTYPE, to_box_events
from evdet.data import Batch
from evdet.evaluation.detecting import Found
from evdet.evaluation.played_recordings import PlayedRecording, select_truth
from evdet.events import SensorSize
from evdet.metrics import Protocol, ScoredRecording
from evdet.shapes import BoxEvents

__all__ = ["RecordingResults"]

_CLASS_SCORE_DTYPE = np.dtype([*BOX_DTYPE.descr, ("class_score", "<f4")])


class RecordingResults:
    """Collects what was found in recordings, in the pixels that a protocol measures boxes in.

    Args:
        protocol: says which pixels, and whether truth is clipped.
        played: the recordings in the order of the loader; None where batches are all there is,
            as of Moving MNIST, whose labels then lie at the ends of time bins.
        counts_events: count the events in the boxes of the truth.
    """

    def __init__(
        self,
        protocol: Protocol,
        played: Sequence[PlayedRecording] | None,
        *,
        counts_events: bool = False,
    ) -> None:
        self._protocol = protocol
        self._played = played
        self._counts_events = counts_events
        self._parts: dict[int, _Part] = {}
        self._frame_size = SensorSize(0, 0)
        self._delta_t = 0

    @property
    def delta_t(self) -> int:
        """Duration of a time bin in microseconds; 0 before the first batch."""
        return self._delta_t

    @property
    def size(self) -> SensorSize:
        """Height and width of the picture that boxes are measured in."""
        first = min(self._parts, default=0)
        height, width = self._sensor_size(first)
        down, across = self._scale_of(first, of_sensor=True)
        return SensorSize(round(height * down), round(width * across))

    def add(self, batch: Batch, found: Found) -> None:
        """Keep a batch: the detections of all its frames, the labels of the labelled ones.

        Args:
            batch: frames and labels.
            found: what was found in it.
        """
        self._frame_size = SensorSize(*batch["inputs"].shape[3:])
        is_labeled = batch["frame_is_labeled"].tolist()
        for lane, info in enumerate(batch["video_infos"]):
            if info.index < 0:
                continue
            self._delta_t = info.delta_t
            part = self._parts.setdefault(info.index, _Part(info.name))
            played = self._played[info.index] if self._played else None
            first_bin = 0 if played is None else played.first_bin
            for t, frames in enumerate(found):
                number = info.first_frame + t
                if played is not None and number >= played.num_bins:
                    break  # silence that fills up the last clip
                end = (first_bin + number + 1) * info.delta_t
                part.found.append(_to_records(frames[lane], end))
                if is_labeled[t][lane]:
                    part.looked.append(first_bin + number)
                    part.truth.append(_to_truth(batch["labels"][t][lane], end))

    def recordings(self) -> list[ScoredRecording]:
        """Give the recordings, in the order of the loader."""
        return [self._finish(index) for index in sorted(self._parts)]

    def _finish(self, index: int) -> ScoredRecording:
        part = self._parts[index]
        found = _join(part.found)
        _scale(found, self._scale_of(index, of_sensor=False))
        looked = np.array(part.looked, np.int64)
        played = self._played[index] if self._played else None
        if played is None or played.labeled is None:
            truth, times = _join(part.truth), (looked + 1) * self._delta_t
            _scale(truth, self._scale_of(index, of_sensor=False))
            return ScoredRecording(part.name, truth, times, found)
        truth, times = select_truth(
            played,
            looked,
            delta_t=self._delta_t,
            clips=self._protocol.clips_truth,
            counts_events=self._counts_events,
        )
        _scale(truth, self._scale_of(index, of_sensor=True))
        return ScoredRecording(part.name, truth, times, found)

    def _sensor_size(self, index: int) -> SensorSize:
        return self._played[index].size if self._played else self._frame_size

    def _scale_of(self, index: int, *, of_sensor: bool) -> tuple[float, float]:
        """From pixels of the sensor, or of the frame, to the protocol's: down and across."""
        sensor = self._sensor_size(index)
        target = {
            "frame": self._frame_size,
            "sensor": sensor,
            "half sensor": (sensor.height / 2, sensor.width / 2),
        }[self._protocol.pixels]
        start = sensor if of_sensor else self._frame_size
        return target[0] / max(start[0], 1), target[1] / max(start[1], 1)


class _Part:
    """What is there of one recording."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.found: list[BoxEvents] = []
        self.truth: list[BoxEvents] = []
        self.looked: list[int] = []


def _to_records(found: dict[str, Tensor], t: int) -> BoxEvents:
    boxes = to_box_events(found["boxes"], found["labels"], found["scores"], t=t)
    if "class_scores" not in found:
        return boxes
    records = np.zeros(len(boxes), _CLASS_SCORE_DTYPE)
    for name in BOX_DTYPE.names or ():
        records[name] = boxes[name]
    records["class_score"] = found["class_scores"].detach().cpu().numpy()
    return records


def _to_truth(labels: Tensor, t: int) -> BoxEvents:
    return to_box_events(labels[:, :4], labels[:, 4], t=t)


def _join(parts: list[BoxEvents]) -> BoxEvents:
    return np.concatenate(parts) if parts else np.zeros(0, BOX_DTYPE)


def _scale(boxes: BoxEvents, scale: tuple[float, float]) -> None:
    """Stretch boxes in place; they are the caller's own."""
    for names, factor in ((("y", "h"), scale[0]), (("x", "w"), scale[1])):
        for name in names:
            if factor != 1:
                boxes[name] *= np.float32(factor)
