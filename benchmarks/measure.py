"""What all benchmarks share: a row, a clock, and the rate of arithmetic that a machine reaches."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

__all__ = ["BestRate", "Row", "cpu_seconds", "seconds"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measurement, and what to hold it against."""

    what: str
    value: float
    unit: str
    floor: float | None = None
    """The best that could be, in the same unit: the arithmetic alone, at a `BestRate`."""
    note: str = ""


def seconds(call: Callable[[], object], device: str = "cpu", repeats: int = 5) -> float:
    """Median time of a call, after one to warm up."""
    _duration(call, device)
    return sorted(_duration(call, device) for _ in range(repeats))[repeats // 2]


def cpu_seconds(call: Callable[[], object], repeats: int = 5) -> float:
    """Least processor time of a call, of all threads together, after one to warm up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


class BestRate:
    """The most floating point operations per second that a device was seen to do, in float32.

    It is the best of large matrix products and of convolutions of a detector's shapes, measured
    again between the repeats of what is held against it, and of that itself: nothing passes it, and
    a machine that is faster or slower for a while is so for both.

    Args:
        device: cpu or cuda.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._device = device
        self._products = _products(device)
        self.value = 0.0
        self._measure()

    def seconds(self, call: Callable[[], object], flops: int, *, repeats: int = 5) -> float:
        """Median time of a call, after one to warm up; the products are measured in between.

        Args:
            call: does the arithmetic.
            flops: its operations.
            repeats: calls that count.
        """
        _duration(call, self._device)
        times = []
        for _ in range(repeats):
            self._measure()
            times.append(_duration(call, self._device))
        self.value = max(self.value, flops / min(times))
        return sorted(times)[repeats // 2]

    def _measure(self) -> None:
        for product, flops in self._products:
            # The first call of each finds cold caches.
            taken = min(_duration(product, self._device) for _ in range(2))
            self.value = max(self.value, flops / taken)


def _products(device: str) -> list[tuple[Callable[[], object], int]]:
    """Matrix products and convolutions, each with its number of operations."""
    on_cpu = device == "cpu"
    products: list[tuple[Callable[[], object], int]] = []
    for side in (512, 1024, 1536) if on_cpu else (4096, 8192):
        matrix = torch.rand(side, side, device=device)
        products.append((lambda matrix=matrix: matrix @ matrix, 2 * side**3))
    batch, sides = (24, (32, 16)) if on_cpu else (48, (128, 64))
    for channels in (48, 128, 256):
        for side in sides:
            frames = torch.rand(batch, channels, side, side, device=device)
            kernel = torch.rand(channels, channels, 3, 3, device=device)
            for order in (torch.contiguous_format, torch.channels_last):
                x, w = frames.to(memory_format=order), kernel.to(memory_format=order)
                flops = 2 * 9 * channels**2 * batch * side**2
                products.append((lambda x=x, w=w: F.conv2d(x, w, padding=1), flops))
    return products


def _duration(call: Callable[[], object], device: str) -> float:
    """Seconds of one call; of one thread those of the processor, so that others count less."""
    clock = time.perf_counter
    if device == "cpu" and torch.get_num_threads() == 1:
        clock = time.process_time
    _wait(device)
    start = clock()
    call()
    _wait(device)
    return clock() - start


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()
