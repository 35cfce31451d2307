"""Training with W processes that gives the results of one process with W times the lanes."""

from typing import Any, TypeVar

import torch
import torch.distributed as dist
from jaxtyping import Float
from pytorch_lightning.plugins import LayerSync, TorchSyncBatchNorm
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = [
    "SyncBatchNorm2d",
    "SyncBatchNormPlugin",
    "gather",
    "is_distributed",
    "mean_over_processes",
]

Item = TypeVar("Item")


def is_distributed() -> bool:
    """Say whether this process is one of several training processes."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def gather(item: Item) -> list[Item]:
    """Collect one item of every process in all processes, in the order of their ranks."""
    if not is_distributed():
        return [item]
    items: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(items, item)
    return items


def mean_over_processes(value: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """Take the mean of a value over all processes; no gradient flows through it."""
    total = value.detach().clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()


class SyncBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d over the frames of all processes, for CPUs, where torch's own does not run.

    It has weights and a momentum, as all of evdet's have. Processes may have different numbers of
    frames, for example where a head reads annotated frames only.
    """

    def forward(self, input: Float[Tensor, "F C H W"]) -> Float[Tensor, "F C H W"]:
        """Normalise by the statistics of all processes; in evaluation by the running ones."""
        if not self.training or not is_distributed():
            return super().forward(input)
        count, mean, variance = _statistics_of_all(input.detach())
        self._keep(mean, variance * count / (count - 1))
        normal: Tensor = _Normalise.apply(  # type: ignore[no-untyped-call]
            input, self.weight, self.bias, mean, variance, count, self.eps
        )
        return normal

    def _keep(self, mean: Float[Tensor, " C"], variance: Float[Tensor, " C"]) -> None:
        if self.running_mean is None or self.running_var is None or self.momentum is None:
            return
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


def _statistics_of_all(
    input: Float[Tensor, "F C H W"],
) -> tuple[float, Float[Tensor, " C"], Float[Tensor, " C"]]:
    """The number of pixels, and mean and variance of each channel, over all processes."""
    count = input.numel() // input.shape[1]
    values = input.float()
    # Two sums are several times faster than `torch.var_mean`; squares of differences keep their
    # digits where a mean is large.
    mean = values.sum(dim=(0, 2, 3)) / max(1, count)
    squares = (values - mean[:, None, None]).square_().sum(dim=(0, 2, 3))
    mean, squares = mean.double(), squares.double()
    totals = torch.cat([mean.new_tensor([count]), count * mean, squares + count * mean.square()])
    dist.all_reduce(totals)
    num_channels = len(mean)
    total = totals[0]
    mean = totals[1 : num_channels + 1] / total
    variance = totals[num_channels + 1 :] / total - mean.square()
    return float(total), mean.float(), variance.clamp_(min=0).float()


class _Normalise(torch.autograd.Function):
    """Batch normalisation by the statistics of all processes, each with a part of the frames.

    Torch's fused functions do the passes over the frames: written as single operations, for
    autograd, they take a tenth of a step.
    """

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        count: float,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(input, weight, mean, variance)
        ctx.count, ctx.eps = count, eps
        if not len(input):  # torch's function ends the process
            return input.clone()
        return F.batch_norm(input, mean, variance, weight, bias, training=False, eps=eps)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        input, weight, mean, variance = ctx.saved_tensors
        of_weight = of_bias = torch.zeros_like(weight)
        if len(input):
            _, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
                grad, input, weight, mean, variance, None, None, False, ctx.eps, [False, True, True]
            )
        # The mean and the variance depend on the frames of all processes.
        totals = torch.cat([of_weight, of_bias])
        dist.all_reduce(totals)
        total_of_weight, total_of_bias = totals.div_(ctx.count).chunk(2)
        scale = torch.rsqrt(variance + ctx.eps)
        factor = -weight * scale.square() * total_of_weight
        offset = -weight * scale * total_of_bias - factor * mean
        of_input = torch.addcmul(offset[:, None, None], input, factor[:, None, None])
        of_input = of_input.addcmul_(grad, (weight * scale)[:, None, None])
        return of_input.to(input.dtype), of_weight, of_bias, None, None, None, None


class SyncBatchNormPlugin(LayerSync):
    """Lets Lightning synchronise batch statistics on accelerators and on CPUs.

    Args:
        on_cpu: whether the processes train on CPUs.
    """

    def __init__(self, *, on_cpu: bool) -> None:
        self.on_cpu = on_cpu

    def apply(self, model: nn.Module) -> nn.Module:
        """Replace every BatchNorm2d; weights, statistics and names stay."""
        if not self.on_cpu:
            return TorchSyncBatchNorm().apply(model)
        _swap(model, nn.BatchNorm2d, SyncBatchNorm2d)
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Undo `apply`."""
        if not self.on_cpu:
            return TorchSyncBatchNorm().revert(model)
        _swap(model, SyncBatchNorm2d, nn.BatchNorm2d)
        return model


def _swap(model: nn.Module, old: type[nn.BatchNorm2d], new: type[nn.BatchNorm2d]) -> None:
    for layer in model.modules():
        for name, child in layer.named_children():
            if type(child) is old:
                swapped = new(child.num_features, child.eps, child.momentum)
                # The same tensors, not copies: an optimizer may hold them already.
                swapped._parameters, swapped._buffers = child._parameters, child._buffers
                setattr(layer, name, swapped.train(child.training))
