"""RT-DETR and EvRT-DETR: frames -> boxes by queries, with memory between frames or without."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from evdet.boxes import cxcywh_to_xyxy
from evdet.frame_spec import FrameSpec, SelectionThresholds
from evdet.models.adapter import MemoryAdapter, MemoryCell
from evdet.models.compiling import compile_method
from evdet.models.detector import Candidates, Detector
from evdet.models.rtdetr.backbone import BACKBONE_STRIDES, ResNetD, ResNetPlan
from evdet.models.rtdetr.decoder import Decoder
from evdet.models.rtdetr.denoising import (
    NoisedQueries,
    draw_noise,
    noise_objects,
    num_noised,
)
from evdet.models.rtdetr.encoder import HybridEncoder
from evdet.models.rtdetr.loss import Terms, loss_terms
from evdet.models.rtdetr.targets import Objects, collect_objects
from evdet.shapes import Durations, Frames, Maps, Memory, Size

__all__ = ["EVRT_DETR_PLANS", "RTDETR", "RT_DETR_PLANS", "RTDETRPlan", "padded_size"]

_SMALLEST = BACKBONE_STRIDES[-1] // 2


@dataclass(frozen=True, kw_only=True)
class RTDETRPlan:
    """The sizes that differ between RT-DETRs."""

    backbone: ResNetPlan
    """Sizes of the backbone."""
    channels: int = 256
    """Channels of every map after the encoder, of a query, and of the memory."""
    expansion: float = 1.0
    """Channels inside the encoder's mixing blocks, as a share of `channels`."""
    num_layers: int = 6
    """Layers of the decoder."""
    num_queries: int = 300
    """Queries, the most boxes that a frame can have."""
    num_noised: int = 100
    """Objects of a frame from which noised queries are made in training, about; 0 makes none."""
    memory: MemoryCell | None = None
    """Memory between encoder and decoder; None: every frame by itself."""


_R18 = ResNetPlan(num_blocks=(2, 2, 2, 2))
_R50 = ResNetPlan(num_blocks=(3, 4, 6, 3), has_bottlenecks=True)
RT_DETR_PLANS = {
    "RT-DETR-Nano": RTDETRPlan(
        backbone=ResNetPlan(num_blocks=(1, 1, 1, 1), width=16),
        channels=64,
        expansion=0.5,
        num_layers=2,
        num_queries=50,
        num_noised=20,
    ),
    "RT-DETR-R18": RTDETRPlan(backbone=_R18, expansion=0.5, num_layers=3),
    "RT-DETR-R50": RTDETRPlan(backbone=_R50),
}
"""Without memory: the two published sizes, and a small one of evdet's own for two CPU cores."""
EVRT_DETR_PLANS = {
    f"Ev{name}": dataclasses.replace(plan, memory="lstm") for name, plan in RT_DETR_PLANS.items()
}
"""The same with the memory of EvRT-DETR."""


