"""One recording -> consecutive clips of T time bins, with their boxes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64

from evdet.boxes import from_box_events
from evdet.data.augment import Augmentation, AugmentRules
from evdet.data.batch import Clip, ClipInfo, ClipShape
from evdet.events import SensorSize
from evdet.labels import (
    BoxRules,
    ClassChoice,
    LabeledTimes,
    apply_classes,
    apply_rules,
    bin_boxes,
    bins_of,
)
from evdet.shapes import Frame

__all__ = [
    "BinFrame",
    "BinGrid",
    "BinLabels",
    "FrameSource",
    "LabeledRecording",
    "check_rules",
    "label_bins",
    "make_clip",
]

Labels = Float32[np.ndarray, "_ 5"]


class BinFrame(NamedTuple):
    """What is to be seen in one time bin."""

    frame: Frame | None
    """The frame; None is silence, before the recording, after it, or where it is damaged."""
    error: str = ""
    """What is wrong with the recording, from the first bin on that shows it."""
    counts: Mapping[str, int] = {}
    """What was left out."""


class BinGrid(NamedTuple):
    """The bins of a recording."""

    first_bin: int
    """Number of the first; bin 0 starts at time 0."""
    num_bins: int
    delta_t: int
    """Duration of each, in microseconds."""


@dataclass(frozen=True, eq=False)
class BinLabels:
    """The labels of a recording, bin by bin, in pixels of the sensor."""

    boxes: Labels
    """Boxes x1 y1 x2 y2 label of all bins, in order."""
    cuts: Int64[np.ndarray, " _"]
    """Where each bin's boxes start, and at last where they end."""
    is_labeled: Bool[np.ndarray, " _"]
    """False for a bin that nobody labelled."""

    def of(self, number: int) -> tuple[Labels, bool]:
        """Boxes of a bin, and whether it is labelled; a bin outside the recording is not."""
        if not 0 <= number < len(self.is_labeled):
            return self.boxes[:0], False
        boxes = self.boxes[self.cuts[number] : self.cuts[number + 1]]
        return boxes, bool(self.is_labeled[number])


@dataclass(frozen=True, eq=False)
class LabeledRecording:
    """A recording as it is played."""

    name: str
    path: Path
    size: SensorSize
    """What the labels count their pixels in."""
    first_bin: int
    """Number of its first bin; bin 0 starts at time 0."""
    labels: BinLabels
    """Of all its bins."""
    hot: Bool[np.ndarray, "rows columns"] | None = None
    """True at pixels of the sensor whose events are left out."""

    @property
    def num_bins(self) -> int:
        """Bins from the first event to the last."""
        return len(self.labels.is_labeled)


@runtime_checkable
class FrameSource(Protocol):
    """Recordings that can be read bin by bin: from events, or from ready-made frames."""

    @property
    def videos(self) -> Sequence[LabeledRecording]:
        """The recordings."""

    @property
    def clip_shape(self) -> ClipShape:
        """Shape (T, C, H, W) of a clip."""

    @property
    def dtype(self) -> np.dtype:
        """Type of the frames: bytes or float32."""

    @property
    def byte_divisor(self) -> int:
        """As in `Clip`."""

    @property
    def delta_t(self) -> int:
        """Duration of a bin, in microseconds."""

    @property
    def has_events(self) -> bool:
        """Whether there are events to augment."""

    @property
    def broken(self) -> Mapping[str, str]:
        """Recordings that could not be opened, and why."""

    def frames(
        self,
        index: int,
        first: int,
        stop: int,
        *,
        augmentation: Augmentation,
        since: int | None = None,
    ) -> Iterator[BinFrame]:
        """Make the frames of some consecutive bins.

        Args:
            index: number of the video.
            first: the first bin to show, counted from the first of the recording.
            stop: the bin to stop before; bins outside the recording are silent.
            augmentation: what happens to each frame.
            since: start reading here: damage from here on ends what can be seen.

        Returns:
            One per bin.
        """


