"""Names -> objects: the one place where a config becomes a detector and its loaders."""

import math
import os
from collections.abc import Mapping
from typing import TypeVar

import torch

from evdet.config import TOY_PROBLEM, DetectionConfig
from evdet.data.moving_mnist import MovingMNIST
from evdet.data.stream_loader import StreamLoader
from evdet.models.anchors import COCO_ANCHORS, MNIST_ANCHORS, PSEE_ANCHORS, Anchors
from evdet.models.detector import Detector
from evdet.models.feature_extractors import Vanilla, VanillaGRU, VggLike
from evdet.models.heads import BoxHead
from evdet.models.losses import LOSSES, DetectionLoss

__all__ = ["ANCHORS", "FEATURE_EXTRACTORS", "build_detector", "build_loader"]

FEATURE_EXTRACTORS = {"Vanilla": Vanilla, "VanillaGRU": VanillaGRU, "VggLike": VggLike}
ANCHORS = {
    "COCO_ANCHORS": COCO_ANCHORS,
    "MNIST_ANCHORS": MNIST_ANCHORS,
    "PSEE_ANCHORS": PSEE_ANCHORS,
}

Choice = TypeVar("Choice")


def build_detector(config: DetectionConfig) -> Detector:
    """Make the detector that a config names, with fresh weights.

    The weights are a function of `config.seed`; torch's own random state is left alone.

    Args:
        config: the run.

    Returns:
        The detector, in training mode.

    Raises:
        ValueError: the config names a part that does not exist.
    """
    make_features = _choose("feature_extractor", config.feature_extractor, FEATURE_EXTRACTORS)
    shapes = _choose("anchor_list", config.anchor_list, ANCHORS)
    _choose("loss", config.loss, LOSSES)
    criterion = DetectionLoss(config.loss)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
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
    detector = Detector(features, anchors, head, criterion)
    if config.channels_last:
        for weight in detector.parameters():
            if weight.dim() == 4:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    if config.freeze_features:
        detector.freeze_features()
    return detector


def build_loader(
    config: DetectionConfig, split: str, *, rank: int = 0, world_size: int = 1
) -> StreamLoader:
    """Make the loader of one split of a config's data set.

    Args:
        config: the run.
        split: train, val or test. The last two play the same videos in every epoch.
        rank: number of this process.
        world_size: processes that share the epoch.

    Returns:
        The loader.

    Raises:
        ValueError: there is no such data set, or it does not have these classes.
    """
    if config.dataset_path != TOY_PROBLEM:
        raise ValueError(
            f"dataset_path must be {TOY_PROBLEM!r}, got {config.dataset_path!r}: "
            "folders of recordings cannot be read yet"
        )
    frames = {
        "train": config.max_frames_per_epoch,
        "val": _whole_videos(config, config.val_frames),
        "test": _whole_videos(config, config.test_frames),
    }
    videos = MovingMNIST(
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
    return StreamLoader(
        videos,
        batch_size=config.batch_size,
        # Batches do not depend on it, and more workers than cores only wait for each other.
        num_workers=min(config.num_workers, os.cpu_count() or 1),
        seed=config.seed,
        rank=rank,
        world_size=world_size,
        shuffle=split == "train",
    )


def _whole_videos(config: DetectionConfig, num_frames: int) -> int:
    """At least so many frames: the loader would round down to whole videos."""
    per_video = config.max_frames_per_video // config.num_tbins * config.num_tbins
    return math.ceil(num_frames / per_video) * per_video


def _digit(name: str) -> int:
    if name not in {*"0123456789"}:
        raise ValueError(
            f"the classes of {TOY_PROBLEM} are the digits 0 to 9, there is no {name!r}"
        )
    return int(name)


def _choose(field: str, name: str, choices: Mapping[str, Choice]) -> Choice:
    if name not in choices:
        raise ValueError(f"{field} must be one of {', '.join(sorted(choices))}, got {name!r}")
    return choices[name]
