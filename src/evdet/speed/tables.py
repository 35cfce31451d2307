"""A measurement of speed -> a table for the terminal."""

from collections.abc import Iterator

from evdet.speed.durations import Durations
from evdet.speed.measuring import SpeedReport, VariantReport

__all__ = ["describe_speed"]

_MEGA = 1e6
_GIGA = 1e9


def describe_speed(report: SpeedReport) -> str:
    """Format a measurement of `measure_speed` as text."""
    channels, height, width = report.frame
    stages, limits = report.stages, report.thresholds
    lines = [
        f"source            {report.source}, time bins of {report.delta_t / 1000:g} ms",
        f"median time bin   {stages.events:,.0f} events, {stages.candidates:,.0f} candidates of "
        f"score {limits.score_thresh:g} or more (at most {limits.max_boxes} enter suppression), "
        f"{stages.boxes:,.0f} boxes",
        f"network           {channels} x {height} x {width} (channels x height x width), "
        f"{report.parameters:,} parameters",
        f"arithmetic        {report.flops / _GIGA:.3g} GFLOP = {report.flops / 2 / _GIGA:.3g} GMAC "
        "per time bin, convolutions and matrix products",
        f"peak RAM          {_describe_memory(report)}",
        f"protocol          batch 1, memory from bin to bin, {report.device}, {report.threads} "
        f"thread{'' if report.threads == 1 else 's'}, {report.num_windows} time bins after "
        f"{report.warm_up} for warm-up",
        "",
        f"{'stage, ms per time bin':36}{'p50':>9}{'p90':>9}{'p99':>9}{'best':>9}",
        *(f"{name:36}{_columns(times)}" for name, times in stages.stages.items()),
        f"{'raw events to boxes':36}{_columns(stages.window)}",
    ]
    if report.frames_per_second:
        lines += ["", f"{'batch':>8}{'network + select, frames/s':>30}"]
        lines += [f"{size:8}{rate:30,.0f}" for size, rate in report.frames_per_second.items()]
    if report.variants:
        lines += ["", *_describe_variants(report.variants)]
    return "\n".join(lines)


def _describe_memory(report: SpeedReport) -> str:
    host, before, accelerator = report.memory
    text = f"process {host / _MEGA:,.0f} MB, of which {before / _MEGA:,.0f} MB before"
    if accelerator is not None:
        text += f"; tensors on the accelerator {accelerator / _MEGA:,.0f} MB"
    return text


def _describe_variants(variants: tuple[VariantReport, ...]) -> Iterator[str]:
    yield (
        f"{'variant, raw events to boxes':36}{'p50':>9}{'p90':>9}{'p99':>9}{'best':>9}"
        f"{'speedup':>9}{'pixels':>10}{'scores':>10}{'ready in':>10}"
    )
    for variant in variants:
        if variant.times is None or variant.difference is None:
            yield f"{variant.name:36} {variant.problem}"
            continue
        boxes, scores = variant.difference
        yield (
            f"{variant.name:36}{_columns(variant.times.window)}{variant.times.speedup:>8.2f}x"
            f"{boxes:>10.1g}{scores:>10.1g}{variant.seconds or 0:>8.1f} s"
        )


def _columns(times: Durations) -> str:
    return "".join(f"{value:9.2f}" for value in (times.p50, times.p90, times.p99, times.best))
