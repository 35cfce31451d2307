"""`python -m benchmarks.rates`: one training, any frame rate.

Simulated shapes move and wait. Networks that differ in their memory only are trained with time bins
of 50 ms, or with durations that are drawn for each recording, and then detect at 10 to 200 Hz and
with time bins of irregular durations. Every training has the same processor time, several seeds
each.

It prints AP at the same labelled times whatever the rate, of all objects and of those that have not
moved for 1 to 3 seconds, and what scaling the counts of shorter and longer time bins is worth; it
writes a plot.
"""

import argparse
import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.memory import simulated, small_config, train
from evdet.boxes import to_box_events
from evdet.config import DetectionConfig, config_from_params, config_to_dict
from evdet.data import open_folder, read_labels
from evdet.detectors import load_network
from evdet.events import SensorSize, open_recording
from evdet.events.representations import get_representation
from evdet.frame_spec import FrameSpec, SelectionThresholds
from evdet.metrics import (
    ScoredRecording,
    get_protocol,
    performance_curves,
    score_recordings,
)
from evdet.models import Detector
from evdet.report import describe_environment

__all__ = ["ARRANGEMENTS", "COUNTS", "RATES", "evaluate", "main"]

ARRANGEMENTS = {
    "LSTM, 50 ms": {"feature_extractor": "Vanilla"},
    "S5, 50 ms": {"feature_extractor": "VanillaS5"},
    "LSTM, drawn": {"feature_extractor": "Vanilla", "delta_t_range": (10_000, 100_000)},
    "S5, drawn": {"feature_extractor": "VanillaS5", "delta_t_range": (10_000, 100_000)},
}
"""Fields of the configuration that differ."""
RATES = ("10", "20", "40", "100", "200", "irregular")
"""Frames per second; irregular time bins last 5 to 100 ms."""
COUNTS = {"not scaled": 0.0, "root of the ratio": 0.5, "ratio": 1.0}
"""Exponents of the ratio of the durations by which counts are scaled; evdet takes the root."""
_COLORS = ("#d9822b", "#1f6feb", "#e3b341", "#2da44e")
_SCORED = 100_000
"""Labels at multiples of it are scored, at which time bins of every rate end."""
_LABEL_PERIOD = 50_000
_NUM_TBINS = 10
_NUM_RECORDINGS = 24


class _Recording(NamedTuple):
    name: str
    events: np.ndarray
    truth: np.ndarray


def evaluate(
    detector: Detector, config: DetectionConfig, rate: str, *, exponent: float = 0.5
) -> dict[str, float]:
    """Score a detector at a frame rate.

    Args:
        detector: in evaluation mode.
        config: as trained.
        rate: one of `RATES`.
        exponent: one of `COUNTS`.

    Returns:
        mAP, mAP50 and the AP50 of objects at rest, on the labels at multiples of 0.1 s.
    """
    recordings = _test_recordings(config)
    end = max(int(one.events["t"][-1]) for one in recordings) // _SCORED * _SCORED
    edges = _edges(rate, end)
    found: list[list[np.ndarray]] = [[] for _ in recordings]
    memory: tuple[Tensor, ...] | None = None
    for first in range(0, len(edges) - 1, _NUM_TBINS):
        part = edges[first : first + _NUM_TBINS + 1]
        clip = _clip_of(recordings, part, config.frame_spec, exponent)
        durations = torch.from_numpy(np.diff(part)).float()[:, None].expand(-1, len(recordings))
        with torch.no_grad():
            out, memory = detector.step(
                clip, memory, durations=durations, thresholds=SelectionThresholds()
            )
        for time, lanes in zip(part[1:].tolist(), out, strict=True):
            for boxes, frame in zip(found, lanes, strict=True):
                if time % _SCORED == 0:
                    boxes.append(
                        to_box_events(frame["boxes"], frame["labels"], frame["scores"], t=time)
                    )
    scored = []
    for one, boxes in zip(recordings, found, strict=True):
        truth = one.truth[(one.truth["t"] % _SCORED == 0) & (one.truth["t"] <= end)]
        scored.append(
            ScoredRecording(one.name, truth, np.unique(truth["t"]), np.concatenate(boxes))
        )
    scores = score_recordings(scored, config.class_names, get_protocol("coco"))
    curve = performance_curves(
        scored,
        config.class_names,
        size=(config.height, config.width),
        delta_t=_LABEL_PERIOD,
        score_thresh=0.3,
    ).by_stillness
    if curve is None:
        raise ValueError("the labels do not say when objects stand still")
    points = [one for one in curve.points if 1e6 <= one.low < 3e6 and one.num_truths]
    weights = [one.num_truths for one in points]
    resting = float(np.average([one.ap50 for one in points], weights=weights))
    return {"mAP": scores.map, "mAP50": scores.map50, "resting": resting}


