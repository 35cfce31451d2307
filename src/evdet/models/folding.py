"""Folding of BatchNorm: in evaluation its scale and shift go into the convolution before it."""

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

__all__ = ["fold_batch_norm"]

Model = TypeVar("Model", bound=nn.Module)


def fold_batch_norm(model: Model, read: Callable[[Model], object]) -> Model:
    """Fold every BatchNorm into the convolution whose output it reads.

    Hooks observe the pairs while the model runs once, so the nesting of modules does not matter.
    A BatchNorm stays where its input is not the output of one convolution, and where a
    convolution's output goes through several.

    Args:
        model: is not changed. Only its BatchNorm may read a convolution's output, as in all
            detectors of evdet.
        read: runs the model on any input, such as `lambda model: model.predict(clip)`.

    Returns:
        A copy in evaluation mode with the same outputs, up to the rounding of a product.
    """
    folded: Model = copy.deepcopy(model)
    folded.eval()
    for conv, norm in _observe_pairs(folded, read):
        conv.weight, conv.bias = nn.utils.fusion.fuse_conv_bn_weights(
            conv.weight,
            conv.bias,
            norm.get_buffer("running_mean"),
            norm.get_buffer("running_var"),
            norm.eps,
            norm.weight,
            norm.bias,
        )
        for parent in folded.modules():
            for name, child in parent.named_children():
                if child is norm:
                    setattr(parent, name, nn.Identity())
    return folded


def _observe_pairs(
    model: Model, read: Callable[[Model], object]
) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Each convolution with the one BatchNorm that reads all of its outputs, and no others."""
    seen: Counter[tuple[nn.Conv2d | None, nn.BatchNorm2d]] = Counter()
    num_outputs: Counter[nn.Conv2d] = Counter()
    # The outputs are kept: a freed tensor's `id` may be given to a later one.
    made_by: dict[int, tuple[Tensor, nn.Conv2d]] = {}

    def note_output(conv: nn.Module, _: object, output: Any) -> None:
        if isinstance(conv, nn.Conv2d):
            made_by[id(output)] = output, conv
            num_outputs[conv] += 1

    def note_input(norm: nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(norm, nn.BatchNorm2d) and norm.track_running_stats:
            _, conv = made_by.get(id(inputs[0]), (None, None))
            seen[conv, norm] += 1

    hooks = [module.register_forward_hook(note_output) for module in model.modules()]
    hooks += [module.register_forward_pre_hook(note_input) for module in model.modules()]
    try:
        with torch.no_grad():
            read(model)
    finally:
        for hook in hooks:
            hook.remove()
    num_sources = Counter(norm for _, norm in seen)
    return [
        (conv, norm)
        for (conv, norm), times in seen.items()
        if conv is not None and num_sources[norm] == 1 and times == num_outputs[conv]
    ]
