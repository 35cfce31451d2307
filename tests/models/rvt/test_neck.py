import pytest
import torch

from evdet.models.rvt.neck import PathAggregation

SHAPES = [(4, 8, 12), (8, 4, 6), (16, 2, 3)]


def maps(num_frames=2):
    return [torch.randn(num_frames, *shape) for shape in SHAPES]


def make(num_blocks=1):
    return PathAggregation([shape[0] for shape in SHAPES], num_blocks=num_blocks).eval()


@pytest.mark.parametrize("num_frames", [0, 2])
@pytest.mark.parametrize("num_blocks", [1, 2])
def test_every_level_keeps_its_shape(num_frames, num_blocks):
    out = make(num_blocks)(maps(num_frames))
    assert [tuple(level.shape) for level in out] == [(num_frames, *shape) for shape in SHAPES]


@pytest.mark.parametrize("level", range(3))
def test_every_level_has_seen_all_levels(level):
    inputs = [one.requires_grad_() for one in maps()]
    make()(inputs)[level].sum().backward()
    assert all(one.grad.any() for one in inputs)
