"""Attention of tokens to each other, and of queries to a few places of several maps."""

import math
from itertools import accumulate, pairwise
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from evdet.shapes import Size

__all__ = ["DeformableAttention", "SelfAttention", "Tokens"]

NUM_HEADS = 8
NUM_POINTS = 4
"""Places that a head reads on each map."""


class Tokens(NamedTuple):
    """The cells of several maps in one row: finest map first, each row by row."""

    values: Float[Tensor, "F S D"]
    sizes: tuple[Size, ...]
    """Height and width of each map, in cells."""


class SelfAttention(nn.Module):
    """Attention of tokens to each other, where positions change what they look for.

    Args:
        channels: channels D of a token.
        num_heads: heads, of D / `num_heads` channels.
    """

    def __init__(self, channels: int, num_heads: int = NUM_HEADS) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.in_proj = nn.Linear(channels, 3 * channels)
        self.out_proj = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.in_proj.weight)
        for layer in (self.in_proj, self.out_proj):
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        tokens: Float[Tensor, "F N D"],
        positions: Float[Tensor, "#F N D"],
        hidden: Bool[Tensor, "N N"] | None = None,
    ) -> Float[Tensor, "F N D"]:
        """Mix tokens.

        Args:
            tokens: what is mixed.
            positions: added to the tokens for queries and keys, not for values.
            hidden: where a token (row) may not see another (column); None hides nothing.
        """
        channels = tokens.shape[-1]
        weight, bias = self.in_proj.weight, self.in_proj.bias
        placed = tokens + positions
        queries, keys = functional.linear(
            placed, weight[: 2 * channels], bias[: 2 * channels]
        ).chunk(2, dim=-1)
        values = functional.linear(tokens, weight[2 * channels :], bias[2 * channels :])
        mixed = functional.scaled_dot_product_attention(
            self._by_head(queries),
            self._by_head(keys),
            self._by_head(values),
            attn_mask=None if hidden is None else ~hidden,
        )
        out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return out

    def _by_head(self, tokens: Float[Tensor, "F N D"]) -> Float[Tensor, "F A N d"]:
        by_head = tokens.view(*tokens.shape[:2], self.num_heads, -1)
        return by_head.transpose(1, 2)


class DeformableAttention(nn.Module):
    """Attention of queries to a few places of several maps, which each query chooses.

    Args:
        channels: channels D of queries and maps.
        num_levels: maps.
        num_heads: heads, of D / `num_heads` channels.

    Source:
        Zhu et al., "Deformable DETR: deformable transformers for end-to-end object detection",
        ICLR 2021, https://arxiv.org/abs/2010.04159.
    """

    def __init__(self, channels: int, num_levels: int = 3, num_heads: int = NUM_HEADS) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.num_levels = num_levels
        self.sampling_offsets = nn.Linear(channels, num_heads * num_levels * NUM_POINTS * 2)
        self.attention_weights = nn.Linear(channels, num_heads * num_levels * NUM_POINTS)
        self.value_proj = nn.Linear(channels, channels)
        self.output_proj = nn.Linear(channels, channels)
        self._initialise()

    def _initialise(self) -> None:
        """Let each head look into a direction of its own, further with each point."""
        for layer in (self.sampling_offsets, self.attention_weights):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        for layer in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        angles = torch.arange(self.num_heads) * (2 * math.pi / self.num_heads)
        directions = torch.stack([angles.cos(), angles.sin()], dim=-1)
        directions = directions / directions.abs().amax(dim=-1, keepdim=True)
        steps = torch.arange(1, NUM_POINTS + 1)[:, None]
        offsets = (directions[:, None, None] * steps).expand(-1, self.num_levels, -1, -1)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(offsets.flatten())

    def forward(
        self,
        queries: Float[Tensor, "F N D"],
        boxes_cxcywh: Float[Tensor, "F N 4"],
        tokens: Tokens,
    ) -> Float[Tensor, "F N D"]:
        """Read the maps.

        Args:
            queries: what chooses the places and their weights.
            boxes_cxcywh: the box of each query, as shares of the frame; places are relative to it.
            tokens: the maps.
        """
        shape = (self.num_heads, self.num_levels, NUM_POINTS)
        offsets = self.sampling_offsets(queries).unflatten(-1, (*shape, 2))
        weights = self.attention_weights(queries).unflatten(-1, (self.num_heads, -1)).softmax(-1)
        boxes = boxes_cxcywh[:, :, None, None, None]
        centres, sides = boxes[..., :2], boxes[..., 2:]
        places = 2 * (centres + offsets / NUM_POINTS * sides * 0.5) - 1
        values: Tensor = self.value_proj(tokens.values)
        by_head = values.view(*values.shape[:2], self.num_heads, -1)
        ends = list(accumulate((height * width for height, width in tokens.sizes), initial=0))
        levels = [by_head[:, start:end] for start, end in pairwise(ends)]
        read = [
            functional.grid_sample(
                level.permute(0, 2, 3, 1).reshape(-1, level.shape[-1], *size),
                places[:, :, :, index].transpose(1, 2).flatten(0, 1),
                mode="bilinear",
                padding_mode="zeros",
                align_corners=False,
            )
            for index, (level, size) in enumerate(zip(levels, tokens.sizes, strict=True))
        ]
        # (F·A, d, N, places): one weight for each query and place.
        share = weights.transpose(1, 2).flatten(0, 1)[:, None]
        mixed = (torch.cat(read, dim=-1) * share).sum(dim=-1)
        out: Tensor = self.output_proj(mixed.unflatten(0, (queries.shape[0], -1)).flatten(1, 2).mT)
        return out
