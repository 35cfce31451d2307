"""train: a configuration -> the folder of a trained run."""

import contextlib
import dataclasses
import logging
import math
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Checkpoint, ProgressBar as AnyProgressBar
from pytorch_lightning.loggers import Logger, MLFlowLogger
from pytorch_lightning.utilities import rank_zero_only

from evdet.atomic_file import remove_leftovers
from evdet.build import complete_config
from evdet.config import DetectionConfig
from evdet.data import LostWorkerError
from evdet.detectors import (
    config_of,
    load_checkpoint,
    load_matching_weights,
    load_weights,
    search_latest_checkpoint,
)
from evdet.models import compile_reason
from evdet.processes import only_writer
from evdet.runs import RunFolder
from evdet.training.callbacks import (
    CheckpointWriter,
    EpochLog,
    ProgressBar,
    ValidationPictures,
)
from evdet.training.checkpoint_io import AtomicCheckpointIO, check_plain_state
from evdet.training.distributed import SyncBatchNormPlugin
from evdet.training.early_stop import EarlyStop, check_not_stopped
from evdet.training.errors import TrainingError
from evdet.training.lightning_model import LightningDetectionModel
from evdet.training.loggers import make_loggers
from evdet.training.quiet import quiet_lightning
from evdet.training.resumable import check_position, check_resumable
from evdet.training.resuming import position_of
from evdet.training.stopping import StopRequest, StopTraining, end_processes
from evdet.training.threads import computing_threads

__all__ = ["TrainResult", "make_trainer", "train"]

_LOG = logging.getLogger(__name__)
PathLike = str | os.PathLike[str]


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """The results of a training run."""

    root_dir: Path
    """The run's folder."""
    last_checkpoint: Path
    """The state at the end."""
    best_checkpoint: Path | None
    """The epoch with the highest validation mAP; None where no validation had objects."""
    best_map: float | None
    """The highest validation mAP."""
    seconds: float
    """Training time, without validations, over all resumptions."""
    num_frames: int
    """Frames trained, every repetition counted, over all processes and resumptions."""
    frames_per_second: float
    """Frames trained per second, without validations, over all processes."""
    is_first_process: bool
    """Whether this is the process of rank 0."""


def train(
    config: DetectionConfig,
    *,
    resume: PathLike | None = None,
    finetune: PathLike | None = None,
    loggers: Sequence[str | Logger] | None = None,
    callbacks: Sequence[pl.Callback] = (),
) -> TrainResult:
    """Train a detector; all files go to the folder `config.root_dir`.

    Args:
        config: the run.
        resume: a checkpoint to continue from, or "auto" for the newest of this run.
        finetune: a checkpoint whose weights a new run starts from; classes may differ.
        loggers: names as in `config.logger`, or loggers of pytorch_lightning; None takes those of
            `config.logger`.
        callbacks: of pytorch_lightning, called before evdet's own, so that checkpoints hold their
            state.

    Raises:
        TrainingError: the folder holds another run, a loss is not finite, a process of the run
            was lost, or a logger or callback cannot be used.
        KeyboardInterrupt: Ctrl-C, after `last.ckpt` was written. A handler of SIGTERM or SIGHUP is
            called at the same place.
        BusyError: another process trains in the same folder.
        LostWorkerError: a process that prepares frames was killed.
        CheckpointError: a checkpoint cannot be read, is of another model, or cannot be written.
    """
    config = complete_config(config)
    run = RunFolder(Path(config.root_dir))
    checkpoint_path = _find_start(run, resume, finetune)
    model = LightningDetectionModel(config)
    checkpoint, step = _start(model, checkpoint_path, finetune)

    speed = EpochLog()
    stop = StopRequest()
    writer = CheckpointWriter(run, config.checkpoint_every_minutes, stop)
    with computing_threads(config, model.detector), quiet_lightning(), stop:
        trainer = make_trainer(
            config,
            # The others come before the writer, so that a checkpoint has their last state.
            callbacks=[
                *_average_weights(config.ema_decay),
                *callbacks,
                *([EarlyStop(config.early_stop)] if config.early_stop else []),
                speed,
                writer,
                ValidationPictures(run, config.demo_every),
            ],
            first_step=step,
            loggers=loggers,
        )
        if step and any(isinstance(one, MLFlowLogger) for one in trainer.loggers):
            model._log_hyperparams = False  # mlflow refuses values that differ from the first ones
        stop.step_alone(trainer)
        if checkpoint_path is not None and checkpoint is not None:
            check_resumable(checkpoint, checkpoint_path, model, trainer, others=callbacks)
        with _alone_in(run) if trainer.is_global_zero else contextlib.nullcontext():
            if trainer.is_global_zero:
                _find_start(run, resume, finetune)  # once more: another run may have ended
                remove_leftovers([run.config_file, run.training_file], folders=[run.checkpoints])
                run.write_config(config)  # `--config` reads it
            _fit(trainer, model, checkpoint_path, stop)
    if trainer.is_global_zero and not run.last_checkpoint.exists():
        raise TrainingError(
            f"no step was trained, so there is no checkpoint in {run.checkpoints}: is the training "
            "split shorter than one batch?"
        )
    return TrainResult(
        root_dir=run.path,
        last_checkpoint=run.last_checkpoint,
        best_checkpoint=run.best_checkpoint if run.best_checkpoint.exists() else None,
        best_map=writer.best_map if math.isfinite(writer.best_map) else None,
        seconds=speed.seconds,
        num_frames=speed.num_frames,
        frames_per_second=speed.frames_per_second,
        is_first_process=trainer.is_global_zero,
    )


