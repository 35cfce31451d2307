"""Items -> shares of wanted sizes, in which no class is missing where that is possible."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int64

__all__ = ["assign"]

_NUM_TRIES = 64
# Of many items any assignment is balanced: the tries together deal about this many.
_NUM_DEALT, _LEAST_TRIES = 100_000, 4


def assign(
    weights: Sequence[int],
    shares: Sequence[float],
    seed: int,
    counts: Sequence[Sequence[int]] | None = None,
) -> list[list[int]]:
    """Assign items so that each share gets its part of the weight and of each class.

    Of several drawn assignments it takes the one in which the fewest classes are missing in a
    share, and of these the one whose parts differ least from those wanted.

    Args:
        weights: of the items; positive.
        shares: parts of the weight, adding up to 1; at most as many as items.
        seed: draws one of several good assignments.
        counts: objects of each class in each item; None balances the weight alone.

    Returns:
        Indices of the items of each share, at least one.

    Source:
        Sechidis et al., "On the stratification of multi-label data", ECML PKDD 2011: items of the
        rarest class are assigned first.
    """
    rng = np.random.default_rng(seed)
    parts = _parts_of(weights, counts)
    wanted = np.array(shares)
    is_there = parts[:, 1:] > 0
    best: tuple[tuple[int, float], list[list[int]]] | None = None
    has_classes = parts.shape[1] > 1
    num_tries = _NUM_TRIES
    if not has_classes and len(set(weights)) == 1:
        num_tries = 1  # all are equally good
    elif has_classes:
        num_tries = min(num_tries, max(_LEAST_TRIES, _NUM_DEALT // max(1, len(weights))))
    deal = _deal if has_classes else _deal_by_weight
    for attempt in range(num_tries):
        order = rng.permutation(len(weights))
        if attempt % 2 and is_there.any():
            order = order[np.argsort(_rarity(is_there)[order], kind="stable")]
        assigned, missing = deal(order.tolist(), parts, wanted)
        num_absent = sum(int((~is_there[items].any(axis=0)).sum()) for items in assigned)
        cost = num_absent, float(np.abs(missing).sum())
        if best is None or cost < best[0]:
            best = cost, assigned
    return best[1] if best else []


def _parts_of(
    weights: Sequence[int], counts: Sequence[Sequence[int]] | None
) -> Float64[np.ndarray, "N K"]:
    """Each item's part of the whole weight and of every class that occurs."""
    columns = [np.array(weights, np.float64)[:, None]]
    if counts is not None and len(counts):
        columns.append(np.array(counts, np.float64).reshape(len(weights), -1))
    values = np.concatenate(columns, axis=1)
    totals = values.sum(axis=0)
    values = values[:, totals > 0] / totals[totals > 0]
    # The weight counts as much as all classes together.
    values[:, 1:] /= max(1, values.shape[1] - 1)
    parts: Float64[np.ndarray, "N K"] = values
    return parts


def _rarity(is_there: Bool[np.ndarray, "N K"]) -> Int64[np.ndarray, " N"]:
    """For each item in how many items its rarest class is; without any class, more than all."""
    num_items = is_there.sum(axis=0)
    rarity: Int64[np.ndarray, " N"] = np.where(is_there, num_items, len(is_there) + 1).min(axis=1)
    return rarity


def _deal_by_weight(
    order: Sequence[int], parts: Float64[np.ndarray, "N K"], shares: Float64[np.ndarray, " S"]
) -> tuple[list[list[int]], Float64[np.ndarray, "S K"]]:
    """Give each item to the share that lacks most weight."""
    weights = parts[:, 0].tolist()
    missing = (shares * parts.sum()).tolist()
    assigned: list[list[int]] = [[] for _ in shares]
    num_empty, indices = len(assigned), range(len(assigned))
    for num_done, item in enumerate(order):
        if len(order) - num_done <= num_empty:
            share = next(i for i in indices if not assigned[i])
        else:
            share = max(indices, key=missing.__getitem__)
        num_empty -= not assigned[share]
        assigned[share].append(item)
        missing[share] -= weights[item]
    return assigned, np.array(missing)[:, None]


def _deal(
    order: Sequence[int], parts: Float64[np.ndarray, "N K"], shares: Float64[np.ndarray, " S"]
) -> tuple[list[list[int]], Float64[np.ndarray, "S K"]]:
    """Give each item to the share that lacks most of what the item has."""
    missing = shares[:, None] * parts.sum(axis=0)
    assigned: list[list[int]] = [[] for _ in shares]
    is_there = parts[:, 1:] > 0
    num_left = is_there.sum(axis=0)
    lacks = np.ones((len(shares), is_there.shape[1]), bool)
    for num_done, item in enumerate(order):
        empty = [i for i, items in enumerate(assigned) if not items]
        must_fill = len(order) - num_done <= len(empty)
        if must_fill:
            share = empty[0]
        else:
            # A class with no more items than shares that lack it: every one of them is needed.
            needed = is_there[item] & (num_left <= lacks.sum(axis=0))
            gain = (lacks & needed).sum(axis=1)
            cost = ((missing - parts[item]) ** 2 - missing**2).sum(axis=1)
            share = int(np.where(gain == gain.max(), cost, np.inf).argmin())
        num_left -= is_there[item]
        lacks[share] &= ~is_there[item]
        assigned[share].append(item)
        missing[share] -= parts[item]
    return assigned, missing
