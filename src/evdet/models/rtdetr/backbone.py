"""Frames -> features without memory: ResNet-D, at strides 8, 16 and 32."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from evdet.models.layers import ConvLayer
from evdet.shapes import Maps

__all__ = ["BACKBONE_STRIDES", "ResNetD", "ResNetPlan"]

BACKBONE_STRIDES = (8, 16, 32)
"""Side of a cell of each map, in pixels."""
_WIDER = 4
"""Channels that a bottleneck gives, as a multiple of those inside."""


@dataclass(frozen=True, kw_only=True)
class ResNetPlan:
    """The sizes that differ between backbones."""

    num_blocks: tuple[int, int, int, int]
    """Residual blocks of each stage."""
    width: int = 64
    """Channels inside the blocks of the first stage; each further stage has twice as many."""
    has_bottlenecks: bool = False
    """Blocks of three convolutions that give four times as many channels, instead of two."""

    @property
    def channels(self) -> tuple[int, int, int]:
        """Channels of the maps at strides 8, 16 and 32."""
        first = self.width * (_WIDER if self.has_bottlenecks else 1)
        return 2 * first, 4 * first, 8 * first


class ResNetD(nn.Module):
    """Residual network whose shortcuts average before they skip, with a stem of three convolutions.

    Args:
        in_channels: channels C of a frame.
        plan: sizes of the network.

    Source:
        He et al., "Bag of tricks for image classification with convolutional neural networks",
        CVPR 2019, https://arxiv.org/abs/1812.01187, model D.
    """

    def __init__(self, in_channels: int, plan: ResNetPlan) -> None:
        super().__init__()
        width = plan.width
        self.stem = nn.Sequential(
            ConvLayer(in_channels, width // 2, stride=2),
            ConvLayer(width // 2, width // 2),
            ConvLayer(width // 2, width),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.stages = nn.ModuleList()
        channels = width
        for stage, num_blocks in enumerate(plan.num_blocks):
            inside = width * 2**stage
            blocks = nn.Sequential()
            for block in range(num_blocks):
                made = _Block(
                    channels,
                    inside,
                    stride=2 if stage and not block else 1,
                    is_first=not block,
                    is_bottleneck=plan.has_bottlenecks,
                )
                channels = made.out_channels
                blocks.append(made)
            self.stages.append(blocks)

    def forward(self, frames: Float[Tensor, "F C H W"]) -> Maps:
        """Compute the maps at strides 8, 16 and 32.

        Args:
            frames: with sides that 32 divides.
        """
        features = self.stem(frames)
        maps = []
        for stage in self.stages:
            features = stage(features)
            maps.append(features)
        return maps[1:]


class _Block(nn.Module):
    """Two 3x3 convolutions, or a bottleneck of three, beside a shortcut."""

    def __init__(
        self, in_channels: int, inside: int, *, stride: int, is_first: bool, is_bottleneck: bool
    ) -> None:
        super().__init__()
        self.stride = stride
        self.out_channels = inside * (_WIDER if is_bottleneck else 1)
        if is_bottleneck:
            layers = [
                ConvLayer(in_channels, inside, 1),
                ConvLayer(inside, inside, stride=stride),
                ConvLayer(inside, self.out_channels, 1, relu=False),
            ]
        else:
            layers = [
                ConvLayer(in_channels, inside, stride=stride),
                ConvLayer(inside, inside, relu=False),
            ]
        self.body = nn.Sequential(*layers)
        # The first block of a stage has a projection even where the channels stay the same.
        self.shortcut = (
            ConvLayer(in_channels, self.out_channels, 1, relu=False) if is_first else None
        )

    def forward(self, maps: Float[Tensor, "F _ _ _"]) -> Float[Tensor, "F _ _ _"]:
        """Map features to features, `stride` times smaller."""
        past = maps
        if self.stride > 1:
            past = functional.avg_pool2d(past, self.stride, self.stride, ceil_mode=True)
        if self.shortcut is not None:
            past = self.shortcut(past)
        return functional.relu(self.body(maps) + past)
