"""Command-line words -> a dataclass of options, by tyro; `--config` files become the defaults."""

import argparse
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import tyro

from evdet.config import ConfigError, DetectionConfig, read_config

__all__ = ["find_config", "parse", "shipped_config"]

Options = TypeVar("Options")


def parse(options_type: type[Options], words: Sequence[str], *, prog: str, summary: str) -> Options:
    """Parse the words of one command.

    Args:
        options_type: a dataclass; a field `configuration` of it is a whole configuration,
            whose defaults come from the file that `--config` names, from the run that `--resume`
            goes on with, or from the configuration of the demo's `--events`.
        words: what the user typed after the command.
        prog: how the command is called.
        summary: what it does.

    Returns:
        The options. What cannot be parsed ends the process with status 2 and tyro's message.

    Raises:
        ConfigError: the file cannot be used, or a value is out of range.
    """
    make: Any = options_type
    start = _starting_config(words) if "configuration" in make.__dataclass_fields__ else None
    if start is None:
        return tyro.cli(options_type, args=list(words), prog=prog, description=summary)
    default: Options = make(configuration=start)
    return tyro.cli(options_type, args=list(words), prog=prog, description=summary, default=default)


def shipped_config(name: str) -> DetectionConfig:
    """Read one of the configurations that come with evdet.

    Args:
        name: its file's name.

    Returns:
        The configuration.
    """
    with resources.as_file(resources.files("evdet") / "configs" / name) as path:
        return read_config(path)


def _starting_config(words: Sequence[str]) -> DetectionConfig | None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in ("--config", "--root-dir", "--root_dir"):
        parser.add_argument(name, nargs="?", dest=name.strip("-").replace("-", "_"))
    for name in ("--resume", "--resume-from", "--resume_from"):
        parser.add_argument(name, nargs="?", const=True, dest="resume")
    known, _ = parser.parse_known_args(list(words))
    if known.config is not None:
        return find_config(known.config)
    if "--events" in words:
        return shipped_config("events_digits_quick.yaml")
    if known.resume is not None and known.root_dir is not None:
        path = Path(known.root_dir) / "config.yaml"
        return read_config(path) if path.exists() else None
    return None


def find_config(name: str) -> DetectionConfig:
    """Read a configuration that a user names.

    Args:
        name: a file, or the name of a configuration that comes with evdet.

    Returns:
        The configuration.

    Raises:
        ConfigError: there is none, or it cannot be used.
    """
    shipped = sorted(
        entry.name
        for entry in (resources.files("evdet") / "configs").iterdir()
        if entry.name.endswith(".yaml")
    )
    if not Path(name).exists():
        # The two that are shipped are known by name, wherever evdet is installed.
        if Path(name).name in shipped:
            return shipped_config(Path(name).name)
        raise ConfigError(f"there is no file {name}, nor is it one of {', '.join(shipped)}")
    return read_config(Path(name))
