"""The convolution block of neck and head: convolution, batch normalisation, SiLU."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ConvUnit"]


class ConvUnit(nn.Module):
    """Convolution without bias, BatchNorm, SiLU.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the square kernel, odd; the padding keeps the size at stride 1.
        stride: step of the kernel, in cells.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            bias=False,
        )
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, maps: Float[Tensor, "F _ _ _"]) -> Float[Tensor, "F _ _ _"]:
        """Map features to features."""
        return functional.silu(self.norm(self.conv(maps)), inplace=True)
