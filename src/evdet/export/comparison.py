"""An exported model against PyTorch, window after window, each with a memory of its own."""

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
    DETECTIONS,
    FRAME,
    OnnxDetector,
    WindowBoxes,
    check_libraries,
    lanes_joined,
    load_onnx,
    memory_input,
    memory_output,
    open_session,
    runtime_version,
    threshold_arrays,
)
from evdet.models import select_boxes, to_detections
from evdet.shapes import Size

__all__ = ["TOLERANCE", "Comparison", "GivesCandidates", "compare_onnx"]

Frame = Float32[np.ndarray, "B C H W"]

TOLERANCE = 1e-4
"""Largest difference at which the two count as the same."""


@runtime_checkable
class GivesCandidates(Protocol):
    """What a detector needs to be compared."""

    def predict(self, clip: Any, memory: Any = None) -> tuple[Any, Any, Any]:
        """Give every candidate of every frame; see `Detector.predict`."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How far an exported model is from PyTorch on a stream."""

    shape: tuple[int, int, int]
    """Lanes, height and width of its windows."""
    num_windows: int
    """Windows that were played, the memory carried on."""
    num_detections: int | None
    """Boxes over the detector's own score threshold; None where the model selects none."""
    scores: float
    """Largest difference of a score, over all candidates."""
    boxes: float
    """Largest difference of a corner, over all candidates: pixels inside the frame, as a share of
    its longer side."""
    memory: float
    """Largest difference in a tensor of the memory, as a share of its largest value, or of 1
    where that is larger."""
    versions: str
    """Of the libraries that were compared."""
    problem: str | None
    """The first thing that is wrong, and where; None where everything is within the tolerance."""


class _Difference(NamedTuple):
    what: str
    """scores, boxes or memory."""
    value: float
    where: str


def compare_onnx(
    detector: GivesCandidates,
    path: str | os.PathLike[str],
    windows: Iterable[Frame],
    *,
    tolerance: float = TOLERANCE,
) -> Comparison:
    """Play a stream to a detector and to its export, and compare what they say of every window.

    All candidates are compared, not only the boxes that are found: at a threshold the last digit
    would decide. The selection of the boxes is compared on the export's own candidates, and must
    be the same. In every second window the score threshold is 0, so that all of them compete.

    Args:
        detector: what was exported, in evaluation mode, on the CPU.
        path: the exported model.
        windows: consecutive windows, all of one shape; at least one.
        tolerance: largest difference that counts as the same.

    Returns:
        The differences.

    Raises:
        ExportError: a library is missing, or the file is no exported detector.
        ValueError: there is no window.
    """
    exported = load_onnx(path, num_threads=1)
    run = _open_candidates(exported, Path(path))
    memory: tuple[Tensor, ...] | None = None
    state: tuple[np.ndarray, ...] | None = None
    largest: dict[str, float] = {"scores": 0.0, "boxes": 0.0, "memory": 0.0}
    problems: list[str] = []
    shape, num_windows, num_detections = (0, 0, 0), 0, 0
    for number, frame in enumerate(windows):
        shape = (len(frame), frame.shape[2], frame.shape[3])
        state = exported.empty_memory(*shape) if state is None else state
        score_thresh = 0.0 if number % 2 else exported.frame_spec.score_thresh
        found = run(frame, state, score_thresh)
        state = tuple(found[memory_output(name)] for name in exported.memory_names)
        with torch.no_grad():
            expected = detector.predict(torch.from_numpy(frame)[None], memory)
            memory = expected[2]
        for what, value, where in _differences(exported, found, shape[1:], expected):
            largest[what] = float(np.maximum(largest[what], value))  # a nan stays
            if not value <= tolerance:
                problems.append(
                    f"window {number}: the {where} differ by {value:.1e}, over {tolerance:.0e}"
                )
        num_windows += 1
        if not exported.raw_heads:
            same, num_found = _compare_selection(exported, found, shape, score_thresh)
            num_detections += num_found
            problems += [] if same else [f"window {number}: other boxes are selected than by torch"]
    if not num_windows:
        raise ValueError("there is no window to compare: the stream is empty")
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


def _open_candidates(
    exported: OnnxDetector, path: Path
) -> Callable[[Frame, tuple[np.ndarray, ...], float], dict[str, Any]]:
    """Something that runs the model for one window and gives its candidates as well."""
    content = path.read_bytes()
    results = [*CANDIDATES, *map(memory_output, exported.memory_names)]
    if not exported.raw_heads:
        content = _lay_open(content)
        results += DETECTIONS
    session = open_session(content, path.name, num_threads=1)
    inputs = [memory_input(name) for name in exported.memory_names]
    spec = exported.frame_spec

    def run(
        frame: Frame, state: tuple[np.ndarray, ...], score_thresh: float
    ) -> dict[str, np.ndarray]:
        feed = {FRAME: frame, **dict(zip(inputs, state, strict=True))}
        if not exported.raw_heads:
            feed |= threshold_arrays(score_thresh, spec.nms_thresh, spec.max_boxes)
        return dict(zip(results, session.run(results, feed), strict=True))

    return run


def _lay_open(content: bytes) -> bytes:
    """Make the candidates outputs again, beside what is selected of them."""
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
    score_thresh: float,
) -> tuple[bool, int]:
    """Whether torch selects the same of the export's candidates, and how many count."""
    spec = exported.frame_spec
    boxes, scores = (torch.from_numpy(found[name]) for name in CANDIDATES)
    selection = select_boxes(
        boxes,
        scores,
        shape[1:],
        score_thresh=score_thresh,
        nms_thresh=spec.nms_thresh,
        max_boxes=spec.max_boxes,
    )
    expected = lanes_joined(to_detections(selection, shape[0])[0])
    given = WindowBoxes(*(found[name] for name in DETECTIONS))
    same = all(np.array_equal(a, b) for a, b in zip(expected, given, strict=True))
    return same, int((given.scores >= spec.score_thresh).sum())
