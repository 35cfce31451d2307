"""`evdet train`: a config -> a trained detector in a run's folder."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from evdet.config import ConfigError, DetectionConfig, config_to_yaml
from evdet.runs import RunFolder, TrainingRecord

if TYPE_CHECKING:
    from evdet.training import TrainResult

__all__ = ["TrainOptions", "describe_result", "keep_record", "train"]


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Train a detector. Every field of the configuration is an option."""

    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """YAML file of fields that become the defaults; moving_mnist_quick.yaml and
    moving_mnist.yaml come with evdet."""
    print_config: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print the resolved configuration and stop."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Go on with the run in --root-dir from its newest checkpoint, with its configuration."""
    resume_from: Annotated[Path | None, tyro.conf.arg(metavar="CHECKPOINT")] = None
    """Go on with the run in --root-dir from this checkpoint of it."""
    finetune: Annotated[Path | None, tyro.conf.arg(metavar="CHECKPOINT")] = None
    """Start a new run from the weights of this checkpoint; classes may differ."""
    configuration: tyro.conf.OmitArgPrefixes[DetectionConfig] = field(
        default_factory=DetectionConfig
    )
    """The configuration."""


def train(options: TrainOptions) -> None:
    """Train, and say where the results are.

    Args:
        options: what the user asked for.

    Raises:
        ConfigError: two options contradict each other.
    """
    if options.print_config:
        print(config_to_yaml(options.configuration), end="")
        return
    if options.resume and options.resume_from is not None:
        raise ConfigError("--resume takes the newest checkpoint, --resume-from another: choose one")
    from evdet.training import train as train_detector

    result = train_detector(
        options.configuration,
        resume="auto" if options.resume else options.resume_from,
        finetune=options.finetune,
    )
    if result.is_first_process:
        keep_record(result)
        print(describe_result(result))


def keep_record(result: "TrainResult") -> None:
    """Write training.json beside the configuration: what the report says of the training.

    Args:
        result: of the training.
    """
    from evdet.report import describe_environment

    record = TrainingRecord(
        num_frames=result.num_frames,
        seconds=result.seconds,
        frames_per_second=result.frames_per_second,
        environment=describe_environment(),
    )
    RunFolder(result.root_dir).write_training(record)


def describe_result(result: "TrainResult") -> str:
    """Say where a training left its results, one thing a line.

    Args:
        result: of the training.

    Returns:
        The lines.
    """
    lines = [
        f"trained in {result.seconds / 60:.1f} minutes, {result.frames_per_second:.0f} frames/s",
        f"  last checkpoint  {result.last_checkpoint}",
    ]
    if result.best_checkpoint is not None:
        lines.append(
            f"  best checkpoint  {result.best_checkpoint} (validation mAP {result.best_map:.3f})"
        )
    lines.append(f"  curves           tensorboard --logdir {result.root_dir}")
    return "\n".join(lines)