class RTDETR(Detector):
    """Detection transformer without anchors and suppression; a memory adapter makes it EvRT-DETR.

    Args:
        plan: sizes of the network, and its memory.
        in_channels: channels C of a frame.
        num_classes: classes, without background.
        frame_spec: how its frames are made; None leaves that to the caller.

    Source:
        Zhao et al., "DETRs beat YOLOs on real-time object detection", CVPR 2024,
        https://arxiv.org/abs/2304.08069. Torbunov et al., "EvRT-DETR: latent space adaptation of
        image detectors for event-based vision", ICCV 2025, https://arxiv.org/abs/2412.02890.
    """

    # Queries compete with each other: there is nothing to suppress.
    stream_thresholds = SelectionThresholds(score_thresh=0.05, nms_thresh=1.0, max_boxes=300)
    clip_thresholds = stream_thresholds

    def __init__(
        self,
        plan: RTDETRPlan,
        in_channels: int,
        num_classes: int,
        frame_spec: FrameSpec | None = None,
    ) -> None:
        super().__init__(frame_spec)
        self._keeps_statistics = False
        self.plan = plan
        self.backbone = ResNetD(in_channels, plan.backbone)
        self.encoder = HybridEncoder(
            plan.backbone.channels, plan.channels, expansion=plan.expansion
        )
        self.decoder = Decoder(
            plan.channels, num_classes, num_layers=plan.num_layers, num_queries=plan.num_queries
        )
        # Last, so that the other parts begin as those of the detector of single frames.
        levels = [plan.channels] * len(BACKBONE_STRIDES)
        self.adapter = None if plan.memory is None else MemoryAdapter(levels, plan.memory)

    @property
    def memory_names(self) -> tuple[str, ...]:
        """The name of each tensor of the memory, in order; none without an adapter."""
        return () if self.adapter is None else self.adapter.memory_names

    @property
    def knows_time(self) -> bool:
        """Whether the cells of its adapter do."""
        return self.adapter is not None and self.adapter.knows_time

    @property
    def num_classes(self) -> int:
        """Classes, without background."""
        return self.decoder.num_classes

    @property
    def feature_parts(self) -> tuple[nn.Module, ...]:
        """Backbone, encoder and memory."""
        parts = (self.backbone, self.encoder)
        return parts if self.adapter is None else (*parts, self.adapter)

    @property
    def class_layers(self) -> tuple[str, ...]:
        """The class heads of every layer and of the tokens."""
        heads = ["choose_class", *(f"class_heads.{i}" for i in range(self.plan.num_layers))]
        return tuple(f"decoder.{head}.{kind}" for head in heads for kind in ("weight", "bias"))

    def extract(
        self,
        clip: Frames,
        memory: Memory | None = None,
        *,
        durations: Durations | None = None,
    ) -> tuple[Maps, Memory]:
        """Compute the maps that the decoder reads, for padded frames.

        Args:
            clip: the next T frames of each of the B lanes, of any size; bytes are counts.
            memory: what the previous call returned; None starts every lane with empty memory.
            durations: how long each frame lasts, in microseconds; None: as long as in training.

        Returns:
            Maps at strides 8, 16 and 32 of F = T·B frames, time-major; and the memory.

        Raises:
            ValueError: the frames are too small, or the memory is of frames of another size.
        """
        padded = padded_size((clip.shape[-2], clip.shape[-1]))
        self._check_memory(memory, padded)
        maps = self._maps_of(clip.flatten(0, 1))
        if self.adapter is None:
            return maps, ()
        scale = self.step_scale(durations) if self.knows_time else None
        return self.adapter.step(maps, clip.shape[1], memory, step_scale=scale)

    def find_candidates(
        self, clip: Frames, memory: Memory | None, *, durations: Durations | None = None
    ) -> tuple[Candidates, Memory]:
        """Give every query of every frame; see `Detector.find_candidates`."""
        maps, memory = self.extract(clip, memory, durations=durations)
        found = self.decoder(maps)
        height, width = padded_size((clip.shape[-2], clip.shape[-1]))
        whole = torch.tensor([width, height, width, height], device=clip.device)
        boxes = cxcywh_to_xyxy(found.boxes_cxcywh.float()) * whole
        scores = found.class_logits.float().sigmoid()
        # Clipping would leave no area of a box that lies in the padding.
        inside = (boxes[..., 0] < clip.shape[-1]) & (boxes[..., 1] < clip.shape[-2])
        return Candidates(boxes, scores * inside[..., None], None), memory

    def compute_loss(
        self,
        batch: Mapping[str, Any],
        memory: Memory | None = None,
        *,
        average: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[dict[str, Float[Tensor, ""]], Memory]:
        """Compare the predictions with the labels; see `Detector.compute_loss`.

        Memory reads every frame; the decoder, and without memory the backbone, the annotated ones.
        """
        clip = batch["inputs"]
        labels = [frame for lanes in batch["labels"] for frame in lanes]
        chosen = _labeled_frames(batch.get("frame_is_labeled"), len(labels))
        # With several processes each must use every weight: without an annotated frame the first
        # frame is read, and enters no loss.
        index = torch.tensor(chosen or [0]).to(clip.device, non_blocking=True)
        if self.adapter is None:
            maps, memory = self._maps_of(clip.flatten(0, 1).index_select(0, index)), ()
        else:
            maps, memory = self.extract(clip, memory, durations=batch.get("durations"))
            maps = [level.index_select(0, index) for level in maps]
        size = padded_size((clip.shape[-2], clip.shape[-1]))
        kept = [labels[frame] for frame in chosen] or [labels[0][:0]]
        objects = collect_objects(kept, size, clip.device)
        noised = self._noise(objects) if self.training else None
        terms = loss_terms(self.decoder.predict_all(maps, noised), objects, noised, average=average)
        losses = _named(*terms)
        if noised is None:
            losses["noised_loss"] = losses["noised_loss"] + self._unused()
        share = 1.0 if chosen else 0.0
        return {name: value * share for name, value in losses.items()}, memory

    @property
    def adapter_prefix(self) -> str:
        """How names of the adapter's weights begin."""
        return "" if self.adapter is None else "adapter."

    def train_memory_only(self, *, keep_statistics: bool = False) -> None:
        """Freeze all but the memory; see `Detector.train_memory_only`.

        As published, the statistics of the decoder's normalisation follow the maps that come out of
        the memory, unless `keep_statistics`; backbone and encoder gather none.
        """
        if self.adapter is None:
            raise ValueError(
                "RT-DETR detects in single frames and has no memory to train: take the EvRT-DETR "
                "of the same size, or omit memory_only"
            )
        for part in (self.backbone, self.encoder, self.decoder):
            part.requires_grad_(False)
        self._keeps_statistics = keep_statistics
        self.train(self.training)

    def train(self, mode: bool = True) -> "RTDETR":
        """Switch to training; frozen parts stay in evaluation, as `train_memory_only` says."""
        super().train(mode)
        if self._keeps_statistics:
            self.decoder.eval()
        return self

    def compile_network(self) -> None:
        """Compile backbone, encoder, memory and decoder; see `Detector.compile_network`."""
        self.backbone.compile()
        self.encoder.compile()
        if self.adapter is not None:
            compile_method(self.adapter, "step")
        self.decoder.compile()

    def _maps_of(self, frames: Float[Tensor, "F C H W"] | Tensor) -> Maps:
        height, width = frames.shape[-2:]
        padded = padded_size((height, width))
        below, right = padded[0] - height, padded[1] - width
        if below or right:
            frames = functional.pad(frames, (0, right, 0, below))
        dtype = next(self.backbone.parameters()).dtype
        maps: Maps = self.encoder(self.backbone(frames.to(dtype)))
        return maps

    def _noise(self, objects: Objects) -> NoisedQueries | None:
        most = objects.classes.shape[1]
        groups = num_noised(most, self.plan.num_noised) if self.plan.num_noised else 0
        if not groups:
            return None
        draws = draw_noise(objects, groups, self.num_classes)
        return noise_objects(objects, draws, groups, self.num_classes)

    def _unused(self) -> Float[Tensor, ""]:
        """A zero that hangs on the embedding of noised queries."""
        nothing: Tensor = self.decoder.class_embedding.weight.sum() * 0.0
        return nothing

    def _check_memory(self, memory: Memory | None, padded: Size) -> None:
        if memory is None:
            return
        if len(memory) != len(self.memory_names):
            raise ValueError(
                f"the memory has {len(memory)} tensors instead of {len(self.memory_names)}"
            )
        if not memory:
            return
        height, width = (cells * BACKBONE_STRIDES[0] for cells in memory[0].shape[-2:])
        if (height, width) != padded:
            raise ValueError(
                f"the memory is of frames padded to {height}x{width} (height x width), and these "
                f"are padded to {padded[0]}x{padded[1]}: start with memory None where the size "
                "changes"
            )


def padded_size(size: Size) -> Size:
    """Give the size to which a frame is padded below and right: the next that 32 divides.

    Raises:
        ValueError: the frame is smaller than half a cell: most of it would be padding.
    """
    if min(size) < _SMALLEST:
        raise ValueError(
            f"frames of {size[0]}x{size[1]} (height x width) are too small for RT-DETR, whose "
            f"coarsest map has a cell every {BACKBONE_STRIDES[-1]} pixels: the smallest side is "
            f"{_SMALLEST}"
        )
    coarsest = BACKBONE_STRIDES[-1]
    height, width = (-(-side // coarsest) * coarsest for side in size)
    return height, width


def _named(layers: Terms, chosen: Terms, noised: Terms | None) -> dict[str, Float[Tensor, ""]]:
    """The sums over all layers, by name."""
    cls_loss, loc_loss, iou_loss = (
        many.sum() + one for many, one in zip(layers, chosen, strict=True)
    )
    of_noised = cls_loss * 0.0 if noised is None else torch.stack([*map(torch.sum, noised)]).sum()
    return {
        "cls_loss": cls_loss,
        "loc_loss": loc_loss,
        "iou_loss": iou_loss,
        "noised_loss": of_noised,
    }


def _labeled_frames(labeled: Bool[Tensor, "T B"] | None, num_frames: int) -> Sequence[int]:
    if labeled is None:
        return range(num_frames)
    found: list[int] = labeled.cpu().flatten().nonzero().flatten().tolist()
    return found
