"""`python -m benchmarks.memory`: what memory is worth when objects stop.

Simulated shapes move and wait, and a waiting object gives no events. One network is trained three
ways, each with the same processor time and the same recordings:

- `carried`: memory goes on from clip to clip, as evdet trains;
- `reset`: every clip of half a second starts from empty memory;
- `none`: every frame is read by itself.

It prints AP50 by the time for which an object has not moved, several seeds each, and writes a plot.
"""

import argparse
import dataclasses
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evdet.boxes import to_box_events
from evdet.build import build_detector, build_loader, complete_config
from evdet.cli import main as evdet
from evdet.config import DetectionConfig
from evdet.data import DatasetFolder, open_folder, read_labels
from evdet.events import open_recording
from evdet.metrics import Curves, ScoredRecording, performance_curves
from evdet.models import Detector
from evdet.report import describe_environment

__all__ = ["ARRANGEMENTS", "evaluate", "main", "simulated", "small_config", "train"]

ARRANGEMENTS = ("carried", "reset", "none")
NAMES = {
    "carried": "memory carried on",
    "reset": "memory reset every clip (0.5 s)",
    "none": "no memory",
}
SIMULATION = (
    "--kind shapes --sensor-size 64x64 --max-objects 2 --train 150 --val 1 --test 60 "
    "--minutes 28.13"
)
PEAK_RATE, WARMUP = 3e-3, 0.1

Memory = tuple[Tensor, ...]


def simulated(folder: Path) -> Path:
    """The recordings in a benchmark's folder, simulated where they are not there yet."""
    data = folder / "recordings"
    if not data.exists():
        folder.mkdir(parents=True, exist_ok=True)
        evdet(["simulate", str(data), *SIMULATION.split()])
    return data


def train(config: DetectionConfig, arrangement: str, *, cpu_minutes: float) -> tuple[Detector, int]:
    """Train until the processor time is spent; the learning rate follows the clock.

    Args:
        config: the network and its recordings.
        arrangement: one of `ARRANGEMENTS`.
        cpu_minutes: processor time of this process, for reading recordings and for training.

    Returns:
        The detector, and the number of frames it has seen.
    """
    detector = build_detector(config).train()
    optimizer = torch.optim.Adam(detector.parameters(), lr=PEAK_RATE, weight_decay=1e-5)
    started = time.process_time()
    memory: Memory | None = None
    num_frames = 0
    for batch in _endless(config):
        spent = (time.process_time() - started) / (60 * cpu_minutes)
        if spent >= 1:
            break
        falling = 0.5 * (1 + math.cos(math.pi * (spent - WARMUP) / (1 - WARMUP)))
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * (spent / WARMUP if spent < WARMUP else falling)
        losses, memory = detector.compute_loss(
            _arrange(batch, arrangement), _carry(memory, batch, arrangement)
        )
        optimizer.zero_grad()
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(detector.parameters(), 10.0)
        optimizer.step()
        num_frames += batch["frame_is_labeled"].numel()
    return detector.eval(), num_frames


def evaluate(detector: Detector, config: DetectionConfig, arrangement: str) -> Curves:
    """Score a detector on the test recordings, with memory as it was trained.

    Args:
        detector: in evaluation mode.
        config: as trained.
        arrangement: one of `ARRANGEMENTS`.

    Returns:
        The curves; `by_stillness` is the one.
    """
    folder = open_folder(Path(config.dataset_path))
    found: dict[str, list[np.ndarray]] = {}
    memory: Memory | None = None
    for batch in build_loader(config, "test"):
        num_lanes = len(batch["video_infos"])
        with torch.no_grad():
            out, memory = detector.step(
                _arrange(batch, arrangement)["inputs"], _carry(memory, batch, arrangement)
            )
        frames = [frame for lanes in out for frame in lanes]
        for place, frame in enumerate(frames):
            t, b = divmod(place, num_lanes)
            info = batch["video_infos"][b]
            if batch["frame_is_labeled"][t, b]:
                boxes = to_box_events(
                    frame["boxes"],
                    frame["labels"],
                    frame["scores"],
                    t=(info.first_frame + t + 1) * config.delta_t,
                )
                found.setdefault(info.name, []).append(boxes)
    recordings = [_scored(folder, name, np.concatenate(boxes)) for name, boxes in found.items()]
    return performance_curves(
        recordings,
        config.class_names,
        size=(config.height, config.width),
        delta_t=config.delta_t,
        score_thresh=0.3,
    )


def _endless(config: DetectionConfig) -> Iterator[Any]:
    epoch = 0
    while True:
        loader = build_loader(config, "train")
        loader.set_position(epoch)
        yield from loader
        epoch += 1


def _arrange(batch: Any, arrangement: str) -> dict[str, Any]:
    """The same frames; without memory each is a clip of its own."""
    if arrangement != "none":
        return dict(batch)
    return {
        "inputs": batch["inputs"].flatten(0, 1)[None],
        "labels": [[frame for lanes in batch["labels"] for frame in lanes]],
        "frame_is_labeled": batch["frame_is_labeled"].reshape(1, -1),
    }


