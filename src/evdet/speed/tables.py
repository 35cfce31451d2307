"""A measurement of speed -> a table for the terminal."""

from collections.abc import Iterator

from evdet.speed.durations import Durations
from evdet.speed.measuring import SpeedReport, VariantReport

__all__ = ["describe_speed"]

_MEGA = 1e6
_GIGA = 1e9


def describe_speed(report: SpeedReport) -> str:
    """Put a measurement into words and columns.

    Args:
        report: of `measure_speed`.

    Returns:
        The lines.
    """
    channels, height, width = report.frame
    stages, limits = report.stages, report.thresholds
    lines = [
        f"source            {report.source}, windows of {report.delta_t / 1000:g} ms",
        f"half the windows  have at least {stages.events:,.0f} events, {stages.candidates:,.0f} "
        f"candidates of score {limits.score_thresh:g} or more (at most {limits.max_boxes} go on), "
        f"{stages.boxes:,.0f} boxes",
        f"network           {channels} x {height} x {width} (channels x height x width), "
        f"{report.parameters:,} parameters",
        f"arithmetic        {report.flops / _GIGA:.3g} GFLOP = {report.flops / 2 / _GIGA:.3g} GMAC "
        "a window, of convolutions and matrix products",
        f"memory            {_describe_memory(report)}",
        f"protocol          batch 1, memory carried on, {report.device}, {report.threads} "
        f"thread{'' if report.threads == 1 else 's'}, {report.num_windows} windows after "
        f"{report.warm_up} to warm up",
        "",
        f"{'stage, ms a window':36}{'p50':>9}{'p90':>9}{'p99':>9}{'best':>9}",
        *(f"{name:36}{_columns(times)}" for name, times in stages.stages.items()),
        f"{'raw events in, boxes out':36}{_columns(stages.window)}",
    ]
    if report.frames_per_second:
        lines += ["", f"{'batch':>8}{'network + select, frames/s':>30}"]
        lines += [f"{size:8}{rate:30,.0f}" for size, rate in report.frames_per_second.items()]
    if report.variants:
        lines += ["", *_describe_variants(report.variants)]
    return "\n".join(lines)


def _describe_memory(report: SpeedReport) -> str:
    host, before, accelerator = report.memory
    text = f"process at most {host / _MEGA:,.0f} MB, {before / _MEGA:,.0f} MB of it before"
    if accelerator is not None:
        text += f"; tensors on the accelerator at most {accelerator / _MEGA:,.0f} MB"
    return text


def _describe_variants(variants: tuple[VariantReport, ...]) -> Iterator[str]:
    yield (
        f"{'variant, raw events in, boxes out':36}{'p50':>9}{'p90':>9}{'p99':>9}{'best':>9}"
        f"{'faster':>9}{'pixels':>10}{'scores':>10}{'ready in':>10}"
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
