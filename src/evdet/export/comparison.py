"""Comparison of an exported model with PyTorch over a stream, each with its own memory."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from evdet.boxes import clip_boxes
from evdet.detectors import (
    CANDIDATES,
    FRAME,
    BinBoxes,
    OnnxDetector,
    check_libraries,
    lanes_joined,
    load_onnx,
    memory_input,
    memory_output,
    open_session,
    runtime_version,
)
from evdet.frame_spec import SelectionThresholds
from evdet.models import select_boxes, to_detections
from evdet.shapes import Size

__all__ = ["TOLERANCE", "Comparison", "GivesCandidates", "compare_onnx", "other_shape"]

Frame = Float32[np.ndarray, "B C H W"]

_PADDING = (12, 20)  # gives a size that no stride divides
TOLERANCE = 1e-4
"""Largest difference that counts as equal."""


@runtime_checkable
class GivesCandidates(Protocol):
    """A detector that can be compared."""

    def predict(
        self, clip: Any, memory: Any = None, *, durations: Any = None
    ) -> tuple[Any, Any, Any]:
        """Give every candidate of every frame; see `Detector.predict`."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The differences between an exported model and PyTorch on a stream."""

    shape: tuple[int, int, int]
    """Lanes, height and width of its frames."""
    num_windows: int
    """Time bins that were compared, with memory from bin to bin."""
    num_detections: int | None
    """Boxes over the detector's own score threshold; None for a model without selection."""
    scores: float
    """Largest difference of a score, over all candidates."""
    boxes: float
    """Largest difference of a corner, over all candidates: pixels inside the frame, as a share of
    its longer side."""
    memory: float
    """Largest difference in a tensor of the memory, as a share of its largest value, or of 1
    where that is larger."""
    versions: str
    """Versions of the two libraries."""
    problem: str | None
    """The first difference over the tolerance; None where there is none."""


class _Difference(NamedTuple):
    what: str
    """scores, boxes or memory."""
    value: float
    where: str


def compare_onnx(
    detector: GivesCandidates,
    path: str | os.PathLike[str],
    frames: Iterable[Frame],
    *,
    tolerance: float = TOLERANCE,
) -> Comparison:
    """Run a detector and its exported model on a stream, and compare all of their outputs.

    All candidates are compared, not only the final boxes, which a difference in the last digit can
    change at a threshold. The selection is compared on the exported model's own candidates, and
    must be equal. In every second time bin the score threshold is 0, so that all candidates enter.
    For a detector that knows time the time bins last differently long.

    Args:
        detector: the exported one, in evaluation mode, on the CPU.
        path: the exported model.
        frames: of consecutive time bins, all of one shape; at least one.
        tolerance: largest difference that counts as equal.

    Raises:
        ExportError: a library is missing, or the file is not an exported detector.
        ValueError: the stream is empty.
    """
    exported = load_onnx(path, num_threads=1)
    run = _open_candidates(exported, Path(path))
    memory: tuple[Tensor, ...] | None = None
    state: tuple[np.ndarray, ...] | None = None
    largest: dict[str, float] = {"scores": 0.0, "boxes": 0.0, "memory": 0.0}
    problems: list[str] = []
    shape, num_windows, num_detections = (0, 0, 0), 0, 0
    for index, frame in enumerate(frames):
        shape = (len(frame), frame.shape[2], frame.shape[3])
        state = exported.empty_memory(*shape) if state is None else state
        usual = exported.frame_spec.thresholds
        # Every second frame with all candidates, and two of four across classes.
        thresholds = usual.but(score_thresh=0.0) if index % 2 else usual
        thresholds = thresholds.but(agnostic=index % 4 >= 2)
        if exported.has_fixed_thresholds:
            thresholds = usual
        lasting = _irregular(exported.frame_spec.delta_t, index, len(frame))
        found = run(frame, state, lasting, thresholds)
        state = tuple(found[memory_output(name)] for name in exported.memory_names)
        with torch.no_grad():
            clip = torch.from_numpy(frame)[None]
            if exported.knows_time:
                durations = torch.from_numpy(lasting)[None]
                expected = detector.predict(clip, memory, durations=durations)
            else:
                expected = detector.predict(clip, memory)
            memory = expected[2]
        for what, value, where in _differences(exported, found, shape[1:], expected):
            largest[what] = float(np.maximum(largest[what], value))  # a nan stays
            if not value <= tolerance:
                problems.append(
                    f"time bin {index}: the {where} differ by {value:.1e}, over {tolerance:.0e}"
                )
        num_windows += 1
        if not exported.raw_heads:
            same, num_found = _compare_selection(exported, found, shape, thresholds)
            num_detections += num_found
            problems += [] if same else [f"time bin {index}: torch selects other boxes"]
    if not num_windows:
        raise ValueError("nothing to compare: the stream is empty")
    return Comparison(
        shape=shape,
        num_windows=num_windows,
        num_detections=None if exported.raw_heads else num_detections,
        scores=largest["scores"],
        boxes=largest["boxes"],
        memory=largest["memory"],
        versions=f"onnxruntime {runtime_version()}, torch {torch.__version__}",
        problem=problems[0] if problems else None,
    )


