"""`evdet train`: a config -> a trained detector in a run's folder."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from evdet.config import DetectionConfig, config_to_yaml

if TYPE_CHECKING:
    from evdet.training import TrainResult

__all__ = ["TrainOptions", "describe_result", "train"]


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Train a detector. Every field of the configuration is an option."""

    config: Path | None = None
    """YAML file of fields that become the defaults; moving_mnist_quick.yaml and
    moving_mnist.yaml come with evdet."""
    print_config: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print the resolved configuration and stop."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Go on with the run in --root-dir from its newest checkpoint."""
    finetune: Path | None = None
    """Start a new run from the weights of this checkpoint; classes may differ."""
    fields: tyro.conf.OmitArgPrefixes[DetectionConfig] = field(default_factory=DetectionConfig)
    """The configuration."""


def train(options: TrainOptions) -> None:
    """Train, and say where the results are.

    Args:
        options: what the user asked for.
    """
    if options.print_config:
        print(config_to_yaml(options.fields), end="")
        return
    from evdet.training import train as train_detector

    result = train_detector(
        options.fields, resume="auto" if options.resume else None, finetune=options.finetune
    )
    print(describe_result(result))


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