def _test_recordings(config: DetectionConfig) -> list[_Recording]:
    folder = open_folder(Path(config.dataset_path))
    opened = []
    for entry in folder.splits["test"][:_NUM_RECORDINGS]:
        recording = open_recording(entry.recording)
        events = np.concatenate(list(recording.blocks()))
        opened.append(_Recording(entry.name, events, read_labels(entry, folder, recording).boxes))
    return opened


def _edges(rate: str, end: int) -> np.ndarray:
    """The ends of time bins from 0 to `end`."""
    if rate != "irregular":
        return np.arange(0, end + 1, round(1e6 / float(rate)))
    rng = np.random.default_rng(0)
    edges = {0, end}
    start = 0
    while start < end:
        # Now and then a label lies within a time bin; none that is scored.
        long = start % _SCORED == 0 and rng.random() < 0.25
        stop = start + (2 if long else 1) * _LABEL_PERIOD
        tenths = rng.choice(np.arange(1, 10), rng.integers(0, 1 if long else 5), replace=False)
        edges |= {stop, *(start + int(tenth) * _LABEL_PERIOD // 10 for tenth in tenths)}
        start = stop
    return np.array(sorted(edge for edge in edges if edge <= end))


def _clip_of(
    recordings: list[_Recording], edges: np.ndarray, spec: FrameSpec, exponent: float
) -> Tensor:
    size = SensorSize(spec.height, spec.width)
    frames = np.zeros((len(edges) - 1, len(recordings), spec.in_channels, *size), np.float32)
    for (t, (start, stop)), (b, one) in itertools.product(
        enumerate(itertools.pairwise(edges.tolist())), enumerate(recordings)
    ):
        low, high = np.searchsorted(one.events["t"], [start, stop])
        frames[t, b] = get_representation(spec.preprocess).make(
            one.events[low:high],
            size,
            start=start,
            delta_t=stop - start,
            count_scale=(spec.delta_t / (stop - start)) ** exponent,
        )
    return torch.from_numpy(frames)


def _train(data: Path, name: str, seed: int, cpu_minutes: float, path: Path) -> None:
    torch.set_num_threads(1)
    fields: dict[str, Any] = ARRANGEMENTS[name]
    config = dataclasses.replace(small_config(data, seed), **fields)
    detector, num_frames = train(config, "carried", cpu_minutes=cpu_minutes)
    weights = {f"detector.{key}": value for key, value in detector.state_dict().items()}
    content = {"hyper_parameters": config_to_dict(config), "state_dict": weights}
    torch.save({**content, "num_frames": num_frames}, path)


def _score(path: Path, name: str, seed: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    content = torch.load(path, weights_only=True)
    config = config_from_params(content["hyper_parameters"])
    detector = load_network(path).eval()
    counts = {}
    if "delta_t_range" not in ARRANGEMENTS[name] and seed == 0:
        for words, exponent in COUNTS.items():
            scores = [evaluate(detector, config, rate, exponent=exponent) for rate in RATES]
            counts[words] = dict(zip(RATES, scores, strict=True))
    scored = counts.get("root of the ratio")
    return {
        "arrangement": name,
        "seed": seed,
        "num_frames": content["num_frames"],
        "scores": scored or {rate: evaluate(detector, config, rate) for rate in RATES},
        "counts": counts,
    }


def _values(
    runs: list[dict[str, Any]], name: str, score: str, counts: str | None = None
) -> np.ndarray:
    """A row a seed, a column a rate."""
    mine = [
        run["scores"] if counts is None else run["counts"][counts]
        for run in runs
        if run["arrangement"] == name and (counts is None or run["counts"])
    ]
    return np.array([[scores[rate][score] for rate in RATES] for scores in mine])


def _plot(runs: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, both = pyplot.subplots(1, 2, figsize=(10, 4.2), sharey=True)
    regular = [float(rate) for rate in RATES[:-1]]
    for axes, score in zip(both, ("mAP50", "resting"), strict=True):
        for name, color in zip(ARRANGEMENTS, _COLORS, strict=True):
            values = _values(runs, name, score)
            low, high, mean = values.min(axis=0), values.max(axis=0), values.mean(axis=0)
            axes.fill_between(regular, low[:-1], high[:-1], color=color, alpha=0.15, linewidth=0)
            axes.plot(regular, mean[:-1], "o-", color=color, label=name)
            axes.plot([400], mean[-1:], "o", color=color)
        axes.axvline(20, color="#8b949e", linewidth=0.8, linestyle=":")
        axes.set(ylim=(0, 1), xscale="log", xlabel="frames per second")
        axes.set_xticks([*regular, 400], [*RATES[:-1], "irregular"])
        axes.minorticks_off()
        axes.grid(axis="y", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    both[0].set(title="all objects", ylabel="AP50")
    both[1].set(title="objects that have not moved for 1 to 3 s")
    both[0].legend(frameon=False, loc="lower left", title="memory, time bins of the training")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def _print_table(runs: list[dict[str, Any]], score: str) -> None:
    heads = [f"{rate} Hz" if rate != "irregular" else rate for rate in RATES]
    print(f"{score + ', mean of seeds':26}" + "".join(f"{head:>11}" for head in heads))
    for name in ARRANGEMENTS:
        values = _values(runs, name, score)
        for label, row in (
            (name, values.mean(axis=0)),
            ("    lowest of the seeds", values.min(axis=0)),
            ("    highest", values.max(axis=0)),
        ):
            print(f"{label:26}" + "".join(f"{value:11.3f}" for value in row))
        mine = [run for run in runs if run["arrangement"] == name]
        seen = ", ".join(f"{run['num_frames']:,}" for run in mine)
        print(f"    frames seen in training: {seen}")


def _print_counts(runs: list[dict[str, Any]]) -> None:
    print(f"\n{'AP50, counts, first seed':26}" + "".join(f"{rate:>11}" for rate in RATES))
    fixed = [name for name, fields in ARRANGEMENTS.items() if "delta_t_range" not in fields]
    for name, words in itertools.product(fixed, COUNTS):
        row = _values(runs, name, "mAP50", words).mean(axis=0)
        label = f"{name.partition(',')[0]}, {words}"
        print(f"{label:26}" + "".join(f"{value:11.3f}" for value in row))


def main() -> None:
    """Simulate, train, print, plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("runs/rates"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cpu-minutes", type=float, default=4.0, help="for each training")
    parser.add_argument("--plot", type=Path, help="PNG or SVG file; by default in the folder")
    options = parser.parse_args()
    data = simulated(options.folder)
    runs = []
    for seed, name in itertools.product(range(options.seeds), ARRANGEMENTS):
        words = f"{name.replace(', ', '_').replace(' ', '')}_{seed}_{options.cpu_minutes:g}"
        checkpoint, kept = (options.folder / f"{words}.{end}" for end in ("ckpt", "json"))
        if not checkpoint.exists():
            _train(data, name, seed, options.cpu_minutes, checkpoint)
        if not kept.exists():
            kept.write_text(json.dumps(_score(checkpoint, name, seed), indent=1) + "\n")
        runs.append(json.loads(kept.read_text()))
        scores = ", ".join(f"{rate} {one['mAP50']:.3f}" for rate, one in runs[-1]["scores"].items())
        print(f"{name}, seed {seed}: AP50 at {scores}", flush=True)
    for name, value in describe_environment().items():
        print(f"{name:18}{value}")
    print(f"processor minutes {options.cpu_minutes:g} for each training, one thread\n")
    for score in ("mAP50", "resting", "mAP"):
        _print_table(runs, score)
    _print_counts(runs)
    plot = options.plot or options.folder / "rates.png"
    _plot(runs, plot)
    print(f"\nplot: {plot}")


if __name__ == "__main__":
    main()
