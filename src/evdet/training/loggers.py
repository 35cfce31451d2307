"""The loggers of a training by name, and pictures for those that show them."""

import importlib.util
import json
import logging
import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from evdet.atomic_file import temporary_folder, write_text
from evdet.config import LOGGERS
from evdet.runs import RunFolder
from evdet.structured_text import read_json
from evdet.training.csv_curves import CsvCurves
from evdet.training.errors import TrainingError

__all__ = ["log_picture", "make_loggers"]

_LOG = logging.getLogger(__name__)


def make_loggers(
    chosen: Sequence[str | Logger], run: RunFolder, *, first_step: int = 0
) -> list[Logger]:
    """Make the loggers of a run, all of which write into its folder and to no server.

    Args:
        chosen: names of `LOGGERS`, or loggers of Lightning's, which are taken as they are.
        run: the run; it has no file yet, or is resumed.
        first_step: the step from which a resumed run goes on.

    Raises:
        TrainingError: a name is unknown, a library is missing, or an object is not a logger.
    """
    loggers: list[Logger] = []
    for one in chosen:
        if isinstance(one, Logger):
            loggers.append(one)
        elif one in _MAKERS:
            made = _MAKERS[one](run, first_step)
            loggers += [] if made is None else [made]
        else:
            raise TrainingError(
                f"{str(one)[:60]!r} is not a logger: name one of {', '.join(LOGGERS)}, or give a "
                "logger of pytorch_lightning"
            )
    return loggers


def _tensorboard(run: RunFolder, first_step: int) -> Logger | None:
    if importlib.util.find_spec("tensorboard") is None:
        rank_zero_only(_LOG.warning)(
            "curves and pictures are not written: tensorboard is not installed"
        )
        return None
    return TensorBoardLogger(
        # A fixed folder, so that a resumed run continues its own curves.
        run.path,
        name=run.logs.name,
        version="",
        default_hp_metric=False,
        purge_step=first_step or None,
    )


def _csv(run: RunFolder, first_step: int) -> Logger:
    return CsvCurves(run.metrics_file, first_step)


def _wandb(run: RunFolder, first_step: int) -> Logger:
    _check_library("wandb", "wandb", "pip install wandb")
    import wandb

    run.logs.mkdir(parents=True, exist_ok=True)
    return WandbLogger(
        name=run.path.name,
        project="evdet",
        save_dir=run.logs,
        # A run that is resumed writes a further part of the same run.
        id=_kept_id(run, "wandb", lambda: uuid.uuid4().hex[:16], resumes=first_step > 0),
        offline=os.environ.get("WANDB_MODE", "offline") != "online",
        settings=wandb.Settings(silent=True, console="off"),
    )


def _mlflow(run: RunFolder, first_step: int) -> Logger:
    _check_library("mlflow", "mlflow", "pip install mlflow")
    logs = run.logs.absolute()
    logs.mkdir(parents=True, exist_ok=True)
    address = os.environ.get("MLFLOW_TRACKING_URI")
    if not address and importlib.util.find_spec("sqlalchemy") is None:
        raise TrainingError(
            "--logger mlflow needs sqlalchemy, which is missing: pip install mlflow"
        )

    def logger(run_id: str | None) -> MLFlowLogger:
        return MLFlowLogger(
            experiment_name="evdet",
            run_name=run.path.name,
            tracking_uri=address or f"sqlite:///{logs / 'mlflow.db'}",
            artifact_location=None if address else (logs / "mlflow-artifacts").as_uri(),
            run_id=run_id,
        )

    def new_id() -> str:
        made = logger(None).run_id
        return str(made)

    return logger(_kept_id(run, "mlflow", new_id, resumes=first_step > 0))


def _check_library(module: str, name: str, remedy: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise TrainingError(f"--logger {name} needs {module}, which is missing: {remedy}")


@rank_zero_only
def _kept_id(run: RunFolder, name: str, make: Callable[[], str], *, resumes: bool) -> str | None:
    """The id of a run at a logger, kept in its folder; of processes other than the first none."""
    ids: dict[str, str] = {}
    if run.log_ids.exists():
        try:
            content = read_json(run.log_ids)
        except (OSError, ValueError) as error:
            raise TrainingError(
                f"{run.log_ids} is damaged ({error}): remove it, and the loggers begin new runs"
            ) from error
        if isinstance(content, dict):
            ids = {str(key): str(value) for key, value in content.items()}
    if not resumes or name not in ids:
        ids[name] = make()
        write_text(run.log_ids, json.dumps(ids, indent=1) + "\n")
    return ids[name]


_MAKERS: dict[str | Logger, Callable[[RunFolder, int], Logger | None]] = {
    "tensorboard": _tensorboard,
    "csv": _csv,
    "wandb": _wandb,
    "mlflow": _mlflow,
}


def log_picture(
    loggers: Sequence[Logger], name: str, file: bytes, *, size: tuple[int, int], step: int
) -> None:
    """Give a picture to the loggers that show pictures.

    Args:
        loggers: of a training.
        name: of the picture.
        file: content of a PNG or GIF file.
        size: its height and width.
        step: of the training.
    """
    ending = "gif" if file.startswith(b"GIF") else "png"
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            _add_summary(logger, name, file, size, step)
        elif isinstance(logger, (WandbLogger, MLFlowLogger)):
            with temporary_folder() as folder:
                part = Path(folder) / f"{name}-{step}.{ending}"
                part.write_bytes(file)
                _hand_over(logger, name, part, step)


def _hand_over(logger: WandbLogger | MLFlowLogger, name: str, file: Path, step: int) -> None:
    if isinstance(logger, MLFlowLogger):
        logger.experiment.log_artifact(logger.run_id, str(file), "pictures")
    elif file.suffix == ".gif":
        logger.log_video(name, [str(file)], step=step, format=["gif"])
    else:
        logger.log_image(name, [str(file)], step=step)


def _add_summary(
    logger: TensorBoardLogger, name: str, file: bytes, size: tuple[int, int], step: int
) -> None:
    # Here: without TensorBoard a run has no such logger, and trains.
    from tensorboard.compat.proto.summary_pb2 import Summary

    height, width = size
    image: Any = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=file)
    writer: Any = logger.experiment._get_file_writer()
    writer.add_summary(Summary(value=[Summary.Value(tag=name, image=image)]), step)
