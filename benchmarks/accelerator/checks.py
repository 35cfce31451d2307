"""The checks, in the order in which they run: what must hold first, then what is measured."""

from collections.abc import Callable
from typing import NamedTuple

from benchmarks.accelerator.correctness import (
    check_feeding,
    check_gpu_tests,
    check_representations,
    check_resume,
    check_selection,
)
from benchmarks.accelerator.errors import UnavailableError
from benchmarks.accelerator.results import Figure
from benchmarks.accelerator.speed import (
    check_inference_rvt,
    check_inference_ssd,
    check_rvt_training,
    check_rvt_training_compiled,
    check_seed_training,
)

__all__ = ["CHECKS", "Check", "UnavailableError"]


class Check(NamedTuple):
    """A check and the seconds after which it is stopped."""

    run: Callable[[str], list[Figure]]
    seconds: float


CHECKS = {
    "selection": Check(check_selection, 40),
    "representations": Check(check_representations, 60),
    "resume": Check(check_resume, 60),
    "gpu tests": Check(check_gpu_tests, 90),
    "seed training": Check(check_seed_training, 140),
    "inference RVT-Base": Check(check_inference_rvt, 110),
    "inference SSD": Check(check_inference_ssd, 90),
    "RVT-Base training": Check(check_rvt_training, 60),
    "feeding": Check(check_feeding, 60),
    "RVT-Base compiled": Check(check_rvt_training_compiled, 150),
}
"""All checks by name."""
