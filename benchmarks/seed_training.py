"""`python -m benchmarks.seed_training`: the seed tutorial's training, whole, on an accelerator.

Prints time, frames/s, memory and mAP. Without an accelerator the same steps run on the CPU at a
small size, which shows that they work and says nothing about speed or accuracy.
"""

import dataclasses
import tempfile
import time
from pathlib import Path

import torch

from evdet.build import build_loader
from evdet.config import DetectionConfig
from evdet.configs import shipped_config
from evdet.detectors import load_network
from evdet.evaluation import evaluate
from evdet.frame_spec import SelectionThresholds
from evdet.report import describe_environment
from evdet.training import train

TARGET = "target on one H200: mAP of at least 0.80, 120,000 frames in under 180 s"


def main() -> None:
    """Train, evaluate, print."""
    on_accelerator = torch.cuda.is_available()
    with tempfile.TemporaryDirectory() as folder:
        config = _config(folder, full=on_accelerator)
        if on_accelerator:
            torch.cuda.reset_peak_memory_stats()
        started = time.perf_counter()
        result = train(config)
        seconds = time.perf_counter() - started
        memory = torch.cuda.max_memory_allocated() / 2**30 if on_accelerator else 0.0
        loader = build_loader(config, "test")
        detector = load_network(result.best_checkpoint or result.last_checkpoint)
        scores = evaluate(
            detector.to("cuda" if on_accelerator else "cpu"),
            loader,
            config.classes,
            show_frame=loader.get_vis_func(),
            thresholds=SelectionThresholds(),
        ).scores
        kept = (Path(folder) / "config.yaml").read_text()
    for name, value in describe_environment().items():
        print(f"{name:18}{value}")
    print(f"frames trained    {config.max_frames_per_epoch * config.max_epochs:,}")
    print(f"seconds, all      {seconds:.0f} (validations and checkpoints included)")
    print(f"frames/s          {result.frames_per_second:.0f} (training alone)")
    print(f"memory            {memory:.1f} GiB at the most")
    print(
        f"mAP, mAP50        {scores.map:.3f}, {scores.map50:.3f} ({scores.num_frames} test frames)"
    )
    print(TARGET if on_accelerator else "a small run on a CPU: only a check that all this works")
    print(f"\n{kept}")


def _config(folder: str, *, full: bool) -> DetectionConfig:
    config = dataclasses.replace(
        shipped_config("moving_mnist.yaml"), root_dir=folder, channels_last=True
    )
    if full:
        return config
    return dataclasses.replace(
        config,
        feature_base=2,
        feature_channels_out=8,
        head_channels=8,
        max_frames_per_epoch=480,
        max_epochs=1,
        demo_every=0,
        val_frames=60,
        test_frames=60,
        num_workers=0,
    )


if __name__ == "__main__":
    main()
