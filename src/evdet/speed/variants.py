"""Speed variants: the same detector, made ready for inference in different ways."""

import copy
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from evdet.atomic_file import temporary_folder
from evdet.boxes import clip_boxes
from evdet.detectors import ExportError, Provider, load_onnx
from evdet.export import compare_onnx, export_onnx
from evdet.frame_spec import SelectionThresholds
from evdet.models import Detector, compile_reason, fold_batch_norm, select_detections
from evdet.shapes import ClipDetections, Frames, Memory
from evdet.speed.captured import CapturedCall, CapturedStep, Predict
from evdet.speed.durations import wait_for

__all__ = [
    "DEFAULT_VARIANTS",
    "EAGER",
    "PARTS",
    "Difference",
    "Variant",
    "VariantError",
    "in_half",
    "parts_of",
    "prepare_variant",
]

Step = Callable[[Tensor, Memory | None], tuple[ClipDetections, Memory]]

EAGER = "eager"
"""Plain PyTorch: float32, BatchNorm not folded, weights in the default order."""
PARTS = ("fold", "channels-last", "half", "compile", "graphs")
"""Parts of a variant, joined with + signs, in the order in which they apply. onnx has no parts."""
DEFAULT_VARIANTS = (
    "fold",
    "channels-last",
    "fold+channels-last",
    "fold+channels-last+compile",
    "onnx",
    "fold+channels-last+half",
    "fold+channels-last+graphs",
    "fold+channels-last+half+graphs",
)
"""The variants that `evdet bench` compares by default."""

_ONNX = "onnx"


class VariantError(RuntimeError):
    """A variant cannot be prepared on this machine; the message is one line with the reason."""


class Difference(NamedTuple):
    """Difference of two variants, over all candidates of some time bins."""

    boxes: float
    """Largest difference of a corner inside the frame, in pixels."""
    scores: float
    """Largest difference of a score."""


class Variant(NamedTuple):
    """A prepared variant."""

    name: str
    """Its name."""
    step: Step
    """From a clip and its memory to boxes and memory, with fixed thresholds."""
    difference: Difference
    """Difference from the original detector."""
    seconds: float
    """Seconds to prepare it: copying, exporting, compiling."""


def prepare_variant(
    name: str,
    detector: Detector,
    clips: Sequence[Frames],
    thresholds: SelectionThresholds,
    *,
    providers: Sequence[Provider] = (),
) -> Variant:
    """Prepare a variant of a detector, and compare it with the original.

    Args:
        name: eager, onnx, or any of `PARTS` joined with + signs.
        detector: in evaluation mode, on its device; it is not changed.
        clips: the start of a stream, on the same device; at least one clip, all of one shape.
        thresholds: of the selection.
        providers: of the variant onnx, as `load_onnx` takes them.

    Raises:
        ValueError: the name is unknown.
        VariantError: it cannot be prepared on this machine.
    """
    parts = parts_of(name)
    start = time.perf_counter()
    if _ONNX in parts:
        with temporary_folder() as folder:
            path = folder / "model.onnx"
            step = _export(detector, path, clips[0], thresholds, providers)
            seconds = time.perf_counter() - start
            return Variant(name, step, _compare_export(detector, path, clips), seconds)
    with torch.no_grad():
        step, predict = _prepare(parts, detector, clips[0], thresholds)
        wait_for(clips[0].device)
    seconds = time.perf_counter() - start
    return Variant(name, step, _compare(detector.predict, predict, clips), seconds)


def parts_of(name: str) -> set[str]:
    """Split the name of a variant into its parts.

    Returns:
        Some of `PARTS`, or onnx; empty for plain PyTorch.

    Raises:
        ValueError: the name is unknown.
    """
    parts = set() if name == EAGER else set(name.split("+"))
    unknown = parts - {*PARTS} if parts != {_ONNX} else ()
    if unknown:
        raise ValueError(
            f"unknown variant {name!r}: choose {_ONNX}, or join some of {', '.join(PARTS)} with "
            "+ signs"
        )
    return parts


@torch.inference_mode()
def _compare(one: Predict, other: Predict, clips: Sequence[Frames]) -> Difference:
    memory = other_memory = None
    boxes = scores = 0.0
    for clip in clips:
        size = (clip.shape[-2], clip.shape[-1])
        first_boxes, first_scores, memory = one(clip, memory)
        second_boxes, second_scores, other_memory = other(clip, other_memory)
        apart = (clip_boxes(first_boxes, size) - clip_boxes(second_boxes, size)).abs()
        boxes = max(boxes, float(apart.max()))
        scores = max(scores, float((first_scores - second_scores).abs().max()))
    return Difference(boxes, scores)


