"""Command-line words -> a dataclass of options, by tyro; `--config` files become the defaults."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import tyro

from evdet.config import DetectionConfig
from evdet.configs import find_config, shipped_config
from evdet.runs import RunFolder

__all__ = ["parse"]

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
        run = RunFolder(Path(known.root_dir))
        return run.read_config() if run.config_file.exists() else None
    return None
