"""Flags of annotations, as the tools spell them: which boxes do not count, or are left out."""

from collections.abc import Mapping
from typing import Any

from evdet.labels.source import BoxRows, number

__all__ = ["count_dropped", "is_true", "note_occluded", "why_ignored"]

_REASONS = {
    "difficult": "difficult objects",
    "iscrowd": "crowd regions",
    "crowd": "crowd regions",
    "isgroup": "crowd regions",
    "isgroupof": "crowd regions",
    "ignore": "ignored rows",
    "ignored": "ignored rows",
}
"""Names without case and separators. A file that says several of a box means the first: COCO of
evdet and of converters from VOC has `iscrowd` beside `difficult`."""


def why_ignored(values: Mapping[str, Any]) -> str:
    """Why an annotation does not count: a key of `NOT_COUNTED`, or empty.

    Args:
        values: values by name: the fields of an annotation, the attributes that a tool keeps for
            it, or the cells of a row. `is_crowd`, `IsGroupOf` and the like are recognised.
    """
    plain = {name: name.lower().replace("_", "").replace(" ", "") for name in values}
    found = {plain[name] for name in values if plain[name] in _REASONS and is_true(values[name])}
    return next((why for name, why in _REASONS.items() if name in found), "") if found else ""


def is_true(value: Any) -> bool:
    """Whether a flag is set: true, 1, or the text of either."""
    return value is True or number(value) == 1 or str(value).strip().lower() in ("true", "yes", "t")


def count_dropped(rows: BoxRows, reason: str) -> None:
    """Count a shape that is not read.

    Args:
        rows: the boxes of the file; changed.
        reason: the kind of shape, in the plural.
    """
    rows.counts[reason] = rows.counts.get(reason, 0) + 1


def note_occluded(rows: BoxRows, num_occluded: int) -> None:
    """Say that boxes with the flag `occluded` count like others."""
    if num_occluded:
        what = "1 box is" if num_occluded == 1 else f"{num_occluded:,} boxes are"
        they = "it counts" if num_occluded == 1 else "they count"
        rows.notes.append(f"{what} marked as occluded; {they}")
