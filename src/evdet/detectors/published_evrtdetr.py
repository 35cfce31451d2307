"""Model folders of the EvRT-DETR project -> checkpoints of evdet."""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evdet.build import build_detector
from evdet.config import DetectionConfig
from evdet.detectors.checkpoints import CheckpointError
from evdet.detectors.published_settings import check_published_names, published_settings
from evdet.detectors.tensor_file import StoredTensor, open_state_dict, read_tensors
from evdet.models.rtdetr import EVRT_DETR_PLANS, RT_DETR_PLANS

__all__ = ["EVRT_DETR_NAMES", "import_evrtdetr", "is_evrtdetr_folder", "published_names"]

EVRT_DETR_NAMES = (
    # Backbone.
    (r"^backbone\.stem\.2\.", r"net_backbone:_net.conv1.conv1_3."),
    (r"^backbone\.stem\.1\.", r"net_backbone:_net.conv1.conv1_2."),
    (r"^backbone\.stem\.0\.", r"net_backbone:_net.conv1.conv1_1."),
    (r"^backbone\.stages\.(\d)\.(\d+)\.", r"net_backbone:_net.res_layers.\1.blocks.\2."),
    (r"\.body\.0\.", r".branch2a."),
    (r"\.body\.1\.", r".branch2b."),
    (r"\.body\.2\.", r".branch2c."),
    # A shortcut that skips has its convolution one level deeper.
    (r"(res_layers\.0\.blocks\.0)\.shortcut\.", r"\1.short."),
    (r"\.shortcut\.", r".short.conv."),
    # Encoder.
    (r"^encoder\.project\.(\d)\.", r"net_encoder:input_proj.\1."),
    (r"^encoder\.attention\.attention\.", r"net_encoder:encoder.0.layers.0.self_attn."),
    (r"^encoder\.attention\.", r"net_encoder:encoder.0.layers.0."),
    (r"^encoder\.lateral\.", r"net_encoder:lateral_convs."),
    (r"^encoder\.mix_down\.", r"net_encoder:fpn_blocks."),
    (r"^encoder\.shrink\.", r"net_encoder:downsample_convs."),
    (r"^encoder\.mix_up\.", r"net_encoder:pan_blocks."),
    (r"\.through\.", r".conv1."),
    (r"\.past\.", r".conv2."),
    (r"\.join\.", r".conv3."),
    (r"\.blocks\.(\d)\.0\.(?=[01]\.)", r".bottlenecks.\1.conv1."),
    (r"\.blocks\.(\d)\.1\.(?=[01]\.)", r".bottlenecks.\1.conv2."),
    # Decoder.
    (r"^decoder\.project\.(\d)\.", r"net_decoder:input_proj.\1."),
    (r"^decoder\.layers\.(\d)\.self_attention\.", r"net_decoder:decoder.layers.\1.self_attn."),
    (r"^decoder\.layers\.(\d)\.cross_attention\.", r"net_decoder:decoder.layers.\1.cross_attn."),
    (r"^decoder\.layers\.", r"net_decoder:decoder.layers."),
    (r"^decoder\.choose\.", r"net_decoder:enc_output."),
    (r"^decoder\.choose_class\.", r"net_decoder:enc_score_head."),
    (r"^decoder\.choose_box\.", r"net_decoder:enc_bbox_head."),
    (r"^decoder\.position\.", r"net_decoder:query_pos_head."),
    (r"^decoder\.class_heads\.", r"net_decoder:dec_score_head."),
    (r"^decoder\.box_heads\.", r"net_decoder:dec_bbox_head."),
    (r"^decoder\.class_embedding\.", r"net_decoder:denoising_class_embed."),
    (r"((?:bbox_head|pos_head)(?:\.\d)?)\.0\.(?=weight|bias)", r"\1.layers.0."),
    (r"((?:bbox_head|pos_head)(?:\.\d)?)\.2\.(?=weight|bias)", r"\1.layers.1."),
    (r"((?:bbox_head|pos_head)(?:\.\d)?)\.4\.(?=weight|bias)", r"\1.layers.2."),
    (r"\.in_proj\.", r".in_proj_"),
    # Memory: the weights of the gates lie in one tensor here.
    (r"^adapter\.projections\.", r"net_temp_enc:proj_layers."),
    (r"^adapter\.cells\.(\d)\.", r"net_temp_enc:layers.\1.layers.0."),
)
"""Names of weights -> those of the project, with the file before a colon."""

