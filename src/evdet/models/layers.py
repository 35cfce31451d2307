"""Building blocks without memory: their output for a frame depends on that frame alone."""

from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["ConvLayer", "SqueezeExciteBlock"]


class ConvLayer(nn.Sequential):
    """Convolution, then normalisation and activation where asked for.

    Args:
        in_channels: channels C of the input.
        out_channels: channels of the output.
        kernel_size: side of the square kernel, odd; the padding keeps the size at stride 1.
        stride: step of the kernel, in pixels.
        norm: whether a BatchNorm follows; its shift makes a bias redundant.
        bias: whether the convolution has a bias; by default where no BatchNorm follows.
        relu: whether a ReLU comes last.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        *,
        norm: bool = True,
        bias: bool | None = None,
        relu: bool = True,
    ) -> None:
        conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            bias=not norm if bias is None else bias,
        )
        layers: list[nn.Module] = [conv]
        if norm:
            layers.append(nn.BatchNorm2d(out_channels))
        if relu:
            layers.append(nn.ReLU())
        super().__init__(*layers)


class SqueezeExciteBlock(nn.Module):
    """Residual block of two convolutions whose channels are weighted by a learned gate.

    Args:
        in_channels: channels C of the input.
        out_channels: channels of the output.
        stride: step of the first convolution, in pixels.

    Source:
        Hu et al., "Squeeze-and-excitation networks", CVPR 2018,
        https://arxiv.org/abs/1709.01507; as in the stem of Perot et al., "Learning to detect
        objects with a 1 megapixel event camera", NeurIPS 2020.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ConvLayer(in_channels, out_channels, stride=stride),
            ConvLayer(out_channels, out_channels),
        )
        # The 1x1 convolutions of the paper, on a 1x1 map: matrix products.
        self.gate = nn.Sequential(
            nn.Linear(out_channels, out_channels // 4),
            nn.ReLU(),
            nn.Linear(out_channels // 4, out_channels),
            nn.Sigmoid(),
        )
        same_shape = stride == 1 and in_channels == out_channels
        self.stride = stride
        self.shortcut = (
            nn.Identity() if same_shape else nn.Conv2d(in_channels, out_channels, 1, bias=False)
        )

    def forward(self, frames: Float[Tensor, "F C H W"]) -> Float[Tensor, "F C2 H2 W2"]:
        """Map frames to features, `stride` times smaller."""
        features = self.body(frames)
        gate: Tensor = self.gate(features.mean(dim=(2, 3)))
        # Skipping pixels first is the strided 1x1 convolution, without a crash in the backward
        # pass of oneDNN (torch 2.13, CPU, channels-last, 8 channels).
        skipped = frames[:, :, :: self.stride, :: self.stride]
        out: Tensor = features * gate[:, :, None, None] + self.shortcut(skipped)
        return out
