"""A run's folder -> what a report shows of it, from what training and evaluation left there."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from evdet.config import TOY_PROBLEM, ConfigError, DetectionConfig, read_config
from evdet.draw import decode_png
from evdet.report.contents import Picture, RunReport
from evdet.report.environment import describe_environment
from evdet.report.scalars import read_scalars

__all__ = ["SPEED_FILE", "read_run"]

SPEED_FILE = "speed.json"
"""Where `evdet bench` leaves the speed of a run, in its folder."""
_SPEED_KEYS = {"stages", "delta_t", "source", "device", "threads", "macs", "variants"}


def read_run(run: Path) -> RunReport:
    """Gather what is known of a run.

    Args:
        run: its folder, as --root-dir named it.

    Returns:
        What is there; notes say what is missing and how to get it.

    Raises:
        ConfigError: the folder is no run.
        ValueError: a file in it is damaged.
    """
    if not (run / "config.yaml").exists():
        raise ConfigError(f"{run} is no run: it has no config.yaml. Name the folder of a training.")
    config = read_config(run / "config.yaml")
    numbers = _read_json(run / "evaluation" / "evaluation.json")
    training = _read_json(run / "training.json")
    notes = list(numbers.get("notes", []))
    if not numbers:
        notes.append(f"not evaluated yet: evdet evaluate {run}")
    elif "curves" not in numbers:
        notes.append(
            "the evaluation is older than the curves over stillness, size, events and latency; "
            f"to have them, evaluate again: evdet evaluate {run}"
        )
    video = run / "demo.mp4"
    confusion = numbers.get("confusion")
    return RunReport(
        title=run.resolve().name,
        summary=_summary(numbers, config),
        scores=numbers or None,
        curves=numbers.get("curves"),
        speed=_read_speed(run / SPEED_FILE),
        confusion=None if confusion is None else np.array(confusion),
        class_names=config.class_names,
        scalars=read_scalars(run / "logs"),
        num_frames=training.get("num_frames"),
        training_seconds=training.get("seconds"),
        num_parameters=numbers.get("num_parameters"),
        video_path=video if video.exists() else None,
        strip=_pictures(run, numbers, "strip"),
        failures=_pictures(run, numbers, "failures"),
        config=dataclasses.asdict(config),
        versions=training.get("environment") or describe_environment(),
        commands=[
            f"evdet train --config {run / 'config.yaml'} --root-dir {run}-again",
            f"evdet evaluate {run}-again",
            f"evdet report {run}-again",
        ],
        notes=notes,
    )


def _summary(numbers: dict[str, Any], config: DetectionConfig) -> str:
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


def _read_speed(path: Path) -> dict[str, Any] | None:
    speed = _read_json(path)
    if "levers" in speed:  # as version 0.1.0 called them
        speed["variants"] = speed.pop("levers")
    if path.exists() and not speed.keys() >= _SPEED_KEYS:
        raise ValueError(
            f"{path} is not what evdet bench writes: measure again, evdet bench {path.parent}, or "
            "remove it"
        )
    return speed or None


def _read_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text())
        if not isinstance(content, dict):
            raise ValueError("it is not a table of numbers by name")
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged ({error}): evaluate, measure or train again"
        ) from error
    return content


def _pictures(run: Path, numbers: dict[str, Any], kind: str) -> list[Picture]:
    return [
        Picture(
            image=decode_png((run / "evaluation" / entry["file"]).read_bytes()),
            caption=entry["caption"],
        )
        for entry in numbers.get("pictures", {}).get(kind, [])
    ]
