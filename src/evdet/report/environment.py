"""The environment of a run: versions and hardware by name."""

import platform
from importlib import metadata
from pathlib import Path

import torch

from evdet.detectors import num_cores

__all__ = ["describe_environment"]

_PACKAGES = ("evdet", "torch", "pytorch_lightning", "numpy")


def describe_environment() -> dict[str, str]:
    """List the versions and the hardware that a run depends on."""
    described = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            described[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            described[name] = "not installed"
    described["system"] = f"{platform.system()} {platform.machine()}"
    described["processor"] = f"{_processor_name()}, {num_cores()} cores"
    if torch.cuda.is_available():
        described["accelerator"] = torch.cuda.get_device_name()
    return described


def _processor_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
