"""`evdet report`: a run's folder -> report.html, from what training and evaluation left there."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from evdet.config import TOY_PROBLEM, DetectionConfig

if TYPE_CHECKING:
    from evdet.report import Picture

__all__ = ["ReportOptions", "report"]


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Make report.html of a run: one file that needs nothing else."""

    run: tyro.conf.Positional[Path]
    """The run's folder, as --root-dir named it."""
    output: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """File to write; by default report.html in the run's folder."""


def report(options: ReportOptions) -> None:
    """Write the report of a run.

    Args:
        options: what the user asked for.
    """
    import dataclasses

    import numpy as np

    from evdet.config import ConfigError, read_config
    from evdet.report import RunReport, describe_environment, read_scalars, write_report

    run = options.run
    if not (run / "config.yaml").exists():
        raise ConfigError(f"{run} is no run: it has no config.yaml. Name the folder of a training.")
    config = read_config(run / "config.yaml")
    numbers = _read_json(run / "evaluation" / "evaluation.json")
    training = _read_json(run / "training.json")
    notes = list(numbers.get("notes", []))
    if not numbers:
        notes.append(f"not evaluated yet: evdet evaluate {run}")
    video = run / "demo.mp4"
    confusion = numbers.get("confusion")
    path = options.output or run / "report.html"
    write_report(
        path,
        RunReport(
            title=run.name,
            summary=_summary(numbers, config),
            scores=numbers or None,
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
        ),
    )
    print(f"report: {path}")


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


def _read_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): evaluate or train again") from error
    return content


def _pictures(run: Path, numbers: dict[str, Any], kind: str) -> "list[Picture]":
    from evdet.draw import decode_png
    from evdet.report import Picture

    return [
        Picture(
            image=decode_png((run / "evaluation" / entry["file"]).read_bytes()),
            caption=entry["caption"],
        )
        for entry in numbers.get("pictures", {}).get(kind, [])
    ]
