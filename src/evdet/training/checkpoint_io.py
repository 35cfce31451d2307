"""How Lightning's checkpoints reach the disk and come back: whole, and without code."""

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
    """Writes a checkpoint beside its place and renames it: a half-written one is never seen."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | os.PathLike[str],
        storage_options: Any | None = None,
    ) -> None:
        """Write a checkpoint; when that fails, what was there before is still there.

        Args:
            checkpoint: plain values and tensors.
            path: the file.
            storage_options: not used.

        Raises:
            CheckpointError: the file cannot be written, for one because the disk is full.
        """
        path = Path(path)
        # Through memory: torch's own writer hides the system's error when the disk is full.
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
                "Earlier checkpoints are untouched: make room, then go on with --resume."
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
            map_location: not used: Lightning moves things on.
            weights_only: not used: it always is.

        Returns:
            The content.
        """
        return load_checkpoint(path)


def link_checkpoint(source: Path, name: str) -> None:
    """Give a checkpoint a second name beside it, in place of whatever had that name.

    Args:
        source: the file; where the file system knows no hard links it is written a second time.
        name: the other name.

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
