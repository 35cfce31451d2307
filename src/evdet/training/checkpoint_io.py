"""Writing and reading of Lightning's checkpoints: complete files, and no code."""

import io
import os
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from evdet.atomic_file import replacing
from evdet.detectors import CheckpointError, load_checkpoint

__all__ = ["AtomicCheckpointIO", "link_checkpoint"]


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
        """
        path = Path(path)
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
