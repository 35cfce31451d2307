"""What a user names as a detector -> the detector: a checkpoint, a run, bundled weights, ONNX."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from evdet.models import DetectorProtocol

__all__ = ["checkpoint_of", "device_called", "load_chosen_detector"]


def load_chosen_detector(path: Path, *, device: str) -> "DetectorProtocol":
    """Load a detector of any kind.

    Args:
        path: a checkpoint, a run's folder, whose best checkpoint is taken, a model that
            `evdet export` wrote (.onnx), or events-digits, which comes with evdet.
        device: cpu, cuda, ... or auto; models in ONNX run on the CPU.

    Returns:
        The detector, in evaluation mode.

    Raises:
        CheckpointError: it is no checkpoint.
        ExportError: it is no such model.
        ValueError: there is no such device.
    """
    if path.suffix.lower() == ".onnx":
        from evdet.detectors import load_onnx

        if device not in ("auto", "cpu"):
            raise ValueError(
                f"{path} runs on the CPU, not on {device!r}: give the checkpoint that it was "
                "exported from, or leave --device out"
            )
        return load_onnx(path)
    from evdet.detectors import load_detector

    # Asked first: it costs less than reading weights.
    where = device_called(device)
    return load_detector(checkpoint_of(path)).to(where)


def checkpoint_of(path: Path) -> Path:
    """Choose the checkpoint of a run.

    Args:
        path: a run's folder, or any other path, which is returned as it is.

    Returns:
        Its best checkpoint, or else its newest.

    Raises:
        CheckpointError: the folder has none.
    """
    from evdet.detectors import search_latest_checkpoint

    if not path.is_dir():
        return path
    best = path / "checkpoints" / "best.ckpt"
    return best if best.exists() else search_latest_checkpoint(path)


def device_called(name: str) -> "torch.device":
    """Give the device of a name, if this machine has it.

    Args:
        name: cpu, cuda, ... or auto.

    Returns:
        The device.

    Raises:
        ValueError: there is none.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"there is no device {name!r} here: {reason} Try --device cpu.") from error
    return device
