"""The folder of a ROS 2 bag."""

from pathlib import Path

__all__ = ["METADATA", "is_bag_folder"]

METADATA = "metadata.yaml"
"""The file in it that lists the others."""


def is_bag_folder(path: Path) -> bool:
    """Whether a path is the folder of a ROS 2 bag."""
    return (path / METADATA).is_file()
