import pytest
import torch
from torch.testing import assert_close

from evdet.models import Vanilla, VanillaGRU, VanillaS5, VggLike

MAKERS = [Vanilla, VanillaGRU, VanillaS5, VggLike]


def test_the_footprint_equals_the_published_one():
    # NeuroBench publishes 91,314,912 bytes for the RED-style detector's feature extractor.
    extractor = Vanilla(6, base=16, cout=256)
    tensors = [*extractor.parameters(), *extractor.buffers()]
    assert sum(tensor.numel() * tensor.element_size() for tensor in tensors) == 91_314_912


def test_the_tutorial_gets_its_five_maps():
    features = Vanilla(3, base=64)(torch.randn(2, 1, 3, 128, 128))
    assert [tuple(level.shape) for level in features] == [
        (2, 256, side, side) for side in (16, 8, 4, 2, 1)
    ]


@pytest.mark.parametrize("make", MAKERS)
def test_odd_sizes_round_up(make):
    features = make(2, base=1, cout=2)(torch.randn(1, 1, 2, 240, 304))
    assert [tuple(level.shape[2:]) for level in features] == [
        (30, 38), (15, 19), (8, 10), (4, 5), (2, 3),
    ]  # fmt: skip


def test_strides_are_powers_of_two():
    assert Vanilla(3, base=1, cout=2).strides == (8, 16, 32, 64, 128)


def test_frames_too_small_for_the_levels_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"frames of 32x128 .* stride 128: use fewer levels"):
        Vanilla(3, base=1, cout=2)(torch.randn(1, 1, 3, 32, 128))


def test_channels_last_changes_the_layout_and_not_the_numbers():
    extractor = Vanilla(3, base=4, cout=8, levels=2)
    clip = torch.randn(2, 2, 3, 32, 32)
    plain = extractor(clip)
    last = extractor.to(memory_format=torch.channels_last)(clip)
    for a, b in zip(plain, last, strict=True):
        assert_close(a, b, atol=1e-5, rtol=1e-4)
    last[1].sum().backward()
