"""Checkpoint files -> detectors, without Lightning; and transfer of weights between detectors."""

import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evdet.build import build_detector
from evdet.config import DetectionConfig, config_from_params
from evdet.detectors.checkpoint_archive import (
    CodeError,
    check_pickle,
    check_plain_content,
    read_pickle,
)
from evdet.detectors.hub import HubError, download, hub_name
from evdet.detectors.weights_file import WEIGHTS_SUFFIX, find_weights, read_weights
from evdet.input_files import check_is_file
from evdet.models import Detector
from evdet.runs import RunFolder
from evdet.samples import WEIGHTS, bundled_weights

__all__ = [
    "CheckpointError",
    "check_file",
    "checkpoint_file",
    "config_of",
    "detector_weights",
    "find_checkpoint",
    "load_checkpoint",
    "load_matching_weights",
    "load_network",
    "load_weights",
    "search_latest_checkpoint",
    "shorten_list",
]

_PREFIX = "detector."
_ZIP_START = b"PK\x03\x04"
_NUM_NAMED = 3
_MAX_REASON = 300


class CheckpointError(ValueError):
    """A file cannot be used as a checkpoint; the message is one line with the reason."""


def search_latest_checkpoint(folder: str | os.PathLike[str]) -> Path:
    """Find the newest checkpoint below a folder.

    Args:
        folder: a run's folder, or any folder above it.

    Returns:
        The `*.ckpt` file that was written last, without `RunFolder.post_mortem`. Of hard links to
        one file, the one named after its epoch.

    Raises:
        CheckpointError: the folder has none.
    """
    unusable = RunFolder(Path(folder)).post_mortem.name
    found = [path for path in Path(folder).rglob("*.ckpt") if path.name != unusable]
    if not found:
        raise CheckpointError(
            f"no checkpoint (*.ckpt) below {folder}: name the root_dir of a training run"
        )
    return max(found, key=lambda path: (path.stat().st_mtime_ns, path.name.startswith("epoch=")))


def find_checkpoint(path: str | os.PathLike[str]) -> Path:
    """Choose the checkpoint of a run.

    Args:
        path: a run's folder, a folder of weights, a name on the Hub (hf://ORG/NAME), or any other
            path, which is returned unchanged.

    Returns:
        The best checkpoint of the run, else the newest; the weights of the folder, or of the
        Hub's in the cache.

    Raises:
        CheckpointError: the folder has none, or the name on the Hub cannot be downloaded.
    """
    path = _local(path)
    if not path.is_dir():
        return path
    run = RunFolder(path)
    if run.best_checkpoint.exists():
        return run.best_checkpoint
    return _weights_in(path) or search_latest_checkpoint(path)


def _local(path: str | os.PathLike[str]) -> Path:
    """A path; a name on the Hub is downloaded."""
    try:
        name = hub_name(path)
        return Path(path) if name is None else download(name)
    except HubError as error:
        raise CheckpointError(str(error)) from error


def _weights_in(folder: Path) -> Path | None:
    """The weights of a folder that is not a run with checkpoints."""
    if RunFolder(folder).checkpoints.is_dir():
        return None
    try:
        return find_weights(folder)
    except ValueError as error:
        raise CheckpointError(str(error)) from error


