"""Features of a frame -> features that have seen all of it: attention, then a pyramid both ways."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from evdet.models.layers import ConvLayer
from evdet.models.rtdetr.attention import SelfAttention
from evdet.shapes import Maps, Size

__all__ = ["HybridEncoder", "position_table"]

_WIDER = 4
"""Channels inside the perceptron of the attention layer, as a multiple of a token's."""
_NUM_MIXING = 3
_SLOWEST = 10_000.0
"""Wavelength of the slowest of the sines that encode a position, in radians of a cell."""


class HybridEncoder(nn.Module):
    """Attention on the coarsest map, then mixing of all maps downwards and upwards.

    Args:
        in_channels: channels of the backbone's maps, finest first.
        channels: channels D of every map that it gives.
        expansion: channels inside a mixing block, as a share of D.

    Source:
        Zhao et al., "DETRs beat YOLOs on real-time object detection", CVPR 2024,
        https://arxiv.org/abs/2304.08069, section 4.2.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, *, expansion: float) -> None:
        super().__init__()
        between = range(len(in_channels) - 1)
        hidden = int(channels * expansion)
        self.project = nn.ModuleList(
            ConvLayer(own, channels, 1, bias=False, relu=False) for own in in_channels
        )
        self.attention = _AttentionLayer(channels)
        self.lateral = nn.ModuleList(ConvLayer(channels, channels, 1, relu=False) for _ in between)
        self.mix_down = nn.ModuleList(_MixingBlock(channels, hidden) for _ in between)
        self.shrink = nn.ModuleList(
            ConvLayer(channels, channels, stride=2, relu=False) for _ in between
        )
        self.mix_up = nn.ModuleList(_MixingBlock(channels, hidden) for _ in between)

    def forward(self, maps: Maps) -> Maps:
        """Give a map of D channels for each of the backbone's.

        Args:
            maps: finest first, each half as high and wide as the one before.
        """
        projected = [layer(level) for layer, level in zip(self.project, maps, strict=True)]
        coarse = self.attention(projected.pop())
        down = []
        for lateral, mix in zip(self.lateral, self.mix_down, strict=True):
            coarse = functional.silu(lateral(coarse))
            down.append(coarse)
            larger = functional.interpolate(coarse, scale_factor=2.0, mode="nearest")
            coarse = mix(torch.cat([larger, projected.pop()], dim=1))
        out = [coarse]
        for shrink, mix in zip(self.shrink, self.mix_up, strict=True):
            smaller = functional.silu(shrink(out[-1]))
            out.append(mix(torch.cat([smaller, down.pop()], dim=1)))
        return out


class _AttentionLayer(nn.Module):
    """A transformer layer, normalised after each sum, over the cells of one map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = SelfAttention(channels)
        self.norm1 = nn.LayerNorm(channels)
        self.linear1 = nn.Linear(channels, _WIDER * channels)
        self.linear2 = nn.Linear(_WIDER * channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        # A checkpoint of the authors' code sets it: there the table's rows go column by column
        # while the tokens go row by row. A buffer, so that the network keeps it with its weights.
        self.register_buffer("has_column_order", torch.tensor(False))

    def forward(self, maps: Float[Tensor, "F D h w"]) -> Float[Tensor, "F D h w"]:
        """Mix the cells of each frame."""
        size = (maps.shape[-2], maps.shape[-1])
        tokens = maps.flatten(2).mT
        mixed = self.attention(tokens, self._positions(size, tokens))
        tokens = self.norm1(tokens + mixed)
        inside = functional.gelu(self.linear1(tokens))
        tokens = self.norm2(tokens + self.linear2(inside))
        mapped: Tensor = tokens.mT.unflatten(-1, size)
        return mapped

    def _positions(self, size: Size, like: Tensor) -> Float[Tensor, "1 n D"]:
        by_row = position_table(size, like)
        by_column = by_row.transpose(0, 1).flatten(0, 1)
        table = torch.where(self.get_buffer("has_column_order"), by_column, by_row.flatten(0, 1))
        return table[None]


def position_table(size: Size, like: Tensor) -> Float[Tensor, "h w D"]:
    """Encode the place of every cell of a map by sines of several wavelengths.

    Args:
        size: height and width of the map, in cells.
        like: its last dimension is the number D of channels, which 4 divides; device and precision.
    """
    count = like.shape[-1] // 4
    steps = torch.arange(count, device=like.device, dtype=torch.float32) / count
    rates = _SLOWEST**-steps
    y, x = (
        torch.arange(side, device=like.device, dtype=torch.float32)[:, None] * rates
        for side in size
    )
    columns = torch.cat([x.sin(), x.cos()], dim=-1).expand(size[0], -1, -1)
    rows = torch.cat([y.sin(), y.cos()], dim=-1)[:, None].expand(-1, size[1], -1)
    return torch.cat([columns, rows], dim=-1).to(like.dtype)


class _MixingBlock(nn.Module):
    """Half of a map through several blocks, half past them, then joined.

    Each block is a 3x3 and a 1x1 convolution side by side, which one 3x3 convolution could replace.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.through = ConvLayer(2 * channels, hidden, 1, relu=False)
        self.past = ConvLayer(2 * channels, hidden, 1, relu=False)
        self.blocks = nn.ModuleList(
            nn.ModuleList(ConvLayer(hidden, hidden, side, relu=False) for side in (3, 1))
            for _ in range(_NUM_MIXING)
        )
        # As wide as the result it needs no projection.
        self.join = ConvLayer(hidden, channels, 1, relu=False) if hidden != channels else None

    def forward(self, maps: Float[Tensor, "F _ h w"]) -> Float[Tensor, "F D h w"]:
        """Mix two maps that are joined along the channels."""
        through = functional.silu(self.through(maps))
        for block in self.blocks:
            through = functional.silu(_sum_of(block, through))
        mixed = through + functional.silu(self.past(maps))
        return mixed if self.join is None else functional.silu(self.join(mixed))


def _sum_of(branches: nn.Module, maps: Tensor) -> Tensor:
    first, second = branches.children()
    total: Tensor = first(maps) + second(maps)
    return total
