"""A namespace, a checkpoint's dict or a YAML file -> a configuration, and back."""

import argparse
import dataclasses
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from evdet.atomic_file import write_text
from evdet.config.fields import ConfigError, DetectionConfig
from evdet.structured_text import as_declared, read_yaml, shorten_value

__all__ = [
    "config_from_params",
    "config_to_dict",
    "config_to_yaml",
    "read_config",
    "write_config",
]

# Names of fields in checkpoints and config files of version 0.1.0 -> names of today.
_OLD_NAMES = {"noise_window": "background_filter"}


def config_from_params(
    params: DetectionConfig | argparse.Namespace | Mapping[Any, Any],
) -> DetectionConfig:
    """Make a config from a config, a namespace, or a checkpoint's dict.

    Args:
        params: fields by name; others have their defaults. The seed tutorial's `act` is accepted
            in addition to `loss`, in both of its spellings, and so is its `precision` as a number.

    Raises:
        ConfigError: an unknown field, a value of another type, or a value out of range.
    """
    if isinstance(params, DetectionConfig):
        return params
    values = dict(params) if isinstance(params, Mapping) else dict(vars(params))
    _join_act_and_loss(values)
    values = {_OLD_NAMES.get(name, name): value for name, value in values.items()}
    fields = {field.name: field for field in dataclasses.fields(DetectionConfig)}
    for name in values:
        if name not in fields:
            shown = name if isinstance(name, str) and len(name) < 60 else shorten_value(name)
            near = difflib.get_close_matches(shown, fields, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ConfigError(f"unknown field {shown} in the configuration.{hint}")
    if type(values.get("precision")) is int and values["precision"] in (16, 32):
        values["precision"] = str(values["precision"])
    try:
        checked = {name: as_declared(name, fields[name].type, v) for name, v in values.items()}
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return DetectionConfig(**checked)


def read_config(path: Path) -> DetectionConfig:
    """Read a config from a YAML file of fields; other fields have their defaults.

    Raises:
        ConfigError: the file does not exist, is not YAML, or has an unknown or wrong field.
    """
    try:
        values = read_yaml(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as a configuration: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} is not a configuration: write lines such as 'lr: 0.001'")
    try:
        return config_from_params(values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def write_config(config: DetectionConfig, path: Path) -> None:
    """Write every field of a config; `read_config` reads the same config."""
    write_text(path, config_to_yaml(config))


def config_to_dict(config: DetectionConfig) -> dict[str, Any]:
    """Every field of a config as plain types, lists instead of tuples."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(config).items()
    }


def config_to_yaml(config: DetectionConfig) -> str:
    """Every field of a config as YAML, in the order of the class."""
    text: str = yaml.safe_dump(config_to_dict(config), sort_keys=False, default_flow_style=None)
    return text


def _join_act_and_loss(values: dict[Any, Any]) -> None:
    """The tutorial's older interface splits the loss into act='softmax', loss='_focal_loss'."""
    act = values.pop("act", None)
    loss = values.get("loss")
    if act is None or not isinstance(loss, str):
        return
    if not isinstance(act, str):
        raise ConfigError(f"act must be a name, got {shorten_value(act)}")
    values["loss"] = f"{act}{loss}" if loss.startswith("_") else loss
    if not values["loss"].startswith(act):
        raise ConfigError(f"act is {act[:60]!r}, but the loss is {loss[:60]!r}: they must agree")
