"""What all benchmarks share: a row, a clock, and the rate of a matrix product."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

__all__ = ["Row", "cpu_seconds", "matmul_rate", "seconds"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measurement, and what to hold it against."""

    what: str
    value: float
    unit: str
    floor: float | None = None
    """The best that could be, in the same unit: the arithmetic alone, at `matmul_rate`."""
    note: str = ""


def seconds(call: Callable[[], object], device: str = "cpu", repeats: int = 5) -> float:
    """Median time of a call, after one to warm up."""
    times = []
    for _ in range(repeats + 1):
        _wait(device)
        start = time.perf_counter()
        call()
        _wait(device)
        times.append(time.perf_counter() - start)
    return sorted(times[1:])[repeats // 2]


def cpu_seconds(call: Callable[[], object], repeats: int = 5) -> float:
    """Least processor time of a call, of all threads together, after one to warm up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def matmul_rate(device: str = "cpu") -> float:
    """Floating point operations per second of a large float32 matrix product."""
    side = 1024 if device == "cpu" else 8192
    matrix = torch.rand(side, side, device=device)
    return 2 * side**3 / seconds(lambda: matrix @ matrix, device)


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()
