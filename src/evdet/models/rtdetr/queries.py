"""What enters the decoder: maps as tokens, an anchor for each, and the best of them as queries."""

import itertools
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from evdet.models.rtdetr.attention import Tokens
from evdet.shapes import Maps, Size

__all__ = ["Chosen", "anchor_logits", "box_logits", "perceptron", "tokens_of"]

_ANCHOR_SIDE = 0.05
"""Side of an anchor of the finest map, as a share of the frame's; of each further map twice."""
_MARGIN = 0.01
"""An anchor counts where all of its numbers are further than this from 0 and 1."""
_NEAREST = 1e-5
"""Numbers of a box nearer to 0 or 1 than this are moved, so that their logits are finite."""


class Chosen(NamedTuple):
    """The tokens that become queries, in their order."""

    tokens: Int[Tensor, "F N"]
    """Their numbers in the row of tokens."""
    content: Float[Tensor, "F N D"]
    """Their features."""
    class_logits: Float[Tensor, "F N C"]
    """What the tokens themselves are classified as."""
    box_logits: Float[Tensor, "F N 4"]
    """Logits of their boxes, centre and size as shares of the frame; infinite without anchor."""


def tokens_of(maps: Maps) -> Tokens:
    """Lay the cells of several maps in one row."""
    rows = [level.flatten(2).mT for level in maps]
    return Tokens(torch.cat(rows, dim=1), tuple((m.shape[-2], m.shape[-1]) for m in maps))


def anchor_logits(
    sizes: tuple[Size, ...], like: Tensor
) -> tuple[Float[Tensor, "S 4"], Bool[Tensor, "S 1"]]:
    """Give the logits of every token's anchor, and which anchors count.

    Args:
        sizes: height and width of each map, in cells, finest first.
        like: device and precision.

    Returns:
        Logits of centre and size as shares of the frame, infinite for an anchor that does not
        count, and a mask of those that do.
    """
    rows = []
    for level, (height, width) in enumerate(sizes):
        y = (torch.arange(height, device=like.device, dtype=torch.float32) + 0.5) / height
        x = (torch.arange(width, device=like.device, dtype=torch.float32) + 0.5) / width
        centres = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=-1)
        sides = torch.full_like(centres, _ANCHOR_SIDE * 2**level)
        rows.append(torch.cat([centres, sides], dim=-1).flatten(0, 1))
    anchors = torch.cat(rows)
    counts = ((anchors > _MARGIN) & (anchors < 1 - _MARGIN)).all(dim=-1, keepdim=True)
    logits = (anchors / (1 - anchors)).log().masked_fill(~counts, torch.inf)
    return logits.to(like.dtype), counts


def box_logits(boxes_cxcywh: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 4"]:
    """Give the logits of boxes whose numbers are shares of the frame."""
    boxes = boxes_cxcywh.clamp(0, 1)
    return (boxes.clamp(min=_NEAREST) / (1 - boxes).clamp(min=_NEAREST)).log()


def perceptron(*channels: int) -> nn.Sequential:
    """Make linear layers with a ReLU between each two."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(channels):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
