"""Writing and reading of Lightning's checkpoints: complete files, and no code."""

import io
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor

from evdet.atomic_file import replacing
from evdet.detectors import CheckpointError, load_checkpoint
from evdet.training.errors import TrainingError

__all__ = ["AtomicCheckpointIO", "check_plain_state", "link_checkpoint"]

_PLAIN_TYPES = (bool, int, float, str, type(None))


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints atomically: a temporary file is renamed when it is complete."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | os.PathLike[str],
        storage_options: Any | None = None,
    ) -> None:
        """Write a checkpoint; where that fails, an older file is unchanged.

        Args:
            checkpoint: plain values and tensors.
            path: the file.
            storage_options: not used.

        Raises:
            CheckpointError: the file cannot be written, for example on a full disk.
            TrainingError: a callback has a state that could not be read again.
        """
        path = Path(path)
        for name, state in (checkpoint.get("callbacks") or {}).items():
            check_plain_state(name, state)
        # Through RAM: torch's own writer hides the system's error on a full disk.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as part, part.open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise CheckpointError(
                f"cannot write the checkpoint {path}: {error.strerror}. "
                "Earlier checkpoints are unchanged: free disk space, then continue with --resume."
            ) from error

    def load_checkpoint(
        self,
        path: str | os.PathLike[str],
        map_location: Any | None = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Read a checkpoint to the CPU, as `checkpoints.load_checkpoint` does.

        Args:
            path: the file.
            map_location: not used: Lightning moves the tensors.
            weights_only: not used: always true.
        """
        return load_checkpoint(path)


def link_checkpoint(source: Path, name: str) -> None:
    """Give a checkpoint a second name in its folder, which replaces a file of that name.

    Args:
        source: the file; it is copied on a file system without hard links.
        name: the second name.

    Raises:
        CheckpointError: the file cannot be written.
    """
    target = source.with_name(name)
    try:
        with replacing(target) as part:
            part.unlink()
            try:
                part.hardlink_to(source)
            except OSError:
                part.write_bytes(source.read_bytes())
    except OSError as error:
        raise CheckpointError(f"cannot write {target}: {error.strerror}") from error


def check_plain_state(name: str, state: Any) -> None:
    """Check that a checkpoint can hold the state of a callback: it is read without running code.

    Args:
        name: of the callback.
        state: of the callback.

    Raises:
        TrainingError: it has other values than plain ones and tensors.
    """
    if type(state) in _PLAIN_TYPES or isinstance(state, Tensor):
        return
    if type(state) in (dict, OrderedDict):
        parts = [*state, *state.values()]
    elif type(state) in (list, tuple):
        parts = list(state)
    else:
        raise TrainingError(
            f"the state of the callback {name} holds a {type(state).__name__}, which a checkpoint "
            "cannot: its state_dict may have numbers, texts, tensors, lists and dicts"
        )
    for part in parts:
        check_plain_state(name, part)
