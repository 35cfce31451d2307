"""The source of a value that is not finite: the first layer, or the first gradient."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["Failure", "is_finite", "where_forward_fails", "where_gradient_fails"]


def is_finite(value: Any) -> bool:
    """Say whether all values in a tensor, or in nested containers of tensors, are finite."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in _tensors(value))


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)


class Failure(NamedTuple):
    """The first value of a forward pass that is not finite."""

    order: int
    """Number of layers that ran before; the smallest over all processes is the source."""
    place: str
    """A description of the layer."""


def where_forward_fails(
    model: nn.Module, forward: Callable[[], Any], inputs: Any
) -> Failure | None:
    """Run a forward pass again and find the first output that is not finite.

    Args:
        model: the layers to watch.
        forward: runs the pass.
        inputs: of the pass.

    Returns:
        The inputs, a layer with its name and type, or the loss; None if all is finite.
    """
    # The pass always runs, because with several processes it must run in all of them.
    found = [] if is_finite(inputs) else [Failure(0, "the inputs")]
    calls = itertools.count(1)

    def watch(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(layer: nn.Module, _: Any, output: Any) -> None:
            order = next(calls)
            # Inner layers report before the layers that contain them: the first is the source.
            if not found and not is_finite(output):
                broken = [key for key, weight in layer.named_parameters() if not is_finite(weight)]
                cause = f", whose {broken[0]} is not finite" if broken else ""
                place = f"the layer {name} ({type(layer).__name__}){cause}"
                found.append(Failure(order, place))

        return hook

    handles = [layer.register_forward_hook(watch(name)) for name, layer in model.named_modules()]
    try:
        with torch.no_grad():
            output = forward()
    finally:
        for handle in handles:
            handle.remove()
    if not found and not is_finite(output):
        return Failure(next(calls), "the loss, from finite predictions")
    return found[0] if found else None


def where_gradient_fails(model: nn.Module) -> str | None:
    """Find the first parameter of a backward pass whose gradient is not finite.

    Returns:
        A description; None if all gradients are finite.
    """
    for name, weight in reversed(list(model.named_parameters())):
        if weight.grad is not None and not is_finite(weight.grad):
            return f"the gradient of {name}"
    return None