def _compare_export(detector: Detector, path: Path, clips: Sequence[Frames]) -> Difference:
    found = compare_onnx(detector, path, [clip[0].numpy() for clip in clips])
    return Difference(found.boxes * max(clips[0].shape[-2:]), found.scores)


def _prepare(
    parts: set[str], detector: Detector, clip: Frames, thresholds: SelectionThresholds
) -> tuple[Step, Predict]:
    on_accelerator = clip.device.type == "cuda"
    for part in ("half", "graphs"):
        if part in parts and not on_accelerator:
            raise VariantError(f"{part} needs an accelerator")
    ready = copy.deepcopy(detector).eval().requires_grad_(False)
    # A configuration may set channels_last; here that is a part of a variant.
    _order_weights(ready, torch.contiguous_format)
    if "fold" in parts:
        ready = fold_batch_norm(ready, lambda model: model.predict(clip)).requires_grad_(False)
    if "channels-last" in parts:
        _order_weights(ready, torch.channels_last)
    predict: Predict = ready.predict
    if "half" in parts:
        predict = in_half(ready)
    if "compile" in parts:
        predict = _compile(predict, clip)
    if "graphs" in parts:
        return _capture(predict, clip, thresholds)
    return partial(_step, predict, thresholds), predict


def _order_weights(detector: Detector, order: torch.memory_format) -> None:
    for weight in detector.parameters():
        if weight.dim() == 4:
            weight.data = weight.data.contiguous(memory_format=order)


def in_half(detector: Detector) -> Predict:
    """Convert a detector to float16; boxes and scores are in float32.

    Returns:
        Its `predict`, for clips of any type; the memory is in float16.
    """
    detector.half()

    def predict(clip: Tensor, memory: Memory | None) -> tuple[Tensor, Tensor, Memory]:
        boxes, scores, memory = detector.predict(clip.half(), memory)
        return boxes.float(), scores.float(), memory

    return predict


def _compile(predict: Predict, clip: Frames) -> Predict:
    compiled: Predict = torch.compile(predict, dynamic=False)
    try:
        # The first call compiles, and the first call with a memory again. The result is for the
        # current grad mode, and all measurements run in inference mode.
        with torch.inference_mode():
            memory = compiled(clip, None)[2]
            compiled(clip, memory)
    except RuntimeError as error:
        raise VariantError(f"torch.compile fails: {compile_reason(error)}") from error
    return compiled


def _capture(
    predict: Predict, clip: Frames, thresholds: SelectionThresholds
) -> tuple[Step, Predict]:
    def body(frames: Tensor, memory: Memory) -> tuple[tuple[Tensor, ...], Memory]:
        boxes, scores, new = predict(frames, memory)
        return (boxes, scores), new

    try:
        step = CapturedStep(predict, clip, thresholds)
        call = CapturedCall(body, clip, predict(clip, None)[2])
    except RuntimeError as error:
        raise VariantError(f"no CUDA graph can be captured: {compile_reason(error)}") from error

    def replay(frames: Tensor, memory: Memory | None) -> tuple[Tensor, Tensor, Memory]:
        (boxes, scores), new = call(frames, memory)
        return boxes, scores, new

    return step, replay


def _step(
    predict: Predict, thresholds: SelectionThresholds, clip: Tensor, memory: Memory | None
) -> tuple[ClipDetections, Memory]:
    boxes, scores, memory = predict(clip, memory)
    return select_detections(boxes, scores, clip, thresholds), memory


def _export(
    detector: Detector,
    path: Path,
    clip: Frames,
    thresholds: SelectionThresholds,
    providers: Sequence[Provider],
) -> Step:
    if clip.device.type != "cpu":
        raise VariantError("onnx runs on the CPU only: use --device cpu")
    try:
        export_onnx(detector, path, fixed_shape=True)
        # The same number of threads as all other variants.
        session = load_onnx(path, num_threads=torch.get_num_threads(), providers=providers)
    except ExportError as error:
        raise VariantError(str(error)) from error
    return partial(session.step, thresholds=thresholds)
