"""Columns without names -> which is t, x, y and p, by what the numbers do.

Time is the column that goes on, polarity has two values, and x and y are pixels. Which of x and y
comes first cannot be told: it is x.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from evdet.events.files.column_names import NOTHING, ROLES

__all__ = [
    "AmbiguousOrderError",
    "fits_order",
    "looks_like_events",
    "order_from_option",
    "order_of_columns",
]

_MAX_SIDE = 1 << 16
_ENOUGH = 8  # rows from which on a column of time is told from one of pixels
_FITTING = 0.95  # share of rows; others are damage, which the reader names
_T, _X, _Y, _P = ROLES.values()
_USUAL = ((_T, _X, _Y, _P), (_X, _Y, _P, _T))
_ORDERS = (
    *_USUAL,
    *(
        order
        for order in itertools.permutations(ROLES.values())
        if order.index(_X) < order.index(_Y) and order not in _USUAL
    ),
)
_ADVICE = "Name the order of the columns, such as --columns txyp"

Rows = Float64[np.ndarray, "N C"]
Order = tuple[int, ...]


class AmbiguousOrderError(ValueError):
    """The columns can be events in several orders, or in none that is certain."""


def order_from_option(columns: str) -> Order:
    """The roles of the columns that `ReadOptions.columns` names."""
    return tuple(ROLES.get(letter, NOTHING) for letter in columns)


def fits_order(rows: Rows, order: Order) -> bool:
    """Whether four columns can have this order, by the ranges of their numbers."""
    return bool(_fits(_ranges(rows), order).mean() >= _FITTING)


def looks_like_events(rows: Rows) -> bool:
    """Whether a table beside others is one of events: enough rows, at more than one time."""
    try:
        order = order_of_columns(rows)
    except AmbiguousOrderError:
        return len(rows) >= _ENOUGH
    except ValueError:
        return False
    times = rows[:, order.index(_T)]
    return len(rows) >= _ENOUGH and bool(np.ptp(times) > 0)


def order_of_columns(rows: Rows) -> Order:
    """Find the roles of four columns, or of five whose first counts the rows.

    Args:
        rows: the first rows of the file; NaN is not a number. Without rows it is t x y p.

    Raises:
        AmbiguousOrderError: they fit several orders.
        ValueError: they are not events.
    """
    num_columns = rows.shape[1]
    if num_columns == 5 and len(rows) >= _ENOUGH and _counts_rows(rows[:, 0]):
        return (NOTHING, *order_of_columns(rows[:, 1:]))
    if num_columns == 1:
        raise ValueError(
            "a row has one column. Separate the columns by commas, semicolons, tabs or blanks"
        )
    if num_columns != 4:
        raise ValueError(
            f"a row has {num_columns} columns, not four. Name those that count, such as "
            "--columns txyp- (- skips one)"
        )
    if not len(rows):
        return _USUAL[0]
    if len(rows) < _ENOUGH:
        return _order_of_few(rows)
    ranges = _ranges(rows)
    fitting = [order for order in _ORDERS if _fits(ranges, order).mean() >= _FITTING]
    if not fitting:
        raise ValueError(_unfitting(rows))
    moving = [column for column in range(4) if _goes_on(rows[:, column])]
    found = [order for order in fitting if order.index(_T) in moving]
    if not found:
        # All events of the beginning may have one or two times.
        found = [order for order in fitting if order in _USUAL and _never_falls(rows, order)]
        if not found:
            raise AmbiguousOrderError(
                f"none of its columns goes on as time does, in the first {len(rows)} rows. "
                f"{_ADVICE}"
            )
        return found[0]
    others = [order for order in fitting if order in _USUAL and _never_falls(rows, order)]
    places = {order.index(_T) for order in found}
    if len(places) > 1 or (found[0] not in _USUAL and others):
        raise AmbiguousOrderError(f"its columns can be {_either((*found, *others))}. {_ADVICE}")
    return found[0]


def _order_of_few(rows: Rows) -> Order:
    """Of a few rows: a usual order if one is possible, otherwise the only one."""
    ranges = _ranges(rows)
    all_fit = [order for order in _ORDERS if _fits(ranges, order).all()]
    both = [order for order in _USUAL if order in all_fit and _never_falls(rows, order)]
    if len(rows) > 1 and len(both) > 1:
        strict = [order for order in both if (np.diff(rows[:, order.index(_T)]) > 0).all()]
        if len(strict) != 1:
            raise AmbiguousOrderError(f"its columns can be {_either(both)}. {_ADVICE}")
        return strict[0]
    usual = [order for order in _USUAL if _fits(ranges, order)[0]]
    likely = [order for order in usual if _rises(rows[:, order.index(_T)])]
    if likely:
        return next((order for order in likely if _fits(ranges, order)[-1]), likely[0])
    rising = [order for order in all_fit if _rises(rows[:, order.index(_T)])]
    if len(rows) > 1 and len(rising) == 1:
        return rising[0]
    if len(rows) > 1 and rising:
        raise AmbiguousOrderError(f"its columns can be {_either(rising)}. {_ADVICE}")
    if usual:
        # Early times look like polarities, later ones do not.
        return next((order for order in usual if _fits(ranges, order)[-1]), usual[0])
    raise ValueError(_unfitting(rows))


def _either(orders: Sequence[Order]) -> str:
    return " or ".join(map(_spelled, list(dict.fromkeys(orders))[:4]))


class _Ranges(NamedTuple):
    """For each column, which numbers can be a time, a pixel or a polarity."""

    times: Bool[np.ndarray, "C N"]
    pixels: Bool[np.ndarray, "C N"]
    polarities: Bool[np.ndarray, "C N"]


def _ranges(rows: Rows) -> _Ranges:
    numbers = rows.T
    with np.errstate(invalid="ignore"):
        is_whole = np.rint(numbers) == numbers
        pixels = (numbers >= 0) & (numbers < _MAX_SIDE) & is_whole
        polarities = (np.abs(numbers) <= 1) & is_whole
    return _Ranges(np.isfinite(numbers), pixels, polarities)


def _fits(ranges: _Ranges, order: Order) -> Bool[np.ndarray, " N"]:
    """Whether the numbers of each row are a time, two pixels and a polarity."""
    t, x, y, p = (order.index(role) for role in (_T, _X, _Y, _P))
    fits = ranges.times[t] & ranges.pixels[x] & ranges.pixels[y] & ranges.polarities[p]
    return np.asarray(fits)


def _goes_on(column: Float64[np.ndarray, " N"]) -> bool:
    """Whether later rows have larger numbers, over several distances."""
    steps = column[:0]
    for part in (7, 5, 3):
        distance = max(1, len(column) // part)
        steps = column[distance:] - column[:-distance]
        if (steps >= 0).mean() < _FITTING:
            return False
    return bool((steps > 0).mean() > 0.5)


def _rises(column: Float64[np.ndarray, " N"]) -> bool:
    return bool((np.diff(column) >= 0).all() and (len(column) < 2 or column[-1] > column[0]))


def _never_falls(rows: Rows, order: Order) -> bool:
    return bool((np.diff(rows[:, order.index(_T)]) >= 0).all())


def _counts_rows(column: Float64[np.ndarray, " N"]) -> bool:
    """Whether it is the index that pandas writes."""
    return column[0] in (0, 1) and bool((np.diff(column) == 1).all())


def _spelled(order: Order) -> str:
    letters = {role: letter for letter, role in ROLES.items()}
    return "".join(letters[role] for role in order)


def _unfitting(rows: Rows) -> str:
    shown = " ".join(f"{number:g}" for number in rows[0])
    return (
        f"the row {shown} is not t, x, y and p in any order (x and y are whole numbers from 0 to "
        f"65535, p is 0, 1 or -1){_other_polarities(rows)}"
    )


def _other_polarities(rows: Rows) -> str:
    """What to do with a column that has two values, of another kind."""
    for column in rows.T:
        values = np.unique(column[np.isfinite(column)])
        if len(values) == 2 and np.abs(values).max() > 1 and len(rows) >= _ENOUGH:
            low, high = values
            return (
                f". If the column of {low:g} and {high:g} is the polarity, write it as 0 and 1 "
                "first"
            )
    return ""
