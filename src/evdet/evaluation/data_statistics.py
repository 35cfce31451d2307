"""A data set -> objects per class and split, event rates and box sizes."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float64

from evdet.data import DatasetFolder, RecordingEntry, read_labels
from evdet.events import Recording, RecordingError, SensorSize, open_recording
from evdet.labels import LabelError, apply_classes, choose_classes
from evdet.metrics import ScoredRecording
from evdet.shapes import BoxEvents

__all__ = ["DataStatistics", "SplitStatistics", "describe_folder", "describe_truth"]

_MAX_READ = 200
"""Recordings of a split that are read; of more, evenly spaced ones."""
_RATE_SPAN = 2_000_000
"""The event rate is that of the first two seconds: long recordings are not read whole."""


@dataclass(frozen=True, kw_only=True)
class SplitStatistics:
    """The statistics of one split."""

    num_recordings: int = 0
    """Recordings of the split; 0 for frames that are made on the fly."""
    num_read: int = 0
    """Those that the other numbers are of."""
    num_frames: int = 0
    """Labelled frames, or label times."""
    objects: dict[str, int] = field(default_factory=dict)
    """Boxes by class name, in the order of the classes."""
    rates: list[float] = field(default_factory=list)
    """Events per second of each recording, in its first two seconds."""
    sides: list[tuple[float, int]] = field(default_factory=list)
    """Square roots of the boxes' areas: the start of a range of half an octave, and its boxes."""


@dataclass(frozen=True, kw_only=True)
class DataStatistics:
    """The statistics of a data set."""

    splits: dict[str, SplitStatistics]
    note: str = ""
    """What the numbers are of, as sentences."""

    def as_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return dataclasses.asdict(self)


def describe_folder(
    folder: DatasetFolder,
    classes: Sequence[str],
    class_names: Sequence[str],
    *,
    size: SensorSize | None = None,
    frame_period: int | None = None,
) -> DataStatistics:
    """Measure all splits of a data set folder; recordings that cannot be read are left out.

    Args:
        folder: the data set.
        classes: the classes to count, as `choose_classes` takes them; none takes all.
        class_names: their names.
        size: of the sensor, where the recordings do not state it.
        frame_period: microseconds from one frame to the next, for labels numbered by frame.
    """
    choice = choose_classes(folder.label_map, classes)

    def describe(entries: Sequence[RecordingEntry]) -> SplitStatistics:
        boxes, rates = [], []
        for entry in _spread(entries):
            try:
                is_events = entry.kind == "events"
                recording = (
                    open_recording(
                        entry.recording, size=size, options=folder.options, reports_end=False
                    )
                    if is_events
                    else None
                )
                labeled = read_labels(entry, folder, recording, frame_period=frame_period)
                boxes.append(apply_classes(labeled.boxes, choice)[0])
                rates += [] if recording is None else list(_rate_of(recording))
            except (RecordingError, LabelError, OSError):
                continue
        return dataclasses.replace(
            _describe_boxes(boxes, class_names),
            num_recordings=len(entries),
            num_read=len(boxes),
            rates=rates,
        )

    splits = {name: describe(entries) for name, entries in folder.splits.items() if entries}
    note = "Boxes as annotated, in pixels of the sensor."
    if any(split.rates for split in splits.values()):
        note += " Event rates of the first two seconds."
    return DataStatistics(splits=splits, note=note)


def describe_truth(
    recordings: Sequence[ScoredRecording], class_names: Sequence[str], split: str
) -> DataStatistics:
    """Measure the ground truth of frames that were made on the fly: they have no recordings.

    Args:
        recordings: their boxes.
        class_names: the classes, class id 1 first.
        split: the split that was played.
    """
    described = _describe_boxes([one.truth for one in recordings], class_names)
    num_frames = sum(len(one.labeled_times) for one in recordings)
    return DataStatistics(splits={split: dataclasses.replace(described, num_frames=num_frames)})


def _describe_boxes(parts: Sequence[BoxEvents], class_names: Sequence[str]) -> SplitStatistics:
    ids = np.concatenate([np.zeros(0, np.int64), *(boxes["class_id"] for boxes in parts)])
    counts = np.bincount(ids.astype(np.int64), minlength=len(class_names) + 1)
    areas = np.concatenate(
        [np.zeros(0), *(boxes["w"].astype(np.float64) * boxes["h"] for boxes in parts)]
    )
    return SplitStatistics(
        num_frames=sum(len(np.unique(boxes["t"])) for boxes in parts),
        objects={name: int(counts[label]) for label, name in enumerate(class_names, start=1)},
        sides=_ranges_of(np.sqrt(areas[areas >= 1])),
    )


def _ranges_of(sides: Float64[np.ndarray, " _"]) -> list[tuple[float, int]]:
    steps = np.floor(2 * np.log2(sides)).astype(np.int64)
    return [
        (float(2 ** (step / 2)), int(count))
        for step, count in zip(*np.unique(steps, return_counts=True), strict=True)
    ]


def _rate_of(recording: Recording) -> Iterator[float]:
    """Events per second in the first seconds; none of a recording with events at one time only."""
    first: int | None = None
    last = num_events = 0
    # Blocks and not time bins, whose end takes a pass over the file in some formats.
    for block in recording.blocks():
        if first is None and len(block):
            first = last = int(block["t"].min())
        if first is not None:
            early = block["t"][block["t"] < first + _RATE_SPAN]
            num_events += len(early)
            last = max(last, int(early.max(initial=last)))
            if len(early) < len(block):
                last = first + _RATE_SPAN
                break
    if first is not None and last > first:
        yield num_events / (last - first) * 1e6


def _spread(entries: Sequence[RecordingEntry]) -> list[RecordingEntry]:
    steps = np.linspace(0, len(entries) - 1, min(len(entries), _MAX_READ)).astype(int)
    return [entries[step] for step in steps]
