"""Exact resuming: what a checkpoint holds besides weights and optimizer, and its way back."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch

from evdet.detectors import CheckpointError
from evdet.shapes import Memory
from evdet.training.distributed import gather
from evdet.training.errors import TrainingError

__all__ = ["STATE_KEY", "position_of", "restore_state", "training_state"]

STATE_KEY = "evdet"
"""The key of evdet's own part of a checkpoint."""


def training_state(
    position: tuple[int, int], memory: Memory | None, device: torch.device
) -> dict[str, Any]:
    """Gather the state of all processes, as plain values and tensors.

    Args:
        position: epoch and batch with which the training goes on.
        memory: of this process's lanes.
        device: of this process.

    Returns:
        The value for `STATE_KEY`.
    """
    lanes = {
        "memory": None if memory is None else [lanes.cpu() for lanes in memory],
        "random_state": torch.get_rng_state(),
        "device_random_state": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }
    return {"position": list(position), "processes": gather(lanes)}


def position_of(checkpoint: Mapping[str, Any]) -> tuple[int, int]:
    """Give the epoch and the batch with which a checkpoint's training goes on.

    Raises:
        CheckpointError: the checkpoint holds weights alone.
    """
    if STATE_KEY not in checkpoint:
        raise CheckpointError(
            "the checkpoint has no training position and cannot be resumed: --finetune starts "
            "a new run from its weights"
        )
    epoch, batch = checkpoint[STATE_KEY]["position"]
    return epoch, batch


def restore_state(
    state: Mapping[str, Any], trainer: pl.Trainer, *, batch_size: int, device: torch.device
) -> Memory | None:
    """Take up random states and memory where `training_state` left them.

    Args:
        state: what `training_state` returned.
        trainer: of this run.
        batch_size: lanes of this process.
        device: of this process.

    Returns:
        The memory with which the next batch starts; None at the start of an epoch, where every
        lane begins with a new recording.

    Raises:
        TrainingError: the checkpoint was written within an epoch by other processes or lanes.
    """
    processes = state["processes"]
    as_many = len(processes) == trainer.world_size
    mine = processes[trainer.global_rank] if as_many else processes[0]
    memory = None
    if state["position"][1] > 0:
        lanes = mine["memory"] or []
        num_lanes = [len(part) for part in lanes[:1]]
        if not as_many or num_lanes != [batch_size]:
            raise TrainingError(
                f"the checkpoint was written within an epoch with {len(processes)} processes and "
                f"batch_size {num_lanes[0] if num_lanes else 0}, but this run has "
                f"{trainer.world_size} and {batch_size}: use the same, or resume from the end of "
                "an epoch (epoch=*.ckpt)"
            )
        memory = tuple(part.to(device) for part in lanes)
    if as_many:
        torch.set_rng_state(mine["random_state"])
        if mine["device_random_state"] is not None and device.type == "cuda":
            torch.cuda.set_rng_state(mine["device_random_state"], device)
    return memory
