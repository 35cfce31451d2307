"""The bound on the age of boxes: `--max-age`, and how it was held."""

import re
from collections import deque

import numpy as np

from evdet.cli.options import counted

__all__ = ["AgeCount", "parse_max_age"]

# Hours of frames.
_NUM_FRAMES = 1_000_000
_UNITS = {"us": 1, "ms": 1_000, "s": 1_000_000}
_LONGEST = 3_600_000_000
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+) ?(us|ms|s)?", re.ASCII)


def parse_max_age(text: str | None) -> int | None:
    """Read the duration of `--max-age`; None where it is left out.

    Args:
        text: a number and its unit, us, ms or s, such as 80ms.

    Returns:
        Microseconds.

    Raises:
        ValueError: it is not a duration, has no unit, or is out of range.
    """
    if text is None:
        return None
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"--max-age must be a number with the unit us, ms or s, got {text!r}")
    number, unit = found.groups()
    if unit is None:
        raise ValueError(f"--max-age needs a unit: {number}us, {number}ms or {number}s")
    duration = round(min(float(number), _LONGEST + 1) * _UNITS[unit])
    if not 1 <= duration <= _LONGEST:
        raise ValueError(f"--max-age must be from 1us to {_LONGEST // _UNITS['s']}s, got {text}")
    return duration


class AgeCount:
    """Counts the ages of boxes, and those above a bound, in memory that does not grow.

    Args:
        max_age: the bound, in microseconds.
    """

    def __init__(self, max_age: int) -> None:
        self.max_age = max_age
        self._ages: deque[tuple[int, int]] = deque(maxlen=_NUM_FRAMES)
        self._num_boxes = 0
        self._num_older = 0
        self._oldest = 0

    def add(self, age: int, num_boxes: int) -> None:
        """Count the boxes of a frame.

        Args:
            age: their age, in microseconds.
            num_boxes: how many.
        """
        if num_boxes:
            self._ages.append((age, num_boxes))
            self._num_boxes += num_boxes
            self._num_older += num_boxes * (age > self.max_age)
            self._oldest = max(self._oldest, age)

    def line(self) -> str | None:
        """The ages in words, and whether the bound was held; None without boxes."""
        if not self._num_boxes:
            return None
        ages, counts = np.array(self._ages).T
        middle, most = np.percentile(np.repeat(ages, counts), [50, 99]) / 1e3
        bound = f"--max-age {self.max_age / 1e3:g}ms"
        boxes = counted(self._num_boxes, "box")
        if self._num_older:
            held = f"{bound} was broken for {self._num_older:,} of {boxes}"
        else:
            held = f"{bound} was held for " + ("all " * (self._num_boxes > 1)) + boxes
        return (
            f"age of boxes: median {middle:.1f} ms, 99 % {most:.1f} ms, maximum "
            f"{self._oldest / 1e3:.1f} ms; {held}"
        )
