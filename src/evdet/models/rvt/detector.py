"""RVT and S5-ViT: frames -> boxes, by attention within a frame and memory between frames."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from evdet.boxes import cxcywh_to_xyxy
from evdet.frame_spec import FrameSpec, SelectionThresholds
from evdet.models.compiling import compile_method
from evdet.models.detector import Candidates, Detector
from evdet.models.rvt.backbone import STRIDES, RecurrentTransformer
from evdet.models.rvt.head import DecoupledHead, RVTOutputs
from evdet.models.rvt.loss import rvt_loss
from evdet.models.rvt.neck import PathAggregation
from evdet.models.rvt.sizes import grid_of
from evdet.models.state_space import StepScale
from evdet.shapes import Durations, Frames, Maps, Memory

__all__ = ["RVT", "RVT_PLANS", "S5_VIT_PLANS", "RVTPlan"]


_NUM_HEAD_LEVELS = 3
"""The head reads the stages at strides 8, 16 and 32."""
_HEAD_SHARE = 4
"""Channels of the last stage, as a multiple of those of a branch of the head."""


@dataclass(frozen=True, kw_only=True)
class RVTPlan:
    """The sizes that differ between RVTs."""

    channels: tuple[int, int, int, int]
    """Channels of each stage."""
    head_channels: int
    """Channels of an attention head."""
    num_blocks: int
    """Bottlenecks in each mixing block of the neck."""
    recurrent: Literal["lstm", "s5"] = "lstm"
    """Memory of a stage: that of RVT, or that of S5-ViT, for which a frame has a duration."""


RVT_PLANS = {
    "RVT-Tiny": RVTPlan(channels=(32, 64, 128, 256), head_channels=32, num_blocks=1),
    "RVT-Small": RVTPlan(channels=(48, 96, 192, 384), head_channels=24, num_blocks=1),
    "RVT-Base": RVTPlan(channels=(64, 128, 256, 512), head_channels=32, num_blocks=2),
}
"""The three published sizes of RVT."""
S5_VIT_PLANS = {
    name.replace("RVT", "S5-ViT"): dataclasses.replace(plan, recurrent="s5")
    for name, plan in RVT_PLANS.items()
}
"""S5-ViT-Small and S5-ViT-Base as published, and S5-ViT-Tiny, which is evdet's own."""


