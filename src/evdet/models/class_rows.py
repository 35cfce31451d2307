"""Weights of a detector whose classes differ: the rows of shared classes are carried over."""

from collections.abc import Mapping, Sequence

from torch import Tensor

__all__ = ["carry_classes"]


def carry_classes(
    own: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    layers: Sequence[str],
    old_names: Sequence[str | None],
    names: Sequence[str | None],
) -> dict[str, Tensor]:
    """Adapt weights to a detector that differs in its classes only.

    Args:
        own: that detector's weights, by name.
        weights: the weights to adapt, by name.
        layers: the names of the tensors that have a row for each class, anchor by anchor where
            a cell has several.
        old_names: the class of each row of an anchor in `weights`; None is background.
        names: the class of each row in `own`.

    Returns:
        `weights`, where the rows of `layers` whose class is in both come from `weights`, the
        others from `own`. A tensor of another shape stays as it is.
    """
    fitted = dict(weights)
    for layer in layers:
        old, new = weights.get(layer), own[layer]
        expected = (len(new) // len(names) * len(old_names), *new.shape[1:])
        if old is None or tuple(old.shape) != expected:
            continue
        carried = new.reshape(-1, len(names), *new.shape[1:]).clone()
        source = old.reshape(-1, len(old_names), *old.shape[1:])
        for row, name in enumerate(old_names):
            if name in names:
                carried[:, names.index(name)] = source[:, row]
        fitted[layer] = carried.flatten(0, 1)
    return fitted
