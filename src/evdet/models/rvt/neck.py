"""Maps of several stages -> as many maps, each with information from all of them."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from evdet.models.rvt.conv import ConvUnit

__all__ = ["PathAggregation"]

Map = Float[Tensor, "F _ _ _"]


class PathAggregation(nn.Module):
    """Feature pyramid of three levels, from coarse to fine and back.

    Args:
        channels: channels of each level, finest first; the output has the same.
        num_blocks: residual-free bottlenecks in each of the four mixing blocks.

    Source:
        Liu et al., "Path aggregation network for instance segmentation", CVPR 2018,
        https://arxiv.org/abs/1803.01534, in the form of Ge et al., "YOLOX: exceeding YOLO series
        in 2021", https://arxiv.org/abs/2107.08430.
    """

    def __init__(self, channels: Sequence[int], *, num_blocks: int) -> None:
        super().__init__()
        fine, middle, coarse = channels
        self.reduce_coarse = ConvUnit(coarse, middle, kernel_size=1)
        self.mix_down_middle = _CrossStage(2 * middle, middle, num_blocks)
        self.reduce_middle = ConvUnit(middle, fine, kernel_size=1)
        self.mix_down_fine = _CrossStage(2 * fine, fine, num_blocks)
        self.shrink_fine = ConvUnit(fine, fine, stride=2)
        self.mix_up_middle = _CrossStage(2 * fine, middle, num_blocks)
        self.shrink_middle = ConvUnit(middle, middle, stride=2)
        self.mix_up_coarse = _CrossStage(2 * middle, coarse, num_blocks)

    def forward(self, maps: Sequence[Map]) -> list[Map]:
        """Mix three levels.

        Args:
            maps: one a level, finest first, each twice as large per side as the next.

        Returns:
            As many of the same shapes.
        """
        fine, middle, coarse = maps
        from_coarse = self.reduce_coarse(coarse)
        middle = self.mix_down_middle(torch.cat([_doubled(from_coarse), middle], dim=1))
        from_middle = self.reduce_middle(middle)
        fine = self.mix_down_fine(torch.cat([_doubled(from_middle), fine], dim=1))
        middle = self.mix_up_middle(torch.cat([self.shrink_fine(fine), from_middle], dim=1))
        coarse = self.mix_up_coarse(torch.cat([self.shrink_middle(middle), from_coarse], dim=1))
        return [fine, middle, coarse]


class _CrossStage(nn.Module):
    """Half of the channels pass through bottlenecks, the other half bypasses them."""

    def __init__(self, in_channels: int, out_channels: int, num_blocks: int) -> None:
        super().__init__()
        hidden = out_channels // 2
        self.through = ConvUnit(in_channels, hidden, kernel_size=1)
        self.past = ConvUnit(in_channels, hidden, kernel_size=1)
        self.join = ConvUnit(2 * hidden, out_channels, kernel_size=1)
        # Without the residual connection that a bottleneck often has.
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(ConvUnit(hidden, hidden, kernel_size=1), ConvUnit(hidden, hidden))
                for _ in range(num_blocks)
            )
        )

    def forward(self, maps: Map) -> Map:
        both = [self.blocks(self.through(maps)), self.past(maps)]
        out: Tensor = self.join(torch.cat(both, dim=1))
        return out


def _doubled(maps: Map) -> Map:
    return functional.interpolate(maps, scale_factor=2.0, mode="nearest-exact")
