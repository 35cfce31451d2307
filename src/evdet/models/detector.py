"""The contract of every detector: callers do not ask which family it is of."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from evdet.frame_spec import FrameSpec, SelectionThresholds
from evdet.models.class_rows import carry_classes
from evdet.models.overview import detector_html, detector_line
from evdet.models.postprocess import select_detections
from evdet.models.state_space import StepScale
from evdet.shapes import ClipDetections, Durations, Frames, Memory

__all__ = [
    "Candidates",
    "Detector",
    "DetectorProtocol",
    "KnowsTime",
    "check_positive",
    "device_of",
    "step_timed",
    "takes_durations",
]


class Candidates(NamedTuple):
    """What a network predicts for F = T·B frames, time-major, before selection."""

    boxes: Float[Tensor, "F A 4"]
    """x1 y1 x2 y2 in pixels."""
    scores: Float[Tensor, "F A _"]
    """Scores of every class, without background."""
    class_scores: Float[Tensor, "F A _"] | None
    """Scores without the factor of objectness; None where there is no such factor."""


@runtime_checkable
class DetectorProtocol(Protocol):
    """A detector of any family that continues a stream, from a checkpoint or from ONNX."""

    @property
    def frame_spec(self) -> FrameSpec | None:
        """How its frames are made."""

    def step(
        self,
        clip: Float[Tensor, "T B C H W"],
        memory: Any = None,
        *,
        thresholds: SelectionThresholds | None = None,
    ) -> tuple[ClipDetections, Any]:
        """Detect in the next T frames of each of B lanes; see `Detector.step`.

        A detector that knows time is also a `KnowsTime`.
        """


@runtime_checkable
class KnowsTime(Protocol):
    """A detector whose memory may take into account how long a frame lasts."""

    @property
    def knows_time(self) -> bool:
        """Whether it does."""

    def step(
        self,
        clip: Float[Tensor, "T B C H W"],
        memory: Any = None,
        *,
        durations: Durations | None = None,
        thresholds: SelectionThresholds | None = None,
    ) -> tuple[ClipDetections, Any]:
        """Detect in the next T frames of each of B lanes; see `Detector.step`."""


def takes_durations(detector: DetectorProtocol) -> bool:
    """Whether a detector's memory takes into account how long a frame lasts."""
    return isinstance(detector, KnowsTime) and detector.knows_time


def check_positive(durations: Durations) -> None:
    """Refuse frames without a duration.

    Raises:
        ValueError: the message has the shortest.
    """
    if not bool((durations > 0).all()):
        raise ValueError(
            f"a frame must last more than 0 microseconds, got {float(durations.min()):g}"
        )


def step_timed(
    detector: DetectorProtocol,
    clip: Frames,
    memory: Any,
    *,
    durations: Durations | None,
    thresholds: SelectionThresholds,
) -> tuple[ClipDetections, Any]:
    """Continue a stream with a detector that may not know time; see `Detector.step`.

    Args:
        detector: any; one that does not know time need not take durations.
        clip: the next T frames of each of the B lanes.
        memory: what the previous call returned, or None.
        durations: how long each frame lasts, in microseconds; None: as long as in training.
        thresholds: which candidates become detections.
    """
    if isinstance(detector, KnowsTime) and takes_durations(detector):
        return detector.step(clip, memory, durations=durations, thresholds=thresholds)
    return detector.step(clip, memory, thresholds=thresholds)


def device_of(detector: DetectorProtocol) -> torch.device:
    """Get the device of a detector's weights; the CPU for a detector that is not an `nn.Module`."""
    weights = detector.parameters() if isinstance(detector, nn.Module) else iter(())
    weight = next(weights, None)
    return torch.device("cpu") if weight is None else weight.device


