"""Costs of a detector besides time: arithmetic, parameters, peak RAM."""

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil
import torch
from jaxtyping import Shaped
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from evdet.models import Detector

__all__ = ["PeakMemory", "count_flops", "count_parameters", "measure_memory"]

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


class PeakMemory(NamedTuple):
    """Peak RAM, in bytes."""

    host: int
    """Peak RAM of the process, with libraries and weights."""
    host_before: int
    """RAM of the process before the work."""
    accelerator: int | None
    """Peak of the tensors on the accelerator; None without one."""


def count_flops(detector: Detector, clip: Shaped[Tensor, "T B C H W"]) -> int:
    """Count the floating-point operations of convolutions and matrix products.

    Args:
        detector: in evaluation mode.
        clip: frames, on its device.

    Returns:
        Additions and multiplications, from frames to candidates; a multiply-accumulate is two.
    """
    # Attention as matrix products: the counter ignores a CPU's fused kernel for it.
    with (
        torch.no_grad(),
        sdpa_kernel(SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
    ):
        detector.predict(clip)
    return int(counter.get_total_flops())


def count_parameters(detector: Detector) -> int:
    """Count the parameters of a detector."""
    return sum(weight.numel() for weight in detector.parameters())


def measure_memory(work: Callable[[], object], device: torch.device) -> PeakMemory:
    """Measure the peak RAM of some work.

    Args:
        work: is called once.
        device: of the work.

    Returns:
        The peaks. Only Linux can reset the peak of the process; elsewhere that of the host is the
        peak since the process started.
    """
    on_accelerator = device.type == "cuda"
    if on_accelerator:
        torch.cuda.reset_peak_memory_stats(device)
    with contextlib.suppress(OSError):
        _RESET.write_text(_RESET_PEAK, encoding="ascii")
    before = int(psutil.Process().memory_info().rss)
    work()
    peak = _read_status("VmHWM") or _peak_since_start()
    accelerator = int(torch.cuda.max_memory_allocated(device)) if on_accelerator else None
    return PeakMemory(peak, before, accelerator)


def _read_status(name: str) -> int | None:
    """A value from the process status, in bytes; None where the system has no such file."""
    try:
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    kilobytes = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return 1024 * int(kilobytes[0]) if kilobytes else None


def _peak_since_start() -> int:
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    # psutil knows the peak on Windows only, and this module is not there.
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
