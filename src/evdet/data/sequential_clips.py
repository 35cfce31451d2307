"""Recordings as streams: each is played from its first event, or a later bin, to its last."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from evdet.data.augment import Augmentation, AugmentRules, draw_augmentation
from evdet.data.batch import Clip, ClipInfo, ClipShape
from evdet.data.clips import (
    AnyDuration,
    FrameSource,
    check_durations,
    check_rules,
    durations_of,
    make_clip,
)
from evdet.data.drawn_durations import DurationRange

__all__ = ["SequentialClips"]

_PER_SEEK = 128
"""Clips read after one seek. Damage empties the rest of them, however playing was started:
resuming among them therefore reads the earlier ones, too, without making frames."""


@dataclass(frozen=True, kw_only=True)
class SequentialClips:
    """Recordings for a `StreamLoader` to play, each of them once an epoch.

    The last clip of a recording is padded with empty bins that are not labelled, so that no label
    is lost. Where a recording is damaged its clips are empty and not labelled, and
    `ClipInfo.error` has the reason: all lanes stay in step, and resuming stays exact.

    Raises:
        ValueError: the augmentation is not possible, or the seed is negative.
    """

    source: FrameSource
    """The recordings, of events or of ready-made frames."""
    augment: AugmentRules | None = None
    """What may happen to each recording in each epoch; None changes nothing, for validation."""
    seed: int = 0
    """With epoch and recording, draws the augmentation and the duration of a bin."""
    durations: DurationRange | None = None
    """Durations of a bin to draw from, for each recording and epoch; None keeps the source's."""
    starts: Sequence[int | None] | None = None
    """Index of the bin that each recording is played from, as if it began there; None among them
    plays nothing of a recording. None plays all of them from their first event."""

    def __post_init__(self) -> None:
        check_durations(self.durations, self.source)
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")
        if self.starts is not None:
            if self.durations is not None:
                raise ValueError("starts are those of bins of one duration: leave durations out")
            _check_starts(self.starts, [video.num_bins for video in self.source.videos])
        if self.augment is not None:
            check_rules(self.augment, self.source, is_stream=True)

    @property
    def clip_shape(self) -> ClipShape:
        """Shape (T, C, H, W) of every clip."""
        return self.source.clip_shape

    @property
    def broken(self) -> Mapping[str, str]:
        """Recordings that could not be opened, and why."""
        return self.source.broken

    def clip_counts(self, epoch: int) -> list[int]:
        """Clips of each recording, by its duration."""
        source, num_tbins = self.source, self.clip_shape[0]
        counts = [video.num_bins - self._start_of(i) for i, video in enumerate(source.videos)]
        if self.durations is not None and isinstance(source, AnyDuration):
            drawn = enumerate(self._drawn(epoch))
            counts = [source.num_bins_at(index, delta_t) for index, delta_t in drawn]
        return [-(-num_bins // num_tbins) for num_bins in counts]

    def clips(self, epoch: int, index: int, first_clip: int) -> Iterator[Clip]:
        """Play one recording.

        Args:
            epoch: index of the epoch.
            index: index of the recording.
            first_clip: the clip to begin with.

        Raises:
            RecordingError: the source is strict, and the recording is damaged.
        """
        source, place = self._source_of(epoch, index)
        video, num_tbins = source.videos[place], self.clip_shape[0]
        origin = 0 if self.starts is None else self._start_of(index)
        num_clips = -(-(video.num_bins - origin) // num_tbins)
        augmentation = Augmentation()
        if self.augment is not None:
            rng = np.random.default_rng([self.seed, epoch, index])
            augmentation = draw_augmentation(self.augment, rng)
        for start in range(first_clip // _PER_SEEK * _PER_SEEK, num_clips, _PER_SEEK):
            first, stop = max(start, first_clip), min(start + _PER_SEEK, num_clips)
            frames = source.frames(
                place,
                origin + first * num_tbins,
                origin + stop * num_tbins,
                since=origin + start * num_tbins,
                augmentation=augmentation,
            )
            for first_frame in range(first * num_tbins, stop * num_tbins, num_tbins):
                first_bin = origin + first_frame
                info = ClipInfo(
                    video.name,
                    index,
                    first_frame,
                    source.delta_t,
                    num_padding=max(0, first_bin + num_tbins - video.num_bins),
                )
                yield make_clip(
                    source,
                    video,
                    list(islice(frames, num_tbins)),
                    range(first_bin, first_bin + num_tbins),
                    augmentation=augmentation,
                    info=info,
                )

    def _drawn(self, epoch: int) -> list[int]:
        num = len(self.source.videos)
        return durations_of(self.durations, self.source, num, seed=self.seed, epoch=epoch)

    def _source_of(self, epoch: int, index: int) -> tuple[FrameSource, int]:
        """The source that has a recording in its drawn duration, and its index there."""
        if self.durations is None or not isinstance(self.source, AnyDuration):
            return self.source, index
        return self.source.at(index, self._drawn(epoch)[index]), 0

    def _start_of(self, index: int) -> int:
        """The bin that a recording is played from; its end if nothing of it is played."""
        start = 0 if self.starts is None else self.starts[index]
        return self.source.videos[index].num_bins if start is None else start


def _check_starts(starts: Sequence[int | None], nums_bins: Sequence[int]) -> None:
    if len(starts) != len(nums_bins):
        raise ValueError(f"{len(nums_bins)} recordings need as many starts, got {len(starts)}")
    for start, num_bins in zip(starts, nums_bins, strict=True):
        if start is not None and not 0 <= start < num_bins:
            raise ValueError(f"a start must be one of a recording's {num_bins} bins, got {start}")
