"""Two processes with a part of the frames each: their batch statistics beside those of one."""

import os
import sys

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.testing import assert_close

from evdet.training.distributed import SyncBatchNorm2d


def compare(rank: int, port: int, num_first: int, offset: float) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo")
    dist.init_process_group("gloo", rank=rank, world_size=2)
    torch.manual_seed(0)
    frames, grad = torch.randn(8, 6, 9, 7) + offset, torch.randn(8, 6, 9, 7)
    whole = nn.BatchNorm2d(6).double()
    nn.init.uniform_(whole.weight, 0.5, 1.5)
    nn.init.normal_(whole.bias)
    all_frames = frames.double().requires_grad_()
    expected = whole(all_frames)
    expected.backward(grad.double())

    ours = SyncBatchNorm2d(6)
    ours.load_state_dict(nn.BatchNorm2d(6).state_dict() | dict(whole.named_parameters()))
    part = slice(num_first) if rank == 0 else slice(num_first, None)
    own = frames[part].contiguous(memory_format=torch.channels_last).requires_grad_()
    normal = ours(own)
    normal.backward(grad[part])

    near = {"rtol": 1e-4, "atol": 1e-4 * (1 + offset)}
    assert_close(normal, expected[part].float(), **near)
    assert_close(own.grad, all_frames.grad[part].float(), **near)
    assert_close(ours.running_mean, whole.running_mean.float())
    assert_close(ours.running_var, whole.running_var.float())
    for name in ("weight", "bias"):
        summed = getattr(ours, name).grad.clone()
        dist.all_reduce(summed)
        assert_close(summed, getattr(whole, name).grad.float(), rtol=1e-3, atol=1e-2)


if __name__ == "__main__":
    mp.spawn(compare, args=(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])), nprocs=2)
