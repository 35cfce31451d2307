"""How fast the detectors of the shipped configurations are, forward and in training."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import BestRate, Row
from evdet.build import build_detector, build_loader
from evdet.config import DetectionConfig
from evdet.configs import shipped_config
from evdet.models import Detector

__all__ = ["rows", "training_step"]

_CONFIGS = ("moving_mnist_quick.yaml", "moving_mnist.yaml")


class _Measured(NamedTuple):
    """One call on a batch."""

    what: str
    num_frames: int
    flops: int
    seconds: float


def rows(device: str = "cpu") -> list[Row]:
    """Measure one batch of each configuration.

    Args:
        device: where to run.

    Returns:
        Frames per second, and beside each the frames per second if its multiplications and
        additions ran at the best rate that anything in this table reached.
    """
    rate = BestRate(device)
    measured = [each for name in _CONFIGS for each in _measure(name, device, rate)]
    return [
        Row(
            what=each.what,
            value=each.num_frames / each.seconds,
            unit="frames/s",
            floor=each.num_frames / (each.flops / rate.value),
        )
        for each in measured
    ]


def training_step(config: DetectionConfig, device: str = "cpu") -> tuple[Callable[[], None], int]:
    """Make a call that trains on one batch, always the same.

    Args:
        config: of the detector and its batches.
        device: where to run.

    Returns:
        The call, and the number of frames of the batch.
    """
    detector = build_detector(config).to(device)
    batch = _batch(config, device)
    return _trainer(detector, batch), config.num_tbins * config.batch_size


def _measure(name: str, device: str, rate: BestRate) -> list[_Measured]:
    config = shipped_config(name)
    detector = build_detector(config).to(device)
    batch = _batch(config, device)
    num_frames = config.num_tbins * config.batch_size
    shape = f"T={config.num_tbins}, B={config.batch_size}"

    def forward() -> None:
        with torch.no_grad():
            detector.head(detector.feature_extractor(batch["inputs"]))

    def detect() -> None:
        with torch.no_grad():
            detector.step(batch["inputs"])

    measured = []
    for what, call, training in (
        ("forward", forward, False),
        ("forward + decode + NMS", detect, False),
        ("training step", _trainer(detector, batch), True),
    ):
        detector.train(training)
        with FlopCounterMode(display=False) as counter:
            call()
        flops = int(counter.get_total_flops())
        measured.append(
            _Measured(f"{name}: {what} ({shape})", num_frames, flops, rate.seconds(call, flops))
        )
    return measured


def _batch(config: DetectionConfig, device: str) -> dict[str, object]:
    batch = dict(next(iter(build_loader(config, "train"))))
    batch["inputs"] = batch["inputs"].to(device)
    return batch


def _trainer(detector: Detector, batch: dict[str, object]) -> Callable[[], None]:
    """The training step: loss, gradients, and a step of the optimizer that changes no weight."""
    optimizer = torch.optim.Adam(detector.parameters(), lr=0.0)

    def train() -> None:
        losses, _ = detector.compute_loss(batch)
        optimizer.zero_grad()
        (losses["loc_loss"] + losses["cls_loss"]).backward()
        optimizer.step()

    return train