def other_shape(frames: Iterable[Frame], free: Iterable[str]) -> Iterator[Frame]:
    """Change the shape of frames in the free dimensions of an exported model.

    Args:
        frames: of one lane.
        free: the dimensions that are free.

    Yields:
        Frames with a second, mirrored lane where batch is free, and larger where the size is.
    """
    free = set(free)
    for frame in frames:
        if "batch" in free:
            frame = np.concatenate([frame, frame[..., ::-1]])
        if "height" in free:
            frame = np.pad(frame, [(0, 0), (0, 0), *((0, side) for side in _PADDING)])
        yield np.ascontiguousarray(frame)


def _open_candidates(
    exported: OnnxDetector, path: Path
) -> Callable[
    [Frame, tuple[np.ndarray, ...], Float32[np.ndarray, " B"], SelectionThresholds], dict[str, Any]
]:
    """A function that runs the model for one time bin and gives its candidates as well."""
    content = path.read_bytes()
    results = [*CANDIDATES, *map(memory_output, exported.memory_names)]
    if not exported.raw_heads:
        content = _add_candidate_outputs(content)
        results += exported.result_names
    session = open_session(content, path.name, num_threads=1)
    inputs = [memory_input(name) for name in exported.memory_names]

    def run(
        frame: Frame,
        state: tuple[np.ndarray, ...],
        durations: Float32[np.ndarray, " B"],
        thresholds: SelectionThresholds,
    ) -> dict[str, np.ndarray]:
        feed = {FRAME: frame, **dict(zip(inputs, state, strict=True))}
        feed |= exported.duration_input(durations, len(frame))
        if not exported.raw_heads:
            feed |= exported.threshold_inputs(thresholds)
        return dict(zip(results, session.run(results, feed), strict=True))

    return run


def _irregular(delta_t: int, index: int, num_lanes: int) -> Float32[np.ndarray, " B"]:
    """Durations of a time bin of each lane: as trained, a fifth, twice, ..., each lane another."""
    shares = np.array([1.0, 0.2, 2.0, 0.5, 1.5], np.float32)
    places = (index + np.arange(num_lanes)) % len(shares)
    return np.asarray(delta_t * shares[places], np.float32)


def _add_candidate_outputs(content: bytes) -> bytes:
    """Add the candidates to the outputs of a model with selection."""
    check_libraries("onnx")
    import onnx

    model = onnx.load_from_string(content)
    for name in CANDIDATES:
        value = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        model.graph.output.append(value)
    opened: bytes = model.SerializeToString()
    return opened


def _differences(
    exported: OnnxDetector,
    found: Mapping[str, np.ndarray],
    size: Size,
    expected: tuple[Tensor, Tensor, tuple[Tensor, ...]],
) -> Iterator[_Difference]:
    """The largest difference of the boxes, of the scores and of each tensor of the memory."""
    boxes, scores, memory = expected
    ours, theirs = (
        clip_boxes(each, size) for each in (boxes, torch.from_numpy(found[CANDIDATES[0]]))
    )
    yield _largest("boxes", "candidates' boxes", (ours - theirs) / max(size))
    change = scores - torch.from_numpy(found[CANDIDATES[1]])
    yield _largest("scores", "candidates' scores", change)
    for name, part in zip(exported.memory_names, memory, strict=True):
        change = part - torch.from_numpy(found[memory_output(name)])
        scale = max(1.0, float(part.abs().max()))
        yield _largest("memory", f"values of memory {name}", change / scale)


def _largest(what: str, where: str, change: Tensor) -> _Difference:
    return _Difference(what, float(change.abs().max()), where)


def _compare_selection(
    exported: OnnxDetector,
    found: Mapping[str, np.ndarray],
    shape: tuple[int, int, int],
    thresholds: SelectionThresholds,
) -> tuple[bool, int]:
    """Whether torch selects the same of the model's candidates, and the number of detections."""
    boxes, scores = (torch.from_numpy(found[name]) for name in CANDIDATES)
    selection = select_boxes(boxes, scores, shape[1:], thresholds)
    expected = lanes_joined(to_detections(selection, shape[0])[0])
    given = BinBoxes(*(found[name] for name in exported.result_names))
    same = all(np.array_equal(a, b) for a, b in zip(expected, given, strict=True))
    return same, int((given.scores >= exported.frame_spec.thresholds.score_thresh).sum())
