"""A run's folder -> the content of its report, from the files of training and evaluation."""

import dataclasses
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evdet.config import TOY_PROBLEM, DetectionConfig
from evdet.draw import decode_png
from evdet.report.contents import Curve, Picture, RunReport
from evdet.report.environment import describe_environment
from evdet.report.file_contents import check_content
from evdet.report.rendering import count_of
from evdet.runs import RunFolder, TrainingRecord

__all__ = ["read_run", "read_scalars"]

# The scores that a page cannot do without.
_NEEDED = {
    *("protocol", "mAP", "mAP50", "mAP75", "per_class", "per_size", "precision50", "precision75"),
    *("num_frames", "num_truths", "num_detections"),
}
_MAX_NAMES = 5


def read_run(run: RunFolder) -> RunReport:
    """Read the content of a run's report; its notes name missing parts and the command for each.

    A folder that holds only an evaluation, as of a bundled detector, has no configuration.

    Raises:
        ConfigError: the folder is not a run.
        ValueError: a file in it is damaged.
    """
    numbers, training, speed = _read_numbers(run), _read_training(run), run.read_speed()
    if speed is not None:
        check_content(run.speed_file, speed, "speed")
    config = run.read_config() if run.config_file.exists() or not numbers else None
    scalars = read_scalars(run.logs)
    pictures = {
        kind: _pictures(run, numbers, kind) for kind in ("strip", "best", "typical", "failures")
    }
    problems = [why for _, found in pictures.values() for why in found]
    is_unfinished = bool(scalars) and training is None
    confusion = numbers.get("confusion")
    return RunReport(
        title=run.path.resolve().name,
        summary=_summary(numbers, config),
        date=f"Evaluated {numbers['evaluated']}" if "evaluated" in numbers else "",
        scores=numbers or None,
        curves=numbers.get("curves"),
        speed=speed,
        confusion=None if confusion is None else np.array(confusion, np.int64),
        class_names=tuple(numbers.get("per_class", ())),
        scalars=scalars,
        num_frames=None if training is None else training.num_frames,
        training_seconds=None if training is None else training.seconds,
        num_parameters=numbers.get("num_parameters"),
        video_path=run.video if run.video.exists() else None,
        strip=pictures["strip"][0],
        best=pictures["best"][0],
        typical=pictures["typical"][0],
        failures=pictures["failures"][0],
        score_thresh=numbers.get("thresholds", {}).get("score_thresh"),
        data=numbers.get("data"),
        config={} if config is None else dataclasses.asdict(config),
        versions=(training and training.environment) or describe_environment(),
        commands=_commands(run, numbers, has_config=config is not None),
        notes=[*_missing_parts(run, numbers, is_unfinished=is_unfinished), *problems],
    )


def _read_numbers(run: RunFolder) -> Mapping[str, Any]:
    """The evaluation's numbers; empty without an evaluation."""
    numbers = run.read_evaluation() or {}
    lacking = sorted(_NEEDED - numbers.keys()) if numbers else []
    if lacking:
        raise ValueError(
            f"{run.evaluation_file} is not a file of evdet evaluate: it has no "
            f"{', '.join(lacking)}. Evaluate again"
        )
    if numbers:
        check_content(run.evaluation_file, numbers, "evaluation")
    return numbers


def _read_training(run: RunFolder) -> TrainingRecord | None:
    record = run.read_training()
    if record is not None:
        check_content(run.training_file, dataclasses.asdict(record), "training")
    return record


def _missing_parts(run: RunFolder, numbers: Mapping[str, Any], *, is_unfinished: bool) -> list[str]:
    notes = list(numbers.get("notes", []))
    again = shlex.join(["evdet", "evaluate", str(run.path)])
    if is_unfinished and not any(run.checkpoints.glob("*.ckpt")):
        return [*notes, "the training has not ended and has no checkpoint yet: nothing to evaluate"]
    if is_unfinished:
        resume = shlex.join(["evdet", "train", "--resume", "--root-dir", str(run.path)])
        notes.append(f"the training has not ended; after an interruption, {resume} continues it")
    if not numbers:
        notes.append(f"not evaluated yet: {again}")
    elif "curves" not in numbers:
        notes.append(
            "the evaluation has no curves over stillness, size, events and latency: evaluate "
            f"again with {again}"
        )
    broken = sorted(numbers.get("broken", {}))
    if broken:
        names = ", ".join(broken[:_MAX_NAMES]) + (" ..." if len(broken) > _MAX_NAMES else "")
        number = count_of(len(broken), "recording")
        notes.append(f"{number} truncated, corrupt or not readable; scored as far as read: {names}")
    return notes


def _commands(run: RunFolder, numbers: Mapping[str, Any], *, has_config: bool) -> list[str]:
    folder, again = str(run.path), f"{run.path}-again"
    if has_config:
        commands = [
            ["train", "--config", str(run.config_file), "--root-dir", again],
            ["evaluate", again],
            ["report", again],
        ]
    else:
        made = [
            *("score", "--detections", str(numbers.get("detections"))),
            *("--boxes", str(numbers.get("boxes"))),
        ]
        if "checkpoint" in numbers:
            dataset = str(numbers.get("dataset"))
            made = ["evaluate", str(numbers["checkpoint"]), "--dataset-path", dataset]
        commands = [[*made, "--output-dir", folder], ["report", folder]]
    return [shlex.join(["evdet", *words]) for words in commands]


def _summary(numbers: Mapping[str, Any], config: DetectionConfig | None) -> str:
    if not numbers:
        return ""
    if "test_frames" not in numbers:  # `evdet score` wrote into this folder
        whose = "." if config is None else "; not of the checkpoint in this run."
        return (
            f"Scores of {numbers.get('detections')} against {numbers.get('boxes')}, on "
            f"{count_of(numbers['num_frames'], 'frame')}{whose}"
        )
    dataset = numbers.get("dataset", config and config.dataset_path)
    unseen = (
        "of digits that are not in the training set"
        if dataset == TOY_PROBLEM
        else f"of the {numbers.get('split', 'test')} recordings of {dataset}"
    )
    size = "" if config is None else f" on {config.width}x{config.height} frames"
    return (
        f"{count_of(len(numbers['per_class']), 'class', 'classes')}{size}, "
        f"scored on {count_of(numbers['test_frames'], 'frame')} {unseen}."
    )


def _pictures(
    run: RunFolder, numbers: Mapping[str, Any], kind: str
) -> tuple[list[Picture], list[str]]:
    """The pictures of a kind, and what is wrong with the others."""
    pictures, problems = [], []
    for entry in numbers.get("pictures", {}).get(kind, []):
        path = run.evaluation / entry["file"]
        # A file of a run may come from elsewhere; it must not fetch pictures of this machine.
        if not path.resolve().is_relative_to(run.path.resolve()):
            problems.append(f"no picture: {entry['file']} is outside {run.path}; evaluate again")
            continue
        try:
            image = decode_png(path.read_bytes())
        except (OSError, ValueError):
            problems.append(f"no picture: {path} is missing or damaged; evaluate again")
            continue
        pictures.append(
            Picture(image=image, caption=entry["caption"], heading=entry.get("heading", ""))
        )
    return pictures, problems


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
