"""Checks of what must hold on a GPU: the same numbers as on the CPU, and no hidden waiting."""

import dataclasses
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.accelerator.errors import UnavailableError
from benchmarks.accelerator.results import Figure
from benchmarks.feeding import open_events, write_recording
from benchmarks.measure import seconds
from benchmarks.representations import SIZE, make_slice
from evdet.config import DetectionConfig
from evdet.data import SequentialClips, StreamLoader
from evdet.detectors import load_checkpoint
from evdet.events.representations import REPRESENTATIONS, events_to_tensors, scatter_frames
from evdet.frame_spec import SelectionThresholds
from evdet.models import select_boxes
from evdet.training import train

__all__ = [
    "check_feeding",
    "check_gpu_tests",
    "check_representations",
    "check_resume",
    "check_selection",
]

_MARK = "@pytest.mark." + "gpu"


def check_gpu_tests(device: str) -> list[Figure]:
    """Run the tests that are marked gpu."""
    if importlib.util.find_spec("pytest") is None:
        raise UnavailableError("pytest is not installed")
    # Only their files: collecting all tests takes longer than running these.
    marked = [path for path in Path("tests").rglob("test_*.py") if _MARK in path.read_text("utf-8")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", *marked],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    counts = {
        kind: int(n) for n, kind in re.findall(r"(\d+) (passed|failed|skipped|error)", done.stdout)
    }
    if done.returncode not in (0, 5) or counts.get("failed"):
        raise RuntimeError(f"tests marked gpu failed: {done.stdout.strip().splitlines()[-1]}")
    return [Figure(kind, counts.get(kind, 0), "tests") for kind in ("passed", "skipped")]


def check_selection(device: str) -> list[Figure]:
    """Select boxes without waiting for the device, and get what the CPU gets."""
    generator = torch.Generator().manual_seed(0)
    boxes = 100 * torch.rand(80, 2046, 4, generator=generator)
    boxes[..., 2:] += boxes[..., :2]
    scores = torch.rand(80, 2046, 10, generator=generator)
    figures = []
    for agnostic in (False, True):
        thresholds = SelectionThresholds(agnostic=agnostic)
        expected = select_boxes(boxes, scores, (128, 128), thresholds)
        there = boxes.to(device), scores.to(device)
        select_boxes(*there, (128, 128), thresholds)  # loads what is compiled
        _sync_is_an_error(device, True)
        try:
            found = select_boxes(*there, (128, 128), thresholds)
        finally:
            _sync_is_an_error(device, False)
        if not torch.equal(found.keep.cpu(), expected.keep):
            raise RuntimeError(f"other boxes than on the CPU (agnostic={agnostic})")
        call = lambda there=there, t=thresholds: select_boxes(*there, (128, 128), t)  # noqa: E731
        name = "across classes" if agnostic else "by class"
        figures.append(Figure(f"80 frames {name}", 1e3 * seconds(call, device), "ms"))
    return figures


def check_representations(device: str) -> list[Figure]:
    """Make frames by scatter, and get those of the CPU's kernels."""
    num_events = 200_000 if device != "cpu" else 5_000
    bins = [make_slice(k, num_events) for k in range(4)]
    events = events_to_tensors(bins, SIZE, device=device)
    figures = []
    for name, representation in REPRESENTATIONS.items():
        expected = np.stack([
            representation.make(one.events, SIZE, start=one.start, delta_t=one.delta_t)
            for one in bins
        ])  # fmt: skip
        found = scatter_frames(name, events, SIZE).cpu().numpy()
        if not np.array_equal(found, expected):
            raise RuntimeError(f"{name} differs by up to {np.abs(found - expected).max()}")
        taken = seconds(lambda name=name: scatter_frames(name, events, SIZE), device)
        figures.append(Figure(name, len(bins) * num_events / taken / 1e6, "M events/s"))
    return figures


def check_resume(device: str) -> list[Figure]:
    """Train two epochs, and one epoch and one more after a resume: the same weights."""
    # What a GPU adds in any order is not the same in two runs; a resume must not add to that.
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    torch.use_deterministic_algorithms(True, warn_only=True)
    weights = []
    with tempfile.TemporaryDirectory() as folder:
        whole, halves = (_tiny(Path(folder) / name, device) for name in ("whole", "halves"))
        train(whole)
        train(dataclasses.replace(halves, max_epochs=1))
        train(halves, resume="auto")
        for config in (whole, halves):
            path = Path(config.root_dir)
            [last] = path.rglob("last.ckpt")
            weights.append(load_checkpoint(last)["state_dict"])
    largest = max(
        float((weights[0][name].double() - weights[1][name].double()).abs().max())
        for name in weights[0]
    )
    if largest > 0:
        raise RuntimeError(f"a resumed training differs by up to {largest:.1e} in a weight")
    return [Figure("largest difference of a weight", largest, "")]


def check_feeding(device: str) -> list[Figure]:
    """Feed frames from a DAT file to the device with 0, 4 and as many workers as cores."""
    figures = []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
    counts = (0, 4, max(4, cores - 2)) if device != "cpu" else (0,)
    with tempfile.TemporaryDirectory() as folder:
        write_recording(Path(folder))
        source = open_events(Path(folder), "histogram")
        for num_workers in dict.fromkeys(counts):
            clips = SequentialClips(source=source)
            loader = StreamLoader(clips, batch_size=1, num_workers=num_workers)
            rate = max(_rate(loader, device) for _ in range(2))
            figures.append(Figure(f"{num_workers} workers", rate, "frames/s"))
    return figures


def _rate(loader: StreamLoader, device: str) -> float:
    loader.set_position(0)
    start, num_frames = time.perf_counter(), 0
    for batch in loader:
        batch["inputs"].to(device, non_blocking=True)
        num_frames += batch["frame_is_labeled"].numel()
    return num_frames / (time.perf_counter() - start)


def _sync_is_an_error(device: str, value: bool) -> None:
    if device != "cpu":
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error" if value else "default")


def _tiny(root: Path, device: str) -> DetectionConfig:
    return DetectionConfig(
        height=64, width=64, num_tbins=3, batch_size=2, max_frames_per_video=9,
        max_frames_per_epoch=60, val_frames=12, max_objects=1, num_workers=0, feature_base=2,
        feature_channels_out=8, num_levels=3, head_channels=8, max_epochs=2, demo_every=0,
        accelerator="cpu" if device == "cpu" else "gpu", precision="32", root_dir=str(root),
    )  # fmt: skip
