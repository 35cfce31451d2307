"""Anchor boxes and their box coder: encode ground truth, decode predictions."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from evdet.boxes import cxcywh_to_xyxy, decode_boxes, encode_boxes, pairwise_iou, xyxy_to_cxcywh
from evdet.models.ssd.matcher import IGNORED, MATCHED, match

__all__ = ["COCO_ANCHORS", "DIGIT_ANCHORS", "MNIST_ANCHORS", "PSEE_ANCHORS", "Anchors"]

AnchorList = tuple[tuple[float, float], ...]
"""The anchors of a cell: ratio (width / height), and scale (times the level's base size)."""

PSEE_ANCHORS: AnchorList = (
    (1 / 3, 1.0), (1 / 2, 1.0), (1.0, 1.0), (1.0, 1.5), (2.0, 1.0), (3.0, 1.0),
)  # fmt: skip
"""Six shapes, for road users seen by an event camera."""
COCO_ANCHORS: AnchorList = tuple(
    (ratio, scale) for ratio in (0.5, 1.0, 2.0) for scale in (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
)
"""Three ratios by three scales, for objects of any kind."""
MNIST_ANCHORS: AnchorList = ((1.0, 1.0), (1.0, 1.5))
"""Squares of two sizes, for digits."""
DIGIT_ANCHORS: AnchorList = ((0.7, 0.6), (0.7, 0.85), (0.7, 1.2))
"""The median shape of a digit in three sizes, for digits from 20 pixels a side."""

_FIRST_STRIDE = 8
_FIRST_SIZE = 32


class Anchors:
    """Reference boxes at every cell of every feature map; holds no tensors.

    Level l has stride 8·2^l pixels and base size 32·2^l pixels, for any frame size.

    Args:
        num_levels: number of feature maps.
        variances: units of the deltas of centre and of size, as in `evdet.boxes.encode_boxes`.
        anchor_list: ratio and scale of the anchors of a cell.
    """

    def __init__(
        self,
        num_levels: int = 5,
        variances: Sequence[float | int] = (0.1, 0.2),
        anchor_list: Sequence[tuple[float, float]] = PSEE_ANCHORS,
    ) -> None:
        centre, size = variances
        self.num_levels = num_levels
        self.variances = (float(centre), float(size))
        self.anchor_list = tuple(anchor_list)

    @property
    def num_anchors(self) -> int:
        """Anchors of a cell."""
        return len(self.anchor_list)

    def __call__(
        self, features: Sequence[Float[Tensor, "F C _ _"]], x: Shaped[Tensor, "... H W"]
    ) -> Float[Tensor, "A 4"]:
        """Lay out the anchors of a frame, in the order level, row, column, anchor.

        Args:
            features: one map per level; only their sizes and their device matter.
            x: the frames; only their height and width matter.

        Returns:
            Anchors as centre x, centre y, width, height in pixels.

        Raises:
            ValueError: the number of maps, or the size of one, does not fit the frames.
        """
        self._check(features, x)
        device = features[0].device
        # Filled, not copied from the host: a copy would make the host wait for the accelerator.
        shapes = torch.stack(
            [
                torch.full((), side, device=device)
                for ratio, scale in self.anchor_list
                for side in (scale * ratio**0.5, scale / ratio**0.5)
            ]
        ).view(-1, 2)
        return torch.cat(
            [_level_anchors(level, fmap, shapes) for level, fmap in enumerate(features)]
        )

    @torch.no_grad()
    def encode(
        self,
        features: Sequence[Float[Tensor, "F C _ _"]],
        x: Shaped[Tensor, "... H W"],
        targets: Sequence[Float[Tensor, "_ 5"]],
        labeled: Bool[Tensor, " F"] | None = None,
    ) -> dict[str, Float[Tensor, "F A 4"] | Int[Tensor, "F A"]]:
        """Encode the ground truth of all frames as the targets of each anchor.

        Args:
            features: one map per level, as given to the head.
            x: the frames; only their height and width matter.
            targets: rows x1 y1 x2 y2 label for each of the F frames.
            labeled: annotated frames; the others enter no loss. None means all.

        Returns:
            `loc`: deltas, 0 where there is no object. `cls`: the class from 1, 0 for
            background, -1 for ignored.

        Raises:
            ValueError: the number of targets is not the number of frames.
        """
        num_frames = len(features[0])
        if len(targets) != num_frames:
            raise ValueError(
                f"{len(targets)} targets for {num_frames} frames: give one tensor of boxes per "
                "frame, in the order of the features (all lanes of a time bin, then the next)"
            )
        anchors = self(features, x)
        # Padding is all zeros: a box without area overlaps nothing, so it claims no anchor.
        objects = pad_sequence(list(targets), batch_first=True)
        objects = objects.to(anchors.device, anchors.dtype, non_blocking=True)
        ious = pairwise_iou(objects[..., :4], cxcywh_to_xyxy(anchors)[None])
        matched, state = match(ious)
        if labeled is not None:
            labeled = labeled.to(anchors.device, non_blocking=True)
            state = torch.where(labeled[:, None], state, IGNORED)
        if objects.shape[1] == 0:
            return {"loc": anchors.new_zeros(num_frames, *anchors.shape), "cls": state}
        positive = state == MATCHED
        own = objects.gather(1, matched[..., None].expand(-1, -1, 5))
        deltas = encode_boxes(xyxy_to_cxcywh(own[..., :4]), anchors[None], self.variances)
        return {
            # Deltas towards padding are infinite, which a masked loss would turn into NaN.
            "loc": deltas.masked_fill(~positive[..., None], 0),
            "cls": torch.where(positive, own[..., 4].long(), state),
        }

    def decode(
        self,
        features: Sequence[Float[Tensor, "F C _ _"]],
        x: Shaped[Tensor, "... H W"],
        deltas: Float[Tensor, "F A 4"],
    ) -> Float[Tensor, "F A 4"]:
        """Apply the head's deltas to the anchors.

        Args:
            features: one map per level, as given to the head.
            x: the frames; only their height and width matter.
            deltas: of each anchor.

        Returns:
            Boxes as x1 y1 x2 y2, in float32 whatever the network's precision; not clipped.
        """
        return decode_boxes(deltas.float(), self(features, x)[None], self.variances)

    def _check(self, features: Sequence[Tensor], x: Tensor) -> None:
        if len(features) != self.num_levels:
            raise ValueError(f"{len(features)} feature maps for {self.num_levels} levels")
        height, width = x.shape[-2:]
        for level, fmap in enumerate(features):
            h, w = fmap.shape[-2:]
            stride = _FIRST_STRIDE << level
            if abs(h * stride - height) >= stride or abs(w * stride - width) >= stride:
                raise ValueError(
                    f"level {level} has stride {stride}, but its map is {h}x{w} for frames of "
                    f"{height}x{width} (height x width)"
                )


def _level_anchors(
    level: int, fmap: Float[Tensor, "F C h w"], shapes: Float[Tensor, "n 2"]
) -> Float[Tensor, "h*w*n 4"]:
    height, width = fmap.shape[-2:]
    y, x = (
        (torch.arange(num, device=fmap.device) + 0.5) * (_FIRST_STRIDE << level)
        for num in (height, width)
    )
    # Stacked from views, not filled in place: an exporter writes that as a few operators.
    cells = (height, width, len(shapes))
    centre_x, centre_y = x[:, None].expand(cells), y[:, None, None].expand(cells)
    w, h = (side.expand(cells) for side in (shapes * (_FIRST_SIZE << level)).unbind(1))
    return torch.stack([centre_x, centre_y, w, h], dim=-1).view(-1, 4)
