"""The recordings of an evaluation, in batches: from where a protocol starts, at any frame rate."""

import itertools
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from evdet.build import build_loader, read_options
from evdet.cli.terminal import tqdm
from evdet.config import TOY_PROBLEM, DetectionConfig
from evdet.data import (
    Batch,
    MixedLoader,
    SequentialClips,
    StreamLoader,
    labels_beside,
    open_folder,
)
from evdet.evaluation import (
    EvaluationProgress,
    PlayedAt,
    PlayedRecording,
    begin_before_labels,
    fingerprint,
    to_played,
)
from evdet.metrics import Protocol
from evdet.runs import RunFolder

__all__ = ["open_played", "played_at", "progress_of", "with_progress"]

_log = logging.getLogger(__name__)


def open_played(
    config: DetectionConfig, split: str, protocol: Protocol, *, delta_t: int | None = None
) -> tuple[StreamLoader | MixedLoader, list[PlayedRecording] | None, tuple[str, ...]]:
    """The loader, its recordings with their label files (None for Moving MNIST), and notes."""
    loader = build_loader(config, split, delta_t=delta_t)
    if not isinstance(loader, StreamLoader) or not isinstance(loader.streams, SequentialClips):
        return loader, None, ()
    played = to_played(
        loader.streams.source.videos,
        open_folder(Path(config.dataset_path), options=read_options(config)),
        split,
        classes=config.classes,
        frame_period=config.frame_period or config.delta_t,
    )
    return begin_before_labels(loader, played, protocol)


def played_at(
    delta_t: int,
    config: DetectionConfig,
    split: str,
    protocol: Protocol,
    *,
    seconds: float | None = None,
) -> PlayedAt:
    """The recordings in time bins of another duration; about as many seconds, or all."""
    loader, played, _ = open_played(config, split, protocol, delta_t=delta_t)
    batches: Iterable[Batch] = loader
    if seconds is not None:
        batches = _FirstBatches(loader, _batches_of(loader, config, seconds * 1e6 / delta_t))
    return PlayedAt(batches, played)


@dataclass(frozen=True)
class _FirstBatches:
    """The first batches of a loader, in every iteration."""

    loader: StreamLoader | MixedLoader
    num_batches: int

    def __iter__(self) -> Iterator[Batch]:
        return itertools.islice(self.loader, self.num_batches)


def progress_of(
    run: RunFolder,
    loader: StreamLoader | MixedLoader,
    played: list[PlayedRecording] | None,
    settings: Mapping[str, str],
) -> EvaluationProgress | None:
    """What an evaluation that was stopped has found; None where frames are drawn on the fly."""
    if not isinstance(loader, StreamLoader) or played is None:
        return None
    files = [file for one in played for file in (one.path, *labels_beside(one.path))]
    both = {**settings, "recordings": fingerprint(files)}
    progress = EvaluationProgress(run.evaluation_progress, both)
    if progress.num_batches:
        _log.info(
            "continuing an evaluation that was stopped after %d of %d batches",
            progress.num_batches,
            len(loader),
        )
    return progress


def with_progress(
    loader: StreamLoader | MixedLoader,
    config: DetectionConfig,
    frames: int | None,
    *,
    first: int = 0,
) -> Iterable[Batch]:
    """The batches that are evaluated, from one on, with a progress bar."""
    num_batches = len(loader)
    if config.dataset_path != TOY_PROBLEM and frames is not None:
        num_batches = _batches_of(loader, config, frames)
    if isinstance(loader, StreamLoader) and first:
        loader.set_position(loader.epoch, first)
    batches = _FirstBatches(loader, max(0, num_batches - first))
    # Not an iterator: a type checker may consume a batch of it.
    shown: Iterable[Batch] = tqdm(
        batches, desc="Evaluating", unit="batch", total=num_batches, initial=first, leave=False
    )
    return shown


def _batches_of(loader: StreamLoader | MixedLoader, config: DetectionConfig, frames: float) -> int:
    return min(len(loader), math.ceil(frames / (config.num_tbins * config.batch_size)))
