"""StreamLoader: plays many videos side by side, in lanes, over workers and processes."""

import contextlib
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
from evdet.data.lanes import LanePlan, deal_lanes

__all__ = ["StreamLoader", "Streams", "VisFunc", "frame_to_rgb"]

_log = logging.getLogger(__name__)

Frame = Shaped[np.ndarray | Tensor, "C H W"]
VisFunc = Callable[[Frame], UInt8[np.ndarray, "H W 3"]]
"""Turns a frame of the loader into an RGB picture."""


@runtime_checkable
class Streams(Protocol):
    """The videos that a `StreamLoader` plays: whatever has these three."""

    @property
    def clip_shape(self) -> ClipShape:
        """Shape (T, C, H, W) of every clip."""

    def clip_counts(self, epoch: int) -> Sequence[int]:
        """Clips of each video of the epoch, by arithmetic: nothing is decoded."""

    def clips(self, epoch: int, index: int, first_clip: int) -> Iterator[Clip]:
        """The clips of one video, from `first_clip` to its last."""


def frame_to_rgb(frame: Frame) -> UInt8[np.ndarray, "H W 3"]:
    """Show a grey or an RGB frame as it is.

    Args:
        frame: one or three channels, floats from 0 to 1.

    Returns:
        The RGB picture.

    Raises:
        ValueError: the frame has another number of channels.
    """
    values = torch.as_tensor(frame).detach().cpu().float()
    if len(values) not in (1, 3):
        raise ValueError(
            f"a frame of {len(values)} channels is no picture (1 or 3 channels are): "
            "give the loader a vis_func that makes one of it"
        )
    picture = values.clamp(0, 1).mul(255).round().to(torch.uint8)
    return picture.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()


class StreamLoader:
    """Batches of B lanes; each lane plays one video after another, clip by clip.

    Iterating plays one epoch, and the next iteration the next; one that is abandoned leaves
    the loader where it was. The batches are a function of (seed, epoch, rank, world_size):
    any number of workers gives the same. In an epoch every video is played once, by one lane
    of one process, and all processes count the same number of batches: a lane that has
    nothing left delivers black frames that are not labelled.

    Workers are forked on Linux (spawned elsewhere): they start at once, share the memory of
    what is loaded already, and a plain script needs no `if __name__ == "__main__"`. They
    compute on one thread and never touch an accelerator, so what makes forking dangerous in
    a process with threads is not used there.

    Args:
        streams: the videos.
        batch_size: lanes of this process.
        num_workers: processes that prepare clips, each for lanes of its own; 0 prepares
            them in this process. More than `batch_size` would have nothing to do.
        seed: draws the order of the videos.
        rank: number of this process.
        world_size: processes that share the epoch.
        shuffle: play the videos in another random order every epoch.
        vis_func: what `get_vis_func` hands out.
        pin_memory: put the frames where they can be copied to an accelerator asynchronously.
        keep_bytes: hand out frames of bytes as bytes, for whoever moves the batches; see `Batch`.

    Raises:
        ValueError: a number is out of range.
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
        """Videos of this process that broke in the epoch that plays, or played last, and why.

        Those that could not be opened in the first place, as `streams.broken` tells, are among
        them in all processes.
        """
        return {**getattr(self.streams, "broken", {}), **self._broken}

    @property
    def counts(self) -> dict[str, int]:
        """What this process left out of the clips of the epoch that plays, or played last."""
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
        """The function that shows a frame of this loader as an RGB picture."""
        return self.vis_func

    def set_position(self, epoch: int, batch: int = 0) -> None:
        """Let the next iteration start somewhere else; what lies before is not made.

        Args:
            epoch: number of the epoch.
            batch: number of the batch in it; the number of batches of the epoch is its end,
                from which an iteration plays nothing and moves on to the next epoch.

        Raises:
            ValueError: there is no such position.
        """
        if epoch < 0:
            raise ValueError(f"epoch must be 0 or more, got {epoch}")
        num_batches = self._plan(epoch).num_batches
        if not 0 <= batch <= num_batches:
            raise ValueError(f"epoch {epoch} has {num_batches} batches, there is no batch {batch}")
        self._epoch, self._batch = epoch, batch

    def __len__(self) -> int:
        """Batches of a whole epoch, the same in all processes."""
        return self._plan(self._epoch).num_batches

    def __iter__(self) -> Iterator[Batch]:
        return self._play(self._epoch, self._batch)

    def play(self, epoch: int, batch: int = 0) -> Iterator[list[Clip | None]]:
        """Play an epoch without making batches of it; the loader stays where it is.

        Args:
            epoch: number of the epoch.
            batch: number of the batch to begin with.

        Returns:
            For each batch the clips of this process's lanes; None for a lane that has run dry.
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
                    _log.warning("%s breaks off; what is lost plays as silence. %s", name, error)

    def _plan(self, epoch: int) -> LanePlan:
        return deal_lanes(
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
            # A generator of its own: otherwise starting the workers would draw from, and so
            # change, the global random state.
            generator=torch.Generator(),
        )
        with _forking_is_meant():
            received = iter(loader)
        for _ in range(player.first_batch, player.num_batches):
            clips: list[Clip | None] = []
            for _ in range(num_workers):
                part = next(received)
                if isinstance(part, Exception):
                    try:
                        raise part
                    finally:
                        # Ends the workers. The error holds this frame, so that they would wait
                        # until somebody lets go of it, and then for seconds.
                        del part, received
                clips.extend(_unpack(part))
            yield clips


