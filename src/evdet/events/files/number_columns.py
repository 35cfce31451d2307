"""Columns of numbers of any type -> events, up to the first row that is not one."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, Shaped

from evdet.events.dtypes import EVENT_DTYPE, Events
from evdet.events.files.time_unit import TimeScale

__all__ = ["NUMBER_KINDS", "NumberColumns", "precision_note", "to_events"]

NUMBER_KINDS = "biuf"
"""Kinds of NumPy types that columns may have."""

_MAX_TIME = 1 << 60  # microseconds; sums of a few such times still fit
_MAX_SIDE = 1 << 16
_NAMES = {np.dtype(np.float16): "float16", np.dtype(np.float32): "float32"}

Column = Shaped[np.ndarray, " N"]


class NumberColumns(NamedTuple):
    """Four columns of the same length, as they are in a file."""

    t: Column
    x: Column
    y: Column
    p: Column


def to_events(
    columns: NumberColumns, scale: TimeScale, *, offset: int = 0
) -> tuple[Events, str | None]:
    """Turn rows into events.

    Args:
        columns: numbers of any type.
        scale: the unit of t.
        offset: microseconds to add to every time.

    Returns:
        The events before the first invalid row, and what that row has; None without one.
    """
    num_rows = len(columns.t)
    num_good, problem = num_rows, None
    checks = {
        "t": (columns.t, *_time_limits(scale)),
        "x": (columns.x, 0, _MAX_SIDE - 1),
        "y": (columns.y, 0, _MAX_SIDE - 1),
        "p": (columns.p, -1, 1),
    }
    for name, (column, smallest, largest) in checks.items():
        if _always_fits(column.dtype, smallest, largest):
            continue
        must_be_whole = name != "t" or scale.is_whole
        is_good = _is_inside(column, smallest, largest, must_be_whole=must_be_whole)
        if not is_good[:num_good].all():
            num_good = int(is_good.argmin())
            problem = _problem(name, column[num_good], (smallest, largest), scale)
    events = np.empty(num_good, EVENT_DTYPE)
    events["t"] = _to_microseconds(columns.t[:num_good], scale) + offset
    events["x"], events["y"] = columns.x[:num_good], columns.y[:num_good]
    events["p"] = columns.p[:num_good] > 0
    return events, problem


def precision_note(times: Column, scale: TimeScale) -> str | None:
    """What a float of 16 or 32 bits has lost of these times; None where it is nothing.

    Args:
        times: some of the last times.
        scale: their unit.
    """
    name = _NAMES.get(times.dtype)
    finite = times[np.isfinite(times)] if name else times[:0]
    if name is None or not len(finite):
        return None
    step = float(np.spacing(np.abs(finite).max())) * 10.0**scale.power
    if step <= 1:
        return None
    return f"its times are {name}, which rounds the later ones to steps of {step:,.3g} us"


def _time_limits(scale: TimeScale) -> tuple[int, int]:
    largest = _MAX_TIME * 1000 if scale.unit == "ns" else _MAX_TIME // 10**scale.power
    largest = min(largest, np.iinfo(np.int64).max)
    return -largest, largest


def _to_microseconds(times: Column, scale: TimeScale) -> Int64[np.ndarray, " N"]:
    if times.dtype.kind == "f":
        numbers = times.astype(np.float64)
        numbers = numbers / 1000 if scale.unit == "ns" else numbers * 10.0**scale.power
        # Half a microsecond goes away from zero, as in text; adding it could change large numbers.
        rounded = np.floor(np.abs(numbers) + 0.5) * np.sign(numbers)
        return np.where(np.rint(numbers) == numbers, numbers, rounded).astype(np.int64)
    whole = times.astype(np.int64)
    if scale.unit == "ns":
        return np.asarray((np.abs(whole) // 100 + 5) // 10 * np.sign(whole))
    return np.asarray(whole * 10**scale.power)


def _always_fits(dtype: np.dtype[Any], smallest: int, largest: int) -> bool:
    if dtype.kind == "b":
        return True
    if dtype.kind not in "iu":
        return False
    kind = np.iinfo(dtype)
    return bool(kind.min >= smallest and kind.max <= largest)


def _is_inside(
    column: Column, smallest: int, largest: int, *, must_be_whole: bool
) -> Bool[np.ndarray, " N"]:
    """Whether each number is within the limits, and whole if it must be."""
    if column.dtype.kind != "f":
        return np.asarray((column >= smallest) & (column <= largest))
    numbers = column.astype(np.float64)  # half floats do not reach the limits
    is_inside = (numbers >= smallest) & (numbers <= largest)
    if must_be_whole:
        is_inside &= np.rint(numbers) == numbers
    return np.asarray(is_inside)


def _problem(name: str, value: np.generic, limits: tuple[int, int], scale: TimeScale) -> str:
    smallest, largest = limits
    said = f"{name}={value}"
    if name == "p":
        return (
            f"{said}, not a whole number from -1 to 1 (1 is ON, 0 or -1 OFF; write other "
            "polarities, such as 1 and 2 or 0 and 255, as 0 and 1 first)"
        )
    if name != "t":
        return f"{said}, not a whole number from {smallest} to {largest}"
    if scale.is_whole and smallest <= float(value) <= largest:
        return (
            f"{said}, a fraction, where most of the first times are whole numbers and so "
            f"{scale.unit}. --time-unit chooses the unit"
        )
    return f"{said}, not a number from {smallest} to {largest}"
