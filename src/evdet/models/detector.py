"""Frames -> boxes: the stages of a single-shot detector, in order."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor, nn

from evdet.models.anchors import Anchors
from evdet.models.class_rows import carry_classes
from evdet.models.compiling import compile_method
from evdet.models.feature_extractors import FeatureExtractor
from evdet.models.frame_spec import FrameSpec
from evdet.models.heads import BoxHead
from evdet.models.losses import DetectionLoss
from evdet.models.postprocess import select_boxes, to_detections

__all__ = ["Detector"]

Clip = Float[Tensor, "T B C H W"]
Memory = tuple[Float[Tensor, "B _ _ _"], ...]
Detections = list[list[dict[str, Tensor]]]


class Detector(nn.Module):
    """Single-shot detector with recurrent features.

    Args:
        feature_extractor: frames -> `levels` maps of `cout` channels, with memory.
        anchors: the reference boxes, and the code between them and boxes.
        head: maps -> corrections and logits per anchor.
        criterion: the loss; it and the head agree on whether logit 0 is background.
        frame_spec: what its frames are made of; None leaves that to the caller.

    Raises:
        ValueError: the parts do not fit each other.

    Source:
        Liu et al., "SSD: single shot multibox detector", ECCV 2016,
        https://arxiv.org/abs/1512.02325; with the recurrent features of Perot et al.,
        NeurIPS 2020, https://arxiv.org/abs/2009.13436.
    """

    def __init__(
        self,
        feature_extractor: FeatureExtractor,
        anchors: Anchors,
        head: BoxHead,
        criterion: DetectionLoss,
        frame_spec: FrameSpec | None = None,
    ) -> None:
        super().__init__()
        if head.background != criterion.has_background:
            raise ValueError(
                f"the head has {'a' if head.background else 'no'} background logit, "
                f"which the loss {criterion.name} does not expect"
            )
        if head.num_anchors != anchors.num_anchors:
            raise ValueError(
                f"the head predicts {head.num_anchors} anchors per cell, but there are "
                f"{anchors.num_anchors}"
            )
        self.feature_extractor = feature_extractor
        self.anchors = anchors
        self.head = head
        self.criterion = criterion
        self.frame_spec = frame_spec

    @property
    def memory_names(self) -> tuple[str, ...]:
        """The name of each tensor of the memory, in order."""
        return self.feature_extractor.memory_names

    @property
    def num_classes(self) -> int:
        """Classes, without background."""
        return self.head.num_logits - self.head.background

    def step(
        self,
        clip: Clip,
        memory: Memory | None = None,
        *,
        score_thresh: float = 0.05,
        nms_thresh: float = 0.6,
        max_boxes: int = 500,
    ) -> tuple[Detections, Memory]:
        """Continue a stream: detect in one clip, starting from `memory`.

        Args:
            clip: the next T frames of each of the B lanes.
            memory: what the previous call returned; None starts every lane anew.
            score_thresh: detections with a lower score are dropped.
            nms_thresh: of two boxes of a class with a higher IoU the better one stays.
            max_boxes: candidates of a frame that enter non-maximum suppression.

        Returns:
            `out[t][b]`, a dict of `boxes` (N, 4) x1 y1 x2 y2 in pixels, `labels` (N,) from 1
            and `scores` (N,), best first; and the memory.
        """
        boxes, scores, memory = self.predict(clip, memory)
        selection = select_boxes(
            boxes,
            scores,
            (clip.shape[-2], clip.shape[-1]),
            score_thresh=score_thresh,
            nms_thresh=nms_thresh,
            max_boxes=max_boxes,
        )
        return to_detections(selection, clip.shape[1]), memory

    def predict(
        self, clip: Clip, memory: Memory | None = None
    ) -> tuple[Float[Tensor, "F A 4"], Float[Tensor, "F A _"], Memory]:
        """Give every candidate of every frame, before selection.

        Args:
            clip: the next T frames of each of the B lanes.
            memory: what the previous call returned; None starts every lane anew.

        Returns:
            Boxes x1 y1 x2 y2 in pixels and scores without background of F = T·B frames,
            time-major, and the memory.
        """
        features, memory = self.feature_extractor.step(clip, memory)
        corrections, logits = self.head(features)
        return self.anchors.decode(features, clip, corrections), self.head.scores(logits), memory

    def get_boxes(
        self,
        clip: Clip,
        *,
        score_thresh: float = 0.4,
        nms_thresh: float = 0.6,
        max_boxes: int = 500,
    ) -> Detections:
        """Detect in one clip on its own: `step` from empty memory.

        Args:
            clip: T frames of each of B lanes.
            score_thresh: detections with a lower score are dropped.
            nms_thresh: of two boxes of a class with a higher IoU the better one stays.
            max_boxes: candidates of a frame that enter non-maximum suppression.

        Returns:
            `out[t][b]` as `step` gives it.
        """
        return self.step(
            clip, score_thresh=score_thresh, nms_thresh=nms_thresh, max_boxes=max_boxes
        )[0]

    def compute_loss(
        self,
        batch: Mapping[str, Any],
        memory: Memory | None = None,
        *,
        average: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[dict[str, Float[Tensor, ""]], Memory]:
        """Compare the predictions for one clip with its labels.

        The features read every frame; frames that nobody labelled enter no loss.

        Args:
            batch: `inputs` (T, B, C, H, W), `labels[t][b]` (N, 5) and, where not every frame
                is labelled, `frame_is_labeled` (T, B).
            memory: what the previous call returned; None starts every lane anew.
            average: takes the mean of a number over all processes, where several train
                together; the losses are then divided by the mean number of positives, and
                the mean of the gradients is that of one process with all the lanes.

        Returns:
            The losses by name, and the memory, through which gradients still flow.
        """
        clip, labels = batch["inputs"], batch["labels"]
        features, memory = self.feature_extractor.step(clip, memory)
        corrections, logits = self.head(features)
        targets = self.anchors.encode(
            features, clip, _flat(labels), _flat_mask(batch.get("frame_is_labeled"), clip)
        )
        num_positives = (targets["cls"] > 0).sum().float()
        if average is not None:
            num_positives = average(num_positives)
        losses = self.criterion(
            corrections,
            targets["loc"],
            logits,
            targets["cls"],
            num_positives=num_positives.clamp(min=1),
        )
        return losses, memory

    def weights_for_classes(
        self,
        weights: Mapping[str, Tensor],
        old_classes: Sequence[str],
        class_names: Sequence[str],
    ) -> dict[str, Tensor]:
        """Fit the weights of a detector of the same build that knows other classes to this one.

        Args:
            weights: by name, of the other detector.
            old_classes: its classes.
            class_names: the classes of this one.

        Returns:
            The same with the logits of the classes that both know, and of the background; the
            other classes' logits are those that this detector has now.
        """
        background = [None] if self.criterion.has_background else []
        last_layer = f"head.cls_head.{len(self.head.cls_head) - 1}"
        return carry_classes(
            self.state_dict(),
            weights,
            [f"{last_layer}.weight", f"{last_layer}.bias"],
            [*background, *old_classes],
            [*background, *class_names],
        )

    def freeze_features(self) -> None:
        """Leave the feature extractor as it is from now on: no gradients, no new statistics."""
        for weight in self.feature_extractor.parameters():
            weight.requires_grad_(False)
        self.train(self.training)

    def compile_network(self) -> None:
        """Compile feature extractor and head with torch.compile, each at its next call.

        Weights keep their names. Matching, loss and selection stay as they are.
        """
        compile_method(self.feature_extractor, "step")
        self.head.compile()

    def train(self, mode: bool = True) -> "Detector":
        """Switch to training; a frozen feature extractor stays in evaluation."""
        super().train(mode)
        if not any(weight.requires_grad for weight in self.feature_extractor.parameters()):
            self.feature_extractor.eval()
        return self


def _flat(labels: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    return [frame for lanes in labels for frame in lanes]


def _flat_mask(labeled: Bool[Tensor, "T B"] | None, clip: Clip) -> Bool[Tensor, " F"] | None:
    return None if labeled is None else labeled.to(clip.device).flatten()
