"""Several runs -> tables with a column for each, and warnings where they differ."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from evdet.report.contents import RunReport
from evdet.report.parts import Cell, Row, Table
from evdet.report.rendering import decimal, duration, large_number
from evdet.report.speed_section import milliseconds, speed_setting

__all__ = ["class_comparison", "difference_table", "disagreements", "score_comparison"]

Scores = Mapping[str, Any]


class _Line(NamedTuple):
    """One row: its name, the source of its values, and their format."""

    name: str
    of: Callable[[RunReport], float | None]
    write: Callable[[float], str]
    higher_is_better: bool = False


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _seconds(microseconds: float) -> str:
    return f"{microseconds / 1e6:.3g} s"


def _of_run(name: str) -> Callable[[RunReport], float | None]:
    return lambda run: _dig(vars(run), [name])


def _of_scores(*keys: str) -> Callable[[RunReport], float | None]:
    return lambda run: _dig(run.scores, keys)


def _of_curves(*keys: str) -> Callable[[RunReport], float | None]:
    return lambda run: _dig(run.curves, keys)


def _of_speed(*keys: str) -> Callable[[RunReport], float | None]:
    return lambda run: _dig(run.speed, keys)


def _dig(value: Any, keys: Sequence[str]) -> float | None:
    for key in keys:
        if value is None:
            return None
        value = value.get(key)
    return None if value is None else float(value)


_LINES = (
    _Line("mAP", _of_scores("mAP"), decimal, higher_is_better=True),
    _Line("mAP50", _of_scores("mAP50"), decimal, higher_is_better=True),
    _Line("mAP75", _of_scores("mAP75"), decimal, higher_is_better=True),
    _Line("mAP of small objects", _of_scores("per_size", "small"), decimal, higher_is_better=True),
    _Line("… medium", _of_scores("per_size", "medium"), decimal, higher_is_better=True),
    _Line("… large", _of_scores("per_size", "large"), decimal, higher_is_better=True),
    _Line("first detection, median", _of_curves("first_detection", "median_us"), _seconds),
    _Line("HOTA", _of_scores("tracks", "HOTA"), decimal, higher_is_better=True),
    _Line("MOTA", _of_scores("tracks", "MOTA"), decimal, higher_is_better=True),
    _Line("IDF1", _of_scores("tracks", "IDF1"), decimal, higher_is_better=True),
    _Line("frames scored", _of_scores("num_frames"), _count),
    _Line("objects", _of_scores("num_truths"), _count),
    _Line("parameters", _of_run("num_parameters"), lambda number: large_number(int(number))),
    _Line("GMACs per time bin", _of_speed("macs"), lambda number: f"{number / 1e9:.3g}"),
    _Line("time per bin, p50", _of_speed("stages", "window", "p50"), milliseconds),
    _Line("… p99", _of_speed("stages", "window", "p99"), milliseconds),
    _Line("frames trained on", _of_run("num_frames"), _count),
    _Line("training time", _of_run("training_seconds"), duration),
)


def score_comparison(runs: Sequence[RunReport], names: Sequence[str]) -> Table:
    """Tabulate scores, sizes and times, the best score in bold; for two runs also the difference.

    Args:
        runs: the runs.
        names: of the columns.
    """
    rows = []
    for line in _LINES:
        values = [line.of(run) for run in runs]
        if any(value is not None for value in values):
            cells = _written(values, line)
            if len(runs) == 2:
                cells.append(_difference(values, line))
            rows.append(Row(line.name, cells))
    for name in ("protocol", "evaluated"):
        # Of the time the day.
        texts = [str((run.scores or {}).get(name) or "–").partition(" ")[0] for run in runs]
        if set(texts) != {"–"}:
            rows.append(Row(name, [*texts, *([""] if len(runs) == 2 else [])]))
    heads = ["", *names, *(["difference"] if len(runs) == 2 else [])]
    return Table(heads, rows, "scores compared")


def class_comparison(scores: Sequence[Scores | None], names: Sequence[str]) -> Table:
    """Tabulate average precision by class.

    Args:
        scores: `AveragePrecision.as_dict()` of each run; None for a run without.
        names: of the columns.
    """
    line = _Line("", lambda _: None, decimal, higher_is_better=True)
    per_class: list[Scores] = [{} if one is None else one["per_class"] for one in scores]
    classes = dict.fromkeys(name for one in per_class for name in one)
    rows = []
    for name in classes:
        parts = [one.get(name, {}) for one in per_class]
        counts = dict.fromkeys(f"{part['num_truths']:,}" for part in parts if part)
        cells = [" / ".join(counts), *_written([part.get("ap") for part in parts], line)]
        rows.append(Row(name, cells))
    means = [None if one is None else one["mAP"] for one in scores]
    rows.append(Row("all classes", ["", *_written(means, line)], is_total=True))
    return Table(["AP by class", "objects", *names], rows, "scores compared by-class")


def difference_table(
    head: str, columns: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> Table:
    """Tabulate the entries in which several mappings differ.

    Args:
        head: of the first column.
        columns: values by name; some may be missing.
        names: of the columns.

    Returns:
        The table; without rows where all are the same.
    """
    fields = dict.fromkeys(field for column in columns for field in column)
    rows = []
    for field in fields:
        values = [_plain(column.get(field)) for column in columns]
        # A run without any entries does not differ.
        if len({value for value, column in zip(values, columns, strict=True) if column}) > 1:
            rows.append(Row(field, values))
    return Table([head, *names], rows, "scores differences")


def disagreements(runs: Sequence[RunReport], names: Sequence[str]) -> list[str]:
    """List the reasons why the numbers of these runs are not comparable.

    Args:
        runs: the runs.
        names: of the runs.

    Returns:
        Sentences; empty where the scores are comparable.
    """
    sets = {
        name: str(dataset)
        for name, run in zip(names, runs, strict=True)
        if (dataset := (run.scores or {}).get("dataset") or run.config.get("dataset_path"))
    }
    found = _disagreement("data sets", sets)
    for what, of in (
        ("protocols", lambda scores: scores["protocol"]),
        (
            "deviations from the protocol",
            lambda scores: _plain((scores.get("rules") or {}).get("deviations")),
        ),
        (
            "test frames",
            lambda scores: f"{scores['num_truths']:,} objects in {scores['num_frames']:,} frames",
        ),
        ("classes", lambda scores: ", ".join(scores["per_class"])),
        ("thresholds", lambda scores: _plain(scores.get("thresholds"))),
    ):
        values = {
            name: str(of(run.scores))
            for name, run in zip(names, runs, strict=True)
            if run.scores is not None
        }
        found += _disagreement(what, values)
    settings = {
        name: f"{speed_setting(run.speed)}, {run.speed['source']}"
        for name, run in zip(names, runs, strict=True)
        if run.speed is not None
    }
    return found + _disagreement("speed measurements", settings)


def _disagreement(what: str, values: Mapping[str, str]) -> list[str]:
    if len(set(values.values())) < 2:
        return []
    listed = "; ".join(f"{name}: {value}" for name, value in values.items())
    return [f"the runs have different {what} and may not be comparable ({listed})"]


def _written(values: Sequence[float | None], line: _Line) -> list[Cell | str]:
    known = [value for value in values if value is not None and not math.isnan(value)]
    best = max(known) if line.higher_is_better and len(set(known)) > 1 else None
    return [
        "–" if value is None else Cell(line.write(value), is_best=value == best) for value in values
    ]


def _difference(values: Sequence[float | None], line: _Line) -> str:
    first, second = values
    if first is None or second is None:
        return ""
    if line.higher_is_better:
        return f"{second - first:+.3f}".replace("-", "−")
    return "" if first in (0, second) else f"× {second / first:.2f}"


def _plain(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {item}" for name, item in value.items())
    return "–" if value is None else str(value)
