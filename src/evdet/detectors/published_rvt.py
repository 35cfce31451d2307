"""Checkpoints of the RVT and S5-ViT projects -> checkpoints of evdet."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evdet.build import build_detector
from evdet.config import DetectionConfig
from evdet.detectors.checkpoints import CheckpointError
from evdet.detectors.published_settings import check_published_names, published_settings
from evdet.detectors.tensor_file import StoredTensor, open_state_dict, read_tensors
from evdet.models.rvt import RVT_PLANS, S5_VIT_PLANS

__all__ = ["RVT_NAMES", "import_rvt", "published_name"]

RVT_NAMES = (
    (r"^backbone\.(stages\.\d+)\.downsample\.", r"mdl.backbone.\1.downsample_cf2cl.conv."),
    (r"^backbone\.(stages\.\d+)\.norm\.", r"mdl.backbone.\1.downsample_cf2cl.norm."),
    (r"^backbone\.(stages\.\d+)\.(window|grid)\.", r"mdl.backbone.\1.att_blocks.0.att_\2."),
    (r"^backbone\.(stages\.\d+)\.lstm\.gates\.", r"mdl.backbone.\1.lstm.conv1x1."),
    (r"^backbone\.(stages\.\d+)\.s5\.", r"mdl.backbone.\1.s5_block."),
    (r"\.s5_block\.norm\.", r".s5_block.attn_norm."),
    (r"\.s5_block\.gate_norm\.", r".s5_block.ff_norm."),
    (r"\.s5_block\.expand\.", r".s5_block.ff_enc."),
    (r"\.s5_block\.mix\.", r".s5_block.ff_dec."),
    (r"\.s5\.eigenvalues$", r".s5.seq.Lambda"),
    (r"\.s5\.input_weight$", r".s5.seq.B"),
    (r"\.s5\.output_weight$", r".s5.seq.C"),
    (r"\.s5\.skip$", r".s5.seq.D"),
    (r"\.s5\.log_step$", r".s5.seq.log_step"),
    (r"\.(qkv|proj)\.", r".self_attn.\1."),
    (r"\.scale(\d)$", r".ls\1.gamma"),
    (r"\.mlp\.0\.", r".mlp.net.0.0."),
    (r"\.mlp\.2\.", r".mlp.net.2."),
    (r"^neck\.reduce_coarse\.", r"mdl.fpn.lateral_conv0."),
    (r"^neck\.mix_down_middle\.", r"mdl.fpn.C3_p4."),
    (r"^neck\.reduce_middle\.", r"mdl.fpn.reduce_conv1."),
    (r"^neck\.mix_down_fine\.", r"mdl.fpn.C3_p3."),
    (r"^neck\.shrink_fine\.", r"mdl.fpn.bu_conv2."),
    (r"^neck\.mix_up_middle\.", r"mdl.fpn.C3_n3."),
    (r"^neck\.shrink_middle\.", r"mdl.fpn.bu_conv1."),
    (r"^neck\.mix_up_coarse\.", r"mdl.fpn.C3_n4."),
    (r"\.through\.", r".conv1."),
    (r"\.past\.", r".conv2."),
    (r"\.join\.", r".conv3."),
    (r"\.blocks\.(\d+)\.0\.", r".m.\1.conv1."),
    (r"\.blocks\.(\d+)\.1\.", r".m.\1.conv2."),
    (r"^head\.levels\.(\d)\.stem\.", r"mdl.yolox_head.stems.\1."),
    (r"^head\.levels\.(\d)\.class_branch\.(\d)\.", r"mdl.yolox_head.cls_convs.\1.\2."),
    (r"^head\.levels\.(\d)\.box_branch\.(\d)\.", r"mdl.yolox_head.reg_convs.\1.\2."),
    (r"^head\.levels\.(\d)\.class_logits\.", r"mdl.yolox_head.cls_preds.\1."),
    (r"^head\.levels\.(\d)\.corrections\.", r"mdl.yolox_head.reg_preds.\1."),
    (r"^head\.levels\.(\d)\.objectness\.", r"mdl.yolox_head.obj_preds.\1."),
    (r"(?<!downsample_cf2cl)\.norm\.", r".bn."),
)
"""Names of weights -> those of both projects: patterns and replacements, applied in order."""

_FIRST_LAYER = "mdl.backbone.stages.0.downsample_cf2cl.conv.weight"
_S5_PART = ".s5_block."
_CLASS_LAYER = "mdl.yolox_head.cls_preds.0.weight"

_GEN1: Mapping[str, Any] = {
    "dataset_path": "datasets/gen1",
    "classes": ("car", "pedestrian"),
    "height": 240,
    "width": 304,
    "num_tbins": 21,
    "preprocess": "stacked_histogram_rvt",
    "min_box_diag": 30.0,
    "min_box_side": 10.0,
    # All candidates, as published: the class score may be high where objectness is low.
    "max_boxes_per_input": 1680,
}
_ONE_MPX: Mapping[str, Any] = {
    "dataset_path": "datasets/one_mpx",
    "classes": ("pedestrian", "two wheeler", "car"),
    "height": 360,
    "width": 640,
    "num_tbins": 5,
    # The representation that halves frames as RVT does.
    "preprocess": "stacked_histogram_rvt_replay",
    "min_box_diag": 60.0,
    "min_box_side": 20.0,
    "max_boxes_per_input": 5040,
}
_DATA_SETS = {2: _GEN1, 3: _ONE_MPX}
"""The data sets of the published checkpoints, by their number of classes."""


def published_name(name: str) -> str:
    """Translate a name of a detector's `state_dict` to that of a published checkpoint."""
    for ours, theirs in RVT_NAMES:
        name = re.sub(ours, theirs, name)
    return name


