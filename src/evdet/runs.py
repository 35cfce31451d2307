"""RunFolder: all paths and files in the folder of a training run."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evdet.atomic_file import write_text
from evdet.config import ConfigError, DetectionConfig, read_config, write_config
from evdet.samples import WEIGHTS
from evdet.structured_text import parse_json

__all__ = ["RunFolder", "TrainingRecord"]

# The keys that a report needs; other programs may write a speed.json, too.
_SPEED_KEYS = {"stages", "delta_t", "source", "device", "threads", "macs", "variants"}


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """Numbers of a finished training run."""

    num_frames: int
    """Frames trained, every repetition counted, over all processes and resumptions."""
    seconds: float
    """Training time in seconds, without validations."""
    frames_per_second: float
    """Frames trained per second, without validations."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Software and hardware, by name."""


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run, as `root_dir` names it; no file in it has to exist."""

    path: Path
    """The folder."""

    @classmethod
    def of_checkpoint(cls, checkpoint: Path) -> "RunFolder":
        """Get the run of a checkpoint.

        Args:
            checkpoint: a file, or the name of weights that come with evdet, whose run is
                runs/NAME.

        Returns:
            The parent of its folder `checkpoints`, else the folder of the file.
        """
        if str(checkpoint) in WEIGHTS and not checkpoint.exists():
            return cls(Path("runs") / checkpoint)
        folder = checkpoint.resolve().parent
        run = folder.parent if folder.name == "checkpoints" else folder
        return cls(run.relative_to(Path.cwd()) if run.is_relative_to(Path.cwd()) else run)

    @property
    def config_file(self) -> Path:
        """The configuration; `--config` repeats the run with it."""
        return self.path / "config.yaml"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints: one an epoch, and the following three."""
        return self.path / "checkpoints"

    @property
    def best_checkpoint(self) -> Path:
        """The epoch with the highest validation mAP."""
        return self.checkpoints / "best.ckpt"

    @property
    def last_checkpoint(self) -> Path:
        """The newest state."""
        return self.checkpoints / "last.ckpt"

    @property
    def post_mortem(self) -> Path:
        """The state at a loss that is not finite; no run continues from it."""
        return self.checkpoints / "not_finite.ckpt"

    @property
    def training_lock(self) -> Path:
        """Hidden; there while a process trains this run."""
        return self.path / ".training.lock"

    @property
    def evaluation_lock(self) -> Path:
        """Hidden; there while a process evaluates into this folder."""
        return self.path / ".evaluation.lock"

    @property
    def logs(self) -> Path:
        """The folder of the loggers' files."""
        return self.path / "logs"

    @property
    def metrics_file(self) -> Path:
        """The curves as a table, with `--logger csv`."""
        return self.logs / "metrics.csv"

    @property
    def log_ids(self) -> Path:
        """The names of this run at wandb and mlflow, which a resumed run keeps."""
        return self.logs / "ids.json"

    @property
    def training_file(self) -> Path:
        """A `TrainingRecord`, as JSON."""
        return self.path / "training.json"

    @property
    def evaluation(self) -> Path:
        """The folder of the evaluation's numbers and pictures."""
        return self.path / "evaluation"

    @property
    def evaluation_progress(self) -> Path:
        """What an evaluation that was stopped has found."""
        return self.evaluation / "unfinished.pt"

    @property
    def evaluation_file(self) -> Path:
        """The evaluation's numbers, as JSON."""
        return self.evaluation / "evaluation.json"

    @property
    def video(self) -> Path:
        """Detections against ground truth."""
        return self.path / "demo.mp4"

    @property
    def speed_file(self) -> Path:
        """Measurements of `evdet bench`, as JSON."""
        return self.path / "speed.json"

    @property
    def report(self) -> Path:
        """The page of the run."""
        return self.path / "report.html"

    @property
    def comparison(self) -> Path:
        """The page that compares the run with others."""
        return self.path / "comparison.html"

    def read_config(self) -> DetectionConfig:
        """Read the configuration.

        Raises:
            ConfigError: the folder is not a run, or the file cannot be used.
        """
        if not self.config_file.exists():
            raise ConfigError(
                f"{self.path} is not a run: it has no {self.config_file.name}. Name the folder of "
                "a training run."
            )
        return read_config(self.config_file)

    def write_config(self, config: DetectionConfig) -> None:
        """Write the configuration, and make the folder if it is missing."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_config(config, self.config_file)

    def read_training(self) -> TrainingRecord | None:
        """Read the training's record; None if the training has not ended.

        Raises:
            ValueError: the file is damaged.
        """
        content = _read_json(self.training_file)
        if content is None:
            return None
        try:
            return TrainingRecord(
                num_frames=int(content["num_frames"]),
                seconds=float(content["seconds"]),
                frames_per_second=float(content["frames_per_second"]),
                environment={
                    str(name): str(what)
                    for name, what in dict(content.get("environment", {})).items()
                },
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise _damaged(self.training_file, f"{type(error).__name__}: {error}") from error

    def write_training(self, record: TrainingRecord) -> None:
        """Write the training's record."""
        _write_json(self.training_file, dataclasses.asdict(record))

    def read_evaluation(self) -> dict[str, Any] | None:
        """Read the evaluation's numbers; None without an evaluation.

        Raises:
            ValueError: the file is damaged.
        """
        return _read_json(self.evaluation_file)

    def write_evaluation(self, numbers: Mapping[str, Any]) -> None:
        """Write the evaluation's numbers."""
        _write_json(self.evaluation_file, numbers)

    def read_speed(self) -> dict[str, Any] | None:
        """Read the measurements of `evdet bench`; None without any.

        Returns:
            `SpeedReport.as_dict()` and its environment.

        Raises:
            ValueError: the file is damaged, or is not from `evdet bench`.
        """
        speed = _read_json(self.speed_file)
        if speed is not None and "levers" in speed:  # as version 0.1.0 called them
            speed["variants"] = speed.pop("levers")
        if speed is not None and not speed.keys() >= _SPEED_KEYS:
            raise ValueError(
                f"{self.speed_file} is not a file of evdet bench: measure again with evdet bench "
                f"{self.path}, or remove it"
            )
        return speed

    def write_speed(self, speed: Mapping[str, Any]) -> None:
        """Write the measurements of `evdet bench`."""
        _write_json(self.speed_file, speed)


def _read_json(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(content, dict):
        raise _damaged(path, "it is not a JSON object")
    return content


def _damaged(path: Path, reason: str) -> ValueError:
    return ValueError(f"{path} is damaged ({reason}): evaluate, measure or train again")


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(content, indent=1) + "\n")
