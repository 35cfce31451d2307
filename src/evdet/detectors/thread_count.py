"""automatic_threads: the size of a network and the cores of the machine -> a number of threads."""

import math
import os
import sys
from pathlib import Path

import psutil
import torch

from evdet.frame_spec import FrameSpec

__all__ = ["automatic_threads", "num_cores"]

_OPERATIONS = 1e9
"""Operations of a frame that occupy one thread: with fewer, threads wait longer than they work."""
_OPERATIONS_OF_WEIGHT = 0.01
"""Operations of a frame for each parameter and pixel: 0.007 to 0.02 for evdet's detectors."""
_CHOSEN_BY_USER = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def automatic_threads(
    num_parameters: int, spec: FrameSpec | None, *, num_processes: int = 1
) -> int:
    """Choose the number of threads for a network.

    One for every billion operations of a frame, at most one less than the cores, at least one:
    the network waits at every layer for its slowest thread, and a thread that shares a core with
    another process is several times slower. A number that OMP_NUM_THREADS or MKL_NUM_THREADS
    states is taken as it is, and one that `torch.set_num_threads` set is not exceeded.

    Args:
        num_parameters: of the network.
        spec: of its frames; None chooses one thread.
        num_processes: processes on this machine that compute at the same time.
    """
    current = torch.get_num_threads()
    if any(os.environ.get(name) for name in _CHOSEN_BY_USER):
        return current
    pixels = 0 if spec is None else spec.height * spec.width
    useful = round(_OPERATIONS_OF_WEIGHT * num_parameters * pixels / _OPERATIONS)
    free = (num_cores() - 1) // num_processes
    return max(1, min(useful, free, current))


def num_cores() -> int:
    """Count the cores that this process may use, by its affinity and the quota of its container."""
    if sys.platform == "darwin":  # has no affinity
        allowed = os.cpu_count() or 1
    else:
        allowed = len(psutil.Process().cpu_affinity())
    try:
        quota, period = _QUOTA.read_text(encoding="ascii").split()
        return max(1, min(allowed, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError, ZeroDivisionError):
        # No container, or "max": no quota.
        return allowed
