"""open_detector: a checkpoint, a run, weights, a name or an .onnx file -> a detector."""

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from evdet.detectors.checkpoints import load_network
from evdet.detectors.hub import hub_name, shown_name
from evdet.detectors.onnx_detector import load_onnx
from evdet.detectors.onnx_metadata import ONNX_SUFFIX
from evdet.detectors.onnx_session import Provider
from evdet.models import DetectorProtocol

__all__ = ["open_detector", "resolve_device"]


def open_detector(
    path: str | os.PathLike[str],
    *,
    device: str | torch.device = "cpu",
    num_threads: int = 0,
    providers: Sequence[Provider] = (),
) -> DetectorProtocol:
    """Open a detector from a checkpoint or an exported model.

    Args:
        path: a checkpoint, a run's folder, whose best checkpoint is taken, what `evdet export`
            wrote (.onnx, .safetensors or its folder), a name on the Hub (hf://ORG/NAME), or
            events-digits, which comes with evdet.
        device: cpu, cuda, ... or auto (cuda if available, else cpu); models in ONNX run where
            `providers` say.
        num_threads: of a model in ONNX, as for `load_onnx`; `use_threads` sets those of PyTorch.
        providers: of a model in ONNX, as for `load_onnx`; none for others.

    Returns:
        The detector, in evaluation mode.

    Raises:
        CheckpointError: the file is not a checkpoint.
        ExportError: the .onnx file is not an exported detector.
        ValueError: the device is not available, or a detector of PyTorch got providers.

    Example:
        >>> open_detector("events-digits").frame_spec.delta_t
        50000
    """
    if Path(path).suffix.lower() == ONNX_SUFFIX and hub_name(path) is None:
        path = Path(path)
        if str(device) not in ("auto", "cpu"):
            raise ValueError(
                f"{path} runs on the CPU, not on {str(device)!r}: omit --device, and choose "
                "another runtime with --provider, or name the checkpoint that it was exported from"
            )
        return load_onnx(path, num_threads=num_threads, providers=providers)
    if providers:
        raise ValueError(
            f"--provider is of exported models (*{ONNX_SUFFIX}), and {shown_name(path)} runs in "
            "PyTorch: choose its device with --device"
        )
    # First, because it is faster than reading weights.
    resolved = resolve_device(device)
    return load_network(path).to(resolved)


def resolve_device(name: str | torch.device) -> torch.device:
    """Get the device of a name: cpu, cuda, ... or auto.

    Raises:
        ValueError: the device is not available.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device {str(name)!r} is not available: {reason} Try --device cpu."
        ) from error
    return device
