"""The unit of a column of times: from its name, or from the numbers themselves.

The same numbers have the same unit in every format, however they are written: 190, 190.0 and
1.9e+02 are one number.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from evdet.events.files.read_options import TIME_UNITS

__all__ = ["SAMPLE_ROWS", "TimeScale", "choose_time_scale"]

SAMPLE_ROWS = 4096
"""First rows of a file that decide its unit and its order of columns."""

_ENOUGH = 32  # rows from which on a rate of events tells something
_LONGEST_STEP = 20_000  # microseconds from event to event, on average: 50 events a second
_SHORTEST_STEP = 1 / 300  # 300 million events a second: more than any sensor reads out
_LONGEST_OF_FEW = 60_000_000
# Times since 1970 of the years 2008 to 2039, in seconds.
_EPOCH = (1.2e9, 2.2e9)
_SURELY_NANOSECONDS = 1e17  # as microseconds, the year 5138
_ADVICE = "Choose the unit: --time-unit us, ms, s or ns."

Times = Float64[np.ndarray, " N"]


@dataclass(frozen=True)
class TimeScale:
    """How the numbers of a column become microseconds.

    Args:
        unit: a key of `TIME_UNITS`.
        is_whole: the unit was derived from whole numbers, so that a fraction contradicts it.
    """

    unit: str
    is_whole: bool = False

    @property
    def power(self) -> int:
        """The unit is 10 ** power microseconds."""
        return TIME_UNITS[self.unit]


def choose_time_scale(
    times: Times, *, chosen: str | None = None, named: str | None = None
) -> TimeScale:
    """Choose the unit of a column of times.

    Args:
        times: its first numbers, in the order of the file; those that are not finite do not count.
        chosen: what the user says, which decides.
        named: what the name of the column says, which decides otherwise.

    Returns:
        Microseconds for whole numbers, seconds for fractions, and what is certain by its size:
        times since 1970 in any unit.

    Raises:
        ValueError: the numbers fit two units.
    """
    if chosen or named:
        return TimeScale(str(chosen or named))
    times = times[np.isfinite(times)]
    if not len(times):
        return TimeScale("us", is_whole=True)
    fractional = np.rint(times) != times
    # A fraction among whole numbers is damage, which the reader names.
    if fractional.mean() < 0.5:
        return TimeScale(_unit_of_whole(times), is_whole=True)
    return TimeScale(_unit_of_fractions(times))


def _unit_of_whole(times: Times) -> str:
    if times.min() >= _SURELY_NANOSECONDS:
        return "ns"
    middle = float(np.median(times))
    if _EPOCH[0] * 1e3 <= middle <= _EPOCH[1] * 1e3:
        raise ValueError(
            f"its times, such as {middle:.0f}, can be milliseconds since 1970, or microseconds or "
            f"nanoseconds since the camera's start. {_ADVICE}"
        )
    step = _average_step(times)
    if len(times) >= _ENOUGH and step > _LONGEST_STEP:
        raise ValueError(
            f"its times are whole numbers, {step:,.0f} apart on average. {_rates(step, 'us', 'ns')}"
        )
    if len(times) >= _ENOUGH and 0 < step < _SHORTEST_STEP:
        raise ValueError(
            f"its times are whole numbers, {1 / step:,.0f} events in each. "
            f"{_rates(step, 'us', 'ms')}"
        )
    return "us"


def _unit_of_fractions(times: Times) -> str:
    middle = float(np.median(times))
    for unit in ("s", "ms", "us"):
        scale = 10.0 ** (6 - TIME_UNITS[unit])
        if _EPOCH[0] * scale <= middle <= _EPOCH[1] * scale:
            return unit
    step = _average_step(times)
    if len(times) < _ENOUGH:
        if step * 1e6 > _LONGEST_OF_FEW:
            raise ValueError(
                f"its times have fractions and are {step:,.3g} apart on average, too far for "
                f"seconds. {_ADVICE}"
            )
        return "s"
    if step * 1e6 > _LONGEST_STEP:
        raise ValueError(
            f"its times have fractions and are {step:,.3g} apart on average. "
            f"{_rates(step, 's', 'ms', 'us')}"
        )
    # Milliseconds have three decimals, since cameras count microseconds.
    if step > 0 and _are_nearly_whole(times * 1e3):
        raise ValueError(
            "its times have three decimals or fewer, so they can be milliseconds of a camera, or "
            f"seconds. {_rates(step, 's', 'ms')}"
        )
    return "s"


def _average_step(times: Times) -> float:
    """The time from event to event, without the earliest and latest tenth: they may be wrong."""
    if len(times) < 2:
        return 0.0
    if len(times) < 10:
        return float((times.max() - times.min()) / (len(times) - 1))
    low, high = np.quantile(times, (0.1, 0.9))
    return float((high - low) / (0.8 * len(times)))


def _are_nearly_whole(numbers: Times) -> bool:
    """Whether floats stand for whole numbers; a few others may be damage."""
    distances = np.abs(numbers - np.rint(numbers))
    return bool((distances <= 4 * np.spacing(np.abs(numbers))).mean() > 0.99)


def _rates(step: float, *units: str) -> str:
    said = [f"{_rate(step, unit)} events a second as {unit}" for unit in units]
    return f"That is {', '.join(said[:-1])} or {said[-1]}. {_ADVICE}"


def _rate(step: float, unit: str) -> str:
    rate = 10.0 ** (6 - TIME_UNITS[unit]) / step
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
