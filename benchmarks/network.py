"""How fast the detectors of the shipped configurations are, forward and in training."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import Row, matmul_rate, seconds
from evdet.build import build_detector, build_loader
from evdet.configs import shipped_config

__all__ = ["rows"]


def rows(device: str = "cpu") -> list[Row]:
    """Measure one batch of each configuration.

    Args:
        device: where to run.

    Returns:
        Frames per second, and beside each the frames per second if its multiplications and
        additions ran at the rate of a large matrix product.
    """
    rate = matmul_rate(device)
    return [
        *_rows_of("moving_mnist_quick.yaml", device, rate),
        *_rows_of("moving_mnist.yaml", device, rate),
    ]


def _rows_of(name: str, device: str, rate: float) -> list[Row]:
    config = shipped_config(name)
    detector = build_detector(config).to(device)
    batch = dict(next(iter(build_loader(config, "train"))))
    batch["inputs"] = batch["inputs"].to(device)
    optimizer = torch.optim.Adam(detector.parameters(), lr=0.0)
    num_frames = config.num_tbins * config.batch_size
    shape = f"T={config.num_tbins}, B={config.batch_size}"

    def forward() -> None:
        with torch.no_grad():
            detector.head(detector.feature_extractor(batch["inputs"]))

    def detect() -> None:
        with torch.no_grad():
            detector.step(batch["inputs"])

    def train() -> None:
        losses, _ = detector.compute_loss(batch)
        optimizer.zero_grad()
        (losses["loc_loss"] + losses["cls_loss"]).backward()
        optimizer.step()

    measured = []
    for what, call, training in (
        ("forward", forward, False),
        ("forward + decode + NMS", detect, False),
        ("training step", train, True),
    ):
        detector.train(training)
        with FlopCounterMode(display=False) as counter:
            call()
        floor = num_frames / (counter.get_total_flops() / rate)
        value = num_frames / seconds(call, device, repeats=3)
        measured.append(
            Row(what=f"{name}: {what} ({shape})", value=value, unit="frames/s", floor=floor)
        )
    return measured