_GATES = ("input_gate", "forget_gate", "output_gate", "cell_state_gate")
_GATE_PARTS = (
    (r"\.input_to_gates\.(weight|bias)$", r".{gate}.gate_to_input.\1", _GATES),
    (r"\.hidden_to_gates\.(weight)$", r".{gate}.gate_to_hidden.\1", _GATES),
    (r"\.cell_to_gates$", r".{gate}.gate_to_cell", _GATES[:3]),
)
_LAYERS = re.compile(
    r"(conv1_\d|branch2[abc]|short|short\.conv|lateral_convs\.\d|downsample_convs\.\d|conv[123]"
    r"|net_decoder:input_proj\.\d)\.([01])\."
)
_POSITION_FLAG = "encoder.attention.has_column_order"
_POSITION_TABLE = "net_encoder:pos_embed2"
_NETWORKS = ("backbone", "encoder", "decoder")
_MEMORY = "temp_enc"
_FIRST_LAYER = "net_backbone:_net.conv1.conv1_1.conv.weight"
_CLASS_LAYER = "net_decoder:enc_score_head.weight"

_SHARED: Mapping[str, Any] = {
    "preprocess": "stacked_histogram_evrtdetr",
    "score_thresh": 0.001,
    "nms_thresh": 1.0,
    "max_boxes_per_input": 300,
}
_DATA_SETS: Mapping[int, Mapping[str, Any]] = {
    2: {
        **_SHARED,
        "dataset_path": "datasets/gen1",
        "classes": ("car", "pedestrian"),
        "height": 240,
        "width": 304,
        "num_tbins": 21,
        "min_box_diag": 30.0,
        "min_box_side": 10.0,
    },
    3: {
        **_SHARED,
        "dataset_path": "datasets/one_mpx",
        "classes": ("pedestrian", "two wheeler", "car"),
        "height": 360,
        "width": 640,
        "num_tbins": 10,
        "min_box_diag": 60.0,
        "min_box_side": 20.0,
    },
}
"""The data sets of the published models, by their number of classes."""


def published_names(name: str) -> tuple[str, ...]:
    """Translate a name of a detector's `state_dict` to those of a published model.

    Returns:
        `net_<network>:<name in its file>`: one name, or those of the gates that lie in one tensor
        here; none for what a published model does not have.
    """
    if name == _POSITION_FLAG:
        return ()
    for ours, theirs in EVRT_DETR_NAMES:
        name = re.sub(ours, theirs, name)
    name = _LAYERS.sub(lambda m: f"{m[1]}.{('conv', 'norm')[int(m[2])]}.", name)
    for ours, theirs, gates in _GATE_PARTS:
        if re.search(ours, name):
            return tuple(re.sub(ours, theirs.format(gate=gate), name) for gate in gates)
    return (name,)


def is_evrtdetr_folder(path: Path) -> bool:
    """Whether a folder has the files of a model of the EvRT-DETR project."""
    return path.is_dir() and any(path.glob("net_*.pth"))


