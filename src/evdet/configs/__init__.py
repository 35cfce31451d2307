"""The configurations that come with evdet, one YAML file each."""

from importlib import resources
from pathlib import Path

from evdet.config import ConfigError, DetectionConfig, read_config
from evdet.input_files import check_is_file

__all__ = ["find_config", "shipped_config"]


def find_config(name: str) -> DetectionConfig:
    """Read a configuration file, or one that comes with evdet.

    Args:
        name: a file, or the name of a configuration that comes with evdet.

    Raises:
        ConfigError: it does not exist, or cannot be used.
    """
    shipped = sorted(
        entry.name
        for entry in (resources.files("evdet") / "configs").iterdir()
        if entry.name.endswith(".yaml")
    )
    if not Path(name).exists():
        # Shipped configurations are found by name.
        if Path(name).name in shipped:
            return shipped_config(Path(name).name)
        raise ConfigError(f"{name} does not exist (configurations of evdet: {', '.join(shipped)})")
    check_is_file(name)
    return read_config(Path(name))


def shipped_config(name: str) -> DetectionConfig:
    """Read one of the configurations that come with evdet, by its file name."""
    with resources.as_file(resources.files("evdet") / "configs" / name) as path:
        return read_config(path)
