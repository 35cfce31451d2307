"""Checkpoint files -> detectors, without Lightning; and weights from one detector to another."""

import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from evdet.build import build_detector
from evdet.config import DetectionConfig, config_from_params
from evdet.models import Detector
from evdet.runs import RunFolder
from evdet.samples import WEIGHTS, bundled_weights

__all__ = [
    "CheckpointError",
    "check_file",
    "config_of",
    "detector_weights",
    "find_checkpoint",
    "load_checkpoint",
    "load_matching_weights",
    "load_network",
    "load_weights",
    "search_latest_checkpoint",
]

_PREFIX = "detector."
_ZIP_START = b"PK\x03\x04"
_NUM_NAMED = 3


class CheckpointError(ValueError):
    """A file cannot be used as a checkpoint; the message is one line that says why."""


def search_latest_checkpoint(folder: str | os.PathLike[str]) -> Path:
    """Find the newest checkpoint below a folder.

    Args:
        folder: a run's folder, or any above it.

    Returns:
        The `*.ckpt` file that was written last; never the one kept for a post-mortem. Of files
        with the same content the one named after its epoch.

    Raises:
        CheckpointError: there is none.
    """
    unusable = RunFolder(Path(folder)).post_mortem.name
    found = [path for path in Path(folder).rglob("*.ckpt") if path.name != unusable]
    if not found:
        raise CheckpointError(
            f"there is no checkpoint (*.ckpt) below {folder}. Has a training been run there?"
        )
    return max(found, key=lambda path: (path.stat().st_mtime_ns, path.name.startswith("epoch=")))


def find_checkpoint(path: str | os.PathLike[str]) -> Path:
    """Choose the checkpoint of a run.

    Args:
        path: a run's folder, or any other path, which is returned as it is.

    Returns:
        Its best checkpoint, or else its newest.

    Raises:
        CheckpointError: the folder has none.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    best = RunFolder(path).best_checkpoint
    return best if best.exists() else search_latest_checkpoint(path)


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint to the CPU; a file that wants to run code is refused.

    Args:
        path: a file that a training wrote, or events-digits, which comes with evdet.

    Returns:
        Its content; `hyper_parameters` and `state_dict` are always there.

    Raises:
        CheckpointError: there is no such file, or it is no checkpoint, is truncated, wants to
            run code, or lacks what every checkpoint has.
    """
    path = _resolve(path)
    check_file(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f" ({wanted[1]})" if wanted else ""
        raise CheckpointError(
            f"{path} wants to run code{what} when it is read, and is refused: "
            "a checkpoint holds tensors and plain values only"
        ) from error
    except (RuntimeError, ValueError, KeyError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} is no checkpoint, or is damaged: {reason}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is no checkpoint: it holds a {type(content).__name__}")
    missing = [name for name in ("hyper_parameters", "state_dict") if name not in content]
    if missing:
        raise CheckpointError(f"{path} is no checkpoint of evdet: it has no {', '.join(missing)}")
    return content


def _resolve(path: str | os.PathLike[str]) -> Path:
    """A path, or the bundled file of that name; a file of the user's comes first."""
    name = os.fspath(path)
    return bundled_weights(name) if name in WEIGHTS and not Path(name).exists() else Path(name)


def check_file(path: Path) -> None:
    """Refuse what cannot be a checkpoint, before anything in it is read.

    Args:
        path: the file.

    Raises:
        CheckpointError: it is none, is missing, or is truncated.
    """
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder: name a checkpoint (*.ckpt) in it")
    try:
        with path.open("rb") as file:
            start = file.read(len(_ZIP_START))
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no checkpoint {path}") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    if start != _ZIP_START:
        raise CheckpointError(
            f"{path} is no checkpoint: {'it is empty' if not start else 'not a PyTorch file'}"
        )
    if not zipfile.is_zipfile(path):
        raise CheckpointError(
            f"{path} is truncated: {path.stat().st_size} bytes, and the end is missing. "
            "Copy it again, or take an older checkpoint."
        )


def config_of(checkpoint: Mapping[str, Any]) -> DetectionConfig:
    """Give the configuration with which a checkpoint was trained.

    Args:
        checkpoint: what `load_checkpoint` returned.

    Returns:
        The checked configuration.

    Raises:
        CheckpointError: its `hyper_parameters` are none.
    """
    try:
        return config_from_params(checkpoint["hyper_parameters"])
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"the checkpoint's hyper_parameters: {error}") from error


def load_network(path: str | os.PathLike[str]) -> Detector:
    """Build the detector of a checkpoint, with its weights, in PyTorch.

    `open_detector` also opens exported models; whoever trains or exports a detector needs this.

    Args:
        path: a file that a training wrote, a run's folder, whose best checkpoint is taken, or
            events-digits, which comes with evdet.

    Returns:
        The detector, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: the file is no checkpoint, or its weights are not those of the
            detector that its configuration names.
    """
    path = find_checkpoint(path)
    checkpoint = load_checkpoint(path)
    try:
        detector = build_detector(config_of(checkpoint))
        load_weights(detector, checkpoint)
    except ValueError as error:
        raise CheckpointError(f"{path} cannot be loaded: {error}") from error
    return detector.eval()


def detector_weights(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Give the detector's weights of a checkpoint, by the detector's own names."""
    return {
        name.removeprefix(_PREFIX): weight
        for name, weight in checkpoint["state_dict"].items()
        if name.startswith(_PREFIX)
    }


def load_weights(detector: Detector, checkpoint: Mapping[str, Any]) -> None:
    """Copy all weights of a checkpoint into a detector of the same build.

    Args:
        detector: receives the weights.
        checkpoint: what `load_checkpoint` returned.

    Raises:
        CheckpointError: the checkpoint is of another model; the message names what differs.
    """
    weights = detector_weights(checkpoint)
    _check_same_model(detector.state_dict(), weights)
    detector.load_state_dict(weights)


def _check_same_model(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    shapes = [
        f"{name} {tuple(found[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in wanted
        if name in found and found[name].shape != wanted[name].shape
    ]
    differences = [
        _shortened("lacks", [name for name in wanted if name not in found]),
        _shortened("has besides", [name for name in found if name not in wanted]),
        _shortened("has other shapes:", shapes),
    ]
    if any(differences):
        raise CheckpointError(
            "the checkpoint is of another model: it " + "; it ".join(filter(None, differences))
        )


def _shortened(verb: str, items: Sequence[str]) -> str:
    if not items:
        return ""
    more = f" and {len(items) - _NUM_NAMED} more" if len(items) > _NUM_NAMED else ""
    return f"{verb} {', '.join(items[:_NUM_NAMED])}{more}"


def load_matching_weights(
    detector: Detector, checkpoint: Mapping[str, Any], class_names: Sequence[str]
) -> list[str]:
    """Carry weights over to a detector of the same build that knows other classes.

    A class that both know by name, and the background, keep their logits exactly; the others
    start afresh. Everything else is copied and must match.

    Args:
        detector: receives the weights; its classes are `class_names`.
        checkpoint: what `load_checkpoint` returned.
        class_names: the detector's classes, without background.

    Returns:
        The classes that were carried over, in the order of `class_names`.

    Raises:
        CheckpointError: something besides the classes differs; the message names it.
    """
    old_classes = config_of(checkpoint).classes
    merged = detector.weights_for_classes(detector_weights(checkpoint), old_classes, class_names)
    # Whatever else differs is of another model.
    _check_same_model(detector.state_dict(), merged)
    detector.load_state_dict(merged)
    return [name for name in class_names if name in old_classes]
