"""A run's folder -> the content of its report, from the files of training and evaluation."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evdet.config import TOY_PROBLEM, DetectionConfig
from evdet.draw import decode_png
from evdet.report.contents import Curve, Picture, RunReport
from evdet.report.environment import describe_environment
from evdet.runs import RunFolder

__all__ = ["read_run", "read_scalars"]


def read_run(run: RunFolder) -> RunReport:
    """Read the content of a run's report; its notes name missing parts and the command for each.

    Raises:
        ConfigError: the folder is not a run.
        ValueError: a file in it is damaged.
    """
    config, training = run.read_config(), run.read_training()
    numbers = run.read_evaluation() or {}
    notes = list(numbers.get("notes", []))
    if not numbers:
        notes.append(f"not evaluated yet: evdet evaluate {run.path}")
    elif "curves" not in numbers:
        notes.append(
            "the evaluation has no curves over stillness, size, events and latency: evaluate "
            f"again with evdet evaluate {run.path}"
        )
    confusion = numbers.get("confusion")
    return RunReport(
        title=run.path.resolve().name,
        summary=_summary(numbers, config),
        scores=numbers or None,
        curves=numbers.get("curves"),
        speed=run.read_speed(),
        confusion=None if confusion is None else np.array(confusion),
        class_names=config.class_names,
        scalars=read_scalars(run.logs),
        num_frames=None if training is None else training.num_frames,
        training_seconds=None if training is None else training.seconds,
        num_parameters=numbers.get("num_parameters"),
        video_path=run.video if run.video.exists() else None,
        strip=_pictures(run, numbers, "strip"),
        failures=_pictures(run, numbers, "failures"),
        config=dataclasses.asdict(config),
        versions=(training and training.environment) or describe_environment(),
        commands=[
            f"evdet train --config {run.config_file} --root-dir {run.path}-again",
            f"evdet evaluate {run.path}-again",
            f"evdet report {run.path}-again",
        ],
        notes=notes,
    )


def _summary(numbers: Mapping[str, Any], config: DetectionConfig) -> str:
    if not numbers:
        return ""
    if "test_frames" not in numbers:  # `evdet score` wrote into this folder
        return (
            f"Scores of {numbers.get('detections')} against {numbers.get('boxes')}, on "
            f"{numbers.get('num_frames')} frames; not of the checkpoint in this run."
        )
    unseen = (
        "of digits that are not in the training set"
        if config.dataset_path == TOY_PROBLEM
        else f"of the test recordings of {config.dataset_path}"
    )
    return (
        f"{len(config.classes)} classes on {config.height}x{config.width} frames, scored on "
        f"{numbers['test_frames']} frames {unseen}."
    )


def _pictures(run: RunFolder, numbers: Mapping[str, Any], kind: str) -> list[Picture]:
    return [
        Picture(
            image=decode_png((run.evaluation / entry["file"]).read_bytes()),
            caption=entry["caption"],
        )
        for entry in numbers.get("pictures", {}).get(kind, [])
    ]


def read_scalars(logs_dir: str | os.PathLike[str]) -> dict[str, Curve]:
    """Read every scalar in TensorBoard's files of a run.

    A resumed run has several files. They are read in the order of their creation; for a step with
    several values, the last one counts.

    Args:
        logs_dir: folder with event files, at any depth. It may be missing.

    Returns:
        (step, value) pairs by name, in the order of the steps.
    """
    # Here, because TensorBoard takes a second to load.
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    by_name: dict[str, dict[int, float]] = {}
    for path in sorted(Path(logs_dir).rglob("events.out.tfevents.*"), key=_begun):
        # 0 keeps all scalars; other kinds are not used.
        keep = {"scalars": 0, "images": 1, "tensors": 1, "histograms": 1}
        events = EventAccumulator(str(path), size_guidance=keep)
        events.Reload()
        for name in events.Tags()["scalars"]:
            values = {event.step: event.value for event in events.Scalars(name)}
            by_name.setdefault(name, {}).update(values)
    return {name: sorted(values.items()) for name, values in sorted(by_name.items())}


def _begun(path: Path) -> tuple[int, str]:
    # events.out.tfevents.<second>.<host>.<process>.<count>
    second = path.name.split(".")[3]
    return (int(second) if second.isdigit() else 0, path.name)
