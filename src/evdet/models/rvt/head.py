"""Feature maps -> candidates: a box, an objectness and class scores for every cell."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from evdet.models.rvt.conv import ConvUnit

__all__ = ["DecoupledHead", "RVTOutputs"]

Maps = Sequence[Float[Tensor, "F _ _ _"]]

PRIOR = 0.01
"""The probability that a new head gives to every class, and to the presence of an object."""
# A box is at most this many strides wide or high: `exp` cannot overflow.
_MAX_LOG_STRIDES = 10.0


class RVTOutputs(NamedTuple):
    """Predictions of the head for F frames: one candidate a cell, in the order level, row, column.

    Boxes are decoded; objectness and classes are logits. All are at least float32, in mixed
    precision, too.
    """

    boxes_cxcywh: Float[Tensor, "F A 4"]
    """Centre x, centre y, width, height, in pixels."""
    objectness: Float[Tensor, "F A"]
    """Logit of the presence of an object."""
    class_logits: Float[Tensor, "F A C"]
    """A logit for each class, without background: column 0 is label 1."""
    centres: Float[Tensor, "A 2"]
    """x and y of the centre of each candidate's cell, in pixels."""
    strides: Float[Tensor, " A"]
    """Width and height of each candidate's cell, in pixels."""


class DecoupledHead(nn.Module):
    """The head of YOLOX: on every level a branch for the classes and a branch for boxes.

    Args:
        in_channels: channels of each level's map.
        strides: of each level, in pixels.
        num_classes: classes C, without background.
        hidden_channels: channels inside the branches.

    Source:
        Ge et al., "YOLOX: exceeding YOLO series in 2021", https://arxiv.org/abs/2107.08430.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        strides: Sequence[int],
        *,
        num_classes: int,
        hidden_channels: int,
    ) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.num_classes = num_classes
        self.levels = nn.ModuleList(
            _LevelHead(channels, hidden_channels, num_classes) for channels in in_channels
        )

    def forward(self, features: Maps) -> RVTOutputs:
        """Predict for every cell of every level.

        Args:
            features: one map a level, finest first.
        """
        levels = [level(maps) for level, maps in zip(self.levels, features, strict=True)]
        deltas, objectness, class_logits = (
            torch.cat([_at_least_float32(part) for part in parts], dim=1)
            for parts in zip(*levels, strict=True)
        )
        corners, strides = self._cells(features, deltas)
        offsets, log_sizes = deltas[..., :2], deltas[..., 2:]
        side = strides[:, None]
        boxes_cxcywh = torch.cat(
            [
                corners + offsets * side,
                log_sizes.clamp(max=_MAX_LOG_STRIDES).exp() * side,
            ],
            dim=-1,
        )
        return RVTOutputs(
            boxes_cxcywh, objectness.squeeze(-1), class_logits, corners + side / 2, strides
        )

    def _cells(
        self, features: Maps, like: Float[Tensor, "F A 4"]
    ) -> tuple[Float[Tensor, "A 2"], Float[Tensor, " A"]]:
        """The top left corner and the side of every cell."""
        corners, sides = [], []
        for maps, stride in zip(features, self.strides, strict=True):
            height, width = maps.shape[-2:]
            y = torch.arange(height, device=like.device, dtype=like.dtype) * stride
            x = torch.arange(width, device=like.device, dtype=like.dtype) * stride
            corners.append(
                torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=-1)
            )
            sides.append(like.new_full((height * width,), float(stride)))
        return torch.cat([level.flatten(0, 1) for level in corners]), torch.cat(sides)


class _LevelHead(nn.Module):
    """One level's convolutions; levels share no weights."""

    def __init__(self, in_channels: int, hidden_channels: int, num_classes: int) -> None:
        super().__init__()
        self.stem = ConvUnit(in_channels, hidden_channels, kernel_size=1)
        self.class_branch = _branch(hidden_channels)
        self.box_branch = _branch(hidden_channels)
        self.class_logits = nn.Conv2d(hidden_channels, num_classes, 1)
        # The name that checkpoints have for the layer of the deltas.
        self.corrections = nn.Conv2d(hidden_channels, 4, 1)
        self.objectness = nn.Conv2d(hidden_channels, 1, 1)
        for layer in (self.class_logits, self.objectness):
            if layer.bias is not None:
                nn.init.constant_(layer.bias, -math.log((1 - PRIOR) / PRIOR))

    def forward(
        self, maps: Float[Tensor, "F _ _ _"]
    ) -> tuple[Float[Tensor, "F a 4"], Float[Tensor, "F a 1"], Float[Tensor, "F a C"]]:
        """Deltas, objectness and class logits of the level's cells."""
        stem = self.stem(maps)
        for_boxes = self.box_branch(stem)
        return (
            _per_cell(self.corrections(for_boxes)),
            _per_cell(self.objectness(for_boxes)),
            _per_cell(self.class_logits(self.class_branch(stem))),
        )


def _branch(channels: int) -> nn.Sequential:
    return nn.Sequential(ConvUnit(channels, channels), ConvUnit(channels, channels))


def _per_cell(maps: Float[Tensor, "F N h w"]) -> Float[Tensor, "F a N"]:
    return maps.flatten(2).mT


def _at_least_float32(values: Tensor) -> Tensor:
    # 16 bits are too few for coordinates of hundreds of pixels.
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
