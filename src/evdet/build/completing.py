"""A config and its data set -> a complete config."""

import dataclasses
from pathlib import Path
from typing import Any

from evdet.config import TOY_PROBLEM, ConfigError, DetectionConfig
from evdet.data import (
    DatasetFolder,
    open_folder,
    open_tensors,
)
from evdet.events import (
    ReadOptions,
    RecordingError,
    open_recording,
    parse_size,
)
from evdet.events.representations import get_representation
from evdet.frame_spec import PICTURES, READY_MADE
from evdet.labels import choose_classes

__all__ = ["complete_config", "read_options", "require_complete"]


def complete_config(config: DetectionConfig) -> DetectionConfig:
    """Fill in the open fields of a config from its data set: classes, frame size, channels.

    Raises:
        ValueError: the data set cannot be read, or does not fit the config.
    """
    if config.dataset_path == TOY_PROBLEM:
        _refuse_reading_options(config)
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
    folder = open_folder(Path(config.dataset_path), options=read_options(config))
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


def _refuse_reading_options(config: DetectionConfig) -> None:
    names = ("sensor_size", "format", "time_unit", "columns", "stream", "delta_t_range")
    given = next((name for name in names if getattr(config, name)), None)
    if given is not None:
        raise ConfigError(
            f"{given} is for recordings, and {TOY_PROBLEM} has none: omit it, or name a data set "
            "with dataset_path"
        )


def _open_fields(config: DetectionConfig) -> list[str]:
    """The fields that a config leaves to its data set."""
    names = ("classes", "height", "width", "in_channels")
    auto = ["preprocess"] if config.preprocess == "auto" else []
    return [name for name in names if not getattr(config, name)] + auto


def require_complete(config: DetectionConfig) -> DetectionConfig:
    """Check that a config is complete; toy_problem is completed, without opening a folder.

    Raises:
        ConfigError: the message names the open fields.
    """
    if config.dataset_path == TOY_PROBLEM:
        return complete_config(config)
    fields = _open_fields(config)
    if fields:
        raise ConfigError(
            f"the configuration does not give {', '.join(fields)}: complete_config(config) takes "
            f"them from {config.dataset_path}"
        )
    return config


def read_options(config: DetectionConfig) -> ReadOptions:
    """Give what the configuration says about reading recordings.

    Raises:
        ConfigError: a value is not one of the choices.
    """
    try:
        names = ("format", "time_unit", "columns", "stream")
        chosen: dict[str, Any] = {name: getattr(config, name) or None for name in names}
        return ReadOptions(**chosen)
    except ValueError as error:
        raise ConfigError(str(error)) from None


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
            size = open_recording(entry.recording, size=stated, options=folder.options).size
        except RecordingError as error:
            problem = problem or error
            continue
        return size.height, size.width, channels, preprocess
    raise problem or ConfigError(f"{folder.path} has no recordings")