def _carry(memory: Memory | None, batch: Any, arrangement: str) -> Memory | None:
    if arrangement != "carried" or memory is None:
        return None
    return tuple(part.detach() * batch["mask_keep_memory"] for part in memory)


def _scored(folder: DatasetFolder, name: str, detections: np.ndarray) -> ScoredRecording:
    entry = next(one for one in folder.splits["test"] if one.name == name)
    recording = open_recording(entry.recording)
    labeled = read_labels(entry, folder, recording)
    last = detections["t"].max(initial=0)
    truth = labeled.boxes[labeled.boxes["t"] <= last]
    return ScoredRecording(name, truth, np.unique(truth["t"]), detections)


def small_config(data: Path, seed: int) -> DetectionConfig:
    """The network of this benchmark, and of those that compare it with others."""
    return complete_config(
        DetectionConfig(
            dataset_path=str(data),
            num_tbins=10,
            batch_size=8,
            num_workers=0,
            feature_base=4,
            feature_channels_out=32,
            num_levels=3,
            head_channels=48,
            anchor_list="MNIST_ANCHORS",
            channels_last=True,
            seed=seed,
        )
    )


def _run(data: Path, arrangement: str, seed: int, cpu_minutes: float) -> dict[str, Any]:
    torch.set_num_threads(1)
    config = small_config(data, seed)
    detector, num_frames = train(config, arrangement, cpu_minutes=cpu_minutes)
    curve = evaluate(detector, config, arrangement).by_stillness
    if curve is None:
        raise ValueError(f"the labels of {data} do not say when objects stand still")
    points = [dataclasses.asdict(point) for point in curve.points if point.num_truths]
    return {
        "arrangement": arrangement,
        "seed": seed,
        "cpu_minutes": cpu_minutes,
        "num_frames": num_frames,
        "points": points,
    }


def _plot(runs: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 4.2))
    colors = {"carried": "#1f6feb", "reset": "#d9822b", "none": "#8b949e"}
    for arrangement in ARRANGEMENTS:
        mine = [run for run in runs if run["arrangement"] == arrangement]
        if not mine:
            continue
        labels = [point["label"] for point in mine[0]["points"]]
        values = np.array([[point["ap50"] for point in run["points"]] for run in mine])
        places = np.arange(len(labels))
        low, high = values.min(axis=0), values.max(axis=0)
        axes.fill_between(places, low, high, color=colors[arrangement], alpha=0.2, linewidth=0)
        axes.plot(
            places, values.mean(axis=0), "o-", color=colors[arrangement], label=NAMES[arrangement]
        )
        axes.set_xticks(places, labels, fontsize=8)
    axes.set(ylim=(0, 1), xlabel="time since the object last moved", ylabel="AP50")
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="center right", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def _print_table(runs: list[dict[str, Any]]) -> None:
    labels = [point["label"] for point in runs[0]["points"]]
    print(f"{'AP50, mean of seeds':34}" + "".join(f"{label:>12}" for label in labels))
    for arrangement in ARRANGEMENTS:
        mine = [run for run in runs if run["arrangement"] == arrangement]
        if not mine:
            continue
        values = np.array([[point["ap50"] for point in run["points"]] for run in mine])
        for name, row in (
            (NAMES[arrangement], values.mean(axis=0)),
            ("    lowest of the seeds", values.min(axis=0)),
            ("    highest", values.max(axis=0)),
        ):
            print(f"{name:34}" + "".join(f"{value:12.3f}" for value in row))
        seen = ", ".join(f"{run['num_frames']:,}" for run in mine)
        print(f"    frames seen in training: {seen}")


def main() -> None:
    """Simulate, train, print, plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("runs/memory"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cpu-minutes", type=float, default=4.0, help="for each training")
    parser.add_argument("--plot", type=Path, help="PNG or SVG file; by default in the folder")
    options = parser.parse_args()
    data = simulated(options.folder)
    runs = []
    for seed in range(options.seeds):
        for arrangement in ARRANGEMENTS:
            kept = options.folder / f"{arrangement}_{seed}_{options.cpu_minutes:g}.json"
            if not kept.exists():
                run = _run(data, arrangement, seed, options.cpu_minutes)
                kept.write_text(json.dumps(run, indent=1) + "\n")
            runs.append(json.loads(kept.read_text()))
            print(
                f"{NAMES[arrangement]}, seed {seed}: {runs[-1]['num_frames']:,} frames", flush=True
            )
    for name, value in describe_environment().items():
        print(f"{name:18}{value}")
    print(f"processor minutes {options.cpu_minutes:g} for each training, one thread\n")
    _print_table(runs)
    plot = options.plot or options.folder / "memory.png"
    _plot(runs, plot)
    print(f"\nplot: {plot}")


if __name__ == "__main__":
    main()
