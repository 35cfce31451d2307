"""Feature maps -> per anchor: four deltas and K logits."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from evdet.models.layers import ConvLayer

__all__ = ["BoxHead"]

Maps = list[Float[Tensor, "F D _ _"]]

BACKGROUND_PRIOR = 0.99


class BoxHead(nn.Module):
    """Two towers of convolutions, one for boxes and one for classes, shared by all levels.

    Args:
        cin: channels of every feature map.
        num_anchors: anchors per cell.
        num_logits: logits K per anchor; with softmax the classes and background.
        nlayers: further convolutions in each tower, after the first.
        hidden_channels: channels inside the towers.
        background: whether logit 0 is background (softmax). A new head then predicts background
            with probability 0.99, otherwise each class with 0.01.

    Source:
        Lin et al., "Focal loss for dense object detection", ICCV 2017,
        https://arxiv.org/abs/1708.02002, section 3.3 for the prior.
    """

    def __init__(
        self,
        cin: int,
        num_anchors: int,
        num_logits: int,
        nlayers: int = 0,
        *,
        hidden_channels: int = 256,
        background: bool = True,
    ) -> None:
        super().__init__()
        self.num_anchors = num_anchors
        self.num_logits = num_logits
        self.background = background
        self.box_head = _tower(cin, hidden_channels, num_anchors * 4, nlayers)
        self.cls_head = _tower(cin, hidden_channels, num_anchors * num_logits, nlayers)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                _start_small(layer)
        self._set_prior()

    def forward(self, features: Maps) -> tuple[Float[Tensor, "F A 4"], Float[Tensor, "F A K"]]:
        """Predict for every anchor of every level.

        Returns:
            Deltas and logits; anchors in the order level, row, column, anchor of the cell.
        """
        deltas = [_per_anchor(self.box_head(level), 4) for level in features]
        logits = [_per_anchor(self.cls_head(level), self.num_logits) for level in features]
        return torch.cat(deltas, dim=1), torch.cat(logits, dim=1)

    def scores(self, logits: Float[Tensor, "F A K"]) -> Float[Tensor, "F A C"]:
        """Turn logits into a score per class, in [0, 1], without background."""
        return logits.softmax(dim=-1)[..., 1:] if self.background else logits.sigmoid()

    def _set_prior(self) -> None:
        num_classes = self.num_logits - self.background
        odds = BACKGROUND_PRIOR / (1 - BACKGROUND_PRIOR)
        prior = torch.zeros(self.num_anchors, self.num_logits)
        if self.background:
            prior[:, 0] = math.log(num_classes * odds)
        else:
            prior[:] = -math.log(odds)
        self.cls_head[-1].bias = nn.Parameter(prior.flatten())


def _tower(cin: int, hidden: int, cout: int, nlayers: int) -> nn.Sequential:
    convs = [
        ConvLayer(hidden if depth else cin, hidden, norm=False) for depth in range(nlayers + 1)
    ]
    return nn.Sequential(*convs, nn.Conv2d(hidden, cout, 3, padding=1))


def _start_small(layer: nn.Conv2d) -> None:
    nn.init.normal_(layer.weight, std=0.01)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _per_anchor(level: Float[Tensor, "F AN h w"], num_values: int) -> Float[Tensor, "F A N"]:
    """(F, anchors of a cell * values, h, w) -> (F, all anchors of the level, values)."""
    return level.permute(0, 2, 3, 1).reshape(level.shape[0], -1, num_values)
