"""Measurements of `evdet bench` -> tables."""

from collections.abc import Mapping
from typing import Any

from evdet.report.parts import Cell, Row, Table

__all__ = ["milliseconds", "speed_setting", "speed_tables"]

_STAGES = {
    "read": "file to events",
    "represent": "events to a frame",
    "network": "frame to candidates",
    "select": "candidates to boxes",
    "track": "boxes to tracks",
}


def speed_tables(speed: Mapping[str, Any]) -> list[Table]:
    """Tabulate the durations of the stages, and the variants if they were measured.

    Args:
        speed: measurements of `evdet bench` in the run's folder.
    """
    stages = speed["stages"]
    rows = [
        Row(name, _times(times), note=_STAGES.get(name, ""))
        for name, times in stages["stages"].items()
    ]
    total = Row("total", _times(stages["window"]), is_total=True, note="raw events to boxes")
    tables = [Table(("stage", "p50", "p90", "p99"), [*rows, total])]
    if speed["variants"]:
        variants = [Row(variant["name"], _variant(variant)) for variant in speed["variants"]]
        tables.append(Table(("variant", "p50", "speedup"), variants))
    return tables


def speed_setting(speed: Mapping[str, Any]) -> str:
    """Name the device of a measurement, and the threads of a CPU."""
    environment = speed.get("environment", {})
    device = str(speed["device"])
    if not device.startswith("cpu"):
        return f"{environment.get('accelerator', device)}"
    threads = "1 thread" if speed["threads"] == 1 else f"{speed['threads']} threads"
    return f"{environment.get('processor', 'CPU')}, {threads}"


def milliseconds(duration: float) -> str:
    """Write a duration in milliseconds with three digits."""
    return f"{duration:.3g} ms"


def _times(times: Mapping[str, float]) -> list[str]:
    return [f"{times[key]:.2f}" for key in ("p50", "p90", "p99")]


def _variant(variant: Mapping[str, Any]) -> list[Cell | str]:
    times = variant["times"]
    if times is None:
        return [Cell(variant["problem"], columns=2)]
    return [f"{times['window']['p50']:.2f}", f"{times['speedup']:.2f}"]
