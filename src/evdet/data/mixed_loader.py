"""MixedLoader: in every batch, some lanes stream recordings and the others play random clips."""

from collections.abc import Iterator
from itertools import chain, repeat

from evdet.data.batch import Batch, Clip, make_batch
from evdet.data.random_clips import RandomClips
from evdet.data.stream_loader import StreamLoader, Streams, VisFunc

__all__ = ["MixedLoader"]


class MixedLoader:
    """Two loaders side by side: the first lanes of a batch stream, the last play random clips.

    Streams train the memory over long times; random clips put more recordings into a batch. It
    replaces a `StreamLoader` anywhere. An epoch lasts as long as the streams' epoch. The batches
    are a function of (seed, epoch, rank, world_size), for any number of workers and from any
    position.

    Args:
        streams: plays recordings from start to end.
        random: plays `RandomClips`, whose `num_clips` is not used.

    Raises:
        ValueError: the loaders have different clip shapes or processes.
    """

    def __init__(self, streams: StreamLoader, random: StreamLoader) -> None:
        if not isinstance(random.streams, RandomClips):
            raise ValueError(
                f"the second loader must play RandomClips, got {type(random.streams).__name__}"
            )
        if streams.streams.clip_shape != random.streams.clip_shape:
            raise ValueError(
                f"clips of shape {streams.streams.clip_shape} (T, C, H, W) cannot be combined with "
                f"random clips of shape {random.streams.clip_shape}"
            )
        if (streams.rank, streams.world_size) != (random.rank, random.world_size):
            raise ValueError(
                "the two loaders must be of the same process, got rank "
                f"{streams.rank} of {streams.world_size} and {random.rank} of {random.world_size}"
            )
        self._streamed = streams
        self._drawn = random
        self._clips = random.streams

    @property
    def streams(self) -> Streams:
        """The recordings that are streamed."""
        return self._streamed.streams

    @property
    def batch_size(self) -> int:
        """Lanes of this process, of both kinds together."""
        return self._streamed.batch_size + self._drawn.batch_size

    @property
    def num_workers(self) -> int:
        """Processes that prepare clips, for both kinds together."""
        return self._streamed.num_workers + self._drawn.num_workers

    @property
    def rank(self) -> int:
        """Index of this process."""
        return self._streamed.rank

    @property
    def world_size(self) -> int:
        """Processes that share the epoch."""
        return self._streamed.world_size

    @property
    def epoch(self) -> int:
        """The epoch that the next iteration plays."""
        return self._streamed.epoch

    @property
    def position(self) -> tuple[int, int]:
        """Epoch and batch that the next iteration starts with."""
        return self._streamed.position

    @property
    def broken(self) -> dict[str, str]:
        """As in `StreamLoader`, for both kinds."""
        return {**self._drawn.broken, **self._streamed.broken}

    @property
    def counts(self) -> dict[str, int]:
        """As in `StreamLoader`, for both kinds."""
        streamed, drawn = self._streamed.counts, self._drawn.counts
        return {
            reason: streamed.get(reason, 0) + drawn.get(reason, 0)
            for reason in sorted({*streamed, *drawn})
        }

    def get_vis_func(self) -> VisFunc:
        """The function that turns a frame of this loader into an RGB picture."""
        return self._streamed.get_vis_func()

    def set_position(self, epoch: int, batch: int = 0) -> None:
        """Set where the next iteration starts; see `StreamLoader.set_position`."""
        self._streamed.set_position(epoch, batch)

    def __len__(self) -> int:
        """Batches of a whole epoch, the same in all processes."""
        return len(self._streamed)

    def __iter__(self) -> Iterator[Batch]:
        epoch, batch = self._streamed.position
        return self._play(epoch, batch, num_batches=len(self))

    def _play(self, epoch: int, batch: int, *, num_batches: int) -> Iterator[Batch]:
        num_lanes = self._drawn.batch_size
        # One clip per lane and batch fills the lanes of all processes evenly.
        num_clips = num_batches * num_lanes * self.world_size
        self._drawn.streams = self._clips.with_num_clips(num_clips)
        # Without any labelled bin there are no clips, and these lanes stay empty.
        empty: list[Clip | None] = [None] * num_lanes
        drawn = chain(self._drawn.play(epoch, batch), repeat(empty))
        for streamed in self._streamed.play(epoch, batch):
            yield make_batch(
                streamed + next(drawn),
                self.streams.clip_shape,
                pin_memory=self._streamed.pin_memory,
                keep_bytes=self._streamed.keep_bytes,
            )
        self._streamed.set_position(epoch + 1)
