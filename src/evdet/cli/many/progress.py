"""One progress bar for all files: each file's own bar becomes a part of it."""

import time
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["OpenBar", "PartialBars"]

_SECONDS_BETWEEN = 0.1


OpenBar = Callable[..., Any]
"""tqdm, or what stands for it: takes an iterable and `total`, and words for the terminal."""


class PartialBars:
    """Makes the bars of one file, which report the share that is done.

    Args:
        report: takes the share of the file, from 0 to 1.
    """

    def __init__(self, report: Callable[[float | int], None]) -> None:
        self._report = report

    def __call__(
        self,
        iterable: Any = None,  # an iterable of whatever is counted
        *,
        total: float | int | None = None,
        desc: str = "",
        unit: str = "",
        unit_scale: bool = False,
        leave: bool = False,
        disable: bool = False,
    ) -> "_PartialBar":
        """Open a bar as tqdm does; words are not shown."""
        return _PartialBar(() if iterable is None else iterable, total, self._report)


class _PartialBar:
    """A bar that reports its share now and then; one without a total reports nothing."""

    def __init__(
        self, iterable: Any, total: float | int | None, report: Callable[[float | int], None]
    ) -> None:
        self._iterable = iterable
        self._total = total
        self._report = report
        self._count = 0.0
        self._reported = time.monotonic()

    def __iter__(self) -> Iterator[Any]:
        for item in self._iterable:
            yield item
            self.update()

    def update(self, n: float | int | None = 1) -> None:
        """Count steps."""
        self._count += n or 0
        now = time.monotonic()
        if self._total and now - self._reported > _SECONDS_BETWEEN:
            self._reported = now
            self._report(min(1.0, self._count / self._total))

    def close(self) -> None:
        """There is nothing to remove."""

    def __enter__(self) -> "_PartialBar":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
