"""Batches and their detections -> ground truth and detections of each recording."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from evdet.boxes import BOX_DTYPE, to_box_events
from evdet.data import Batch
from evdet.evaluation.detecting import Found
from evdet.evaluation.played_recordings import PlayedRecording, select_truth
from evdet.evaluation.progress import from_bytes, to_bytes
from evdet.events import SensorSize
from evdet.metrics import Protocol, ScoredRecording
from evdet.shapes import BoxEvents

__all__ = ["RecordingResults", "scale_boxes", "scale_of"]

_CLASS_SCORE_DTYPE = np.dtype([*BOX_DTYPE.descr, ("class_score", "<f4")])


class RecordingResults:
    """Collects the detections in recordings, in a protocol's pixels.

    Args:
        protocol: sets the pixels, and whether ground truth is clipped.
        played: the recordings in the order of the loader; None takes the labels of the batches,
            at the ends of time bins, as for Moving MNIST.
        counts_events: count the events in the ground-truth boxes.
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
        """Height and width of the image that boxes are measured in."""
        first = min(self._parts, default=0)
        height, width = self._sensor_size(first)
        down, across = self._scale_of(first, of_sensor=True)
        return SensorSize(round(height * down), round(width * across))

    def add(self, batch: Batch, found: Found) -> None:
        """Add a batch: the detections of all its frames, the labels of the labelled ones."""
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
                frame_index = info.first_frame + t
                if played is not None and frame_index >= played.num_bins:
                    break  # empty frames that pad the last clip
                bin_index = first_bin + frame_index
                end = (bin_index + 1) * info.delta_t
                part.found.append(_to_records(frames[lane], end))
                if is_labeled[t][lane]:
                    part.annotated_bins.append(bin_index)
                    part.truth.append(_to_truth(batch["labels"][t][lane], end))

    def recordings(self) -> list[ScoredRecording]:
        """The recordings, in the order of the loader."""
        return [self._finish(index) for index in sorted(self._parts)]

    def state(self) -> dict[str, Any]:
        """What was added, as plain values and tensors."""
        return {
            "delta_t": self._delta_t,
            "frame_size": list(self._frame_size),
            "parts": {
                index: {
                    "name": part.name,
                    "found": to_bytes(_join(part.found)),
                    "has_class_scores": any("class_score" in (f.dtype.names or ())
                                            for f in part.found),
                    "truth": to_bytes(_join(part.truth)),
                    "annotated_bins": list(part.annotated_bins),
                }
                for index, part in self._parts.items()
            },
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` gave."""
        self._delta_t = state["delta_t"]
        self._frame_size = SensorSize(*state["frame_size"])
        self._parts = {}
        for index, saved in state["parts"].items():
            part = self._parts[index] = _Part(saved["name"])
            dtype = _CLASS_SCORE_DTYPE if saved["has_class_scores"] else BOX_DTYPE
            part.found = [from_bytes(saved["found"], dtype)]
            part.truth = [from_bytes(saved["truth"], BOX_DTYPE)]
            part.annotated_bins = list(saved["annotated_bins"])

    def _finish(self, index: int) -> ScoredRecording:
        part = self._parts[index]
        found = _join(part.found)
        scale_boxes(found, self._scale_of(index, of_sensor=False))
        annotated_bins = np.array(part.annotated_bins, np.int64)
        played = self._played[index] if self._played else None
        if played is None or played.labeled is None:
            truth, times = _join(part.truth), (annotated_bins + 1) * self._delta_t
            scale_boxes(truth, self._scale_of(index, of_sensor=False))
            return ScoredRecording(part.name, truth, times, found)
        truth, times = select_truth(
            played,
            annotated_bins,
            delta_t=self._delta_t,
            clips=self._protocol.clips_truth,
            counts_events=self._counts_events,
        )
        scale_boxes(truth, self._scale_of(index, of_sensor=True))
        return ScoredRecording(part.name, truth, times, found)

    def _sensor_size(self, index: int) -> SensorSize:
        return self._played[index].size if self._played else self._frame_size

    def _scale_of(self, index: int, *, of_sensor: bool) -> tuple[float, float]:
        """Factors from pixels of the sensor, or of the frame, to the protocol's: down, across."""
        sensor = self._sensor_size(index)
        start = sensor if of_sensor else self._frame_size
        return scale_of(self._protocol, start, sensor=sensor, frame=self._frame_size)


class _Part:
    """The collected boxes of one recording."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.found: list[BoxEvents] = []
        self.truth: list[BoxEvents] = []
        self.annotated_bins: list[int] = []


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


def scale_of(
    protocol: Protocol, size: SensorSize, *, sensor: SensorSize, frame: SensorSize
) -> tuple[float, float]:
    """Factors from the pixels of an image to a protocol's: down, across.

    Args:
        protocol: sets the pixels.
        size: of the image, which shows what the sensor sees.
        sensor: size of the sensor.
        frame: size of the detector's frames.
    """
    target = {
        "frame": frame,
        "sensor": sensor,
        "half sensor": (sensor.height / 2, sensor.width / 2),
    }[protocol.pixels]
    return target[0] / max(size.height, 1), target[1] / max(size.width, 1)


def scale_boxes(boxes: BoxEvents, scale: tuple[float, float]) -> None:
    """Scale boxes in place, down and across; the caller owns them."""
    for names, factor in ((("y", "h"), scale[0]), (("x", "w"), scale[1])):
        for name in names:
            if factor != 1:
                boxes[name] *= np.float32(factor)