def check_rules(rules: AugmentRules, source: FrameSource, *, is_stream: bool) -> None:
    """Refuse augmentation that cannot be done.

    Args:
        rules: what may happen.
        source: what it happens to.
        is_stream: recordings are played from start to end.

    Raises:
        ValueError: a rule needs what is not there.
    """
    if is_stream and rules.reverse_prob:
        raise ValueError(
            f"reverse_prob is {rules.reverse_prob}, but a stream cannot be played backwards: its "
            "clips follow one another, and the memory with them. Set it to 0, or draw random clips"
        )
    for name in ("noise_prob", "swap_prob", "reverse_prob"):
        if getattr(rules, name) and not source.has_events:
            raise ValueError(
                f"{name} is {getattr(rules, name)}, but ready-made frames have no events that "
                "could be changed: set it to 0, or train from recordings"
            )


def label_bins(
    labeled: LabeledTimes,
    choice: ClassChoice,
    rules: BoxRules,
    size: SensorSize,
    grid: BinGrid,
) -> tuple[BinLabels, dict[str, int]]:
    """Sort a recording's boxes into its bins, and keep those to train on.

    A bin stays labelled when all its boxes are of other classes, or too small: somebody looked.

    Args:
        labeled: the content of the label file.
        choice: the classes to train.
        rules: the boxes to train on.
        size: the sensor's size.
        grid: the recording's bins.

    Returns:
        The labels, and how many boxes were left out or changed for each reason that occurred.
    """
    first_bin, num_bins, delta_t = grid
    binned = bin_boxes(labeled, first_bin=first_bin, num_bins=num_bins, delta_t=delta_t)
    counts = dict(labeled.counts)
    for reason, number in (
        ("superseded", binned.num_superseded),
        ("outside the recording", binned.num_outside),
    ):
        if number:
            counts[reason] = number
    used = np.concatenate(binned.boxes) if binned.boxes else labeled.boxes[:0]
    used, other_classes = apply_classes(used, choice)
    used, unfit = apply_rules(used, rules, size)
    bins = bins_of(used["t"], delta_t)
    labels = BinLabels(
        boxes=from_box_events(used),
        cuts=np.searchsorted(bins, np.arange(first_bin, first_bin + num_bins + 1)),
        is_labeled=binned.is_labeled,
    )
    return labels, counts | other_classes | unfit


def make_clip(
    source: FrameSource,
    video: LabeledRecording,
    bins: Sequence[BinFrame],
    numbers: Sequence[int],
    *,
    augmentation: Augmentation,
    info: ClipInfo,
) -> Clip:
    """Put frames and boxes together.

    Args:
        source: where the frames come from.
        video: the recording.
        bins: T bins, as they are to be played.
        numbers: for each of them the bin whose labels it takes.
        augmentation: what has happened to the frames, and now happens to the boxes.
        info: where the clip comes from; the error is added.

    Returns:
        The clip, boxes in pixels of the frame.
    """
    num_tbins, _, height, width = source.clip_shape
    inputs = np.zeros(source.clip_shape, source.dtype)
    scale = np.array([width / video.size.width, height / video.size.height] * 2 + [1], np.float32)
    labels, labeled = [], np.zeros(num_tbins, np.bool_)
    counts: dict[str, int] = {}
    for t, (each, number) in enumerate(zip(bins, numbers, strict=True)):
        boxes, is_labeled = video.labels.of(number)
        if each.frame is None:
            boxes = boxes[:0]
        else:
            inputs[t] = each.frame
            labeled[t] = is_labeled
        labels.append(augmentation.apply_to_boxes(boxes, video.size) * scale)
        for reason, count in each.counts.items():
            counts[reason] = counts.get(reason, 0) + count
    return Clip(
        inputs=torch.from_numpy(inputs),
        labels=labels,
        frame_is_labeled=labeled,
        info=info._replace(error=next((each.error for each in bins if each.error), "")),
        byte_divisor=source.byte_divisor,
        counts=counts,
    )
