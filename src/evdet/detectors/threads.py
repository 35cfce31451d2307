"""use_threads: how many threads of the CPU a detector computes with."""

import logging
import sys

import torch
from torch import nn

from evdet.detectors.onnx_detector import OnnxDetector
from evdet.detectors.thread_count import automatic_threads, num_cores
from evdet.models import DetectorProtocol

__all__ = ["use_threads"]

_LOG = logging.getLogger(__name__)


def use_threads(detector: DetectorProtocol, num_threads: int = 0, *, num_processes: int = 1) -> int:
    """Set how many threads of the CPU PyTorch and OpenCV compute with, in this process.

    Args:
        detector: what computes. A model in ONNX keeps the number that `load_onnx` gave it.
        num_threads: 0 chooses a number that suits the detector and the machine.
        num_processes: processes on this machine that compute at the same time.

    Returns:
        The number of threads.

    Raises:
        ValueError: the number is negative.
    """
    if num_threads < 0:
        raise ValueError(f"num_threads must be 0 or more, got {num_threads}")
    chosen = num_threads or _suited(detector, num_processes)
    if num_threads > num_cores():
        _LOG.warning(
            "%d threads on %d cores wait for one another: fewer are faster", chosen, num_cores()
        )
    torch.set_num_threads(chosen)
    # Most uses need no OpenCV, which takes a tenth of a second to load.
    if "cv2" in sys.modules:
        from evdet.opencv import cv2

        cv2.setNumThreads(chosen)
    return chosen


def _suited(detector: DetectorProtocol, num_processes: int) -> int:
    if isinstance(detector, OnnxDetector):
        return detector.num_threads
    weights = detector.parameters() if isinstance(detector, nn.Module) else ()
    num_parameters = sum(weight.numel() for weight in weights)
    return automatic_threads(num_parameters, detector.frame_spec, num_processes=num_processes)