def import_rvt(
    path: Path,
    *,
    classes: Sequence[str] = (),
    height: int = 0,
    width: int = 0,
    preprocess: str = "",
) -> dict[str, Any]:
    """Convert a Lightning checkpoint of the RVT or the S5-ViT project into a checkpoint of evdet.

    No code in the file runs: only its tensors are read.

    Args:
        path: the file.
        classes: names of its classes, in order; by default those of Gen1 for two classes, and of
            1 Mpx for three.
        height: of its training frames, in pixels; 0 takes the data set's.
        width: of its training frames, in pixels; 0 takes the data set's.
        preprocess: representation of its training frames; by default RVT's stacked histogram.

    Returns:
        The content of the checkpoint: plain values and tensors, for `torch.save`.

    Raises:
        CheckpointError: the file is not a checkpoint of RVT or S5-ViT, or of another variant of
            them; the message names missing and unknown weights.
    """
    stored = open_state_dict(path)
    config = _config_of(path, stored, tuple(classes), (height, width), preprocess)
    # Only names and shapes are needed.
    with torch.device("meta"):
        wanted = build_detector(config).state_dict()
    _check_names(path, wanted, stored)
    found = read_tensors(path, {name: stored[published_name(name)] for name in wanted})
    weights = {f"detector.{name}": found[name].to(own.dtype) for name, own in wanted.items()}
    plain = dataclasses.asdict(config)
    return {
        "hyper_parameters": {**plain, "classes": list(config.classes)},
        "state_dict": weights,
    }


def _config_of(
    path: Path,
    stored: Mapping[str, StoredTensor],
    classes: tuple[str, ...],
    size: tuple[int, int],
    preprocess: str,
) -> DetectionConfig:
    """The configuration that the shapes of a checkpoint imply, and its data set's settings."""
    first, last = stored.get(_FIRST_LAYER), stored.get(_CLASS_LAYER)
    if first is None or last is None or len(first.shape) != 4 or not last.shape:
        lacking = [name for name in (_FIRST_LAYER, _CLASS_LAYER) if name not in stored]
        name = lacking[0] if lacking else _FIRST_LAYER
        raise CheckpointError(f"{path} is not a checkpoint of RVT: it has no {name}")
    width, in_channels = first.shape[:2]
    plans = S5_VIT_PLANS if any(_S5_PART in name for name in stored) else RVT_PLANS
    names = [name for name, plan in plans.items() if plan.channels[0] == width]
    if not names:
        widths = ", ".join(f"{plan.channels[0]} ({name})" for name, plan in plans.items())
        raise CheckpointError(f"{path}: its first stage has {width} channels instead of {widths}")
    num_classes = last.shape[0]
    values = published_settings(
        path,
        _DATA_SETS,
        num_classes=num_classes,
        in_channels=in_channels,
        classes=classes,
        size=size,
        preprocess=preprocess,
    )
    return DetectionConfig(
        detector=names[0],
        in_channels=in_channels,
        score_thresh=0.001,
        nms_thresh=0.45,
        **values,
    )


def _check_names(
    path: Path, wanted: Mapping[str, Tensor], stored: Mapping[str, StoredTensor]
) -> None:
    shapes = {published_name(name): tuple(weight.shape) for name, weight in wanted.items()}
    found = {name: tensor.shape for name, tensor in stored.items()}
    check_published_names(path, "RVT", shapes, found)
