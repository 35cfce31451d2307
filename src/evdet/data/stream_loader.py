"""StreamLoader: plays many videos side by side, in lanes, over workers and processes."""

import contextlib
import copy
import logging
import pickle
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Shaped, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from evdet.data.batch import Batch, Clip, ClipInfo, ClipShape, make_batch
from evdet.data.lanes import LanePlan, assign_lanes, lanes_of_worker
from evdet.events import frame_to_rgb
from evdet.processes import (
    children_without_signals,
    dead_children_reported,
    leave_signals_to_parent,
    report_dead_children_where_awaited,
)

__all__ = ["LostWorkerError", "StreamLoader", "Streams", "VisFunc"]

_log = logging.getLogger(__name__)

Frame = Shaped[np.ndarray | Tensor, "C H W"]
VisFunc = Callable[[Frame], UInt8[np.ndarray, "H W 3"]]
"""Turns a frame of the loader into an RGB picture."""


@runtime_checkable
class Streams(Protocol):
    """The videos that a `StreamLoader` plays."""

    @property
    def clip_shape(self) -> ClipShape:
        """Shape (T, C, H, W) of every clip."""

    def clip_counts(self, epoch: int) -> Sequence[int]:
        """Number of clips of each video of the epoch, computed without decoding."""

    def clips(self, epoch: int, index: int, first_clip: int) -> Iterator[Clip]:
        """The clips of one video, from `first_clip` to its last."""


