"""Self-attention between the cells of a map: within windows, or within dilated grids."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from evdet.shapes import Size

__all__ = ["MLP_RATIO", "AttentionBlock"]

Cells = Float[Tensor, "F h w D"]

MLP_RATIO = 4
"""Channels of the hidden layer of the two linear layers, as a multiple of a cell's."""
_SCALE_START = 1e-5


class AttentionBlock(nn.Module):
    """Self-attention, then two linear layers, both with a residual connection.

    Args:
        channels: channels D of the cells.
        head_channels: channels of each attention head; divides D.
        dilated: which cells attend to each other. False: those of a window. True: those of a grid
            that spans the whole map, with as many cells as a window and equal gaps between them.
        norm_first: whether a LayerNorm comes before the attention; False for an input that is
            normalised already.

    Source:
        Gehrig and Scaramuzza, "Recurrent vision transformers for object detection with event
        cameras", CVPR 2023, https://arxiv.org/abs/2212.05598; the two kinds of attention are of
        Tu et al., "MaxViT: multi-axis vision transformer", ECCV 2022,
        https://arxiv.org/abs/2204.01697.
    """

    def __init__(
        self, channels: int, head_channels: int, *, dilated: bool, norm_first: bool = True
    ) -> None:
        super().__init__()
        if channels % head_channels:
            raise ValueError(
                f"{channels} channels cannot be split into attention heads of {head_channels}"
            )
        self.num_heads = channels // head_channels
        self.dilated = dilated
        self.norm1 = nn.LayerNorm(channels) if norm_first else nn.Identity()
        # Query, key and value are stored together, head by head.
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.scale1 = nn.Parameter(torch.full((channels,), _SCALE_START))
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, MLP_RATIO * channels),
            nn.GELU(),
            nn.Linear(MLP_RATIO * channels, channels),
        )
        self.scale2 = nn.Parameter(torch.full((channels,), _SCALE_START))

    def forward(self, cells: Cells, window: Size) -> Cells:
        """Let every cell attend to the cells of its group.

        Args:
            cells: a map of every frame, channels last.
            window: height and width of a group, in cells; they divide the map's.

        Returns:
            A map of the same shape.
        """
        cells = cells + self.scale1 * self._attend(self.norm1(cells), window)
        out: Tensor = cells + self.scale2 * self.mlp(self.norm2(cells))
        return out

    def _attend(self, cells: Cells, window: Size) -> Cells:
        num_frames, height, width, channels = cells.shape
        rows, columns = window
        down, across = height // rows, width // columns
        # Grouping the cells and moving the heads forward is one copy, not two.
        if self.dilated:
            shape, order, back = (rows, down, columns, across), (2, 4, 5, 1, 3), (4, 1, 5, 2, 3)
        else:
            shape, order, back = (down, rows, across, columns), (1, 3, 5, 2, 4), (1, 4, 2, 5, 3)
        of_head = channels // self.num_heads
        groups = (num_frames, down, across, self.num_heads, rows, columns, of_head)
        dealt = self.qkv(cells).view(num_frames, *shape, self.num_heads, 3 * of_head)
        dealt = dealt.permute(0, *order, 6)
        per_head = dealt.reshape(
            num_frames * down * across, self.num_heads, rows * columns, 3 * of_head
        )
        query, key, value = per_head.chunk(3, dim=-1)
        seen = functional.scaled_dot_product_attention(query, key, value)
        gathered = seen.reshape(groups).permute(0, *back, 6)
        out: Tensor = self.proj(gathered.reshape(num_frames, height, width, channels))
        return out
