"""Features -> boxes: a few hundred queries, which layer after layer correct their boxes."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from evdet.models.layers import ConvLayer
from evdet.models.rtdetr.attention import DeformableAttention, SelfAttention, Tokens
from evdet.models.rtdetr.denoising import NoisedQueries
from evdet.models.rtdetr.queries import Chosen, anchor_logits, box_logits, perceptron, tokens_of
from evdet.shapes import Maps

__all__ = ["Decoder", "DecoderOutputs", "Predictions"]

_WIDER = 4
_NUM_LEVELS = 3
PRIOR = 0.01
"""The probability that a new decoder gives to every class."""


class Predictions(NamedTuple):
    """Boxes and classes of queries: of one layer (F, N, _), or of several (L, F, N, _)."""

    class_logits: Float[Tensor, "*layers F N C"]
    """A logit for each class, without background."""
    boxes_cxcywh: Float[Tensor, "*layers F N 4"]
    """Centre and size, as shares of the padded frame."""


class DecoderOutputs(NamedTuple):
    """What the decoder gives for training."""

    layers: Predictions
    """Of each layer."""
    chosen: Predictions
    """Of the tokens that became queries, by themselves."""
    noised: Predictions | None
    """Of each layer for the noised queries; None without any."""


class Decoder(nn.Module):
    """The best tokens become queries, which read the maps and each other.

    Args:
        channels: channels D of the maps.
        num_classes: classes C, without background.
        num_layers: layers; each corrects the boxes of the one before.
        num_queries: queries N, the most boxes that a frame can have.

    Source:
        Zhao et al., "DETRs beat YOLOs on real-time object detection", CVPR 2024,
        https://arxiv.org/abs/2304.08069, section 4.3; iterative refinement and the choice of
        queries as in Zhu et al., ICLR 2021, https://arxiv.org/abs/2010.04159.
    """

    def __init__(
        self, channels: int, num_classes: int, *, num_layers: int, num_queries: int
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.num_queries = num_queries
        self.project = nn.ModuleList(
            ConvLayer(channels, channels, 1, bias=False, relu=False) for _ in range(_NUM_LEVELS)
        )
        self.choose = nn.Sequential(nn.Linear(channels, channels), nn.LayerNorm(channels))
        self.choose_class = nn.Linear(channels, num_classes)
        self.choose_box = perceptron(channels, channels, channels, 4)
        self.position = perceptron(4, 2 * channels, channels)
        self.layers = nn.ModuleList(_Layer(channels) for _ in range(num_layers))
        self.class_heads = nn.ModuleList(
            nn.Linear(channels, num_classes) for _ in range(num_layers)
        )
        self.box_heads = nn.ModuleList(
            perceptron(channels, channels, channels, 4) for _ in range(num_layers)
        )
        # The last row is that of the padding in frames with fewer objects than others.
        self.class_embedding = nn.Embedding(num_classes + 1, channels, padding_idx=num_classes)
        self._initialise()

    def _initialise(self) -> None:
        for head in (self.choose_class, *self.class_heads):
            nn.init.constant_(head.get_parameter("bias"), -math.log((1 - PRIOR) / PRIOR))
        for head in (self.choose_box, *self.box_heads):
            last = head.get_submodule("4")
            nn.init.zeros_(last.get_parameter("weight"))
            nn.init.zeros_(last.get_parameter("bias"))
        for name in ("choose.0", "position.0", "position.2"):
            nn.init.xavier_uniform_(self.get_submodule(name).get_parameter("weight"))

    def forward(self, maps: Maps) -> Predictions:
        """Find the boxes of the last layer.

        Args:
            maps: of F frames, finest first.
        """
        tokens = self.read(maps)
        chosen = self.choose_queries(tokens)
        content, boxes = chosen.content, chosen.box_logits.sigmoid()
        for layer, box_head in zip(self.layers, self.box_heads, strict=True):
            content = layer(content, boxes, self.position(boxes), tokens)
            boxes = (box_head(content) + box_logits(boxes)).sigmoid()
        return Predictions(self.class_heads[-1](content), boxes)

    def predict_all(self, maps: Maps, noised: NoisedQueries | None) -> DecoderOutputs:
        """Find the boxes of every layer, with gradients, for training.

        Args:
            maps: of F frames, finest first.
            noised: queries made of the objects, which go in front; None for none.
        """
        tokens = self.read(maps)
        chosen = self.choose_queries(tokens)
        # Queries are a start, not a way to train what chose them.
        content, boxes = chosen.content.detach(), chosen.box_logits.detach().sigmoid()
        hidden, num_noised = None, 0
        if noised is not None:
            num_noised = noised.classes.shape[1]
            content = torch.cat([self.class_embedding(noised.classes), content], dim=1)
            boxes = torch.cat([noised.box_logits.sigmoid(), boxes], dim=1)
            hidden = noised.hides_from(content.shape[1])
        class_logits, found = [], []
        with_gradient = boxes
        for layer, class_head, box_head in zip(
            self.layers, self.class_heads, self.box_heads, strict=True
        ):
            content = layer(content, boxes, self.position(boxes), tokens, hidden)
            class_logits.append(class_head(content))
            change = box_head(content)
            # The loss of a layer reaches the layer before as well, the queries do not.
            found.append((change + box_logits(with_gradient)).sigmoid())
            with_gradient = (change + box_logits(boxes)).sigmoid()
            boxes = with_gradient.detach()
        every = Predictions(torch.stack(class_logits), torch.stack(found))
        return DecoderOutputs(
            Predictions(*(part[:, :, num_noised:] for part in every)),
            Predictions(chosen.class_logits, chosen.box_logits.sigmoid()),
            Predictions(*(part[:, :, :num_noised] for part in every)) if num_noised else None,
        )

    def read(self, maps: Maps) -> Tokens:
        """Project the maps and lay their cells in a row."""
        return tokens_of([layer(level) for layer, level in zip(self.project, maps, strict=True)])

    def choose_queries(self, tokens: Tokens) -> Chosen:
        """Choose the tokens that look most like an object of some class."""
        anchors, counts = anchor_logits(tokens.sizes, tokens.values)
        features = self.choose(tokens.values * counts)
        logits = self.choose_class(features)
        boxes = self.choose_box(features) + anchors
        num = min(self.num_queries, logits.shape[1])
        # In the order of the tokens: rounding may exchange the scores of two.
        index = logits.amax(dim=-1).topk(num, dim=1).indices.sort(dim=1).values
        parts = (
            part.gather(1, index[..., None].expand(-1, -1, part.shape[-1]))
            for part in (features, logits, boxes)
        )
        return Chosen(index, *parts)


class _Layer(nn.Module):
    """Queries read each other, then the maps."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.self_attention = SelfAttention(channels)
        self.norm1 = nn.LayerNorm(channels)
        self.cross_attention = DeformableAttention(channels, _NUM_LEVELS)
        self.norm2 = nn.LayerNorm(channels)
        self.linear1 = nn.Linear(channels, _WIDER * channels)
        self.linear2 = nn.Linear(_WIDER * channels, channels)
        self.norm3 = nn.LayerNorm(channels)

    def forward(
        self,
        queries: Float[Tensor, "F N D"],
        boxes: Float[Tensor, "F N 4"],
        positions: Float[Tensor, "F N D"],
        tokens: Tokens,
        hidden: Bool[Tensor, "N N"] | None = None,
    ) -> Float[Tensor, "F N D"]:
        """Change the queries; `hidden` as in `SelfAttention`."""
        queries = self.norm1(queries + self.self_attention(queries, positions, hidden))
        read = self.cross_attention(queries + positions, boxes, tokens)
        queries = self.norm2(queries + read)
        inside = functional.relu(self.linear1(queries))
        out: Tensor = self.norm3(queries + self.linear2(inside))
        return out