def _start(
    model: LightningDetectionModel, path: Path | None, finetune: PathLike | None
) -> tuple[dict[str, Any] | None, int]:
    """Give a model the weights that it starts from.

    Returns:
        The checkpoint of a run that is resumed, and the steps that it was trained.
    """
    config = model.config
    if path is not None:
        checkpoint = load_checkpoint(path)
        step = check_position(checkpoint, path)
        _log_changes(config_of(checkpoint), config)
        load_weights(model.detector, checkpoint)
        _check_epochs(checkpoint, config, path)
        check_not_stopped(checkpoint, config.early_stop, path)
        _say("resuming from %s, after %d steps", path, step)
        return checkpoint, step
    if finetune is not None:
        kept = load_matching_weights(model.detector, load_checkpoint(finetune), config.class_names)
        _say("starting from %s; shared classes: %s", finetune, ", ".join(kept) or "none")
    return None, 0


def _alone_in(run: RunFolder) -> contextlib.AbstractContextManager[None]:
    run.path.mkdir(parents=True, exist_ok=True)
    return only_writer(
        run.training_lock,
        busy=f"another process trains in {run.path}: wait for its end, or choose another folder "
        "(--root-dir)",
    )


def _average_weights(decay: float) -> list[pl.Callback]:
    """The callback of the moving average; first, so that a checkpoint includes the last step."""
    if not decay:
        return []
    try:
        from pytorch_lightning.callbacks import EMAWeightAveraging
    except ImportError as error:
        raise TrainingError(
            f"ema_decay is {decay}, but moving averages need pytorch_lightning 2.6 or newer: "
            "pip install -U pytorch_lightning, or set ema_decay to 0"
        ) from error
    return [EMAWeightAveraging(decay=decay)]


@rank_zero_only
def _say(message: str, *values: object) -> None:
    _LOG.info(message, *values)


def _find_start(run: RunFolder, resume: PathLike | None, finetune: PathLike | None) -> Path | None:
    """The checkpoint to continue from; None for a new run, whose folder must have none."""
    if resume is not None and finetune is not None:
        raise TrainingError(
            "--resume continues a run, --finetune starts a new one from its weights: choose one"
        )
    if resume == "auto":
        return search_latest_checkpoint(run.checkpoints)
    if resume is not None:
        return Path(resume)
    if any(run.checkpoints.glob("*.ckpt")):
        raise TrainingError(
            f"{run.path} holds the checkpoints of an earlier run: continue it (--resume), choose "
            "another folder (--root-dir), or remove it"
        )
    return None


def _check_epochs(checkpoint: dict[str, Any], config: DetectionConfig, path: Path) -> None:
    epoch, batch = position_of(checkpoint)
    if (epoch, batch) >= (config.max_epochs, 0):
        raise TrainingError(
            f"{path} is complete after {epoch} epochs with max_epochs {config.max_epochs}: to "
            "continue, increase --max-epochs"
        )


def _log_changes(old: DetectionConfig, new: DetectionConfig) -> None:
    changes = [
        f"{field.name} {getattr(old, field.name)} -> {getattr(new, field.name)}"
        for field in dataclasses.fields(old)
        if getattr(old, field.name) != getattr(new, field.name)
    ]
    if changes:
        _say("the configuration differs from the checkpoint's: %s", "; ".join(changes))


