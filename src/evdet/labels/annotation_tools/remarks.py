"""What a reader leaves out or keeps in spite of a flag, in words."""

from evdet.labels.source import BoxRows

__all__ = ["count_dropped", "note_occluded"]


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
        rows.notes.append(f"{num_occluded:,} boxes are marked as occluded; they count")
