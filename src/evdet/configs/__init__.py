"""The configurations that come with evdet: one YAML file per named run."""

from importlib import resources
from pathlib import Path

from evdet.config import ConfigError, DetectionConfig, read_config

__all__ = ["find_config", "shipped_config"]


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
        # Shipped configurations are known by name, wherever evdet is installed.
        if Path(name).name in shipped:
            return shipped_config(Path(name).name)
        raise ConfigError(f"there is no file {name}, nor is it one of {', '.join(shipped)}")
    return read_config(Path(name))


def shipped_config(name: str) -> DetectionConfig:
    """Read one of the configurations that come with evdet.

    Args:
        name: its file's name.

    Returns:
        The configuration.
    """
    with resources.as_file(resources.files("evdet") / "configs" / name) as path:
        return read_config(path)
