"""Weights in a .safetensors file with a config.json beside it: the layout of the Hugging Face Hub.

Neither file can run code when it is read: one holds tensors, the other plain values.
"""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor

from evdet.config import DetectionConfig, config_from_params, config_to_dict
from evdet.input_files import check_is_file
from evdet.structured_text import read_json, shorten_value

__all__ = [
    "CARD_FILE",
    "CONFIG_FILE",
    "WEIGHTS_FILE",
    "WEIGHTS_SUFFIX",
    "find_weights",
    "read_weights",
    "weights_config_to_json",
    "weights_to_bytes",
]

WEIGHTS_SUFFIX = ".safetensors"
"""File name ending of weights."""
WEIGHTS_FILE = "model.safetensors"
"""Their name in a folder, as the Hub expects it."""
CONFIG_FILE = "config.json"
"""The configuration, beside the weights."""
CARD_FILE = "README.md"
"""The model card, beside the weights."""
_LIBRARY = "evdet"
_FORMAT = 1
"""Version of config.json; it increases when older readers cannot read it."""
_OF_MACHINE = (
    "root_dir", "num_workers", "threads", "accelerator", "devices", "num_nodes", "strategy",
)  # fmt: skip
"""Fields that say where a training ran, not what it made."""


def find_weights(folder: Path) -> Path | None:
    """Find the weights in a folder.

    Returns:
        `model.safetensors`, else the only file of that ending; None where there is none.

    Raises:
        ValueError: there are several of other names.
    """
    usual = folder / WEIGHTS_FILE
    if usual.exists():
        return usual
    found = sorted(path for path in folder.glob(f"*{WEIGHTS_SUFFIX}") if path.is_file())
    if len(found) > 1:
        raise ValueError(
            f"{folder} has {len(found)} files of weights ({found[0].name}, {found[1].name}, ...): "
            "name one of them"
        )
    return found[0] if found else None


def weights_to_bytes(weights: Mapping[str, Tensor]) -> bytes:
    """The content of a .safetensors file.

    Args:
        weights: by name, of a detector.
    """
    from safetensors.torch import save

    # Names may share memory, which the format does not express.
    apart = {name: weight.detach().cpu().contiguous().clone() for name, weight in weights.items()}
    content: bytes = save(apart, metadata={"format": "pt", "library_name": _LIBRARY})
    return content


def weights_config_to_json(config: DetectionConfig) -> str:
    """The content of config.json: a run's configuration, without what its machine decided.

    Args:
        config: complete; of the path of the data set its last part is kept.
    """
    fields = {name: v for name, v in config_to_dict(config).items() if name not in _OF_MACHINE}
    fields["dataset_path"] = Path(config.dataset_path).name or config.dataset_path
    content = {
        "library_name": _LIBRARY,
        "evdet_version": version("evdet"),
        "format": _FORMAT,
        "label_map": _label_map(config),
        "configuration": fields,
    }
    return json.dumps(content, indent=1) + "\n"


def _label_map(config: DetectionConfig) -> dict[str, str]:
    return {str(label): name for label, name in enumerate(config.class_names, 1)}


def read_weights(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read weights, and the configuration beside them.

    Args:
        path: the .safetensors file.

    Returns:
        The fields of the configuration, and the weights by name.

    Raises:
        ValueError: a file is missing, damaged, or not of evdet; the message names it.
    """
    for needed in (path, path.with_name(CONFIG_FILE)):
        if needed.is_dir():
            raise ValueError(f"{needed} is a folder: name a file (*{WEIGHTS_SUFFIX})")
        check_is_file(needed)
        if not needed.exists():
            whose = "" if needed == path else f", which describes {path.name},"
            raise ValueError(
                f"{needed}{whose} does not exist: `evdet export CHECKPOINT "
                f"{WEIGHTS_FILE}` writes both"
            )
    return _read_config(path.with_name(CONFIG_FILE)), _read_tensors(path)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or content.get("library_name") != _LIBRARY:
        raise ValueError(
            f"{path} is not a configuration of evdet: it has no library_name {_LIBRARY!r}"
        )
    if content.get("format") != _FORMAT:
        raise ValueError(
            f"{path} was written by evdet {shorten_value(content.get('evdet_version'))}, in a "
            "format that this version cannot read: update evdet"
        )
    fields = content.get("configuration")
    if not isinstance(fields, dict):
        raise ValueError(f"{path} is damaged: it has no configuration")
    try:
        config = config_from_params(fields)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    if content.get("label_map") != _label_map(config):
        raise ValueError(
            f"{path} contradicts itself: its label_map {shorten_value(content.get('label_map'))} "
            f"is not of its classes, {', '.join(config.class_names)[:200]}"
        )
    return fields


def _read_tensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights: dict[str, Tensor] = load_file(path)
    # A type that torch lacks is a KeyError, and a file that ends too early an OSError.
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} is not a file of weights, or is damaged: {reason}") from error
    return weights