class Detector(nn.Module, ABC):
    """A network with memory that finds boxes; a family of them is a subclass.

    Args:
        frame_spec: how its frames are made; None leaves that to the caller.
    """

    stream_thresholds: ClassVar[SelectionThresholds]
    """What `step` selects with unless told otherwise."""
    clip_thresholds: ClassVar[SelectionThresholds]
    """What `get_boxes` selects with unless told otherwise."""

    __repr__ = detector_line
    _repr_html_ = detector_html  # for notebooks

    def __str__(self) -> str:
        """The tree of its layers, as of every `nn.Module`."""
        return nn.Module.__repr__(self)

    def __init__(self, frame_spec: FrameSpec | None) -> None:
        super().__init__()
        self.frame_spec = frame_spec

    @property
    @abstractmethod
    def memory_names(self) -> tuple[str, ...]:
        """The name of each tensor of the memory, in order."""

    @property
    def knows_time(self) -> bool:
        """Whether its memory takes into account how long a frame lasts."""
        return False

    @property
    @abstractmethod
    def num_classes(self) -> int:
        """Classes, without background."""

    @property
    @abstractmethod
    def feature_parts(self) -> tuple[nn.Module, ...]:
        """The parts that do not depend on the classes: `freeze_features` freezes them."""

    @property
    @abstractmethod
    def class_layers(self) -> tuple[str, ...]:
        """The names of the weights that have a row for each class."""

    @property
    def has_background_rows(self) -> bool:
        """Whether the first of these rows is the background's."""
        return False

    @abstractmethod
    def find_candidates(
        self, clip: Frames, memory: Memory | None, *, durations: Durations | None = None
    ) -> tuple[Candidates, Memory]:
        """Give every candidate of every frame, before selection.

        Args:
            clip: the next T frames of each of the B lanes.
            memory: what the previous call returned; None starts every lane with empty memory.
            durations: how long each frame lasts, in microseconds; None: as long as in training. A
                detector that does not know time ignores it.

        Returns:
            The candidates, and the memory.
        """

    @abstractmethod
    def compute_loss(
        self,
        batch: Mapping[str, Any],
        memory: Memory | None = None,
        *,
        average: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[dict[str, Float[Tensor, ""]], Memory]:
        """Compare the predictions for one clip with its labels.

        The features read every frame; frames that are not annotated enter no loss.

        Args:
            batch: `inputs` (T, B, C, H, W), `labels[t][b]` (N, 5) and, where not every frame
                is annotated, `frame_is_labeled` (T, B); where frames do not last as long as
                `frame_spec` says, `durations` (T, B) in microseconds.
            memory: what the previous call returned; None starts every lane with empty memory.
            average: takes the mean of a number over all training processes. The losses are
                then divided by the mean number of positives, and the mean of the gradients
                equals that of one process with all the lanes.

        Returns:
            The losses by name, and the memory, through which gradients still flow.
        """

    @abstractmethod
    def compile_network(self) -> None:
        """Compile the network with torch.compile, each part at its next call.

        Weights keep their names. Matching, loss and selection stay as they are.
        """

    def forward(
        self,
        clip: Frames,
        memory: Memory | None = None,
        *,
        durations: Durations | None = None,
        thresholds: SelectionThresholds | None = None,
    ) -> tuple[ClipDetections, Memory]:
        """Do what `step` does; `detector(clip)` also calls the hooks that are registered on it."""
        return self.step(clip, memory, durations=durations, thresholds=thresholds)

    def step(
        self,
        clip: Frames,
        memory: Memory | None = None,
        *,
        durations: Durations | None = None,
        thresholds: SelectionThresholds | None = None,
    ) -> tuple[ClipDetections, Memory]:
        """Continue a stream: detect in one clip, starting from `memory`.

        Args:
            clip: the next T frames of each of the B lanes.
            memory: what the previous call returned; None starts every lane with empty memory.
            durations: how long each frame lasts, in microseconds; None: as long as in training. A
                detector that does not know time ignores it.
            thresholds: which candidates become detections; None takes `stream_thresholds`.

        Returns:
            `out[t][b]`, a dict of `boxes` (N, 4) x1 y1 x2 y2 in pixels, `labels` (N,) from 1
            and `scores` (N,), best first; some families add `class_scores` (N,), the scores
            without the factor of objectness. And the memory.
        """
        candidates, memory = self.find_candidates(clip, memory, durations=durations)
        found = select_detections(
            candidates.boxes,
            candidates.scores,
            clip,
            self.stream_thresholds if thresholds is None else thresholds,
            class_scores=candidates.class_scores,
        )
        return found, memory

    def predict(
        self, clip: Frames, memory: Memory | None = None, *, durations: Durations | None = None
    ) -> tuple[Float[Tensor, "F A 4"], Float[Tensor, "F A _"], Memory]:
        """Give boxes and scores of every candidate of every frame, before selection.

        Args:
            clip: the next T frames of each of the B lanes.
            memory: what the previous call returned; None starts every lane with empty memory.
            durations: as `step` takes them.

        Returns:
            Boxes x1 y1 x2 y2 in pixels and scores without background of F = T·B frames,
            time-major, and the memory.
        """
        candidates, memory = self.find_candidates(clip, memory, durations=durations)
        return candidates.boxes, candidates.scores, memory

    def get_boxes(
        self,
        clip: Frames,
        *,
        score_thresh: float | None = None,
        nms_thresh: float | None = None,
        max_boxes: int | None = None,
    ) -> ClipDetections:
        """Detect in one clip on its own: `step` from empty memory.

        Args:
            clip: T frames of each of B lanes.
            score_thresh: detections with a lower score are dropped; None takes that of
                `clip_thresholds`, here as for the other two.
            nms_thresh: as in `SelectionThresholds`.
            max_boxes: as in `SelectionThresholds`.

        Returns:
            `out[t][b]` as `step` gives it.
        """
        thresholds = self.clip_thresholds.but(
            score_thresh=score_thresh, nms_thresh=nms_thresh, max_boxes=max_boxes
        )
        return self.step(clip, thresholds=thresholds)[0]

    def weights_for_classes(
        self,
        weights: Mapping[str, Tensor],
        old_classes: Sequence[str],
        class_names: Sequence[str],
    ) -> dict[str, Tensor]:
        """Adapt the weights of a detector that differs from this one in its classes only.

        Args:
            weights: by name, of the other detector.
            old_classes: its classes.
            class_names: the classes of this detector.

        Returns:
            The weights. Rows of shared classes and of the background come from `weights`, rows
            of other classes from this detector.
        """
        background = [None] if self.has_background_rows else []
        return carry_classes(
            self.state_dict(),
            weights,
            self.class_layers,
            [*background, *old_classes],
            [*background, *class_names],
        )

    def step_scale(self, durations: Durations | None) -> StepScale | None:
        """Express durations as multiples of that of the training's frames.

        Raises:
            ValueError: a duration is not positive, or the detector has no `frame_spec`.
        """
        if durations is None:
            return None
        if self.frame_spec is None:
            raise ValueError(
                "durations are compared with those of the training's frames, which this detector "
                "does not state: give it a frame_spec, or leave durations out"
            )
        # On an accelerator the host would wait for the answer, and a traced graph has no answer.
        is_known = durations.device.type == "cpu" and not torch.compiler.is_compiling()
        if is_known:
            check_positive(durations)
        scale: Tensor = durations / self.frame_spec.delta_t
        return scale

    def freeze_features(self) -> None:
        """Freeze the features: no gradients, no new statistics."""
        for part in self.feature_parts:
            part.requires_grad_(False)
        self.train(self.training)

    @property
    def adapter_prefix(self) -> str:
        """How names of weights begin that the same detector without memory lacks; "" for none."""
        return ""

    def train_memory_only(self, *, keep_statistics: bool = False) -> None:
        """Freeze all but a memory adapter: no gradients.

        Args:
            keep_statistics: also keep the statistics of frozen normalisation layers that read what
                comes out of the memory.

        Raises:
            ValueError: the detector has no memory adapter.
        """
        raise ValueError(
            f"{type(self).__name__} has no memory adapter that could be trained alone: take an "
            "EvRT-DETR, or omit memory_only"
        )

    def train(self, mode: bool = True) -> "Detector":
        """Switch to training; frozen features stay in evaluation."""
        super().train(mode)
        for part in self.feature_parts:
            if not any(weight.requires_grad for weight in part.parameters()):
                part.eval()
        return self
