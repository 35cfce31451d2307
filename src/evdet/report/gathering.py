"""A run's folder -> what a report shows of it, from what training and evaluation left there."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from evdet.config import TOY_PROBLEM, DetectionConfig
from evdet.draw import decode_png
from evdet.report.contents import Picture, RunReport
from evdet.report.environment import describe_environment
from evdet.report.scalars import read_scalars
from evdet.runs import RunFolder

__all__ = ["read_run"]


def read_run(run: RunFolder) -> RunReport:
    """Gather what is known of a run.

    Args:
        run: its folder.

    Returns:
        What is there; notes say what is missing and how to get it.

    Raises:
        ConfigError: the folder is no run.
        ValueError: a file in it is damaged.
    """
    config, training = run.read_config(), run.read_training()
    numbers = run.read_evaluation() or {}
    notes = list(numbers.get("notes", []))
    if not numbers:
        notes.append(f"not evaluated yet: evdet evaluate {run.path}")
    elif "curves" not in numbers:
        notes.append(
            "the evaluation is older than the curves over stillness, size, events and latency; "
            f"to have them, evaluate again: evdet evaluate {run.path}"
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
    unseen = (
        "made of digits that the training has not seen"
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
