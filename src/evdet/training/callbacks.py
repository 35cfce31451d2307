"""Lightning callbacks: checkpoints, pictures, and one log line an epoch."""

import itertools
import logging
import math
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import TQDMProgressBar

from evdet.data import Batch, LostWorkerError, MixedLoader, StreamLoader
from evdet.draw import VideoUnavailableError, encode_gif, encode_png, write_video
from evdet.evaluation import Found, LaneGrid, ShowFrame
from evdet.events import frame_to_rgb
from evdet.frame_spec import SelectionThresholds
from evdet.runs import RunFolder
from evdet.shapes import Picture
from evdet.training.checkpoint_io import link_checkpoint
from evdet.training.lightning_model import LightningDetectionModel
from evdet.training.loggers import log_picture
from evdet.training.stopping import StopRequest, StopTraining

__all__ = [
    "CheckpointWriter",
    "EpochLog",
    "ProgressBar",
    "ValidationPictures",
]

_VIDEO_FRAMES = 60
_PICTURE_BATCHES = 20
"""The picture after an epoch is of one of the first batches."""
_LOG = logging.getLogger(__name__)


class CheckpointWriter(pl.Callback):
    """Writes checkpoints after every epoch, at intervals within one, and when a signal ends it.

    After an epoch and its validation it writes `epoch=E-step=S.ckpt` and links `last.ckpt` and, at
    the highest validation mAP so far, `best.ckpt` to it. Within an epoch it replaces `last.ckpt`.

    Args:
        run: the folder of the run.
        every_minutes: time between checkpoints within an epoch; 0 writes one after each batch.
        stop: the signals that end the run; by default none does.
    """

    def __init__(
        self, run: RunFolder, every_minutes: float, stop: StopRequest | None = None
    ) -> None:
        self.run = run
        self.every_minutes = every_minutes
        self.stop = stop or StopRequest()
        self.best_map = -math.inf
        self._written = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """The state of a resumed run."""
        return {"best_map": self.best_map}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        self.best_map = state_dict["best_map"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._written = time.monotonic()
        self.stop.is_stepping = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Write the checkpoint within an epoch when it is due, and end the run if a signal asks.

        Not after the last batch: a run that is resumed there would skip the validation, after which
        the checkpoint of the epoch follows. So the batch before it has one, too.
        """
        num_done = trainer.fit_loop.batch_idx + 1
        num_batches = trainer.num_training_batches
        # A checkpoint does not hold accumulated gradients.
        is_between = num_done % trainer.accumulate_grad_batches > 0
        is_last = num_done == num_batches
        if is_between and not is_last:
            return
        ends = self.stop.is_requested
        is_due = not is_last and (
            num_done + trainer.accumulate_grad_batches >= num_batches
            or time.monotonic() - self._written >= 60 * self.every_minutes
        )
        decide = trainer.strategy.reduce_boolean_decision
        if not decide(ends or is_due, all=False):
            return
        if not is_last:
            self._write(trainer, self.run.last_checkpoint)
        self._end_if(decide(ends, all=False))

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let a signal end the run at once: the training has a checkpoint."""
        self.stop.is_stepping = False
        self.stop.end_if_requested()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Delay signals again."""
        self.stop.is_stepping = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the epoch's checkpoint and its links."""
        # False for the NaN of a validation without objects.
        scores = pl_module.scores if isinstance(pl_module, LightningDetectionModel) else None
        is_best = scores is not None and scores.map > self.best_map
        if scores is not None and is_best:
            self.best_map = scores.map
        name = f"epoch={trainer.current_epoch}-step={trainer.global_step}.ckpt"
        path = self.run.checkpoints / name
        self._write(trainer, path)
        if trainer.is_global_zero:
            link_checkpoint(path, self.run.last_checkpoint.name)
            if is_best:
                link_checkpoint(path, self.run.best_checkpoint.name)
        ends = self.stop.is_requested
        self._end_if(trainer.strategy.reduce_boolean_decision(ends, all=False))

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Write the state before a batch that a killed worker has not delivered."""
        num_done = trainer.fit_loop.batch_idx + 1
        is_between = num_done % trainer.accumulate_grad_batches > 0
        if (
            isinstance(exception, LostWorkerError)
            and trainer.training
            and trainer.world_size == 1
            and num_done
            and not is_between
        ):
            self._write(trainer, self.run.last_checkpoint)

    def _write(self, trainer: pl.Trainer, path: Path) -> None:
        trainer.save_checkpoint(path, weights_only=False)
        self._written = time.monotonic()

    def _end_if(self, ends: bool) -> None:
        if ends:
            self.stop.is_ending = True
            raise StopTraining


class EpochLog(pl.Callback):
    """Logs one line an epoch, and measures the speed of the training."""

    def __init__(self) -> None:
        self.num_frames = 0
        """Frames trained so far, over all processes."""
        self.seconds = 0.0
        """Training time in seconds, without validations."""
        self._started = time.monotonic()

    @property
    def frames_per_second(self) -> float:
        """Mean speed of the training."""
        return self.num_frames / self.seconds if self.seconds else 0.0

    def state_dict(self) -> dict[str, Any]:
        """The counts of a resumed run."""
        return {"num_frames": self.num_frames, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        self.num_frames, self.seconds = state_dict["num_frames"], state_dict["seconds"]

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock of an epoch."""
        self._started = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock: a resumed epoch has no start event."""
        self._started = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Count the frames."""
        now = time.monotonic()
        num_tbins, num_lanes = batch["inputs"].shape[:2]
        self.num_frames += num_tbins * num_lanes * trainer.world_size
        self.seconds += now - self._started
        self._started = now

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the line."""
        scores = pl_module.scores if isinstance(pl_module, LightningDetectionModel) else None
        if trainer.is_global_zero and scores is not None:
            _LOG.info(
                "epoch %d done (%d of %d): mAP %.3f, mAP50 %.3f; training at %.0f frames/s",
                trainer.current_epoch,
                trainer.current_epoch + 1,
                trainer.max_epochs,
                scores.map,
                scores.map50,
                self.frames_per_second,
            )
        loader = trainer.train_dataloader
        if isinstance(loader, (StreamLoader, MixedLoader)):
            self._log_losses(trainer.current_epoch, loader)

    def _log_losses(self, epoch: int, loader: StreamLoader | MixedLoader) -> None:
        """Each process logs what its own lanes lost."""
        if loader.counts:
            counts = sorted(loader.counts.items())
            _LOG.info("epoch %d: %s", epoch, "; ".join(f"{what}: {n:,}" for what, n in counts))
        if loader.broken:
            names = sorted(loader.broken)
            _LOG.warning(
                "epoch %d: %d recording%s truncated, corrupt or not readable: %s",
                epoch,
                len(names),
                "" if len(names) == 1 else "s",
                ", ".join(names[:5]) + (" ..." if len(names) > 5 else ""),
            )


class ProgressBar(TQDMProgressBar):
    """Lightning's progress bar, with the length of a resumed epoch."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the epoch and its progress."""
        super().on_train_start(trainer, pl_module)
        if trainer.fit_loop.restarted_mid_epoch:
            self.on_train_epoch_start(trainer)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """End the bar's line, so that the error message starts a new one."""
        for bar in (self._train_progress_bar, self._val_progress_bar):
            if bar is not None:
                bar.close()


class ValidationPictures(pl.Callback):
    """Shows detections of the validation: a picture after every epoch, a video every N epochs.

    Both go to the loggers that show pictures, the video as an animation; it is also `demo.mp4` in
    the run's folder.

    Args:
        run: the folder of the run.
        demo_every: epochs from one video to the next; 0 makes none.
    """

    def __init__(self, run: RunFolder, demo_every: int) -> None:
        self.run = run
        self.demo_every = demo_every
        self._grid: LaneGrid | None = None
        self._frames: list[Picture] = []
        self._shown: tuple[Batch, Found] | None = None
        self._delta_t = 0

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin without frames."""
        self._frames, self._grid, self._shown = [], None, None

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the batch to show, and draw it while the video needs more frames."""
        if not trainer.loggers or trainer.sanity_checking or not trainer.is_global_zero:
            return
        self._delta_t = self._delta_t or batch["video_infos"][0].delta_t
        found: Found = outputs["detections"]
        # A later one: memory is empty at first.
        if batch_idx < _PICTURE_BATCHES and (
            self._shown is None or _num_playing(batch) >= _num_playing(self._shown[0])
        ):
            self._shown = batch, found
        if self._makes_video(trainer) and len(self._frames) < _VIDEO_FRAMES:
            self._grid = self._grid or _make_grid(trainer, pl_module)
            pictures = self._grid.draw(batch, found)
            self._frames += itertools.islice(pictures, _VIDEO_FRAMES - len(self._frames))

    def _makes_video(self, trainer: pl.Trainer) -> bool:
        return self.demo_every > 0 and (trainer.current_epoch + 1) % self.demo_every == 0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the pictures."""
        if self._shown is None:
            return
        shown, self._shown = self._shown, None
        picture = _make_grid(trainer, pl_module).draw_moments(*shown)
        if picture is not None:
            _show(trainer, "validation", encode_png(picture), picture)
        frames, self._frames = self._frames, []
        if not frames:
            return
        fps = 1e6 / max(1, self._delta_t)
        _show(trainer, "demo", encode_gif(frames, fps), frames[0])
        try:
            write_video(self.run.video, frames, fps)
        except VideoUnavailableError as error:
            _LOG.info("%s; the animation is in the logs", error)


def _num_playing(batch: Batch) -> int:
    return sum(info.index >= 0 for info in batch["video_infos"])


def _make_grid(trainer: pl.Trainer, pl_module: pl.LightningModule) -> LaneGrid:
    loader = trainer.val_dataloaders
    show_frame: ShowFrame = frame_to_rgb
    if isinstance(loader, (StreamLoader, MixedLoader)):
        show_frame = loader.get_vis_func()
    thresholds = SelectionThresholds()
    if isinstance(pl_module, LightningDetectionModel):
        thresholds = pl_module.config.thresholds
    return LaneGrid(
        ["background", *_class_names(pl_module)], show_frame, nms_thresh=thresholds.nms_thresh
    )


def _class_names(pl_module: pl.LightningModule) -> tuple[str, ...]:
    return pl_module.config.class_names if isinstance(pl_module, LightningDetectionModel) else ()


def _show(trainer: pl.Trainer, name: str, file: bytes, picture: Picture) -> None:
    """Give the bytes of a PNG or GIF to the loggers."""
    height, width = picture.shape[:2]
    # The step at which Lightning logs the values of the same validation.
    log_picture(trainer.loggers, name, file, size=(height, width), step=trainer.global_step - 1)
