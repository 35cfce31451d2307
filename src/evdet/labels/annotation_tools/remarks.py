"""What a reader leaves out or keeps in spite of a flag, in words."""

import logging

from evdet.labels.source import BoxRows, LabelSource

__all__ = ["count_dropped", "note_occluded"]

_log = logging.getLogger(__name__)


def count_dropped(rows: BoxRows, reason: str) -> None:
    """Count a shape that is not read.

    Args:
        rows: the boxes of the file; changed.
        reason: the kind of shape, in the plural.
    """
    rows.counts[reason] = rows.counts.get(reason, 0) + 1


def note_occluded(source: LabelSource, num_occluded: int) -> None:
    """Say that boxes with the flag `occluded` count like others."""
    if num_occluded:
        _log.info("%s: %d boxes are marked as occluded; they count", source.path, num_occluded)