class RVT(Detector):
    """Recurrent vision transformer with the neck and the head of YOLOX; RVT or S5-ViT by its plan.

    Args:
        plan: sizes of the network.
        in_channels: channels C of a frame.
        num_classes: classes, without background.
        frame_spec: how its frames are made; None leaves that to the caller.

    Source:
        Gehrig and Scaramuzza, "Recurrent vision transformers for object detection with event
        cameras", CVPR 2023, https://arxiv.org/abs/2212.05598. Zubic et al., "State space models for
        event cameras", CVPR 2024, https://arxiv.org/abs/2402.15584.
    """

    stream_thresholds = SelectionThresholds(score_thresh=0.1, nms_thresh=0.45)
    clip_thresholds = stream_thresholds

    def __init__(
        self,
        plan: RVTPlan,
        in_channels: int,
        num_classes: int,
        frame_spec: FrameSpec | None = None,
    ) -> None:
        super().__init__(frame_spec)
        self.backbone = RecurrentTransformer(
            in_channels,
            plan.channels,
            head_channels=plan.head_channels,
            recurrent=plan.recurrent,
        )
        in_head = plan.channels[-_NUM_HEAD_LEVELS:]
        self.neck = PathAggregation(in_head, num_blocks=plan.num_blocks)
        self.head = DecoupledHead(
            in_head,
            STRIDES[-_NUM_HEAD_LEVELS:],
            num_classes=num_classes,
            hidden_channels=plan.channels[-1] // _HEAD_SHARE,
        )

    @property
    def memory_names(self) -> tuple[str, ...]:
        """The name of each tensor of the memory, in order."""
        return self.backbone.memory_names

    @property
    def num_classes(self) -> int:
        """Classes, without background."""
        return self.head.num_classes

    @property
    def feature_parts(self) -> tuple[nn.Module, ...]:
        """All but the head."""
        return self.backbone, self.neck

    @property
    def class_layers(self) -> tuple[str, ...]:
        """The last layer of each level's class branch."""
        return tuple(
            f"head.levels.{level}.class_logits.{kind}"
            for level in range(_NUM_HEAD_LEVELS)
            for kind in ("weight", "bias")
        )

    def extract(
        self,
        clip: Frames,
        memory: Memory | None = None,
        *,
        step_scale: StepScale | None = None,
    ) -> tuple[Maps, Memory]:
        """Compute the features of every stage, for padded frames.

        Args:
            clip: the next T frames of each of the B lanes, of any size; bytes are counts.
            memory: what the previous call returned; None starts every lane with empty memory.
            step_scale: how long each frame lasts, as a multiple of the training's frames; None:
                1. RVT ignores it, S5-ViT does not.

        Returns:
            A map of each stage, finest first, of F = T·B frames, time-major; and the memory.

        Raises:
            ValueError: the frames are too small, or the memory is of frames of another size.
        """
        height, width = clip.shape[-2:]
        padded, window = grid_of((height, width))
        _check_memory(memory, self.memory_names, padded)
        below, right = padded[0] - height, padded[1] - width
        if below or right:
            clip = functional.pad(clip, (0, right, 0, below))
        dtype = next(self.backbone.parameters()).dtype
        return self.backbone.step(clip.to(dtype), window, memory, step_scale=step_scale)

    @property
    def knows_time(self) -> bool:
        """Whether the memory of its stages does."""
        return self.backbone.knows_time

    def find_candidates(
        self, clip: Frames, memory: Memory | None, *, durations: Durations | None = None
    ) -> tuple[Candidates, Memory]:
        """Give every cell of every frame; see `Detector.find_candidates`.

        A candidate scores above 0 in its most likely class only, and in none where it lies
        outside the frame.
        """
        scale = self.step_scale(durations) if self.knows_time else None
        features, memory = self.extract(clip, memory, step_scale=scale)
        outputs = self._outputs(features)
        boxes = cxcywh_to_xyxy(outputs.boxes_cxcywh)
        class_scores = outputs.class_logits.sigmoid()
        counts = outputs.class_logits >= outputs.class_logits.amax(dim=-1, keepdim=True)
        # Clipping would leave no area of a box that lies in the padding.
        counts = counts & (boxes[..., 0] < clip.shape[-1])[..., None]
        counts = counts & (boxes[..., 1] < clip.shape[-2])[..., None]
        scores = outputs.objectness.sigmoid()[..., None] * class_scores * counts
        return Candidates(boxes, scores, class_scores), memory

    def compute_loss(
        self,
        batch: Mapping[str, Any],
        memory: Memory | None = None,
        *,
        average: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[dict[str, Float[Tensor, ""]], Memory]:
        """Compare the predictions with the labels; see `Detector.compute_loss`.

        The stages read every frame; neck and head read the annotated ones.
        """
        clip = batch["inputs"]
        scale = self.step_scale(batch.get("durations")) if self.knows_time else None
        features, memory = self.extract(clip, memory, step_scale=scale)
        labels = [frame for lanes in batch["labels"] for frame in lanes]
        chosen = _labeled_frames(batch.get("frame_is_labeled"), len(labels))
        # With several processes each must use every weight: without an annotated frame the first
        # frame is read, and enters no loss.
        read = chosen or [0]
        if len(read) < len(labels):
            index = torch.tensor(read).to(clip.device, non_blocking=True)
            features = [maps.index_select(0, index) for maps in features]
        labeled = torch.full((len(read),), bool(chosen), device=clip.device)
        kept = [labels[frame] for frame in chosen] or [labels[0][:0]]
        return rvt_loss(self._outputs(features), kept, labeled, average=average), memory

    def compile_network(self) -> None:
        """Compile backbone, neck and head; see `Detector.compile_network`."""
        compile_method(self.backbone, "step")
        self.neck.compile()
        self.head.compile()

    def _outputs(self, features: Maps) -> RVTOutputs:
        outputs: RVTOutputs = self.head(self.neck(features[-_NUM_HEAD_LEVELS:]))
        return outputs


def _labeled_frames(labeled: Bool[Tensor, "T B"] | None, num_frames: int) -> list[int]:
    if labeled is None:
        return list(range(num_frames))
    found: list[int] = labeled.cpu().flatten().nonzero().flatten().tolist()
    return found


def _check_memory(memory: Memory | None, names: Sequence[str], padded: tuple[int, int]) -> None:
    if memory is None:
        return
    if len(memory) != len(names):
        raise ValueError(f"the memory has {len(memory)} tensors instead of {len(names)}")
    height, width = (stride_cells * STRIDES[0] for stride_cells in memory[0].shape[-2:])
    if (height, width) != padded:
        raise ValueError(
            f"the memory is of frames padded to {height}x{width} (height x width), and these are "
            f"padded to {padded[0]}x{padded[1]}: start with memory None where the size changes"
        )
