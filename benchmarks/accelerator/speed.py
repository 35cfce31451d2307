"""Checks of speed: the trainings and the inference that a GPU is bought for."""

import dataclasses
import statistics
import tempfile
import time

import torch

from benchmarks.accelerator.results import Figure
from benchmarks.measure import seconds
from benchmarks.rvt_speed import TrainingStep, make_attention_count, make_rvt_batch
from evdet.build import build_detector, build_loader
from evdet.config import DetectionConfig
from evdet.configs import shipped_config
from evdet.detectors import load_network
from evdet.evaluation import evaluate
from evdet.events.representations import get_representation
from evdet.models import Detector
from evdet.models.rvt import RVT, RVT_PLANS
from evdet.speed import prepare_variant
from evdet.training import train

__all__ = [
    "check_inference_rvt",
    "check_inference_ssd",
    "check_rvt_training",
    "check_rvt_training_compiled",
    "check_seed_training",
]

# About a minute at the rate that the seed's configuration aims at on such a device.
_SEED_FRAMES = 40_000
_VARIANTS = ("eager", "fold+channels-last+compile", "fold+channels-last+graphs",
             "fold+channels-last+half+graphs")  # fmt: skip


def check_seed_training(device: str) -> list[Figure]:
    """Train the seed's configuration in bf16 for about a minute, and score it."""
    is_toy = device == "cpu"
    with tempfile.TemporaryDirectory() as folder:
        config = dataclasses.replace(
            shipped_config("moving_mnist.yaml"),
            root_dir=folder, channels_last=True, precision="32" if is_toy else "bf16",
            max_epochs=1, max_frames_per_epoch=480 if is_toy else _SEED_FRAMES,
            val_frames=60, test_frames=60 if is_toy else 600, demo_every=0,
            num_workers=0 if is_toy else 8, lr_scheduler_step_gamma=1.0,
        )  # fmt: skip
        if is_toy:
            config = dataclasses.replace(
                config, feature_base=2, feature_channels_out=8, head_channels=8
            )
        else:
            torch.cuda.reset_peak_memory_stats()
        result = train(config)
        memory = 0.0 if is_toy else torch.cuda.max_memory_allocated() / 2**30
        loader = build_loader(config, "test")
        detector = load_network(result.last_checkpoint)
        scores = evaluate(
            detector.to(device),
            loader,
            config.classes or tuple("0123456789"),
            show_frame=loader.get_vis_func(),
            thresholds=config.thresholds,
        ).scores
    return [
        Figure("training", result.frames_per_second, "frames/s"),
        Figure("for", result.seconds, "s"),
        Figure("mAP", scores.map, ""),
        Figure("mAP50", scores.map50, ""),
        Figure("memory", memory, "GiB"),
    ]


def check_rvt_training(device: str) -> list[Figure]:
    """Time a training step of RVT-Base, stage-major against the original's order."""
    figures, medians = [], {}
    for bf16 in (False, True) if device != "cpu" else (False,):
        for stages, loss in (("stage-major", "batched"), ("frame by frame", "per frame")):
            step = _rvt_step(device, stages, loss, bf16)
            medians[bf16, stages] = seconds(step, device, repeats=5)
            bits = "bf16" if bf16 else "32 bits"
            figures.append(Figure(f"{stages}, {bits}", 1 / medians[bf16, stages], "steps/s"))
        ratio = medians[bf16, "frame by frame"] / medians[bf16, "stage-major"]
        figures.append(Figure("ratio", ratio, "times"))
    return figures


def check_rvt_training_compiled(device: str) -> list[Figure]:
    """Time a training step of RVT-Base with the detector's own compilation."""
    step = _rvt_step(device, "stage-major", "batched", device != "cpu")
    if device != "cpu":
        step.detector.compile_network()
    start = time.perf_counter()
    step()
    compiling = time.perf_counter() - start
    return [
        Figure(
            "compiled, bf16" if device != "cpu" else "eager, 32 bits",
            1 / seconds(step, device, repeats=5),
            "steps/s",
        ),
        Figure("first step", compiling, "s"),
    ]


def check_inference_rvt(device: str) -> list[Figure]:
    """Time RVT-Base on 1 Mpx frames of half size, one time bin at a time."""
    name = "rvt_tiny_1mpx.yaml" if device == "cpu" else "rvt_base_1mpx.yaml"
    return _inference(name, device)


def check_inference_ssd(device: str) -> list[Figure]:
    """Time the SSD on 1 Mpx frames of half size, one time bin at a time."""
    return _inference("one_mpx.yaml", device)


def _inference(name: str, device: str) -> list[Figure]:
    config = _complete(shipped_config(name))
    if device == "cpu":
        config = dataclasses.replace(config, height=64, width=96)
    torch.manual_seed(0)
    detector = build_detector(config).to(device).eval()
    shape = (1, 1, config.in_channels, config.height, config.width)
    clips = [torch.rand(shape, device=device) for _ in range(4)]
    variants = _VARIANTS if device != "cpu" else ("eager", "fold")
    figures = []
    for variant in variants:
        prepared = prepare_variant(variant, detector, clips[:2], config.thresholds)
        times = _times(prepared.step, clips, device, 200 if device != "cpu" else 3)
        figures.append(Figure(f"{variant} p50", 1e3 * statistics.median(times), "ms"))
        p99 = sorted(times)[int(0.99 * (len(times) - 1))]
        figures.append(Figure(f"{variant} p99", 1e3 * p99, "ms"))
    return figures


def _complete(config: DetectionConfig) -> DetectionConfig:
    channels = get_representation(config.preprocess).num_channels
    return dataclasses.replace(config, in_channels=channels)


def _times(step: object, clips: list[torch.Tensor], device: str, repeats: int) -> list[float]:
    memory, times = None, []
    with torch.inference_mode():
        for index in range(repeats + 10):
            clip = clips[index % len(clips)]
            if device != "cpu":
                torch.cuda.synchronize()
            start = time.perf_counter()
            _, memory = step(clip, memory)
            times.append(time.perf_counter() - start)
    return times[10:]


def _rvt_step(device: str, stages: str, loss: str, bf16: bool) -> TrainingStep:
    is_toy = device == "cpu"
    torch.manual_seed(0)
    detector: Detector = RVT(RVT_PLANS["RVT-Tiny" if is_toy else "RVT-Base"], 20, 2)
    make_attention_count(detector)
    detector.to(device).train()
    batch = make_rvt_batch(2 if is_toy else 21, 1 if is_toy else 8, device)
    return TrainingStep(detector, batch, stages, loss, bf16)
