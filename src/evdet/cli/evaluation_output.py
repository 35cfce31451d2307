"""What an evaluation leaves behind: evaluation.json, pictures and a video."""

import dataclasses
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evdet.atomic_file import write_bytes, write_text
from evdet.config import DetectionConfig
from evdet.samples import WEIGHTS

if TYPE_CHECKING:
    import numpy as np

    from evdet.cli.evaluated_detector import Subject
    from evdet.evaluation import Evaluation
    from evdet.frame_spec import SelectionThresholds

__all__ = ["run_of", "write_evaluation", "write_numbers", "write_video"]

VIDEO_FRAMES = 120


def run_of(checkpoint: Path) -> Path:
    """Give the folder of the run that a checkpoint is of.

    Args:
        checkpoint: a file, or the name of weights that come with evdet.
    """
    if str(checkpoint) in WEIGHTS and not checkpoint.exists():
        return Path("runs") / checkpoint
    folder = checkpoint.resolve().parent
    run = folder.parent if folder.name == "checkpoints" else folder
    return run.relative_to(Path.cwd()) if run.is_relative_to(Path.cwd()) else run


def write_evaluation(folder: Path, evaluation: "Evaluation", numbers: Mapping[str, Any]) -> None:
    """Write numbers and pictures where a report looks for them.

    Args:
        folder: of the run.
        evaluation: pictures and confusion.
        numbers: everything else.
    """
    from evdet.draw import encode_png

    inside = folder / "evaluation"
    inside.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, list[dict[str, str]]] = {}
    for kind, captioned in (("strip", evaluation.strip), ("failures", evaluation.failures)):
        pictures[kind] = []
        for number, (caption, image) in enumerate(captioned):
            name = f"{kind}-{number:02d}.png"
            write_bytes(inside / name, encode_png(image))
            pictures[kind].append({"file": name, "caption": caption})
    write_numbers(
        folder, {**numbers, "confusion": evaluation.confusion.tolist(), "pictures": pictures}
    )


def write_numbers(folder: Path, numbers: Mapping[str, Any]) -> None:
    """Write evaluation.json.

    Args:
        folder: of the run.
        numbers: its content.
    """
    inside = folder / "evaluation"
    inside.mkdir(parents=True, exist_ok=True)
    write_text(inside / "evaluation.json", json.dumps(numbers, indent=1) + "\n")


def write_video(
    path: Path,
    subject: "Subject",
    config: DetectionConfig,
    split: str,
    thresholds: "SelectionThresholds",
) -> list[str]:
    """Write a video of detections against truth.

    Args:
        path: the file.
        subject: the detector.
        config: of the loader.
        split: what is played.
        thresholds: which candidates become detections.

    Returns:
        What is missing and why, one line each.
    """
    from evdet.build import build_loader
    from evdet.draw import VideoUnavailableError, write_video
    from evdet.evaluation import detect_batches, draw_batch, rename_classes

    # Longer videos than those that are scored: memory is seen at work.
    long = max(VIDEO_FRAMES, config.max_frames_per_video)
    loader = build_loader(dataclasses.replace(config, max_frames_per_video=long), split)
    show_frame, label_map = loader.get_vis_func(), ["background", *config.class_names]
    frames_per_second = 1e6 / next(iter(loader))["video_infos"][0].delta_t

    def pictures() -> "Iterator[np.ndarray]":
        for batch, found in detect_batches(subject.detector, loader, thresholds):
            shown = rename_classes(found, subject.class_names, config.class_names)
            yield from draw_batch(batch, shown, label_map, show_frame)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, itertools.islice(pictures(), VIDEO_FRAMES), frames_per_second)
    except VideoUnavailableError as error:
        return [str(error)]
    return []
