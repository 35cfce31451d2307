"""Config -> detector and loaders: the names in a config become objects here."""

import dataclasses
import math
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from evdet.config import TOY_PROBLEM, ConfigError, DetectionConfig
from evdet.data import (
    DatasetFolder,
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
from evdet.events import RecordingError, frame_to_picture, frame_to_rgb, open_recording, parse_size
from evdet.events.representations import get_representation
from evdet.frame_spec import PICTURES, READY_MADE
from evdet.labels import BoxRules, choose_classes
from evdet.models import Detector
from evdet.models.rvt import RVT, RVT_PLANS, RVTPlan
from evdet.models.ssd import (
    COCO_ANCHORS,
    LOSSES,
    MNIST_ANCHORS,
    PSEE_ANCHORS,
    SSD,
    Anchors,
    BoxHead,
    DetectionLoss,
    Vanilla,
    VanillaGRU,
    VggLike,
)
from evdet.shapes import Picture
from evdet.synthetic import MovingMNIST

__all__ = [
    "ANCHORS",
    "DETECTORS",
    "FEATURE_EXTRACTORS",
    "build_detector",
    "build_loader",
    "complete_config",
]

FEATURE_EXTRACTORS = {"Vanilla": Vanilla, "VanillaGRU": VanillaGRU, "VggLike": VggLike}
ANCHORS = {
    "COCO_ANCHORS": COCO_ANCHORS,
    "MNIST_ANCHORS": MNIST_ANCHORS,
    "PSEE_ANCHORS": PSEE_ANCHORS,
}

Choice = TypeVar("Choice")


def build_detector(config: DetectionConfig) -> Detector:
    """Make the detector of a config, with initial weights.

    The weights are a function of `config.seed`; torch's own random state does not change.

    Args:
        config: complete, as `complete_config` returns it; toy_problem is completed here.

    Returns:
        The detector, in training mode.

    Raises:
        ValueError: the config names an unknown part, or is not complete.
    """
    config = _require_complete(config)
    build = _choose("detector", config.detector, DETECTORS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        detector = build(config)
    if config.channels_last:
        for weight in detector.parameters():
            if weight.dim() == 4:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    if config.freeze_features:
        detector.freeze_features()
    return detector


def _build_ssd(config: DetectionConfig) -> SSD:
    make_features = _choose("feature_extractor", config.feature_extractor, FEATURE_EXTRACTORS)
    shapes = _choose("anchor_list", config.anchor_list, ANCHORS)
    _choose("loss", config.loss, LOSSES)
    criterion = DetectionLoss(config.loss)
    features = make_features(
        config.in_channels, config.feature_base, config.feature_channels_out, config.num_levels
    )
    anchors = Anchors(config.num_levels, anchor_list=shapes)
    head = BoxHead(
        features.cout,
        anchors.num_anchors,
        len(config.classes) + criterion.has_background,
        config.head_layers,
        hidden_channels=config.head_channels,
        background=criterion.has_background,
    )
    return SSD(features, anchors, head, criterion, config.frame_spec)


def _build_rvt(config: DetectionConfig, plan: RVTPlan) -> RVT:
    return RVT(plan, config.in_channels, len(config.classes), config.frame_spec)


DETECTORS: dict[str, Callable[[DetectionConfig], Detector]] = {
    "SSD": _build_ssd,
    **{name: partial(_build_rvt, plan=plan) for name, plan in RVT_PLANS.items()},
}
"""The detectors by name."""


def complete_config(config: DetectionConfig) -> DetectionConfig:
    """Fill in the open fields of a config from its data set: classes, frame size, channels.

    Raises:
        ValueError: the data set cannot be read, or does not fit the config.
    """
    if config.dataset_path == TOY_PROBLEM:
        return dataclasses.replace(
            config,
            classes=config.classes or tuple("0123456789"),
            height=config.height or 128,
            width=config.width or 128,
            in_channels=config.in_channels or 3,
            preprocess=PICTURES,
        )
    if not _open_fields(config):
        return config
    folder = open_folder(Path(config.dataset_path))
    height, width, channels, preprocess = _frames_of(config, folder)
    if config.in_channels not in (0, channels):
        raise ConfigError(
            f"in_channels is {config.in_channels}, but the frames of preprocess {preprocess} have "
            f"{channels} channels: omit in_channels"
        )
    return dataclasses.replace(
        config,
        classes=config.classes or choose_classes(folder.label_map).names,
        height=config.height or height,
        width=config.width or width,
        in_channels=channels,
        preprocess=preprocess,
    )


def _open_fields(config: DetectionConfig) -> list[str]:
    """The fields that a config leaves to its data set."""
    names = ("classes", "height", "width", "in_channels")
    auto = ["preprocess"] if config.preprocess == "auto" else []
    return [name for name in names if not getattr(config, name)] + auto


def _require_complete(config: DetectionConfig) -> DetectionConfig:
    """Moving MNIST is completed here; a folder of recordings is not opened."""
    if config.dataset_path == TOY_PROBLEM:
        return complete_config(config)
    fields = _open_fields(config)
    if fields:
        raise ConfigError(
            f"the configuration does not give {', '.join(fields)}: complete_config(config) takes "
            f"them from {config.dataset_path}"
        )
    return config


def build_loader(
    config: DetectionConfig,
    split: str,
    *,
    rank: int = 0,
    world_size: int = 1,
    for_transfer: bool = False,
) -> StreamLoader | MixedLoader:
    """Make the loader of one split of a config's data set.

    Args:
        config: complete, as `complete_config` returns it; toy_problem is completed here.
        split: train, val or test. The last two play the same videos in every epoch.
        rank: index of this process.
        world_size: processes that share the epoch.
        for_transfer: whether the caller moves the batches to a device and converts bytes to
            floats there.

    Raises:
        ValueError: the config is not complete, the data set does not exist, or it does not have
            these classes.
        NoObjectsError: the split has no box to learn from or to score.
        RecordingError: a recording is damaged, and the config is strict.
    """
    config = _require_complete(config)
    is_toy = config.dataset_path == TOY_PROBLEM
    source = None if is_toy else _open_source(config, split)
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
    streams = SequentialClips(source=source, augment=forwards, seed=config.seed)
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
        seed=config.seed,
        delta_t=config.delta_t,
    )


def _frames_of(config: DetectionConfig, folder: DatasetFolder) -> tuple[int, int, int, str]:
    """Height, width and channels of a data set's frames, and their representation."""
    entries = [entry for part in folder.splits.values() for entry in part]
    if entries[0].kind == "frames":
        if config.preprocess not in ("auto", READY_MADE):
            raise ConfigError(
                f"{folder.path} holds ready-made frames, so preprocess must be {READY_MADE}, "
                f"got {config.preprocess}"
            )
        split = next(name for name, part in folder.splits.items() if part)
        _, channels, height, width = open_tensors(folder, split).clip_shape
        return height, width, channels, READY_MADE
    preprocess = "histogram" if config.preprocess == "auto" else config.preprocess
    channels = get_representation(preprocess).num_channels
    if config.height and config.width:
        return config.height, config.width, channels, preprocess
    stated = parse_size(config.sensor_size) if config.sensor_size else None
    problem = None
    for entry in entries:
        try:
            size = open_recording(entry.recording, size=stated).size
        except RecordingError as error:
            problem = problem or error
            continue
        return size.height, size.width, channels, preprocess
    raise problem or ConfigError(f"{folder.path} has no recordings")


def _open_source(config: DetectionConfig, split: str) -> FrameSource:
    folder = open_folder(Path(config.dataset_path))
    source = _frames_to_play(config, folder, split)
    check_objects(folder, split, source.videos, source.left_out)
    return source


def _frames_to_play(
    config: DetectionConfig, folder: DatasetFolder, split: str
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
            config.frame_spec,
            classes=config.classes,
            num_tbins=config.num_tbins,
            rules=rules,
            strict=config.strict,
        )
    return open_recordings(
        folder,
        split,
        config.frame_spec,
        classes=config.classes,
        num_tbins=config.num_tbins,
        rules=rules,
        sensor_size=parse_size(config.sensor_size) if config.sensor_size else None,
        frame_period=config.frame_period or config.delta_t,
        strict=config.strict,
    )


def _random_clips(
    config: DetectionConfig, source: FrameSource, augment: AugmentRules | None
) -> RandomClips:
    num_clips = max(1, config.max_frames_per_epoch // config.num_tbins)
    return RandomClips(source=source, num_clips=num_clips, augment=augment, seed=config.seed)


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


def _choose(field: str, name: str, choices: Mapping[str, Choice]) -> Choice:
    if name not in choices:
        raise ValueError(f"{field} must be one of {', '.join(sorted(choices))}, got {name!r}")
    return choices[name]
