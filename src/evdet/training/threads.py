"""computing_threads: the threads of the CPU for as long as a training lasts."""

import contextlib
import os
from collections.abc import Iterator

import torch

from evdet.config import DetectionConfig
from evdet.detectors import use_threads
from evdet.models import Detector

__all__ = ["computing_threads"]

_VARIABLE = "OMP_NUM_THREADS"


@contextlib.contextmanager
def computing_threads(config: DetectionConfig, detector: Detector) -> Iterator[int]:
    """Set the threads of this process and of those that Lightning starts; reset them at the end.

    Args:
        config: the run.
        detector: what is trained.

    Returns:
        The number of threads of each process.
    """
    num_threads, variable = torch.get_num_threads(), os.environ.get(_VARIABLE)
    try:
        chosen = use_threads(detector, config.threads, num_processes=max(1, config.devices))
        # Lightning shares out all cores between the processes of a machine, unless it finds this.
        os.environ[_VARIABLE] = str(chosen)
        yield chosen
    finally:
        torch.set_num_threads(num_threads)
        if variable is None:
            os.environ.pop(_VARIABLE, None)
        else:
            os.environ[_VARIABLE] = variable