def checkpoint_file(path: str | os.PathLike[str]) -> Path:
    """The file of a detector: the checkpoint of a run, a bundled one, or the file itself.

    Raises:
        CheckpointError: a run's folder has no checkpoint.
    """
    return _resolve(find_checkpoint(path))


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint to the CPU; a file that would run code when read is refused.

    Args:
        path: a file that `evdet train` wrote, weights (*.safetensors) or their folder, a name on
            the Hub (hf://ORG/NAME), or events-digits, which comes with evdet.

    Returns:
        Its content, with at least `hyper_parameters` and `state_dict`.

    Raises:
        CheckpointError: the file does not exist, is not a checkpoint, is truncated, would run
            code, or lacks one of these entries.
    """
    path = _resolve(path)
    if path.suffix.lower() == WEIGHTS_SUFFIX:
        return _load_weights(path)
    check_file(path)
    try:
        data, sizes = read_pickle(path)
        check_pickle(data)
        check_plain_content(data, sizes)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except CodeError as error:
        raise CheckpointError(
            f"{path} is refused: it would run code ({error}) when it is read, and a checkpoint "
            "holds tensors and plain values only"
        ) from error
    # A hostile or broken pickle may raise any exception.
    except Exception as error:
        reason = str(error).splitlines()[0][:_MAX_REASON] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} is not a checkpoint, or is damaged: {reason}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is not a checkpoint: it holds a {type(content).__name__}")
    missing = [name for name in ("hyper_parameters", "state_dict") if name not in content]
    if missing:
        raise CheckpointError(
            f"{path} is not a checkpoint of evdet: it has no {', '.join(missing)}"
        )
    for name in ("hyper_parameters", "state_dict"):
        if not isinstance(content[name], dict):
            kind = type(content[name]).__name__
            raise CheckpointError(f"{path} is not a checkpoint of evdet: its {name} is a {kind}")
    odd = [
        name
        for name, weight in content["state_dict"].items()
        if not isinstance(name, str) or not isinstance(weight, Tensor)
    ]
    if odd:
        raise CheckpointError(f"{path}: {str(odd[0])[:50]!r} in its state_dict is not a weight")
    return content


def _resolve(path: str | os.PathLike[str]) -> Path:
    """A path, or the file of a name; an existing file takes precedence over a bundled one."""
    name = os.fspath(path)
    if name in WEIGHTS and not Path(name).exists():
        return bundled_weights(name)
    local = _local(path)
    return (_weights_in(local) or local) if local.is_dir() else local


def _load_weights(path: Path) -> dict[str, Any]:
    """Weights in safetensors in the form of a checkpoint."""
    try:
        fields, weights = read_weights(path)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    return {
        "hyper_parameters": fields,
        "state_dict": {f"{_PREFIX}{name}": weight for name, weight in weights.items()},
    }


def check_file(path: Path) -> None:
    """Check that a file can be a checkpoint, before its content is read.

    Raises:
        CheckpointError: it is missing, truncated, or not a PyTorch file.
    """
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder: name a checkpoint (*.ckpt) in it")
    check_is_file(path)
    try:
        with path.open("rb") as file:
            start = file.read(len(_ZIP_START))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist: name a checkpoint (*.ckpt)") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    if start != _ZIP_START:
        reason = "not a PyTorch file" if start else "the file is empty"
        raise CheckpointError(f"{path} is not a checkpoint: {reason}")
    if not zipfile.is_zipfile(path):
        raise CheckpointError(
            f"{path} is truncated after {path.stat().st_size} bytes: copy it again, or use an "
            "older checkpoint"
        )


def config_of(checkpoint: Mapping[str, Any]) -> DetectionConfig:
    """Read the configuration of a checkpoint, as `load_checkpoint` returns it.

    Raises:
        CheckpointError: its `hyper_parameters` are not a configuration.
    """
    try:
        return config_from_params(checkpoint["hyper_parameters"])
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"the checkpoint's hyper_parameters: {error}") from error


def load_network(path: str | os.PathLike[str]) -> Detector:
    """Build the PyTorch detector of a checkpoint, with its weights.

    `open_detector` also opens exported models; training and export need this function.

    Args:
        path: a file that `evdet train` wrote, a run's folder, whose best checkpoint is taken,
            weights (*.safetensors) or their folder, a name on the Hub (hf://ORG/NAME), or
            events-digits, which comes with evdet.

    Returns:
        The detector, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: the file is not a checkpoint, or its weights do not fit the detector of
            its configuration.
    """
    path = find_checkpoint(path)
    checkpoint = load_checkpoint(path)
    try:
        config = config_of(checkpoint)
        # Shapes without memory first: the configuration may state sizes that the file has not.
        with torch.device("meta"):
            shapes = build_detector(config)
        _check_same_model(shapes.state_dict(), detector_weights(checkpoint))
        detector = build_detector(config)
        load_weights(detector, checkpoint)
    except (ValueError, RuntimeError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path} cannot be loaded: {reason}") from error
    return detector.eval()


def detector_weights(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Get the detector's weights of a checkpoint, by the names in its `state_dict`."""
    return {
        name.removeprefix(_PREFIX): weight
        for name, weight in checkpoint["state_dict"].items()
        if name.startswith(_PREFIX)
    }


def load_weights(detector: Detector, checkpoint: Mapping[str, Any]) -> None:
    """Copy all weights of a checkpoint into a detector of the same configuration.

    Args:
        detector: receives the weights.
        checkpoint: what `load_checkpoint` returned.

    Raises:
        CheckpointError: the checkpoint is of another model; the message names what differs.
    """
    weights = detector_weights(checkpoint)
    _check_same_model(detector.state_dict(), weights)
    _check_finite(weights)
    detector.load_state_dict(weights)


def _check_finite(weights: Mapping[str, Tensor]) -> None:
    """Refuse weights with which a detector finds nothing.

    Raises:
        CheckpointError: a value is NaN or infinite.
    """
    bad = [name for name, weight in weights.items() if not torch.isfinite(weight).all()]
    if bad:
        raise CheckpointError(
            "the checkpoint's weights are not finite: it " + shorten_list("has", bad)
        )


def _check_same_model(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    shapes = [
        f"{name} {tuple(found[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in wanted
        if name in found and found[name].shape != wanted[name].shape
    ]
    types = [
        f"{name} {found[name].dtype} instead of {wanted[name].dtype}"
        for name in wanted
        if name in found
        and found[name].dtype != wanted[name].dtype
        and not (found[name].is_floating_point() and wanted[name].is_floating_point())
    ]
    differences = [
        shorten_list("lacks", [name for name in wanted if name not in found]),
        shorten_list("also has", [name for name in found if name not in wanted]),
        shorten_list("has other shapes:", shapes),
        shorten_list("has other types:", types),
    ]
    if any(differences):
        raise CheckpointError(
            "the checkpoint is of another model: it " + "; it ".join(filter(None, differences))
        )


def shorten_list(verb: str, items: Sequence[str]) -> str:
    """Write a verb and the first few items; an empty text where there are none."""
    if not items:
        return ""
    more = f" and {len(items) - _NUM_NAMED} more" if len(items) > _NUM_NAMED else ""
    return f"{verb} {', '.join(items[:_NUM_NAMED])}{more}"


def load_matching_weights(
    detector: Detector, checkpoint: Mapping[str, Any], class_names: Sequence[str]
) -> list[str]:
    """Copy the weights of a checkpoint into a detector that differs in its classes only.

    Logits of shared class names and of the background are the same afterwards; those of other
    classes keep their initial weights. All other weights are copied and must match; a memory
    adapter, which the detector of single frames lacks, keeps its initial weights then.

    Args:
        detector: receives the weights; its classes are `class_names`.
        checkpoint: what `load_checkpoint` returned.
        class_names: the detector's classes, without background.

    Returns:
        The classes that both share, in the order of `class_names`.

    Raises:
        CheckpointError: something other than the classes differs; the message names it.
    """
    old_classes = config_of(checkpoint).classes
    weights = detector_weights(checkpoint)
    with torch.device("meta"):
        shapes = build_detector(config_of(checkpoint))
    _check_same_model(shapes.state_dict(), weights)
    _check_finite(weights)
    merged = detector.weights_for_classes(weights, old_classes, class_names)
    merged |= _new_memory(detector, merged)
    # Any other difference is one of the model.
    _check_same_model(detector.state_dict(), merged)
    detector.load_state_dict(merged)
    return [name for name in class_names if name in old_classes]


def _new_memory(detector: Detector, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a memory adapter, where a checkpoint has none of them."""
    prefix = detector.adapter_prefix
    if not prefix or any(name.startswith(prefix) for name in weights):
        return {}
    return {name: own for name, own in detector.state_dict().items() if name.startswith(prefix)}
