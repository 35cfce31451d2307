"""What the templates show as tables and plots, as plain data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Cell", "LegendEntry", "Plot", "Row", "Table", "Value"]


class Cell(NamedTuple):
    """A cell with more than text."""

    text: str
    is_best: bool = False
    """Whether it is bold."""
    share: float | None = None
    """Length of a bar beside the text, from 0 to 1."""
    columns: int = 1
    """Columns that it spans."""


class Row(NamedTuple):
    """A row of a table."""

    head: str
    cells: Sequence[Cell | str]
    is_total: bool = False
    note: str = ""
    """Small text after the head."""


class Table(NamedTuple):
    """A table; it scrolls where the page is narrower."""

    heads: Sequence[str]
    rows: Sequence[Row]
    kind: str = "scores"
    """Classes in the style sheet."""


class Value(NamedTuple):
    """A number above a plot."""

    text: str
    words: str = ""
    """Its meaning, after it."""


class LegendEntry(NamedTuple):
    """A curve's name beside its colour."""

    name: str
    values: Sequence[Value] = ()
    """Numbers of this curve."""


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A drawing with everything around it."""

    title: str
    drawing: str
    """An inline SVG element."""
    heading: str = ""
    """Meaning of the numbers in the legend."""
    values: Sequence[Value] = ()
    separator: str = " → "
    """Between numbers."""
    legend: Sequence[LegendEntry] = ()
    caption: str = ""
    table: Table | None = None
    """The same as numbers, folded."""
