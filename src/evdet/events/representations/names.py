"""Names -> representations: those of the table, and named variants with other arguments."""

from functools import partial

import numpy as np

from evdet.events.representations.functions import (
    REPRESENTATIONS,
    Representation,
    event_cube,
    stacked_histogram,
)
from evdet.events.representations.span_histogram import span_histogram

__all__ = ["ON_FIRST", "VARIANTS", "family_of", "get_representation"]

VARIANTS: dict[str, Representation] = {
    "event_cube_5": Representation(partial(event_cube, num_micro_bins=5), 10, np.float32),
    "stacked_histogram_evrtdetr": Representation(span_histogram, 20, np.float32),
    "stacked_histogram_rvt": Representation(
        partial(stacked_histogram, variant="rvt"), 20, np.uint8
    ),
    "stacked_histogram_rvt_replay": Representation(
        partial(stacked_histogram, variant="rvt", replay=True), 20, np.uint8
    ),
}
"""The event cube of the RED paper, the stacked histogram of RVT's published data, which `_replay`
reproduces exactly, and that of EvRT-DETR."""

ON_FIRST = {"stacked_histogram_evrtdetr"}
"""Representations whose ON channels lie before the OFF channels."""


def get_representation(name: str) -> Representation:
    """The representation of a key of `REPRESENTATIONS` or `VARIANTS`.

    Raises:
        ValueError: unknown name.
    """
    known = REPRESENTATIONS | VARIANTS
    if name not in known:
        raise ValueError(f"preprocess must be one of {', '.join(sorted(known))}, got {name!r}")
    return known[name]


def family_of(name: str) -> str:
    """The key of `REPRESENTATIONS` that `name` is, or is a variant of.

    Raises:
        ValueError: unknown name.
    """
    get_representation(name)
    return next(key for key in REPRESENTATIONS if name in (key, *_variants_of(key)))


def _variants_of(key: str) -> list[str]:
    return [name for name in VARIANTS if name.startswith(f"{key}_")]
