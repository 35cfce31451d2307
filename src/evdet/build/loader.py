"""Config -> the loader of a split."""

import dataclasses
import math
import os
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from evdet.build.completing import read_options, require_complete
from evdet.config import TOY_PROBLEM, ConfigError, DetectionConfig
from evdet.data import (
    DatasetFolder,
    DurationRange,
    FrameSource,
    MixedLoader,
    RandomClips,
    RecordingFrames,
    SequentialClips,
    StreamLoader,
    Streams,
    TensorFrames,
    check_objects,
    open_folder,
    open_recordings,
    open_tensors,
)
from evdet.data.augment import AugmentRules
from evdet.events import (
    frame_to_picture,
    frame_to_rgb,
    parse_size,
)
from evdet.frame_spec import READY_MADE, FrameSpec
from evdet.labels import BoxRules
from evdet.shapes import Picture
from evdet.synthetic import MovingMNIST

__all__ = ["build_loader"]


def build_loader(
    config: DetectionConfig,
    split: str,
    *,
    rank: int = 0,
    world_size: int = 1,
    for_transfer: bool = False,
    delta_t: int | None = None,
) -> StreamLoader | MixedLoader:
    """Make the loader of one split of a config's data set.

    Args:
        config: complete, as `complete_config` returns it; toy_problem is completed here.
        split: train, val or test. The last two play the same videos in every epoch.
        rank: index of this process.
        world_size: processes that share the epoch.
        for_transfer: whether the caller moves the batches to a device and converts bytes to
            floats there.
        delta_t: duration of a time bin, in microseconds; None is that of the training.

    Raises:
        ValueError: the config is not complete, the data set does not exist, or it does not have
            these classes.
        NoObjectsError: the split has no box to learn from or to score.
        RecordingError: a recording is damaged, and the config is strict.
    """
    config = require_complete(config)
    is_toy = config.dataset_path == TOY_PROBLEM
    source = None if is_toy else _open_source(config, split, config.frame_spec.at(delta_t))
    sampling = config.sampling if split == "train" else "stream"

    def load(streams: Streams, num_lanes: int) -> StreamLoader:
        return StreamLoader(
            streams,
            batch_size=num_lanes,
            # Batches do not depend on it, and more workers than cores are not faster.
            num_workers=min(config.num_workers, os.cpu_count() or 1),
            seed=config.seed,
            rank=rank,
            world_size=world_size,
            shuffle=split == "train",
            vis_func=frame_to_rgb if is_toy else partial(_show_frame, config.preprocess),
            pin_memory=for_transfer and torch.cuda.is_available(),
            keep_bytes=for_transfer,
        )

    if source is None:
        return load(_toy_videos(config, split), config.batch_size)
    augment = _augment_rules(config) if split == "train" else None
    if sampling == "random":
        return load(_random_clips(config, source, augment), config.batch_size)
    # A stream is not reversed in time.
    forwards = augment and dataclasses.replace(augment, reverse_prob=0.0)
    if forwards and sampling == "mixed":
        # The part outside a magnified region would be missing until the recording ends.
        forwards = dataclasses.replace(
            forwards, zoom_in_prob=0.0, zoom_out_prob=config.stream_zoom_out
        )
    durations = _durations(config) if split == "train" else None
    streams = SequentialClips(
        source=source, augment=forwards, seed=config.seed, durations=durations
    )
    if sampling == "stream":
        return load(streams, config.batch_size)
    if config.batch_size < 2:
        raise ConfigError(
            f"mixed sampling needs a batch_size of at least 2, got {config.batch_size}"
        )
    num_streamed = config.batch_size // 2
    drawn = load(_random_clips(config, source, augment), config.batch_size - num_streamed)
    return MixedLoader(load(streams, num_streamed), drawn)


def _toy_videos(config: DetectionConfig, split: str) -> MovingMNIST:
    frames = {
        "train": config.max_frames_per_epoch,
        "val": _whole_videos(config, config.val_frames),
        "test": _whole_videos(config, config.test_frames),
    }
    return MovingMNIST(
        split=split,
        height=config.height,
        width=config.width,
        tbins=config.num_tbins,
        max_frames_per_video=config.max_frames_per_video,
        max_frames_per_epoch=frames[split],
        max_objects=config.max_objects,
        digits=tuple(map(_digit, config.classes)),
        color=config.color,
        grey_share=config.grey_share,
        max_digit_share=config.max_digit_share,
        seed=config.seed,
        delta_t=config.delta_t,
    )


def _open_source(config: DetectionConfig, split: str, spec: FrameSpec) -> FrameSource:
    folder = open_folder(Path(config.dataset_path), options=read_options(config))
    source = _frames_to_play(config, folder, split, spec)
    check_objects(folder, split, source.videos, source.left_out)
    return source


def _frames_to_play(
    config: DetectionConfig, folder: DatasetFolder, split: str, spec: FrameSpec
) -> RecordingFrames | TensorFrames:
    rules = BoxRules(
        min_box_diag=config.min_box_diag,
        min_box_side=config.min_box_side,
        max_box_share=config.max_box_share,
        clip=config.clip_boxes,
    )
    if config.preprocess == READY_MADE:
        return open_tensors(
            folder,
            split,
            spec,
            classes=config.classes,
            num_tbins=config.num_tbins,
            rules=rules,
            strict=config.strict,
        )
    return open_recordings(
        folder,
        split,
        spec,
        classes=config.classes,
        num_tbins=config.num_tbins,
        rules=rules,
        sensor_size=parse_size(config.sensor_size) if config.sensor_size else None,
        frame_period=config.frame_period or config.delta_t,
        any_duration=split == "train" and bool(config.delta_t_range),
        strict=config.strict,
    )


def _random_clips(
    config: DetectionConfig, source: FrameSource, augment: AugmentRules | None
) -> RandomClips:
    num_clips = max(1, config.max_frames_per_epoch // config.num_tbins)
    return RandomClips(
        source=source,
        num_clips=num_clips,
        augment=augment,
        seed=config.seed,
        durations=_durations(config),
    )


def _durations(config: DetectionConfig) -> DurationRange | None:
    return DurationRange(*config.delta_t_range) if config.delta_t_range else None


def _augment_rules(config: DetectionConfig) -> AugmentRules:
    # Published recipes zoom in four times as often as out.
    return AugmentRules(
        flip_prob=config.hflip,
        crop_prob=config.crop,
        zoom_in_prob=0.8 * config.zoom,
        max_zoom_in=config.max_zoom_in,
        zoom_out_prob=0.2 * config.zoom,
        max_zoom_out=config.max_zoom_out,
        drop_prob=float(config.event_drop > 0),
        max_drop=config.event_drop,
        noise_prob=float(config.event_noise > 0),
        max_noise_rate=config.event_noise,
        swap_prob=config.polarity_swap,
        reverse_prob=config.time_reversal,
    )


def _show_frame(preprocess: str, frame: Shaped[np.ndarray | Tensor, "C H W"]) -> Picture:
    values = frame.detach().cpu().numpy() if isinstance(frame, Tensor) else frame
    return frame_to_picture(values, preprocess)


def _whole_videos(config: DetectionConfig, num_frames: int) -> int:
    """Round a number of frames up to whole videos: the loader would round down."""
    per_video = config.max_frames_per_video // config.num_tbins * config.num_tbins
    return math.ceil(num_frames / per_video) * per_video


def _digit(name: str) -> int:
    if name not in {*"0123456789"}:
        raise ValueError(f"the classes of {TOY_PROBLEM} are the digits 0 to 9, got {name!r}")
    return int(name)
