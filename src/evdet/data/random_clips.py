"""Single clips drawn from recordings: each ends at a labelled bin and starts with empty memory."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from jaxtyping import Int64

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

__all__ = ["RandomClips"]


@dataclass(frozen=True, kw_only=True)
class RandomClips:
    """Clips for a `StreamLoader` to play, each a video of its own.

    Any labelled bin may end a clip. An epoch draws them in a random order, each once before any is
    drawn again. A clip that starts before its recording begins with empty bins.

    A clip played backwards covers the bins *after* the label, so that the label comes at its end,
    where memory is needed.

    Raises:
        ValueError: a value is out of range, or the augmentation cannot be done.
    """

    source: FrameSource
    """The recordings, of events or of ready-made frames."""
    num_clips: int | None = None
    """Clips of an epoch; None is one for each labelled bin."""
    augment: AugmentRules | None = None
    """What may happen to each clip in each epoch."""
    seed: int = 0
    """With the epoch, draws clips, augmentation and the duration of a bin."""
    durations: DurationRange | None = None
    """Durations of a bin to draw from, for each clip in each epoch; None keeps the source's."""

    def __post_init__(self) -> None:
        if self.num_clips is not None and self.num_clips < 0:
            raise ValueError(f"num_clips must be 0 or more, got {self.num_clips}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")
        check_durations(self.durations, self.source)
        if self.augment is not None:
            check_rules(self.augment, self.source, is_stream=False)

    @property
    def clip_shape(self) -> ClipShape:
        """Shape (T, C, H, W) of every clip."""
        return self.source.clip_shape

    @property
    def broken(self) -> Mapping[str, str]:
        """Recordings that could not be opened, and why."""
        return self.source.broken

    def with_num_clips(self, num_clips: int) -> "RandomClips":
        """A copy with another number of clips in an epoch."""
        return dataclasses.replace(self, num_clips=num_clips)

    def clip_counts(self, epoch: int) -> list[int]:
        """One clip per video; no videos if nothing is labelled."""
        if not len(self._ends):
            return []
        return [1] * (len(self._ends) if self.num_clips is None else self.num_clips)

    def clips(self, epoch: int, index: int, first_clip: int) -> Iterator[Clip]:
        """Make one clip.

        Args:
            epoch: index of the epoch.
            index: index of the clip.
            first_clip: 0 plays the clip; larger values play nothing.

        Raises:
            RecordingError: the source is strict, and the recording is damaged.
        """
        if first_clip > 0:
            return
        video_index, end = self._ends[self._draw(epoch, index)].tolist()
        source, video_index, end = self._source_of(epoch, index, video_index, end)
        video, num_tbins = source.videos[video_index], self.clip_shape[0]
        augmentation = Augmentation()
        if self.augment is not None:
            # The 1 separates these draws from those of whole recordings.
            rng = np.random.default_rng([self.seed, epoch, index, 1])
            augmentation = draw_augmentation(self.augment, rng)
        if end + 1 == video.num_bins:
            # No bins follow the label that could be played backwards.
            augmentation = dataclasses.replace(augmentation, reverse=False)
        first = end + 1 if augmentation.reverse else end + 1 - num_tbins
        stop = first + num_tbins
        frames = source.frames(video_index, first, stop, augmentation=augmentation)
        bins, bin_indices = list(frames), range(first, stop)
        if augmentation.reverse:
            # A label describes the end of its bin; backwards, that is the end of the next bin.
            bins, bin_indices = bins[::-1], range(stop - 2, first - 2, -1)
        yield make_clip(
            source,
            video,
            bins,
            bin_indices,
            augmentation=augmentation,
            info=ClipInfo(video.name, index, 0, source.delta_t),
        )

    @cached_property
    def _ends(self) -> Int64[np.ndarray, "N 2"]:
        """Indices of the recording and the bin of every label that may end a clip."""
        ends = [np.zeros((0, 2), np.int64)]
        for index, video in enumerate(self.source.videos):
            bins = np.flatnonzero(video.labels.is_labeled)
            ends.append(np.stack([np.full(len(bins), index), bins], axis=1))
        return np.concatenate(ends)

    def _source_of(
        self, epoch: int, index: int, video_index: int, end: int
    ) -> tuple[FrameSource, int, int]:
        """The source that has a clip in its drawn duration, and its recording and end there."""
        if self.durations is None or not isinstance(self.source, AnyDuration):
            return self.source, video_index, end
        num = len(self.clip_counts(epoch))
        delta_t = durations_of(self.durations, self.source, num, seed=self.seed, epoch=epoch)[index]
        source = self.source.at(video_index, delta_t)
        first_bin = self.source.videos[video_index].first_bin
        time = (first_bin + end + 1) * self.source.delta_t
        labeled = np.flatnonzero(source.videos[0].labels.is_labeled)
        if not len(labeled):
            # The label lies after the last event's bin, which ends earlier here.
            return self.source, video_index, end
        ends = (source.videos[0].first_bin + labeled + 1) * delta_t
        return source, 0, int(labeled[np.abs(ends - time).argmin()])

    def _draw(self, epoch: int, index: int) -> int:
        """Index of the clip's end: every cycle has all ends, in a random order of its own."""
        cycle, position = divmod(index, len(self._ends))
        return int(_order_of(len(self._ends), self.seed, epoch, cycle)[position])


@lru_cache(maxsize=2)
def _order_of(count: int, seed: int, epoch: int, cycle: int) -> Int64[np.ndarray, " N"]:
    """Drawn once for all clips of a cycle: there may be a million."""
    return np.random.default_rng([seed, epoch, cycle]).permutation(count)
