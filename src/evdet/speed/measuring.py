"""measure_speed: one protocol for every detector, from raw events to boxes."""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from evdet.frame_spec import SelectionThresholds
from evdet.models import Detector
from evdet.speed.comparison import VariantTimes, time_variants
from evdet.speed.costs import PeakMemory, count_flops, count_parameters, measure_memory
from evdet.speed.stages import StageTimes, time_batches, time_stages
from evdet.speed.variants import EAGER, Difference, Variant, VariantError, parts_of, prepare_variant
from evdet.speed.windows import Windows
from evdet.tracking import Tracker

__all__ = ["SpeedReport", "VariantReport", "measure_speed"]

_log = logging.getLogger(__name__)

_COMPARED_WINDOWS = 10


@dataclass(frozen=True, kw_only=True)
class VariantReport:
    """One row of the comparison."""

    name: str
    """The variant."""
    problem: str = ""
    """Why it could not be prepared; the rest is then None."""
    times: VariantTimes | None = None
    """What it is worth."""
    difference: Difference | None = None
    """How far its candidates are from the detector's own."""
    seconds: float | None = None
    """Time to make it ready."""


@dataclass(frozen=True, kw_only=True)
class SpeedReport:
    """Everything that one run measured."""

    source: str
    """What was played."""
    delta_t: int
    """From one window to the next, in microseconds."""
    frame: tuple[int, int, int]
    """Channels, height and width of the network's input."""
    device: str
    """Where the network was."""
    threads: int
    """Threads of the CPU's operators."""
    num_windows: int
    """Windows that were measured."""
    warm_up: int
    """Windows before them."""
    thresholds: SelectionThresholds
    """Of the selection."""
    parameters: int
    """Numbers that training finds."""
    flops: int
    """Of a window's convolutions and matrix products; a multiply-accumulate is two."""
    stages: StageTimes
    """Where the time goes."""
    frames_per_second: dict[int, float]
    """Network and selection, by batch size."""
    memory: PeakMemory
    """While the stages were measured."""
    variants: tuple[VariantReport, ...]
    """Ways to run it, side by side."""

    def as_dict(self) -> dict[str, Any]:
        """The same in plain types, as JSON has them."""
        plain = dataclasses.asdict(self)
        plain["memory"] = self.memory._asdict()
        plain["macs"] = self.flops // 2
        for row, variant in zip(plain["variants"], self.variants, strict=True):
            row["difference"] = variant.difference and variant.difference._asdict()
        return plain


def measure_speed(
    detector: Detector,
    windows: Windows,
    thresholds: SelectionThresholds,
    *,
    num_windows: int = 200,
    warm_up: int = 20,
    batches: Sequence[int] = (1, 2, 4, 8, 16),
    variants: Sequence[str] = (),
    tracker: Tracker | None = None,
    tell: Callable[[str], None] = lambda what: None,
) -> SpeedReport:
    """Measure one detector.

    Args:
        detector: in evaluation mode, on its device.
        windows: what it is played.
        thresholds: of the selection.
        num_windows: windows to measure, of the stages and of each variant.
        warm_up: windows before them.
        batches: numbers of lanes for the frames per second.
        variants: what is compared with plain PyTorch, as `prepare_variant` takes it.
        tracker: numbers the boxes, as the last stage; None leaves it out.
        tell: is told what happens next.

    Returns:
        The measurement.

    Raises:
        ValueError: a value is out of range, or there is no such variant.
    """
    _check(num_windows, warm_up, batches)
    for name in variants:
        parts_of(name)
    device = next(detector.parameters()).device
    source = windows.play()
    clips = [windows.represent(next(source)) for _ in range(_COMPARED_WINDOWS)]
    measured: list[StageTimes] = []

    def play() -> None:
        measured.append(
            time_stages(
                detector,
                windows,
                thresholds,
                num_windows=num_windows,
                warm_up=warm_up,
                tracker=tracker,
            )
        )

    tell("stages")
    # First, while the process holds nothing else.
    memory = measure_memory(play, device)
    tell("batches")
    rates = time_batches(detector, windows, thresholds, batches)
    ready = []
    for name in dict.fromkeys((EAGER, *variants)) if variants else ():
        tell(name)
        ready.append(_pull(name, detector, clips, thresholds))
    tell("variants, in turns")
    return SpeedReport(
        source=windows.name,
        delta_t=windows.delta_t,
        frame=(clips[0].shape[2], clips[0].shape[3], clips[0].shape[4]),
        device=str(device),
        threads=torch.get_num_threads(),
        num_windows=num_windows,
        warm_up=warm_up,
        thresholds=thresholds,
        parameters=count_parameters(detector),
        flops=count_flops(detector, clips[0]),
        stages=measured[0],
        frames_per_second=rates,
        memory=memory,
        variants=_time(ready, windows, num_windows=num_windows, warm_up=warm_up),
    )


def _check(num_windows: int, warm_up: int, batches: Sequence[int]) -> None:
    for name, value in (("windows", num_windows), *(("batches", size) for size in batches)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if warm_up < 0:
        raise ValueError(f"warm_up must be 0 or more, got {warm_up}")


def _pull(
    name: str, detector: Detector, clips: Sequence[torch.Tensor], thresholds: SelectionThresholds
) -> Variant | VariantReport:
    try:
        return prepare_variant(name, detector, clips, thresholds)
    except VariantError as error:
        _log.debug("variant %s", name, exc_info=error)
        return VariantReport(name=name, problem=str(error))


def _time(
    ready: Sequence[Variant | VariantReport],
    windows: Windows,
    *,
    num_windows: int,
    warm_up: int,
) -> tuple[VariantReport, ...]:
    """The variants that could be prepared are timed, the others keep their place."""
    prepared = [variant for variant in ready if isinstance(variant, Variant)]
    times = time_variants(prepared, windows, num_windows=num_windows, warm_up=warm_up)
    by_name = {variant.name: found for variant, found in zip(prepared, times, strict=True)}
    return tuple(
        variant
        if isinstance(variant, VariantReport)
        else VariantReport(
            name=variant.name,
            times=by_name[variant.name],
            difference=variant.difference,
            seconds=variant.seconds,
        )
        for variant in ready
    )