class StreamLoader:
    """Batches of B lanes; each lane plays one video after another, clip by clip.

    Each iteration plays one epoch; an abandoned one leaves the loader's position unchanged. The
    batches are a function of (seed, epoch, rank, world_size), for any number of workers. In an
    epoch every video is played once, by one lane of one process, and all processes have the same
    number of batches: an exhausted lane delivers empty frames that are not labelled.

    Workers are forked on Linux (spawned elsewhere): they start at once, share loaded data, and a
    plain script needs no `if __name__ == "__main__"`. Forking a process with threads is safe here:
    workers compute on one thread and never use an accelerator.

    Args:
        streams: the videos.
        batch_size: lanes of this process.
        num_workers: processes that prepare clips, each for lanes of its own; 0 prepares
            them in this process. At most `batch_size` are started.
        seed: draws the order of the videos.
        rank: index of this process.
        world_size: processes that share the epoch.
        shuffle: play the videos in another random order every epoch.
        vis_func: returned by `get_vis_func`.
        pin_memory: pin the frames, so that they copy to an accelerator asynchronously.
        keep_bytes: keep frames of bytes as bytes; see `Batch`.

    Raises:
        ValueError: a value is out of range.
    """

    def __init__(
        self,
        streams: Streams,
        *,
        batch_size: int,
        num_workers: int = 0,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        shuffle: bool = True,
        vis_func: VisFunc = frame_to_rgb,
        pin_memory: bool = False,
        keep_bytes: bool = False,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if num_workers < 0:
            raise ValueError(f"num_workers must be 0 or more, got {num_workers}")
        if seed < 0:
            raise ValueError(f"seed must be 0 or more, got {seed}")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank must be in 0..{world_size - 1} (world_size - 1), got {rank}")
        self.streams = streams
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.shuffle = shuffle
        self.vis_func = vis_func
        self.pin_memory = pin_memory
        self.keep_bytes = keep_bytes
        self._epoch = 0
        self._batch = 0
        self._broken: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._reported: set[str] = set()

    @property
    def broken(self) -> dict[str, str]:
        """Videos that are damaged or could not be opened, by name, and why.

        Of damaged ones, those of this process in the current or last epoch.
        """
        return {**getattr(self.streams, "broken", {}), **self._broken}

    @property
    def counts(self) -> dict[str, int]:
        """What this process left out of the clips of the current or last epoch, by reason."""
        return dict(self._counts)

    @property
    def epoch(self) -> int:
        """The epoch that the next iteration plays."""
        return self._epoch

    @property
    def position(self) -> tuple[int, int]:
        """Epoch and batch that the next iteration starts with."""
        return self._epoch, self._batch

    def get_vis_func(self) -> VisFunc:
        """The function that turns a frame of this loader into an RGB picture."""
        return self.vis_func

    def with_streams(self, streams: Streams) -> "StreamLoader":
        """A loader of other videos, with the same settings, at its beginning."""
        other = copy.copy(self)
        other.streams = streams
        other._epoch, other._batch = 0, 0
        other._broken, other._counts, other._reported = {}, Counter(), set()
        return other

    def set_position(self, epoch: int, batch: int = 0) -> None:
        """Set where the next iteration starts; earlier batches are not made.

        Args:
            epoch: index of the epoch.
            batch: index of the batch in it; from the epoch's end (its number of batches), an
                iteration yields no batch and moves on to the next epoch.

        Raises:
            ValueError: the epoch is negative, or does not have the batch.
        """
        if epoch < 0:
            raise ValueError(f"epoch must be 0 or more, got {epoch}")
        num_batches = self._plan(epoch).num_batches
        if not 0 <= batch <= num_batches:
            raise ValueError(f"epoch {epoch} has {num_batches} batches, got batch {batch}")
        self._epoch, self._batch = epoch, batch

    def __len__(self) -> int:
        """Batches of a whole epoch, the same in all processes."""
        return self._plan(self._epoch).num_batches

    def __iter__(self) -> Iterator[Batch]:
        return self._play(self._epoch, self._batch)

    def play(self, epoch: int, batch: int = 0) -> Iterator[list[Clip | None]]:
        """Play an epoch from a batch on without joining clips; the loader keeps its position.

        Returns:
            For each batch the clips of this process's lanes; None for an exhausted lane.
        """
        self._broken, self._counts = {}, Counter()
        plan = self._plan(epoch)
        first_lane = self.rank * self.batch_size
        lanes = plan.lanes[first_lane : first_lane + self.batch_size]
        player = _LanePlayer(self.streams, epoch, lanes, batch, plan.num_batches)
        for clips in self._join(player):
            self._take_note(clips)
            yield clips

    def _play(self, epoch: int, batch: int) -> Iterator[Batch]:
        for clips in self.play(epoch, batch):
            yield make_batch(
                clips,
                self.streams.clip_shape,
                pin_memory=self.pin_memory,
                keep_bytes=self.keep_bytes,
            )
        self._epoch, self._batch = epoch + 1, 0

    def _take_note(self, clips: list[Clip | None]) -> None:
        for clip in clips:
            if clip is None:
                continue
            self._counts.update(clip.counts)
            name, error = clip.info.name, clip.info.error
            if error:
                self._broken.setdefault(name, error)
                if name not in self._reported:
                    self._reported.add(name)
                    _log.warning("%s is damaged; lost bins play as empty frames. %s", name, error)

    def _plan(self, epoch: int) -> LanePlan:
        return assign_lanes(
            self.streams.clip_counts(epoch),
            self.world_size * self.batch_size,
            seed=self.seed,
            epoch=epoch,
            shuffle=self.shuffle,
        )

    def _join(self, player: "_LanePlayer") -> Iterator[list[Clip | None]]:
        """Take one part of each batch from every worker, in the order of the lanes."""
        num_workers = min(self.num_workers, self.batch_size)
        if num_workers == 0:
            yield from player.play(player.lanes)
            return
        loader = DataLoader(
            player,
            batch_size=None,
            num_workers=num_workers,
            collate_fn=_as_it_is,
            multiprocessing_context="fork" if sys.platform == "linux" else None,
            # A separate generator: otherwise starting the workers changes the global random state.
            generator=torch.Generator(),
            worker_init_fn=_start_worker,
        )
        with _forking_is_meant(), children_without_signals():
            received = iter(loader)
        report_dead_children_where_awaited()
        for _ in range(player.first_batch, player.num_batches):
            clips: list[Clip | None] = []
            for _ in range(num_workers):
                part = _next_part(received)
                if isinstance(part, Exception):
                    try:
                        raise part
                    finally:
                        # Ends the workers. The error refers to this frame, so that they would
                        # otherwise run until it is released, and then for seconds.
                        del part, received
                clips.extend(_unpack(part))
            yield clips


class LostWorkerError(ChildProcessError):
    """A process that prepares frames was killed; the message is one line with a remedy."""


def _next_part(received: Iterator[Any]) -> Any:
    """The next part of a worker.

    Raises:
        LostWorkerError: a worker was killed.
    """
    try:
        with dead_children_reported():
            return next(received)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise LostWorkerError(
            "a process that prepares frames was killed. Was there too little memory? Use fewer "
            "workers (--num-workers), or 0"
        ) from error


_Rest = tuple[list[np.ndarray], np.ndarray, ClipInfo, int, Mapping[str, int]]
"""A clip without its frames."""
_Part = tuple[Tensor, list[_Rest | None]]
"""The clips of a worker's lanes for transfer: all frames in one tensor, because every tensor sent
between processes takes a file descriptor and a round trip."""


@dataclass(frozen=True)
class _LanePlayer(IterableDataset[_Part | Exception]):
    """Plays lanes clip by clip: all of them in this process, or each worker its share."""

    streams: Streams
    epoch: int
    lanes: tuple[tuple[int, ...], ...]
    first_batch: int
    num_batches: int

    def __iter__(self) -> Iterator[_Part | Exception]:
        worker = get_worker_info()
        if worker is None:
            raise RuntimeError("only the workers of a loader iterate over this")
        try:
            for clips in self.play(lanes_of_worker(self.lanes, worker.id, worker.num_workers)):
                yield _pack(clips)
        except Exception as error:
            # As a value: the DataLoader would wrap the message in a traceback.
            yield _portable(error)

    def play(self, lanes: tuple[tuple[int, ...], ...]) -> Iterator[list[Clip | None]]:
        """The clips of these lanes, batch by batch; None for an exhausted lane."""
        counts = self.streams.clip_counts(self.epoch)
        playing = [self._play_lane(lane, counts) for lane in lanes]
        for _ in range(self.first_batch, self.num_batches):
            yield [next(lane, None) for lane in playing]

    def _play_lane(self, lane: tuple[int, ...], counts: Sequence[int]) -> Iterator[Clip]:
        first_clip = self.first_batch
        for index in lane:
            if first_clip >= counts[index]:
                first_clip -= counts[index]
                continue
            played = first_clip
            for clip in self.streams.clips(self.epoch, index, first_clip):
                played += 1
                if played > counts[index]:
                    break
                _check_shape(clip, self.streams.clip_shape)
                yield clip
            if played != counts[index]:
                raise ValueError(
                    f"video {index} of epoch {self.epoch} delivered {played} clips, but "
                    f"clip_counts announced {counts[index]}: the lanes would lose step"
                )
            first_clip = 0


def _check_shape(clip: Clip, wanted: ClipShape) -> None:
    shape = tuple(clip.inputs.shape)
    if shape != wanted:
        raise ValueError(
            f"a clip of video {clip.info.name} has shape {shape}, the others {wanted} "
            "(T, C, H, W): all clips of a loader must have the same shape"
        )


def _pack(clips: list[Clip | None]) -> _Part:
    inputs = [clip.inputs for clip in clips if clip is not None]
    if len({frames.dtype for frames in inputs}) > 1:
        raise ValueError("some clips are bytes and some are floats: all must be of one type")
    stacked = torch.stack(inputs) if inputs else torch.empty(0)
    return stacked, [clip and clip[1:] for clip in clips]


def _unpack(part: _Part) -> list[Clip | None]:
    inputs = iter(part[0])
    return [rest and Clip(next(inputs), *rest) for rest in part[1]]


def _start_worker(_: int) -> None:
    leave_signals_to_parent()


def _as_it_is(part: Any) -> Any:
    return part


def _portable(error: Exception) -> Exception:
    """The error with the worker's traceback as a note, in a form that can be pickled."""
    where = "".join(traceback.format_exception(error))
    try:
        sent: Exception = pickle.loads(pickle.dumps(error))
    except Exception:
        # Some exceptions cannot be rebuilt from their message alone.
        sent = RuntimeError(f"{type(error).__name__}: {error}")
    sent.add_note(f"In a worker of the loader:\n{where}")
    return sent


@contextlib.contextmanager
def _forking_is_meant() -> Iterator[None]:
    """Suppress Python 3.12's warning about the fork; `StreamLoader` says why it is safe."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*multi-threaded.*fork", DeprecationWarning)
        yield
