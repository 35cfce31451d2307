"""Measurements of `evdet bench` -> HTML tables."""

import html
from collections.abc import Mapping
from typing import Any

from evdet.report.tables import table

__all__ = ["milliseconds", "speed_section", "speed_setting"]

_STAGES = {
    "read": "file to events",
    "represent": "events to a frame",
    "network": "frame to candidates",
    "select": "candidates to boxes",
    "track": "boxes to tracks",
}


def speed_section(speed: Mapping[str, Any] | None) -> str:
    """Tabulate the durations of the stages and the comparison of variants.

    Args:
        speed: measurements of `evdet bench` in the run's folder; None gives an empty text.
    """
    if speed is None:
        return ""
    stages = speed["stages"]
    rows = [
        _row(name, _STAGES.get(name, ""), times, "") for name, times in stages["stages"].items()
    ]
    total = _row("total", "raw events to boxes", stages["window"], ' class="total"')
    hint = (
        f"Milliseconds per time bin of {speed['delta_t'] / 1000:g} ms, batch 1, memory from bin to "
        f"bin, on {html.escape(speed_setting(speed))}. "
        f"Source: {html.escape(str(speed['source']))}, "
        f"{stages['events']:,.0f} events and {speed['macs'] / 1e9:.3g} GMACs per time bin."
    )
    heads = ("stage", "p50", "p90", "p99")
    parts = [f"<div>{table(_SCORES, heads, [*rows, total])}</div>"]
    if speed["variants"]:
        variants = [_variant(variant) for variant in speed["variants"]]
        parts.append(f"<div>{table(_SCORES, ('variant', 'p50', 'speedup'), variants)}</div>")
    return f'<p class="hint">{hint}</p>\n<div class="columns">{"".join(parts)}</div>'


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


_SCORES = ' class="scores"'


def _row(name: str, what: str, times: Mapping[str, float], attributes: str) -> str:
    cells = "".join(f"<td>{times[key]:.2f}</td>" for key in ("p50", "p90", "p99"))
    title = f"{html.escape(name)} <small>{what}</small>"
    return f'<tr{attributes}><th scope="row">{title}</th>{cells}</tr>'


def _variant(variant: Mapping[str, Any]) -> str:
    times = variant["times"]
    if times is None:
        cells = f'<td colspan="2">{html.escape(variant["problem"])}</td>'
    else:
        cells = f"<td>{times['window']['p50']:.2f}</td><td>{times['speedup']:.2f}</td>"
    return f'<tr><th scope="row">{html.escape(variant["name"])}</th>{cells}</tr>'
