"""Scores -> HTML tables."""

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

__all__ = ["class_table", "confusion_table", "decimal", "size_table", "table"]

_SIZES = {
    "small": "up to 32 × 32 pixels",
    "medium": "up to 96 × 96 pixels",
    "large": "above 96 × 96 pixels",
}
_NOTHING = "none"
# Largest number of letters of a class name in the confusion table.
_MAX_NAME = 14
# From this share on a cell is so dark that its number has the light colour.
_DARK_SHARE = 0.3


def decimal(value: float | None) -> str:
    """Write a score with three decimals, or a dash for None and NaN."""
    return "–" if value is None or math.isnan(value) else f"{value:.3f}"


def class_table(scores: Mapping[str, Any]) -> str:
    """Tabulate the classes of `AveragePrecision.as_dict()`, with a bar for each."""
    rows = [
        _score_row("", name, one["ap"], one["ap50"], one["num_truths"])
        for name, one in scores["per_class"].items()
    ]
    mean = (scores["mAP"], scores["mAP50"], scores["num_truths"])
    rows.append(_score_row(' class="total"', "all classes", *mean))
    return table(' class="scores"', ("class", "AP", "", "AP50", "objects"), rows)


def size_table(scores: Mapping[str, Any]) -> str:
    """Tabulate the object sizes of `AveragePrecision.as_dict()`."""
    rows = [
        f'<tr><th scope="row">{html.escape(name)} <small>{_SIZES.get(name, "")}</small></th>'
        f"<td>{decimal(value)}</td><td>{_bar(value)}</td></tr>"
        for name, value in scores["per_size"].items()
    ]
    return table(' class="scores"', ("object size", "mAP", ""), rows)


def confusion_table(counts: Int[np.ndarray, "K K"], class_names: Sequence[str]) -> str:
    """Tabulate a confusion matrix, with its shares as shades.

    Args:
        counts: as `confusion_matrix` gives them: row = ground truth, column = detection, 0 = none.
        class_names: the classes without background.

    Returns:
        A table element; the last column counts missed objects, the last row false alarms.

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
    order = [*range(1, size), 0]
    # An object's row sums to one; a false alarm has no object, so its share is the column's.
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    shares[0] = counts[0] / np.maximum(1, counts.sum(axis=0))
    rows = []
    for actual in order:
        cells = [
            _confusion_cell(
                (actual, found),
                names,
                count=int(counts[actual, found]),
                share=shares[actual, found],
            )
            for found in order
        ]
        rows.append(f'<tr><th scope="row">{html.escape(names[actual])}</th>{"".join(cells)}</tr>')
    name_width = min(_MAX_NAME, max(map(len, names)))
    attributes = f' class="confusion" style="--columns:{size};--name:{name_width}ch"'
    return table(attributes, ("", *(names[found] for found in order)), rows)


def _confusion_cell(
    index: tuple[int, int], names: Sequence[str], *, count: int, share: float
) -> str:
    actual, found = index
    if actual == found == 0:
        return "<td></td>"
    whole = f"of the objects {names[actual]}" if actual else f"of the detections {names[found]}"
    title = f"{names[actual]} detected as {names[found]}: {count:,}, {share:.1%} {whole}"
    kind = ("right" if actual == found else "wrong") + (" dark" if share >= _DARK_SHARE else "")
    # The square root makes errors of a few percent visible.
    shade = 100 * math.sqrt(share)
    return (
        f'<td class="{kind}" style="--shade:{shade:.0f}%" title="{html.escape(title)}">'
        f"{_short(count)}</td>"
    )


def _score_row(
    attributes: str, name: str, ap: float | None, ap50: float | None, objects: int
) -> str:
    return (
        f'<tr{attributes}><th scope="row">{html.escape(name)}</th><td>{decimal(ap)}</td>'
        f"<td>{_bar(ap)}</td><td>{decimal(ap50)}</td><td>{objects:,}</td></tr>"
    )


def _bar(value: float | None) -> str:
    share = 0.0 if value is None or math.isnan(value) else value
    return f'<span class="bar" style="--share:{100 * share:.1f}%"></span>'


def _short(count: int) -> str:
    if count == 0:
        return ""
    return f"{count / 1000:.0f}k" if count >= 10_000 else str(count)


def table(attributes: str, heads: Sequence[str], rows: Sequence[str]) -> str:
    """Make a table that scrolls where the page is narrower.

    Args:
        attributes: of the table element, with a blank before the first.
        heads: of the columns, as text.
        rows: as HTML.
    """
    cells = "".join(f'<th scope="col">{html.escape(head)}</th>' for head in heads)
    return (
        f'<div class="wide"><table{attributes}><thead><tr>{cells}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
