"""`evdet evaluate`: a checkpoint -> numbers, pictures and a video on frames it has not seen."""

import dataclasses
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from evdet.config import TOY_PROBLEM

if TYPE_CHECKING:
    import numpy as np
    import torch

    from evdet.data.batch import Batch
    from evdet.data.mixed_loader import MixedLoader
    from evdet.data.stream_loader import StreamLoader
    from evdet.evaluation import Evaluation, SelectionThresholds
    from evdet.metrics import AveragePrecision
    from evdet.models import Detector

__all__ = ["EvaluateOptions", "describe_scores", "evaluate"]

VIDEO_FRAMES = 120


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Score a checkpoint on the test digits or recordings, which no training sees."""

    checkpoint: tyro.conf.Positional[Path]
    """A checkpoint (*.ckpt), or a run's folder, whose best checkpoint is taken."""
    frames: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Frames to score at most; by default all test recordings, and test_frames of toy_problem."""
    score_thresh: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    """Detections with a lower score are dropped, in [0, 1]; by default as configured."""
    nms_thresh: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    """Of two boxes of a class with a higher IoU the better stays; by default as configured."""
    output: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder for evaluation.json, pictures and demo.mp4; by default the run's own."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the numbers and their protocol to this file as well."""
    device: str = "auto"
    """cpu, cuda, ... or auto."""


def evaluate(options: EvaluateOptions) -> None:
    """Evaluate a checkpoint, print the scores, and keep what a report shows.

    Args:
        options: what the user asked for.
    """
    from tqdm import tqdm

    from evdet.build import build_loader
    from evdet.checkpoints import config_of, load_checkpoint, load_detector
    from evdet.evaluation import SelectionThresholds
    from evdet.evaluation import evaluate as score

    path = _checkpoint_of(options.checkpoint)
    config = config_of(load_checkpoint(path))
    config = dataclasses.replace(
        config,
        test_frames=config.test_frames if options.frames is None else options.frames,
        score_thresh=_or(options.score_thresh, config.score_thresh),
        nms_thresh=_or(options.nms_thresh, config.nms_thresh),
    )
    detector = load_detector(path).to(_device(options.device))
    thresholds = SelectionThresholds(
        score_thresh=config.score_thresh,
        nms_thresh=config.nms_thresh,
        max_boxes=config.max_boxes_per_input,
    )
    loader = build_loader(config, "test")
    num_batches = len(loader)
    if config.dataset_path != TOY_PROBLEM and options.frames is not None:
        wanted = math.ceil(options.frames / (config.num_tbins * config.batch_size))
        num_batches = min(num_batches, wanted)
    evaluation = score(
        detector,
        tqdm(
            _FirstBatches(loader, num_batches),
            desc="Evaluating",
            unit="batch",
            total=num_batches,
            leave=False,
        ),
        config.class_names,
        show_frame=loader.get_vis_func(),
        thresholds=thresholds,
    )
    folder = options.output or _run_of(path)
    # Longer videos than those that are scored: memory is seen at work.
    long = max(VIDEO_FRAMES, config.max_frames_per_video)
    shown = build_loader(dataclasses.replace(config, max_frames_per_video=long), "test")
    notes = _write_video(folder / "demo.mp4", detector, shown, config.class_names, thresholds)
    numbers = {
        "checkpoint": str(path),
        "test_frames": evaluation.scores.num_frames,
        "thresholds": dataclasses.asdict(thresholds),
        "num_parameters": sum(weight.numel() for weight in detector.parameters()),
        "notes": notes,
        "broken": loader.broken,
        **evaluation.scores.as_dict(),
    }
    _write_evaluation(folder, evaluation, numbers)
    if options.json is not None:
        options.json.write_text(json.dumps(evaluation.scores.as_dict(), indent=1) + "\n")
    print(describe_scores(evaluation.scores))
    print("\n".join([*notes, f"numbers and pictures: {folder / 'evaluation'}"]))


def describe_scores(scores: "AveragePrecision") -> str:
    """Put scores into a small table for the terminal.

    Args:
        scores: of an evaluation.

    Returns:
        The lines.
    """
    rows = [f"{'class':12}{'AP':>8}{'AP50':>8}{'objects':>9}"]
    rows += [
        f"{name:12}{_number(part.ap)}{_number(part.ap50)}{part.num_truths:9d}"
        for name, part in scores.per_class.items()
    ]
    rows += [
        "-" * len(rows[0]),
        f"{'all':12}{scores.map:8.3f}{scores.map50:8.3f}{scores.num_truths:9d}",
        f"protocol {scores.protocol}: IoU 0.50:0.95, {scores.num_frames} frames; "
        f"mAP {scores.map:.3f}, mAP50 {scores.map50:.3f}, mAP75 {scores.map75:.3f}",
    ]
    return "\n".join(rows)


@dataclass(frozen=True)
class _FirstBatches:
    """So many batches from the start of a loader, as often as they are asked for."""

    loader: "StreamLoader | MixedLoader"
    num_batches: int

    def __iter__(self) -> "Iterator[Batch]":
        return itertools.islice(self.loader, self.num_batches)


def _number(value: float) -> str:
    """A score in its column; a class without objects has none."""
    return f"{'-' if math.isnan(value) else f'{value:.3f}':>8}"


def _device(name: str) -> "torch.device":
    """The device of that name, if this machine has it."""
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"there is no device {name!r} here: {reason} Try --device cpu.") from error
    return device


def _or(given: float | None, configured: float) -> float:
    return configured if given is None else given


def _checkpoint_of(path: Path) -> Path:
    from evdet.checkpoints import search_latest_checkpoint

    if not path.is_dir():
        return path
    best = path / "checkpoints" / "best.ckpt"
    return best if best.exists() else search_latest_checkpoint(path)


def _run_of(checkpoint: Path) -> Path:
    folder = checkpoint.resolve().parent
    run = folder.parent if folder.name == "checkpoints" else folder
    return run.relative_to(Path.cwd()) if run.is_relative_to(Path.cwd()) else run


def _write_evaluation(folder: Path, evaluation: "Evaluation", numbers: dict[str, Any]) -> None:
    from evdet.draw import encode_png

    folder = folder / "evaluation"
    folder.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, list[dict[str, str]]] = {}
    for kind, captioned in (("strip", evaluation.strip), ("failures", evaluation.failures)):
        pictures[kind] = []
        for number, (caption, image) in enumerate(captioned):
            name = f"{kind}-{number:02d}.png"
            (folder / name).write_bytes(encode_png(image))
            pictures[kind].append({"file": name, "caption": caption})
    content = {**numbers, "confusion": evaluation.confusion.tolist(), "pictures": pictures}
    (folder / "evaluation.json").write_text(json.dumps(content, indent=1) + "\n")


def _write_video(
    path: Path,
    detector: "Detector",
    loader: "StreamLoader | MixedLoader",
    class_names: tuple[str, ...],
    thresholds: "SelectionThresholds",
) -> list[str]:
    """Write the demo video; what is missing is said in the lines returned."""
    from evdet.draw import VideoUnavailableError, write_video
    from evdet.evaluation import detect_batches, draw_batch

    show_frame, label_map = loader.get_vis_func(), ["background", *class_names]
    frames_per_second = 1e6 / next(iter(loader))["video_infos"][0].delta_t

    def pictures() -> "Iterator[np.ndarray]":
        for batch, found in detect_batches(detector, loader, thresholds):
            yield from draw_batch(batch, found, label_map, show_frame)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, itertools.islice(pictures(), VIDEO_FRAMES), frames_per_second)
    except VideoUnavailableError as error:
        return [str(error)]
    return []
