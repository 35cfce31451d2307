"""The Lightning module of a detector: loaders, losses, memory, scores, and exact resuming."""

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor

from evdet.build import build_detector, build_loader, complete_config
from evdet.config import DetectionConfig, config_from_params, config_to_dict
from evdet.data import Batch, MixedLoader, NoObjectsError, StreamLoader
from evdet.metrics import AveragePrecision, FrameResults, average_precision, merge
from evdet.models import keep_memory
from evdet.runs import RunFolder
from evdet.shapes import ClipDetections, Frames, Memory
from evdet.training.distributed import gather, is_distributed, mean_over_processes
from evdet.training.errors import TrainingError
from evdet.training.not_finite import is_finite, where_forward_fails, where_gradient_fails
from evdet.training.resuming import STATE_KEY, position_of, restore_state, training_state
from evdet.training.schedule import learning_rate

__all__ = ["LightningDetectionModel"]

Loop = Literal["train", "val"]


class LightningDetectionModel(pl.LightningModule):
    """A detector with everything that `pytorch_lightning.Trainer.fit` needs.

    It makes the loaders of its configuration, so `trainer.fit(model)` is enough. A data module may
    replace them; its training loader must then start at `position`:
    `loader.set_position(*self.trainer.lightning_module.position)`.

    Args:
        params: a configuration, the namespace of the seed tutorial, or the `hyper_parameters` of
            a checkpoint.
    """

    def __init__(self, params: DetectionConfig | argparse.Namespace | Mapping[str, Any]) -> None:
        super().__init__()
        self.config = complete_config(config_from_params(params))
        self.save_hyperparameters(config_to_dict(self.config))
        # So that load_from_checkpoint passes the stored dict as `params`.
        self._hparams_name = "params"
        self.detector = build_detector(self.config)
        if self.config.compile:
            self.detector.compile_network()
        spec = self.config.frame_spec
        # For Lightning's summary, with sizes and operations; it has no values to be saved.
        self.example_input_array = torch.zeros(1, 1, spec.in_channels, spec.height, spec.width)
        self.position = (0, 0)
        """(epoch, batch) of the next training step."""
        self.scores: AveragePrecision | None = None
        """Scores of the last validation, the same in all processes."""
        self._memory: dict[Loop, Memory | None] = {"train": None, "val": None}
        self._results = FrameResults()
        self._last_step: tuple[Batch, Memory | None, Tensor] | None = None
        self._has_labels = False
        self._val_loader: StreamLoader | MixedLoader | None = None
        self._to_restore: dict[str, Any] | None = None
        self._post_mortem: dict[str, Any] | None = None

    def forward(self, clip: Frames, memory: Memory | None = None) -> tuple[ClipDetections, Memory]:
        """Detect in one clip; see `Detector.step`."""
        found: tuple[ClipDetections, Memory] = self.detector(clip, memory)
        return found

    # --- data ---

    def train_dataloader(self) -> StreamLoader | MixedLoader:
        """Make the training loader, which starts at `position`, and the validation loader.

        Raises:
            TrainingError: a split has no objects, so there is nothing to learn from or to score.
        """
        loaders, problems = {}, []
        # Both before the first step: Lightning asks for the validation's after an epoch.
        for split in ("train", "val"):
            try:
                loaders[split] = self._build_loader(split)
            except NoObjectsError as error:
                problems.append(error.counts)
        if problems:
            raise TrainingError(
                f"nothing to train with: {'; '.join(problems)}. `evdet check "
                f"{self.config.dataset_path}` shows what the label files hold."
            )
        self._val_loader = loaders["val"]
        loaders["train"].set_position(*self.position)
        return loaders["train"]

    def val_dataloader(self) -> StreamLoader | MixedLoader:
        """The validation loader, made with the training loader or now."""
        return self._build_loader("val") if self._val_loader is None else self._val_loader

    def _build_loader(self, split: str) -> StreamLoader | MixedLoader:
        trainer = self.trainer
        return build_loader(
            self.config,
            split,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
            for_transfer=True,
        )

    def transfer_batch_to_device(
        self, batch: Batch | Tensor, device: torch.device, dataloader_idx: int
    ) -> Batch | Tensor:
        """Move the tensors that the network reads; all labels move as one tensor."""
        if isinstance(batch, Tensor):  # the example of Lightning's summary
            return batch.to(device)
        frames = [frame for lanes in batch["labels"] for frame in lanes]
        together = torch.cat(frames).to(device, non_blocking=True)
        moved = torch.split(together, [len(frame) for frame in frames])
        num_lanes = len(batch["video_infos"])
        inputs = batch["inputs"].to(device, non_blocking=True)
        if "byte_divisor" in batch:
            inputs = inputs.float()
            if batch["byte_divisor"] != 1:
                inputs /= batch["byte_divisor"]
        moved_batch = Batch(
            inputs=inputs,
            labels=[list(moved[t : t + num_lanes]) for t in range(0, len(moved), num_lanes)],
            mask_keep_memory=batch["mask_keep_memory"].to(device, non_blocking=True),
            frame_is_labeled=batch["frame_is_labeled"],
            video_infos=batch["video_infos"],
        )
        if "durations" in batch:
            moved_batch["durations"] = batch["durations"].to(device, non_blocking=True)
        return moved_batch

    # --- training ---

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Make the optimizer; `on_train_batch_start` sets its learning rate."""
        weights = [weight for weight in self.parameters() if weight.requires_grad]
        config = self.config
        if config.optimizer == "adamw":
            return torch.optim.AdamW(weights, lr=config.lr, weight_decay=config.weight_decay)
        return torch.optim.Adam(weights, lr=config.lr, weight_decay=config.weight_decay)

    def on_train_start(self) -> None:
        """Restore the lanes' memory and the random states of a resumed checkpoint."""
        if self._to_restore is not None:
            self._memory["train"] = restore_state(
                self._to_restore,
                self.trainer,
                batch_size=self.config.batch_size,
                device=self.device,
            )
            self._to_restore = None

    def on_train_epoch_start(self) -> None:
        """Reset the loader: Lightning stops reading before the loader reaches its end."""
        loader = self.trainer.train_dataloader
        if isinstance(loader, (StreamLoader, MixedLoader)):
            loader.set_position(*self.position)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Set this step's learning rate."""
        max_epochs = self.trainer.max_epochs  # -1 is endless
        rate = learning_rate(
            self.config,
            epoch=self.current_epoch,
            batch=batch_idx,
            num_batches=int(self.trainer.num_training_batches),
            max_epochs=max_epochs if max_epochs and max_epochs > 0 else self.config.max_epochs,
        )
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate
        self.log("lr", rate)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Compute the loss of one batch, from the memory of its lanes."""
        memory = self._carry("train", batch)
        loss, losses, new_memory = self._loss(batch, memory)
        self._memory["train"] = tuple(lanes.detach() for lanes in new_memory)
        self._last_step = (batch, memory, loss.detach())
        self._has_labels |= bool(batch["frame_is_labeled"].any())
        is_last = batch_idx + 1 == self.trainer.num_training_batches
        epoch = self.current_epoch
        self.position = (epoch + 1, 0) if is_last else (epoch, batch_idx + 1)
        self.log("train_loss", loss.detach(), prog_bar=True)
        self.log_dict({f"train_{name}": value.detach() for name, value in losses.items()})
        return loss

    def _carry(self, loop: Loop, batch: Batch) -> Memory | None:
        return keep_memory(self._memory[loop], batch["mask_keep_memory"])

    def _loss(
        self, batch: Batch, memory: Memory | None
    ) -> tuple[Tensor, dict[str, Tensor], Memory]:
        average = mean_over_processes if is_distributed() else None
        losses, memory = self.detector.compute_loss(batch, memory, average=average)
        weights = {"loc_loss": self.config.loc_weight}
        weighted = [value * weights.get(name, 1.0) for name, value in losses.items()]
        return torch.stack(weighted).sum(), losses, memory

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Stop at values that are not finite, skip a step without labels, and clip gradients."""
        if self._last_step is None:
            return
        batch, memory, loss = self._last_step
        self._last_step = None
        weights = [weight for weight in self.parameters() if weight.grad is not None]
        norm = torch.nn.utils.get_total_norm([w.grad for w in weights if w.grad is not None])
        # A gradient scaler (16 bits) detects and skips infinite gradients itself.
        checked = [loss] if getattr(self.trainer.precision_plugin, "scaler", None) else [loss, norm]
        if self._any_process(not is_finite(torch.stack(checked))):
            self._stop(batch, memory)
        if not self._any_process(self._has_labels):
            # Without gradients Adam changes neither weights nor its own state.
            optimizer.zero_grad(set_to_none=True)
        self._has_labels = False
        limit = self.config.gradient_clip if gradient_clip_val is None else gradient_clip_val
        if limit > 0 and self.config.gradient_clip_by == "value":
            torch.nn.utils.clip_grad_value_(weights, limit)
        elif limit > 0:
            torch.nn.utils.clip_grads_with_norm_(weights, limit, norm)

    def _any_process(self, decision: bool) -> bool:
        return self.trainer.strategy.reduce_boolean_decision(decision, all=False)

    # --- validation ---

    def on_validation_start(self) -> None:
        """Clear memory and results."""
        self._memory["val"] = None
        self._results = FrameResults()

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, ClipDetections]:
        """Detect in one batch and keep its annotated frames for scoring and callbacks."""
        detections, self._memory["val"] = self.detector.step(
            batch["inputs"],
            self._carry("val", batch),
            durations=batch.get("durations"),
            thresholds=self.config.thresholds,
        )
        for t, b in batch["frame_is_labeled"].nonzero().tolist():
            info = batch["video_infos"][b]
            key = (info.index, info.first_frame + t)
            self._results.add(key, batch["labels"][t][b], detections[t][b])
        return {"detections": detections}

    def on_validation_epoch_end(self) -> None:
        """Score the frames of all processes."""
        results = merge(gather(self._results))
        self._results = FrameResults()
        loader = self.trainer.val_dataloaders
        if isinstance(loader, (StreamLoader, MixedLoader)):
            loader.set_position(0)  # every validation plays the same videos
        if self.trainer.sanity_checking:
            return
        self.scores = average_precision(results.truths, results.detections, self.config.class_names)
        values = {"val_map": self.scores.map, "val_map50": self.scores.map50}
        per_class = {
            f"val_ap/{name}": scores.ap
            for name, scores in self.scores.per_class.items()
            if scores.num_truths
        }
        # The values are equal in all processes; Lightning requires sync_dist.
        self.log_dict(values, prog_bar=True, sync_dist=is_distributed())
        self.log_dict(per_class, sync_dist=is_distributed())

    # --- checkpoints ---

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the state for resuming; see resuming.py."""
        checkpoint[STATE_KEY] = training_state(self.position, self._memory["train"], self.device)
        if self._post_mortem is not None:
            checkpoint["post_mortem"] = self._post_mortem

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the state of `on_save_checkpoint` until the training starts."""
        self.position = position_of(checkpoint)
        self._to_restore = checkpoint[STATE_KEY]

    # --- values that are not finite ---

    def _stop(self, batch: Batch, memory: Memory | None) -> None:
        """Find the source of a value that is not finite, save the state, and raise."""
        context = self.trainer.precision_plugin.train_step_context()
        # Hooks do not run in a compiled network.
        with context, torch.compiler.set_stance("force_eager"):
            failure = where_forward_fails(
                self.detector,
                lambda: self._loss(batch, memory)[0],
                (batch["inputs"], batch["labels"], memory),
            )
        reports: list[dict[str, Any]] = gather(
            {
                "epoch": self.current_epoch,
                "batch": self.trainer.fit_loop.batch_idx,
                "videos": sorted({info.name for info in batch["video_infos"] if info.index >= 0}),
                "where": failure and failure.place,
                "order": failure.order if failure else math.inf,
                "inputs": batch["inputs"].cpu(),
                "labels": [[frame.cpu() for frame in lanes] for lanes in batch["labels"]],
                "memory": memory and [lanes.cpu() for lanes in memory],
            }
        )
        # The process of the earliest failure is the source; it passed statistics or gradients on.
        report = min(reports, key=lambda report: float(report["order"]))
        report["where"] = report["where"] or where_gradient_fails(self.detector) or "the loss"
        self._post_mortem = report
        path = RunFolder(Path(self.trainer.default_root_dir)).post_mortem
        self.trainer.save_checkpoint(path, weights_only=False)
        raise TrainingError(
            f"not finite: {report['where']}, in batch {report['batch']} of epoch "
            f"{report['epoch']} (recordings {', '.join(report['videos'])}). {path} holds the batch "
            "and the state before its step. Resume with a lower --lr or --gradient-clip."
        )
