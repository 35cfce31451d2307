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
from evdet.data.drawn_durations import DurationRange
from evdet.events import AS_STATED, ReadOptions, SensorSize
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
    "AnyDuration",
    "BinFrame",
    "BinGrid",
    "BinLabels",
    "FrameSource",
    "LabeledRecording",
    "UnbinnedLabels",
    "check_durations",
    "check_rules",
    "durations_of",
    "label_bins",
    "make_clip",
]

Labels = Float32[np.ndarray, "_ 5"]


class BinFrame(NamedTuple):
    """The content of one time bin."""

    frame: Frame | None
    """None (an empty frame) before the recording, after it, or where it is damaged."""
    error: str = ""
    """What is wrong with the recording, from the first affected bin on."""
    counts: Mapping[str, int] = {}
    """What was left out, by reason."""


class BinGrid(NamedTuple):
    """The time bins of a recording."""

    first_bin: int
    """Index of the first; bin 0 starts at time 0."""
    num_bins: int
    delta_t: int
    """Duration of each, in microseconds."""


@dataclass(frozen=True, eq=False)
class BinLabels:
    """The labels of a recording, bin by bin, in pixels of the sensor."""

    boxes: Labels
    """Boxes x1 y1 x2 y2 label of all bins, in order."""
    cuts: Int64[np.ndarray, " _"]
    """Index of each bin's first box, then the number of boxes."""
    is_labeled: Bool[np.ndarray, " _"]
    """False for a bin that is not annotated."""

    def of(self, index: int) -> tuple[Labels, bool]:
        """Boxes of a bin, and whether it is labelled; a bin outside the recording is not."""
        if not 0 <= index < len(self.is_labeled):
            return self.boxes[:0], False
        return self.boxes[self.cuts[index] : self.cuts[index + 1]], bool(self.is_labeled[index])


@dataclass(frozen=True, eq=False)
class UnbinnedLabels:
    """A recording's labels before they are sorted into bins of any duration."""

    labeled: LabeledTimes
    """The content of the label file."""
    choice: ClassChoice
    """The classes to train."""
    rules: BoxRules
    """The boxes to train on."""
    start: int
    """Time of the first event, in microseconds."""
    end: int
    """Time of the last event, in microseconds."""

    def grid(self, delta_t: int) -> BinGrid:
        """The bins up to that of the last label: later ones have nothing to train on."""
        first = self.start // delta_t
        num_bins = self.end // delta_t - first + 1
        return BinGrid(first, max(0, min(num_bins, self._last_label(delta_t) + 1 - first)), delta_t)

    def _last_label(self, delta_t: int) -> int:
        # In order of time.
        ends = [times[-1:] for times in (self.labeled.boxes["t"], self.labeled.empty_times)]
        return int(bins_of(np.concatenate(ends), delta_t).max(initial=-1))


@dataclass(frozen=True, eq=False)
class LabeledRecording:
    """A recording as it is played."""

    name: str
    path: Path
    size: SensorSize
    """The sensor whose pixels the labels are in."""
    first_bin: int
    """Index of its first bin; bin 0 starts at time 0."""
    labels: BinLabels
    hot: Bool[np.ndarray, "rows columns"] | None = None
    """True at pixels of the sensor whose events are left out."""
    options: ReadOptions = AS_STATED
    """How to read it."""
    unbinned: UnbinnedLabels | None = None
    """What its bins are made of; None where they keep their duration."""

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
        """Divisor of frames of bytes, as in `Clip`."""

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
        """Make the frames of consecutive bins.

        Args:
            index: index of the video.
            first: the first bin, counted from the recording's first.
            stop: the bin to stop before; bins outside the recording are empty.
            augmentation: applied to each frame.
            since: start reading events here: after damage from here on, all bins are empty.

        Returns:
            One per bin.

        Raises:
            RecordingError: the source is strict, and the recording is damaged.
        """


@runtime_checkable
class AnyDuration(FrameSource, Protocol):
    """Recordings whose bins may have any duration."""

    def num_bins_at(self, index: int, delta_t: int) -> int:
        """Count the bins of a video in bins of another duration."""

    def at(self, index: int, delta_t: int) -> FrameSource:
        """Give one video alone, in bins of another duration.

        Args:
            index: index of the video.
            delta_t: duration of a bin, in microseconds.

        Raises:
            ValueError: the recordings were opened without their unbinned labels.
        """


def check_durations(durations: DurationRange | None, source: FrameSource) -> None:
    """Refuse drawn durations for bins that keep their duration.

    Raises:
        ValueError: the source cannot make frames of another duration.
    """
    if durations is not None and not isinstance(source, AnyDuration):
        raise ValueError(
            "the frames of this data set were made with time bins of "
            f"{source.delta_t} us, and keep this duration: leave the range of delta_t out, or "
            "train on recordings"
        )


def durations_of(
    durations: DurationRange | None, source: FrameSource, num: int, *, seed: int, epoch: int
) -> list[int]:
    """Draw the durations of an epoch's recordings or clips; without a range, the source's own."""
    if durations is None:
        return [source.delta_t] * num
    return durations.draw(num, seed=seed, epoch=epoch)


def check_rules(rules: AugmentRules, source: FrameSource, *, is_stream: bool) -> None:
    """Refuse augmentation that cannot be done.

    Args:
        rules: the augmentation.
        source: the recordings to augment.
        is_stream: recordings are played from start to end.

    Raises:
        ValueError: a rule needs events or random clips.
    """
    if is_stream and rules.reverse_prob:
        raise ValueError(
            f"reverse_prob is {rules.reverse_prob}, but a stream cannot be played backwards: "
            "memory carries over from clip to clip. Set it to 0, or draw random clips"
        )
    for name in ("noise_prob", "swap_prob", "reverse_prob"):
        if getattr(rules, name) and not source.has_events:
            raise ValueError(
                f"{name} is {getattr(rules, name)}, but ready-made frames have no events to "
                "change: set it to 0, or train on recordings"
            )


def label_bins(
    labeled: LabeledTimes,
    choice: ClassChoice,
    rules: BoxRules,
    size: SensorSize,
    grid: BinGrid,
) -> tuple[BinLabels, dict[str, int]]:
    """Sort a recording's boxes into its bins, and keep those to train on.

    A bin whose boxes are all of other classes or too small stays labelled: it was annotated.

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
    for reason, count in (
        ("superseded", binned.num_superseded),
        ("outside the recording", binned.num_outside),
    ):
        if count:
            counts[reason] = count
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
    bin_indices: Sequence[int],
    *,
    augmentation: Augmentation,
    info: ClipInfo,
) -> Clip:
    """Join frames and boxes.

    Args:
        source: the source of the frames.
        video: the recording.
        bins: T bins, in playing order.
        bin_indices: for each of them the index of the bin whose labels it takes.
        augmentation: already applied to the frames; applied here to the boxes.
        info: origin of the clip; the error is added.

    Returns:
        The clip, boxes in pixels of the frame.
    """
    num_tbins, _, height, width = source.clip_shape
    inputs = np.zeros(source.clip_shape, source.dtype)
    scale = np.array([width / video.size.width, height / video.size.height] * 2 + [1], np.float32)
    labels, labeled = [], np.zeros(num_tbins, np.bool_)
    counts: dict[str, int] = {}
    for t, (each, bin_index) in enumerate(zip(bins, bin_indices, strict=True)):
        boxes, is_labeled = video.labels.of(bin_index)
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
