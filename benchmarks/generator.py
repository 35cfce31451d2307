"""How fast Moving MNIST is made, on one core and through a worker."""

import time
from itertools import islice

import torch

from benchmarks.measure import Row
from evdet.data import StreamLoader
from evdet.synthetic import make_moving_mnist

__all__ = ["rows"]

NUM_BATCHES = 100
TARGET = 2000


def rows() -> list[Row]:
    """Measure batches of 4 lanes x 12 frames, from drawing to floats.

    Returns:
        Frames per second, and beside it the target.
    """
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [
            _row("Moving MNIST, 128x128, 1 core", num_workers=0),
            _row("Moving MNIST, 128x128, 1 worker", num_workers=1),
        ]
    finally:
        torch.set_num_threads(num_threads)


def _row(what: str, *, num_workers: int) -> Row:
    loader = make_moving_mnist(True, num_workers=num_workers)
    rate = _frames_per_second(loader)
    return Row(what=what, value=rate, unit="frames/s", note=f"target {TARGET:,}")


def _frames_per_second(loader: StreamLoader) -> float:
    num_frames = 0
    batches = iter(loader)
    next(batches)  # a worker starts before it works
    start = time.perf_counter()
    for batch in islice(batches, NUM_BATCHES):
        num_frames += batch["frame_is_labeled"].numel()
    return num_frames / (time.perf_counter() - start)
