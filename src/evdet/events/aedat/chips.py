"""The cameras that AEDAT 2 and 3 files name, and the sizes of their sensors."""

import re

from evdet.events.dtypes import SensorSize

__all__ = ["size_of_chip"]

_SIZES = {
    "dvs128": SensorSize(128, 128),
    "tmpdiff128": SensorSize(128, 128),
    "edvs": SensorSize(128, 128),
    "davis128": SensorSize(128, 128),
    "dvs132": SensorSize(104, 132),
    "davis208": SensorSize(192, 208),
    "davis240": SensorSize(180, 240),
    "davis346": SensorSize(260, 346),
    "davis640": SensorSize(480, 640),
    "davishet640": SensorSize(480, 640),
}


def size_of_chip(name: str) -> SensorSize | None:
    """The sensor's size of a camera such as DAVIS346B or DVS128-V1; None for another one."""
    plain = re.sub(r"[ _-]", "", name.lower())
    return next((size for chip, size in _SIZES.items() if plain.startswith(chip)), None)
