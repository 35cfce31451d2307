"""Scores -> tables."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int

from evdet.report.parts import Cell, Row, Table
from evdet.report.rendering import count_of, decimal

__all__ = [
    "ConfusionCell",
    "class_tables",
    "confusion_rows",
    "largest_confusions",
    "side_by_side",
    "size_table",
]

_SIZES = {
    "small": "up to 32 × 32 pixels",
    "medium": "up to 96 × 96 pixels",
    "large": "above 96 × 96 pixels",
}
_NOTHING = "none"
# From this share on a cell is so dark that its number has the light colour.
_DARK_SHARE = 0.5
# More classes are tabulated in two halves, side by side.
_MAX_ROWS = 14
_MAX_CONFUSIONS = 10


def class_tables(scores: Mapping[str, Any]) -> list[Table]:
    """Tabulate the classes of `AveragePrecision.as_dict()`, many of them in two tables."""
    rows = [_class_row(name, one) for name, one in scores["per_class"].items()]
    mean = {
        "ap": scores["mAP"],
        "ap50": scores["mAP50"],
        "num_truths": scores["num_truths"],
        "num_confident": scores.get("num_confident"),
    }
    rows.append(_class_row("all classes", mean, is_total=True))
    return side_by_side(Table(("class", "AP", "AP50", "objects", "found"), rows))


def side_by_side(table: Table) -> list[Table]:
    """Cut a long table into two halves."""
    rows = table.rows
    half = len(rows) if len(rows) <= _MAX_ROWS + 1 else -(-len(rows) // 2)
    return [table._replace(rows=rows[at : at + half]) for at in range(0, len(rows), half)]


def size_table(scores: Mapping[str, Any]) -> Table:
    """Tabulate the object sizes of `AveragePrecision.as_dict()`."""
    rows = [
        Row(name, [_with_bar(value)], note=_SIZES.get(name, ""))
        for name, value in scores["per_size"].items()
    ]
    return Table(("object size", "mAP"), rows)


class ConfusionCell(NamedTuple):
    """A cell of the confusion matrix."""

    number: int
    share: float
    """Of its row; in the row of no object, of its column."""
    kind: str
    """Classes in the style sheet; empty for the cell that has no meaning."""
    words: str
    """The meaning of its number."""

    @property
    def shade(self) -> int:
        """Percent of colour; the square root makes errors of a few percent visible."""
        return round(100 * math.sqrt(self.share))


def confusion_rows(
    counts: Int[np.ndarray, "K K"], class_names: Sequence[str]
) -> list[tuple[str, list[ConfusionCell]]]:
    """Arrange a confusion matrix by class, with its shares.

    Args:
        counts: as `confusion_matrix` gives them: row = ground truth, column = detection, 0 = none.
        class_names: the classes without background.

    Returns:
        Name and cells of each row; the last column counts missed objects, the last row false
        alarms. A class without objects and detections has none.

    Raises:
        ValueError: `counts` does not fit `class_names`.
    """
    size = len(class_names) + 1
    if counts.shape != (size, size):
        raise ValueError(
            f"the confusion matrix of {len(class_names)} classes must be {size} x {size} "
            f"(row and column 0 stand for no object), got {counts.shape}"
        )
    names = [_NOTHING, *class_names]
    is_used = (counts.sum(axis=0) + counts.sum(axis=1)) > 0
    order = [*(np.flatnonzero(is_used[1:]) + 1).tolist(), 0]
    shares = _shares(counts)
    return [
        (
            names[actual],
            [_confusion_cell(actual, found, names, counts, shares) for found in order],
        )
        for actual in order
    ]


def largest_confusions(counts: Int[np.ndarray, "K K"], class_names: Sequence[str]) -> list[str]:
    """Sentences on the errors that occur most often, most frequent first."""
    wrong = np.array(counts)
    np.fill_diagonal(wrong, 0)
    sentences = []
    for index in np.argsort(-wrong, axis=None, kind="stable")[:_MAX_CONFUSIONS]:
        actual, found = divmod(int(index), len(wrong))
        number = int(wrong[actual, found])
        if number == 0:
            break
        if actual == 0:
            sentences.append(f"{class_names[found - 1]}: {count_of(number, 'false alarm')}")
            continue
        what = "missed" if found == 0 else f"taken for {class_names[found - 1]}"
        of = f"{number:,} of {int(counts[actual].sum()):,}"
        sentences.append(f"{class_names[actual - 1]}: {of} {what}")
    return sentences


def _shares(counts: Int[np.ndarray, "K K"]) -> Float64[np.ndarray, "K K"]:
    # An object's row sums to one; a false alarm has no object, so its share is the column's.
    shares: Float64[np.ndarray, "K K"] = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    shares[0] = counts[0] / np.maximum(1, counts.sum(axis=0))
    return shares


def _confusion_cell(
    actual: int,
    found: int,
    names: Sequence[str],
    counts: Int[np.ndarray, "K K"],
    shares: Float64[np.ndarray, "K K"],
) -> ConfusionCell:
    count, share = int(counts[actual, found]), float(shares[actual, found])
    if actual == found == 0:
        return ConfusionCell(0, 0.0, "", "")
    whole = f"of the objects {names[actual]}" if actual else f"of the detections {names[found]}"
    kind = ("right" if actual == found else "wrong") + (" dark" if share >= _DARK_SHARE else "")
    words = f"{names[actual]} detected as {names[found]}: {count:,}, {share:.1%} {whole}"
    return ConfusionCell(count, share, kind, words)


def _class_row(name: str, one: Mapping[str, Any], *, is_total: bool = False) -> Row:
    found = one.get("num_confident")
    cells: list[Cell | str] = [
        _with_bar(one["ap"]),
        decimal(one["ap50"]),
        f"{one['num_truths']:,}",
        "–" if found is None else f"{found:,}",
    ]
    return Row(name, cells, is_total)


def _with_bar(value: float | None) -> Cell:
    known = value is not None and not math.isnan(value)
    return Cell(decimal(value), share=value if known else None)