_Rest = tuple[list[np.ndarray], np.ndarray, ClipInfo, int, Mapping[str, int]]
"""A clip without its frames."""
_Part = tuple[Tensor, list[_Rest | None]]
"""The clips of a worker's lanes on their way: all frames in one tensor, because every tensor
that goes from process to process takes a file descriptor and a round trip."""


@dataclass(frozen=True)
class _LanePlayer(IterableDataset[_Part | Exception]):
    """Plays lanes clip by clip: all of them in this process, or in each worker its share."""

    streams: Streams
    epoch: int
    lanes: tuple[tuple[int, ...], ...]
    first_batch: int
    num_batches: int

    def __iter__(self) -> Iterator[_Part | Exception]:
        worker = get_worker_info()
        if worker is None:
            raise RuntimeError("only the workers of a loader iterate over this")
        first = worker.id * len(self.lanes) // worker.num_workers
        end = (worker.id + 1) * len(self.lanes) // worker.num_workers
        try:
            for clips in self.play(self.lanes[first:end]):
                yield _pack(clips)
        except Exception as error:
            # As a value: the DataLoader would bury the message in a traceback.
            yield _portable(error)

    def play(self, lanes: tuple[tuple[int, ...], ...]) -> Iterator[list[Clip | None]]:
        """The clips of these lanes, batch by batch; None where a lane has run dry."""
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
                    f"video {index} of epoch {self.epoch} delivered clip number {played} last, "
                    f"but clip_counts announced {counts[index]} clips: the lanes would lose step"
                )
            first_clip = 0


def _check_shape(clip: Clip, wanted: ClipShape) -> None:
    shape = tuple(clip.inputs.shape)
    if shape != wanted:
        raise ValueError(
            f"a clip of video {clip.info.name} has shape {shape}, the others {wanted} "
            "(T, C, H, W): all clips of a loader must have one shape"
        )


def _pack(clips: list[Clip | None]) -> _Part:
    inputs = [clip.inputs for clip in clips if clip is not None]
    if len({frames.dtype for frames in inputs}) > 1:
        raise ValueError("some clips are bytes and some are floats: a loader takes one kind")
    stacked = torch.stack(inputs) if inputs else torch.empty(0)
    return stacked, [clip and clip[1:] for clip in clips]


def _unpack(part: _Part) -> list[Clip | None]:
    inputs = iter(part[0])
    return [rest and Clip(next(inputs), *rest) for rest in part[1]]


def _as_it_is(part: Any) -> Any:
    return part


def _portable(error: Exception) -> Exception:
    """The same error with the worker's traceback noted, as something that can be sent."""
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
    """Keep Python 3.12 and later from warning of the fork; the class says why it is safe."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*multi-threaded.*fork", DeprecationWarning)
        yield
