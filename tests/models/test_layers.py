import pytest
import torch
from torch.testing import assert_close

from evdet.models import ConvLayer, SqueezeExciteBlock


@pytest.mark.parametrize(("size", "stride", "expected"), [(8, 1, 8), (8, 2, 4), (7, 2, 4)])
def test_a_layer_keeps_the_size_up_to_its_stride(size, stride, expected):
    out = ConvLayer(3, 5, stride=stride)(torch.randn(2, 3, size, size))
    assert out.shape == (2, 5, expected, expected)


def test_a_normalised_convolution_has_no_bias_of_its_own_unless_asked():
    assert ConvLayer(3, 5)[0].bias is None
    assert ConvLayer(3, 5, bias=True)[0].bias is not None
    assert ConvLayer(3, 5, norm=False)[0].bias is not None


def test_the_shortcut_is_the_identity_where_the_shape_stays():
    block = SqueezeExciteBlock(4, 4)
    for parameter in block.body.parameters():
        torch.nn.init.zeros_(parameter)
    frames = torch.randn(2, 4, 6, 6)
    assert_close(block(frames), frames)


def test_the_shortcut_equals_a_strided_1x1_convolution():
    block = SqueezeExciteBlock(4, 8, stride=2)
    for parameter in block.body.parameters():
        torch.nn.init.zeros_(parameter)
    frames = torch.randn(2, 4, 7, 7)
    strided = torch.nn.functional.conv2d(frames, block.shortcut.weight, stride=2)
    assert_close(block(frames), strided)


def test_the_gate_weighs_whole_channels():
    block = SqueezeExciteBlock(4, 4).eval()
    torch.nn.init.zeros_(block.gate[2].weight)
    torch.nn.init.constant_(block.gate[2].bias, -100.0)
    frames = torch.randn(2, 4, 6, 6)
    assert_close(block(frames), frames)
