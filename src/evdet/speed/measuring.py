"""measure_speed: one protocol for every detector, from raw events to boxes."""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from evdet.detectors import Provider
from evdet.frame_spec import SelectionThresholds
from evdet.models import Detector
from evdet.speed.comparison import VariantTimes, time_variants
from evdet.speed.costs import PeakMemory, count_flops, count_parameters, measure_memory
from evdet.speed.stages import StageTimes, time_batches, time_stages
from evdet.speed.time_bins import TimeBins
from evdet.speed.variants import EAGER, Difference, Variant, VariantError, parts_of, prepare_variant
from evdet.tracking import Tracker

__all__ = ["SpeedReport", "VariantReport", "measure_speed"]

_log = logging.getLogger(__name__)

_COMPARED_BINS = 10


@dataclass(frozen=True, kw_only=True)
class VariantReport:
    """One row of the comparison."""

    name: str
    """The variant."""
    problem: str = ""
    """Why it could not be prepared; the other fields are then None."""
    times: VariantTimes | None = None
    """Its speed."""
    difference: Difference | None = None
    """Difference of its candidates from the detector's own."""
    seconds: float | None = None
    """Seconds to prepare it."""


@dataclass(frozen=True, kw_only=True)
class SpeedReport:
    """The results of one measurement."""

    source: str
    """Name of the source."""
    delta_t: int
    """Duration of a time bin, in microseconds."""
    frame: tuple[int, int, int]
    """Channels, height and width of the network's input."""
    device: str
    """Device of the network."""
    threads: int
    """Threads of the CPU's operators."""
    num_windows: int
    """Time bins that were measured."""
    warm_up: int
    """Time bins before them."""
    thresholds: SelectionThresholds
    """Thresholds of the selection."""
    parameters: int
    """Parameters of the detector."""
    flops: int
    """FLOPs of the convolutions and matrix products of a time bin; a multiply-accumulate is two."""
    stages: StageTimes
    """Durations of the stages."""
    frames_per_second: dict[int, float]
    """Network and selection, by batch size."""
    memory: PeakMemory
    """Peak RAM while the stages were measured."""
    variants: tuple[VariantReport, ...]
    """The comparison of variants."""

    def as_dict(self) -> dict[str, Any]:
        """The same in plain types, for JSON."""
        plain = dataclasses.asdict(self)
        plain["memory"] = self.memory._asdict()
        plain["macs"] = self.flops // 2
        for row, variant in zip(plain["variants"], self.variants, strict=True):
            row["difference"] = variant.difference and variant.difference._asdict()
        return plain


def measure_speed(
    detector: Detector,
    time_bins: TimeBins,
    thresholds: SelectionThresholds,
    *,
    num_tbins: int = 200,
    warm_up: int = 20,
    batches: Sequence[int] = (1, 2, 4, 8, 16),
    variants: Sequence[str] = (),
    tracker: Tracker | None = None,
    providers: Sequence[Provider] = (),
    tell: Callable[[str], None] = lambda what: None,
) -> SpeedReport:
    """Measure one detector.

    Args:
        detector: in evaluation mode, on its device.
        time_bins: the source.
        thresholds: of the selection.
        num_tbins: time bins to measure, of the stages and of each variant.
        warm_up: time bins before them.
        batches: batch sizes for the frames per second.
        variants: names to compare with plain PyTorch, as `prepare_variant` takes them.
        tracker: the last stage; None measures no tracking.
        providers: of the variant onnx, as `load_onnx` takes them.
        tell: is called with the name of each step before it starts.

    Raises:
        ValueError: a value is out of range, or a variant is unknown.
    """
    _check(num_tbins, warm_up, batches)
    for name in variants:
        parts_of(name)
    device = next(detector.parameters()).device
    source = time_bins.play()
    clips = [time_bins.represent(next(source)) for _ in range(_COMPARED_BINS)]
    measured: list[StageTimes] = []

    def play() -> None:
        measured.append(
            time_stages(
                detector,
                time_bins,
                thresholds,
                num_tbins=num_tbins,
                warm_up=warm_up,
                tracker=tracker,
            )
        )

    tell("stages")
    # First, while the process has allocated nothing else.
    memory = measure_memory(play, device)
    tell("batches")
    rates = time_batches(detector, time_bins, thresholds, batches)
    ready = []
    for name in dict.fromkeys((EAGER, *variants)) if variants else ():
        tell(name)
        ready.append(_prepare(name, detector, clips, thresholds, providers))
    tell("variants, in turns")
    return SpeedReport(
        source=time_bins.name,
        delta_t=time_bins.delta_t,
        frame=(clips[0].shape[2], clips[0].shape[3], clips[0].shape[4]),
        device=str(device),
        threads=torch.get_num_threads(),
        num_windows=num_tbins,
        warm_up=warm_up,
        thresholds=thresholds,
        parameters=count_parameters(detector),
        flops=count_flops(detector, clips[0]),
        stages=measured[0],
        frames_per_second=rates,
        memory=memory,
        variants=_time(ready, time_bins, num_tbins=num_tbins, warm_up=warm_up),
    )


def _check(num_tbins: int, warm_up: int, batches: Sequence[int]) -> None:
    for name, value in (("windows", num_tbins), *(("batches", size) for size in batches)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if warm_up < 0:
        raise ValueError(f"warm_up must be 0 or more, got {warm_up}")


def _prepare(
    name: str,
    detector: Detector,
    clips: Sequence[torch.Tensor],
    thresholds: SelectionThresholds,
    providers: Sequence[Provider],
) -> Variant | VariantReport:
    try:
        return prepare_variant(name, detector, clips, thresholds, providers=providers)
    except VariantError as error:
        _log.debug("variant %s", name, exc_info=error)
        return VariantReport(name=name, problem=str(error))


def _time(
    ready: Sequence[Variant | VariantReport],
    time_bins: TimeBins,
    *,
    num_tbins: int,
    warm_up: int,
) -> tuple[VariantReport, ...]:
    """Time the prepared variants; the others keep their row."""
    prepared = [variant for variant in ready if isinstance(variant, Variant)]
    times = time_variants(prepared, time_bins, num_tbins=num_tbins, warm_up=warm_up)
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
