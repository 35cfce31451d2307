"""open_detector: a checkpoint, a run's folder, a bundled name or an .onnx -> a detector."""

import os
from pathlib import Path

import torch

from evdet.detectors.checkpoints import load_network
from evdet.detectors.onnx_detector import load_onnx
from evdet.detectors.onnx_metadata import ONNX_SUFFIX
from evdet.models import DetectorProtocol

__all__ = ["open_detector", "resolve_device"]


def open_detector(
    path: str | os.PathLike[str], *, device: str | torch.device = "cpu"
) -> DetectorProtocol:
    """Open a detector of any kind, ready to detect.

    Args:
        path: a checkpoint, a run's folder, whose best checkpoint is taken, a model that
            `evdet export` wrote (.onnx), or events-digits, which comes with evdet.
        device: cpu, cuda, ... or auto, which is cuda where there is one; models in ONNX run on
            the CPU.

    Returns:
        The detector, in evaluation mode.

    Raises:
        CheckpointError: it is no checkpoint.
        ExportError: it is no such model.
        ValueError: there is no such device.

    Example:
        >>> open_detector("events-digits").frame_spec.delta_t
        50000
    """
    path = Path(path)
    if path.suffix.lower() == ONNX_SUFFIX:
        if str(device) not in ("auto", "cpu"):
            raise ValueError(
                f"{path} runs on the CPU, not on {str(device)!r}: give the checkpoint that it was "
                "exported from, or leave --device out"
            )
        return load_onnx(path)
    # Asked first: it costs less than reading weights.
    where = resolve_device(device)
    return load_network(path).to(where)


def resolve_device(name: str | torch.device) -> torch.device:
    """Give the device of a name, if this machine has it.

    Args:
        name: cpu, cuda, ... or auto.

    Returns:
        The device.

    Raises:
        ValueError: there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"there is no device {str(name)!r} here: {reason} Try --device cpu."
        ) from error
    return device
