"""The rows of a last layer that belong to a class, carried to a detector of other classes."""

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
    """Fit weights to a detector of the same build that knows other classes.

    Args:
        own: that detector's weights, by name.
        weights: those to be fitted, by name.
        layers: the names of the tensors that have a row for each class, anchor by anchor where
            there are several to a cell.
        old_names: what each row of an anchor stands for in `weights`; None is background.
        names: what each stands for in `own`.

    Returns:
        `weights`, where in `layers` each row that both know is of `weights`, the others of
        `own`. What does not have the shape of such a layer is left as it is.
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
