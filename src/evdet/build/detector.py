"""Config -> detector: the names in a config become objects here."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

import torch

from evdet.build.completing import require_complete
from evdet.config import DetectionConfig
from evdet.models import Detector
from evdet.models.rtdetr import EVRT_DETR_PLANS, RT_DETR_PLANS, RTDETR, RTDETRPlan
from evdet.models.rvt import RVT, RVT_PLANS, S5_VIT_PLANS, RVTPlan
from evdet.models.ssd import (
    COCO_ANCHORS,
    DIGIT_ANCHORS,
    LOSSES,
    MNIST_ANCHORS,
    PSEE_ANCHORS,
    SSD,
    Anchors,
    BoxHead,
    DetectionLoss,
    Vanilla,
    VanillaGRU,
    VanillaS5,
    VggLike,
)

__all__ = ["ANCHORS", "DETECTORS", "FEATURE_EXTRACTORS", "build_detector"]

FEATURE_EXTRACTORS = {
    "Vanilla": Vanilla,
    "VanillaGRU": VanillaGRU,
    "VanillaS5": VanillaS5,
    "VggLike": VggLike,
}
ANCHORS = {
    "COCO_ANCHORS": COCO_ANCHORS,
    "DIGIT_ANCHORS": DIGIT_ANCHORS,
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
    config = require_complete(config)
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
    if config.memory_only:
        detector.train_memory_only(keep_statistics=config.keep_statistics)
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


def _build_rt_detr(config: DetectionConfig, plan: RTDETRPlan) -> RTDETR:
    return RTDETR(plan, config.in_channels, len(config.classes), config.frame_spec)


DETECTORS: dict[str, Callable[[DetectionConfig], Detector]] = {
    "SSD": _build_ssd,
    **{
        name: partial(_build_rvt, plan=plan) for name, plan in {**RVT_PLANS, **S5_VIT_PLANS}.items()
    },
    **{
        name: partial(_build_rt_detr, plan=plan)
        for name, plan in {**RT_DETR_PLANS, **EVRT_DETR_PLANS}.items()
    },
}
"""The detectors by name."""


def _choose(field: str, name: str, choices: Mapping[str, Choice]) -> Choice:
    if name not in choices:
        raise ValueError(f"{field} must be one of {', '.join(sorted(choices))}, got {name!r}")
    return choices[name]
