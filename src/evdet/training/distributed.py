"""Training with W processes that gives the results of one process with W times the lanes."""

from typing import Any, TypeVar

import torch
import torch.distributed as dist
from jaxtyping import Float
from pytorch_lightning.plugins import LayerSync, TorchSyncBatchNorm
from torch import Tensor, nn

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
        count = input.new_tensor(float(input.numel() // input.shape[1]))
        dist.all_reduce(count)
        mean = _sum_over_processes(input.sum(dim=(0, 2, 3))) / count
        centred = input - mean[:, None, None]
        variance = _sum_over_processes(centred.square().sum(dim=(0, 2, 3))) / count
        self._keep(mean.detach(), variance.detach() * count / (count - 1))
        normal = centred * torch.rsqrt(variance + self.eps)[:, None, None]
        return normal * self.weight[:, None, None] + self.bias[:, None, None]

    def _keep(self, mean: Float[Tensor, " C"], variance: Float[Tensor, " C"]) -> None:
        if self.running_mean is None or self.running_var is None or self.momentum is None:
            return
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


class _SumOverProcesses(torch.autograd.Function):
    """A sum over processes whose gradient is the sum over processes, too."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].clone()
        dist.all_reduce(total)
        return total


def _sum_over_processes(values: Tensor) -> Tensor:
    total: Tensor = _SumOverProcesses.apply(values)  # type: ignore[no-untyped-call]
    return total


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