def import_evrtdetr(
    folder: Path,
    *,
    classes: Sequence[str] = (),
    height: int = 0,
    width: int = 0,
    preprocess: str = "",
) -> dict[str, Any]:
    """Convert a model folder of the EvRT-DETR project into a checkpoint of evdet.

    A folder has one file a network, `net_backbone.pth` and others; where there is a moving
    average, `net_ema_backbone.pth`, that is taken. No code in the files runs: only tensors are
    read.

    Args:
        folder: of a detector of single frames, or of one with memory.
        classes: names of its classes, in order; by default those of Gen1 for two classes, and of
            1 Mpx for three.
        height: of its training frames, in pixels; 0 takes the data set's.
        width: of its training frames, in pixels; 0 takes the data set's.
        preprocess: representation of its training frames; by default the project's.

    Returns:
        The content of the checkpoint: plain values and tensors, for `torch.save`.

    Raises:
        CheckpointError: the folder is not a model of EvRT-DETR, or of another variant of it; the
            message names missing and unknown weights.
    """
    files = _files_of(folder)
    stored = {
        f"net_{network}:{key}": (path, tensor)
        for network, path in files.items()
        for key, tensor in open_state_dict(path).items()
        if f"net_{network}:{key}" != _POSITION_TABLE
    }
    shapes = {name: tensor.shape for name, (_, tensor) in stored.items()}
    config = _config_of(folder, shapes, tuple(classes), (height, width), preprocess)
    # Only names and shapes are needed.
    with torch.device("meta"):
        wanted = build_detector(config).state_dict()
    _check_names(folder, wanted, shapes)
    found = _read(stored.values(), stored)
    weights = {
        f"detector.{name}": _joined(name, found).to(own.dtype) for name, own in wanted.items()
    }
    plain = dataclasses.asdict(config)
    return {
        "hyper_parameters": {**plain, "classes": list(config.classes)},
        "state_dict": weights,
    }


def _files_of(folder: Path) -> dict[str, Path]:
    """The file of each network, the moving average before the other."""
    files = {}
    for network in (*_NETWORKS, _MEMORY):
        paths = [folder / f"net_ema_{network}.pth", folder / f"net_{network}.pth"]
        there = next((path for path in paths if path.exists()), None)
        if there is not None:
            files[network] = there
        elif network != _MEMORY:
            raise CheckpointError(
                f"{folder} is not a model folder of EvRT-DETR: it has no {paths[1].name}"
            )
    return files


def _read(
    places: Iterable[tuple[Path, StoredTensor]], stored: Mapping[str, tuple[Path, StoredTensor]]
) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for path in {path for path, _ in places}:
        of_file = {name: tensor for name, (own, tensor) in stored.items() if own == path}
        found |= read_tensors(path, of_file)
    return found


def _joined(name: str, found: Mapping[str, Tensor]) -> Tensor:
    parts = [found[part] for part in published_names(name)]
    if not parts:  # the only one: positions lie as in the project's table
        return torch.tensor(True)
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _config_of(
    folder: Path,
    shapes: Mapping[str, tuple[int, ...]],
    classes: tuple[str, ...],
    size: tuple[int, int],
    preprocess: str,
) -> DetectionConfig:
    """The configuration that the shapes of a model imply, and its data set's settings."""
    first, last = shapes.get(_FIRST_LAYER), shapes.get(_CLASS_LAYER)
    if first is None or last is None or len(first) != 4 or not last:
        lacking = [name for name in (_FIRST_LAYER, _CLASS_LAYER) if name not in shapes]
        name = lacking[0] if lacking else _FIRST_LAYER
        raise CheckpointError(f"{folder} is not a model folder of EvRT-DETR: it has no {name}")
    in_channels, num_classes = first[1], last[0]
    has_memory = any(name.startswith(f"net_{_MEMORY}:") for name in shapes)
    depth = "R50" if any(".branch2c." in name for name in shapes) else "R18"
    plans = EVRT_DETR_PLANS if has_memory else RT_DETR_PLANS
    values = published_settings(
        folder,
        _DATA_SETS,
        num_classes=num_classes,
        in_channels=in_channels,
        classes=classes,
        size=size,
        preprocess=preprocess,
    )
    detector = next(name for name in plans if name.endswith(depth))
    return DetectionConfig(detector=detector, in_channels=in_channels, **values)


def _check_names(
    folder: Path, wanted: Mapping[str, Tensor], found: Mapping[str, tuple[int, ...]]
) -> None:
    shapes = {}
    for name, weight in wanted.items():
        parts = published_names(name)
        for part in parts:
            rows = (weight.shape[0] // len(parts),) if weight.dim() else ()
            shapes[part] = (*rows, *weight.shape[1:])
    check_published_names(folder, "EvRT-DETR", shapes, found)
