"""`evdet train`: a configuration -> a trained detector in a run's folder."""

import contextlib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from evdet.cli.options import Flag, default
from evdet.config import ConfigError, DetectionConfig, config_to_yaml
from evdet.outputs import check_folder_apart, dataset_files, prepare_files
from evdet.processes import EndedError
from evdet.report import describe_environment
from evdet.runs import RunFolder, TrainingRecord

# Lightning doubles the time of `--help`, `--print-config` and of every refused option.
if TYPE_CHECKING:
    from evdet.training import TrainResult

__all__ = ["TrainOptions", "describe_result", "keep_record", "resuming_explained", "train"]


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Train a detector. Every field of the configuration is an option."""

    config: Annotated[Path | None, default("none", "FILE")] = None
    """YAML file with defaults: a path, or a bundled one such as moving_mnist_quick.yaml."""
    print_config: Flag = False
    """Print the resolved configuration and exit."""
    resume: Flag = False
    """Resume the run in --root-dir from its latest checkpoint, with its configuration."""
    resume_from: Annotated[Path | None, default("none", "CHECKPOINT")] = None
    """Resume the run in --root-dir from this checkpoint."""
    finetune: Annotated[Path | None, default("none", "CHECKPOINT")] = None
    """Start a new run from the weights of this checkpoint, folder of weights, or hf://ORG/NAME;
    classes may differ."""
    configuration: tyro.conf.OmitArgPrefixes[DetectionConfig] = field(
        default_factory=DetectionConfig
    )
    """The configuration."""


def train(options: TrainOptions) -> None:
    """Train, and list the results.

    Raises:
        ConfigError: two options contradict each other.
    """
    if options.print_config:
        print(config_to_yaml(options.configuration), end="")
        return
    if options.resume and options.resume_from is not None:
        raise ConfigError("--resume and --resume-from exclude each other")
    _check_apart(options)
    from evdet.training import train as train_detector

    with resuming_explained(options.configuration):
        result = train_detector(
            options.configuration,
            resume="auto" if options.resume else options.resume_from,
            finetune=options.finetune,
        )
    if result.is_first_process:
        keep_record(result)
        print(describe_result(result))


def _check_apart(options: TrainOptions) -> None:
    """Refuse a run whose files would replace what is read.

    A run that is resumed reads and writes its own files.
    """
    config = options.configuration
    run = RunFolder(Path(config.root_dir))
    dataset = dataset_files(Path(config.dataset_path))
    read = [*dataset, options.finetune]
    if not options.resume and options.resume_from is None:
        read.append(options.config)
    names = ["last.ckpt", "best.ckpt"]
    written = [run.config_file, run.training_file, *(run.checkpoints / name for name in names)]
    prepare_files([], derived=written, read=read)
    check_folder_apart(run.path, read=dataset)


@contextlib.contextmanager
def resuming_explained(config: DetectionConfig) -> Iterator[None]:
    """Say after a signal how to continue the training."""
    try:
        yield
    except (KeyboardInterrupt, EndedError) as stop:
        if RunFolder(Path(config.root_dir)).last_checkpoint.exists():
            hint = f"continue with evdet train --resume --root-dir {shlex.quote(config.root_dir)}"
        else:
            hint = "there is no checkpoint yet, so start again"
        if isinstance(stop, EndedError):
            raise EndedError(stop.number, hint) from None
        raise KeyboardInterrupt(hint) from None


def keep_record(result: "TrainResult") -> None:
    """Write training.json next to the configuration, for the report."""
    record = TrainingRecord(
        num_frames=result.num_frames,
        seconds=result.seconds,
        frames_per_second=result.frames_per_second,
        environment=describe_environment(),
    )
    RunFolder(result.root_dir).write_training(record)


def describe_result(result: "TrainResult") -> str:
    """List the results of a training, one a line."""
    lines = [
        f"trained in {result.seconds / 60:.1f} minutes, {result.frames_per_second:.0f} frames/s",
        f"  last checkpoint  {result.last_checkpoint}",
    ]
    if result.best_checkpoint is not None:
        lines.append(
            f"  best checkpoint  {result.best_checkpoint} (validation mAP {result.best_map:.3f})"
        )
    logs = RunFolder(result.root_dir).logs
    is_other = logs.is_dir() and not any(logs.glob("events.*"))
    curves = str(logs) if is_other else f"tensorboard --logdir {result.root_dir}"
    lines.append(f"  curves           {curves}")
    return "\n".join(lines)
