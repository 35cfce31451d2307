"""Frames -> boxes: the single-shot detector, from its parts."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor, nn

from evdet.frame_spec import FrameSpec, SelectionThresholds
from evdet.models.compiling import compile_method
from evdet.models.detector import Candidates, Detector
from evdet.models.ssd.anchors import Anchors
from evdet.models.ssd.feature_extractors import FeatureExtractor, RecurrentPyramid
from evdet.models.ssd.heads import BoxHead
from evdet.models.ssd.losses import DetectionLoss
from evdet.shapes import Durations, Frames, Memory

__all__ = ["SSD"]


class SSD(Detector):
    """Single-shot detector with recurrent features.

    Args:
        feature_extractor: frames -> `levels` maps of `cout` channels, with memory.
        anchors: the anchor boxes, and their box coder.
        head: maps -> deltas and logits per anchor.
        criterion: the loss; for both it and the head, logit 0 is background, or for neither.
        frame_spec: how its frames are made; None leaves that to the caller.

    Raises:
        ValueError: the parts do not fit each other.

    Source:
        Liu et al., "SSD: single shot multibox detector", ECCV 2016,
        https://arxiv.org/abs/1512.02325; with the recurrent features of Perot et al.,
        NeurIPS 2020, https://arxiv.org/abs/2009.13436.
    """

    stream_thresholds = SelectionThresholds(score_thresh=0.05, nms_thresh=0.6)
    clip_thresholds = SelectionThresholds(score_thresh=0.4, nms_thresh=0.6)

    def __init__(
        self,
        feature_extractor: FeatureExtractor,
        anchors: Anchors,
        head: BoxHead,
        criterion: DetectionLoss,
        frame_spec: FrameSpec | None = None,
    ) -> None:
        super().__init__(frame_spec)
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

    @property
    def memory_names(self) -> tuple[str, ...]:
        """The name of each tensor of the memory, in order."""
        return self.feature_extractor.memory_names

    @property
    def num_classes(self) -> int:
        """Classes, without background."""
        return self.head.num_logits - self.head.background

    @property
    def feature_parts(self) -> tuple[nn.Module, ...]:
        """The feature extractor."""
        return (self.get_submodule("feature_extractor"),)

    @property
    def class_layers(self) -> tuple[str, ...]:
        """The head's last layer."""
        last = f"head.cls_head.{len(self.head.cls_head) - 1}"
        return f"{last}.weight", f"{last}.bias"

    @property
    def has_background_rows(self) -> bool:
        """Whether the loss has a background class."""
        return self.criterion.has_background

    @property
    def knows_time(self) -> bool:
        """Whether the memory of its feature extractor does."""
        extractor = self.feature_extractor
        return isinstance(extractor, RecurrentPyramid) and extractor.knows_time

    def find_candidates(
        self, clip: Frames, memory: Memory | None, *, durations: Durations | None = None
    ) -> tuple[Candidates, Memory]:
        """Give every anchor of every frame; see `Detector.find_candidates`."""
        features, memory = self._extract(clip, memory, durations)
        deltas, logits = self.head(features)
        boxes = self.anchors.decode(features, clip, deltas)
        return Candidates(boxes, self.head.scores(logits), None), memory

    def compute_loss(
        self,
        batch: Mapping[str, Any],
        memory: Memory | None = None,
        *,
        average: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[dict[str, Float[Tensor, ""]], Memory]:
        """Compare the predictions with the labels; see `Detector.compute_loss`."""
        clip, labels = batch["inputs"], batch["labels"]
        features, memory = self._extract(clip, memory, batch.get("durations"))
        deltas, logits = self.head(features)
        targets = self.anchors.encode(
            features, clip, _flat(labels), _flat_mask(batch.get("frame_is_labeled"), clip)
        )
        num_positives = (targets["cls"] > 0).sum().float()
        if average is not None:
            num_positives = average(num_positives)
        losses = self.criterion(
            deltas,
            targets["loc"],
            logits,
            targets["cls"],
            num_positives=num_positives.clamp(min=1),
        )
        return losses, memory

    def _extract(
        self, clip: Frames, memory: Memory | None, durations: Durations | None
    ) -> tuple[list[Float[Tensor, "F D _ _"]], Memory]:
        extractor = self.feature_extractor
        # Extractors that others write need not take a scale.
        if not isinstance(extractor, RecurrentPyramid) or not extractor.knows_time:
            return extractor.step(clip, memory)
        return extractor.step(clip, memory, step_scale=self.step_scale(durations))

    def compile_network(self) -> None:
        """Compile feature extractor and head; see `Detector.compile_network`."""
        compile_method(self.feature_extractor, "step")
        self.head.compile()


def _flat(labels: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    return [frame for lanes in labels for frame in lanes]


def _flat_mask(labeled: Bool[Tensor, "T B"] | None, clip: Frames) -> Bool[Tensor, " F"] | None:
    return None if labeled is None else labeled.to(clip.device).flatten()