def make_trainer(
    config: DetectionConfig,
    *,
    callbacks: Sequence[pl.Callback],
    first_step: int = 0,
    loggers: Sequence[str | Logger] | None = None,
) -> pl.Trainer:
    """Make the Lightning trainer of a run.

    Args:
        config: the run.
        callbacks: in the order of their calls; one that is a progress bar replaces evdet's.
        first_step: loggers drop the values of an interrupted run from this step on.
        loggers: as `train` takes them.

    Raises:
        TrainingError: the devices of the configuration, or a logger, are not available.
    """
    for callback in callbacks:
        if not isinstance(callback, pl.Callback):
            raise TrainingError(
                f"callbacks must be those of pytorch_lightning, got a {type(callback).__name__}"
            )
        check_plain_state(callback.state_key, callback.state_dict())
    made = make_loggers(
        config.logger if loggers is None else loggers,
        RunFolder(Path(config.root_dir)),
        first_step=first_step,
    )
    on_accelerator = config.accelerator != "cpu" and torch.cuda.is_available()
    try:
        return _lightning_trainer(config, list(callbacks), made, on_accelerator=on_accelerator)
    except (MisconfigurationException, ModuleNotFoundError) as error:
        raise TrainingError(
            f"accelerator {config.accelerator!r} with {config.devices} devices and strategy "
            f"{config.strategy!r} is not available: {error} Try --accelerator auto."
        ) from error


def _lightning_trainer(
    config: DetectionConfig,
    callbacks: list[pl.Callback],
    loggers: list[Logger],
    *,
    on_accelerator: bool,
) -> pl.Trainer:
    has_bar = any(isinstance(callback, AnyProgressBar) for callback in callbacks)
    bars = [] if has_bar else [ProgressBar(refresh_rate=1 if sys.stdout.isatty() else 20)]
    return pl.Trainer(
        accelerator=config.accelerator,
        devices=config.devices or "auto",
        num_nodes=config.num_nodes,
        strategy=config.strategy,
        precision=_precision(config, on_accelerator),
        accumulate_grad_batches=config.accumulate_batches,
        max_epochs=config.max_epochs,
        default_root_dir=config.root_dir,
        logger=loggers or False,
        callbacks=[*bars, *callbacks],
        plugins=[AtomicCheckpointIO(), SyncBatchNormPlugin(on_cpu=not on_accelerator)],
        log_every_n_steps=10,
        num_sanity_val_steps=0,
        # Evdet writes its own; a callback of the user's may write others.
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def _precision(
    config: DetectionConfig, on_accelerator: bool
) -> Literal["32-true", "16-mixed", "bf16-mixed"]:
    if config.precision == "32":
        return "32-true"
    if not on_accelerator:
        if config.precision != "auto":
            _say("training in 32 bits: on a CPU %s bits are several times slower", config.precision)
        return "32-true"
    if config.precision == "16":
        return "16-mixed"
    if config.precision == "bf16" or torch.cuda.is_bf16_supported(including_emulation=False):
        return "bf16-mixed"
    return "32-true"


def _fit(
    trainer: pl.Trainer,
    model: LightningDetectionModel,
    checkpoint: Path | None,
    stop: StopRequest,
) -> None:
    try:
        # Draws from torch's random state depend on the seed, and the caller's state is kept.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(model.config.seed + trainer.global_rank)
            trainer.fit(model, ckpt_path=checkpoint)
        stop.end_if_requested()
    except StopTraining:
        end_processes(trainer)
        if trainer.local_rank:
            sys.exit(0)  # the first process of this machine says how the run ended
        raise
    except LostWorkerError:
        end_processes(trainer)
        raise
    except TrainingError:
        if not trainer.is_global_zero:
            sys.exit(2)  # all processes stop with this error, and rank 0 prints it
        raise
    except OSError as error:
        # Writing the logs fails on a full disk, too, and that error may hide the checkpoint's. Wait
        # for the end of the log's thread here, where its traceback is suppressed.
        for thread in threading.enumerate():
            if thread.daemon:
                thread.join(timeout=0.1)
        raise TrainingError(
            f"cannot write to {trainer.default_root_dir}: {error.strerror or error}. Earlier "
            "checkpoints are unchanged: free disk space, then continue with --resume."
        ) from error
    except RuntimeError as error:
        if stop.is_requested:  # the others have ended, and with them the connection
            end_processes(trainer)
            if trainer.local_rank:
                sys.exit(0)
            raise StopTraining from error
        if trainer.world_size > 1 and _is_lost_process(error):
            raise TrainingError(
                "a process of this run was lost, and the others stop: continue from the last "
                "checkpoint with --resume"
            ) from error
        if _is_of_compiler(error):
            raise TrainingError(
                f"torch.compile cannot compile the network: {compile_reason(error)}. Train "
                "without --compile (--debug shows the compiler's whole message)."
            ) from error
        raise


def _is_of_compiler(error: RuntimeError) -> bool:
    return type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))


def _is_lost_process(error: RuntimeError) -> bool:
    words = ("connection closed by peer", "connection reset", "timed out", "broken pipe", "nccl")
    return any(word in str(error).lower() for word in words)
