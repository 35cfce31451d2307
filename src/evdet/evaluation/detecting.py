"""Batches -> detections, with memory carried from batch to batch."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from evdet.data import Batch
from evdet.frame_spec import SelectionThresholds
from evdet.models import (
    DetectorProtocol,
    cut_at_resets,
    device_of,
    keep_memory,
    step_timed,
)
from evdet.shapes import Detections, Memory

__all__ = ["CarriedMemory", "Found", "detect_batches", "rename_classes"]

Found = list[list[Detections]]
"""The detections `out[t][b]` of a batch."""


@dataclass
class CarriedMemory:
    """The memory of all lanes, between two batches."""

    memory: Memory | None = None

    def state(self) -> list[Tensor] | None:
        """The memory on the CPU; None before the first batch."""
        return None if self.memory is None else [part.cpu() for part in self.memory]


def detect_batches(
    detector: DetectorProtocol,
    batches: Iterable[Batch],
    thresholds: SelectionThresholds,
    *,
    reset_every: int | None = None,
    carried: CarriedMemory | None = None,
) -> Iterator[tuple[Batch, Found]]:
    """Detect in batch after batch, with memory carried from batch to batch in every lane.

    Args:
        detector: in evaluation mode.
        batches: in the order of the loader.
        thresholds: select detections among the candidates.
        reset_every: frames of a recording after which its memory is emptied, as the released code
            of S5-ViT does; None carries it.
        carried: the memory to begin with; it is that after each batch when the batch is yielded.

    Yields:
        Each batch, and its detections `out[t][b]` on the CPU.

    Raises:
        ValueError: `reset_every` is less than 1.
    """
    device = device_of(detector)
    carried = CarriedMemory() if carried is None else carried
    memory = carried.memory
    if memory is not None:
        memory = tuple(part.to(device) for part in memory)
    for batch in batches:
        found: Found = []
        durations = batch.get("durations")
        first_frames = [one.first_frame if one.index >= 0 else -1 for one in batch["video_infos"]]
        with torch.no_grad():
            memory = keep_memory(memory, batch["mask_keep_memory"])
            for part, mask in cut_at_resets(first_frames, len(batch["inputs"]), reset_every):
                memory = keep_memory(memory, mask)
                some, memory = step_timed(
                    detector,
                    batch["inputs"][part].to(device),
                    memory,
                    durations=None if durations is None else durations[part].to(device),
                    thresholds=thresholds,
                )
                found += some
        carried.memory = memory
        yield batch, found


def rename_classes(
    found: Found, detector_classes: Sequence[str], class_names: Sequence[str]
) -> Found:
    """Map detections to the labels of other classes by name, and drop those without one.

    Args:
        found: detections with the labels of the detector.
        detector_classes: the detector's classes, label 1 first.
        class_names: the classes to map to, label 1 first.

    Returns:
        The detections of these classes; `found` itself if both are the same.
    """
    if tuple(detector_classes) == tuple(class_names):
        return found
    labels = {name: label for label, name in enumerate(class_names, start=1)}
    renamed = torch.tensor([0, *(labels.get(name, 0) for name in detector_classes)])
    return [[_rename(frame, renamed) for frame in lanes] for lanes in found]


def _rename(frame: dict[str, Tensor], renamed: Int64[Tensor, " K"]) -> dict[str, Tensor]:
    frame = {**frame, "labels": renamed[frame["labels"]]}
    chosen = frame["labels"] > 0
    return {name: values[chosen] for name, values in frame.items()}
