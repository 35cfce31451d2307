"""An exported model -> the same with convolutions and matrix products in 8 bits.

The memory stays in float32: its inputs and outputs, and every operator between the memory before a
time bin and the same memory after it. Rounding there would add up from time bin to time bin.
"""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from evdet.atomic_file import replacing, temporary_folder
from evdet.detectors import (
    FRAME,
    ExportError,
    OnnxDetector,
    check_libraries,
    load_onnx,
    memory_input,
    memory_output,
    open_session,
)

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["Drift", "Quantized", "compare_drift", "quantize_onnx"]

Frame = Float32[np.ndarray, "B C H W"]

_OPERATORS = ("Conv", "MatMul", "Gemm")
_IOU = 0.5


class Quantized(NamedTuple):
    """A model in 8 bits."""

    path: Path
    """The file."""
    num_bytes: int
    """Its size."""
    num_quantized: int
    """Convolutions and matrix products in 8 bits."""
    num_float: int
    """Those that stay in float32."""


class Drift(NamedTuple):
    """How far a model in 8 bits is from float32 after some time, each on its own memory."""

    time_bin: int
    """Number of time bins so far."""
    memory: float
    """Root mean square of the difference in memory, as a share of that of the memory."""
    found: float
    """Share of the boxes of float32, since the last entry, that the other finds, too, in the same
    class with an IoU of 0.5 or more; nan without boxes."""
    num_boxes: int
    """Boxes of float32 since the last entry."""


def quantize_onnx(
    source: str | os.PathLike[str], path: str | os.PathLike[str], frames: Iterable[Frame]
) -> Quantized:
    """Quantise an exported model: weights by channel, activations by the ranges of a recording.

    Args:
        source: a file that `export_onnx` wrote.
        path: the file to write.
        frames: consecutive time bins of recordings like those that the detector will see; the
            memory is carried through them in float32.

    Raises:
        ExportError: a library is missing, there is no frame, or onnxruntime cannot quantise it.
        OSError: the file cannot be written.
    """
    check_libraries("onnx", "onnxruntime")
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    source, path = Path(source), Path(path)
    model = onnx.load(source)
    names = load_onnx(source, num_threads=1).memory_names
    recurrent = _recurrent_nodes(model, names)
    heavy = [node.name for node in model.graph.node if node.op_type in _OPERATORS]
    reader = _Calibration(source, frames)
    if not reader.has_frames:
        raise ExportError("nothing to calibrate with: the recording has no time bin")
    with temporary_folder() as folder, _quiet():
        part = Path(folder) / "int8.onnx"
        try:
            quantize_static(
                model,
                part,
                reader,
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(_OPERATORS),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=[name for name in heavy if name in recurrent],
            )
        except Exception as error:
            # Its errors have no common base class.
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise ExportError(f"onnxruntime cannot quantise {source}: {reason}") from error
        written = onnx.load(part)
    del written.metadata_props[:]
    written.metadata_props.extend(model.metadata_props)
    written.producer_name, written.producer_version = model.producer_name, model.producer_version
    content = written.SerializeToString()
    with replacing(path) as part:
        part.write_bytes(content)
    num_float = sum(name in recurrent for name in heavy)
    return Quantized(path, len(content), len(heavy) - num_float, num_float)


def _recurrent_nodes(model: "ModelProto", names: Sequence[str]) -> set[str]:
    """The nodes that write the memory: all behind the last convolutions or products before it.

    These belong to it, and so does what lies between a tensor of the memory and the same tensor
    after the time bin.
    """
    nodes = list(model.graph.node)
    found: set[str] = set()
    for name in names:
        after, reached = {memory_input(name)}, set()
        for node in nodes:  # in topological order
            # A shape has no value of the memory.
            if node.op_type != "Shape" and after & set(node.input):
                after |= set(node.output)
                reached.add(node.name)
        needed, last = {memory_output(name)}, {memory_output(name)}
        for node in reversed(nodes):
            is_last = bool(last & set(node.output))
            if is_last and node.op_type not in _OPERATORS:
                last |= set(node.input)
            if needed & set(node.output):
                needed |= set(node.input)
            elif not is_last:
                continue
            if is_last or node.name in reached:
                found.add(node.name)
    return found


class _Calibration:
    """Gives the inputs of consecutive time bins, with the memory of float32."""

    def __init__(self, source: Path, frames: Iterable[Frame]) -> None:
        self._detector = load_onnx(source, num_threads=1)
        self._session = open_session(source, source.name)
        self._frames = iter(frames)
        self._next = next(self._frames, None)
        self._memory: tuple[np.ndarray, ...] | None = None

    @property
    def has_frames(self) -> bool:
        """Whether there is a time bin left."""
        return self._next is not None

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The inputs of the next time bin; None after the last."""
        frame, self._next = self._next, next(self._frames, None)
        if frame is None:
            return None
        detector = self._detector
        if self._memory is None:
            self._memory = detector.empty_memory(len(frame), frame.shape[2], frame.shape[3])
        inputs = map(memory_input, detector.memory_names)
        feed = {FRAME: frame, **dict(zip(inputs, self._memory, strict=True))}
        feed |= detector.duration_input(None, len(frame))
        outputs = [memory_output(name) for name in detector.memory_names]
        if outputs:
            self._memory = tuple(self._session.run(outputs, feed))
        return feed


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress onnxruntime's advice; the root logger's level is restored."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def compare_drift(
    reference: OnnxDetector,
    other: OnnxDetector,
    frames: Iterable[Frame],
    *,
    every: int = 1200,
    score_thresh: float = 0.3,
) -> Iterator[Drift]:
    """Play a stream with two models, each on its own memory, and compare them again and again.

    Args:
        reference: in float32.
        other: the same in 8 bits.
        frames: consecutive time bins, all of one shape.
        every: time bins from one entry to the next; the last entry may have fewer.
        score_thresh: boxes of lower scores are not compared.

    Yields:
        The entries, in the order of time.
    """
    memory: Any = None
    same: Any = None
    num_boxes = num_found = count = 0
    for count, frame in enumerate(frames, 1):
        if memory is None:
            memory = same = reference.empty_memory(len(frame), frame.shape[2], frame.shape[3])
        thresholds = reference.frame_spec.thresholds.but(score_thresh=score_thresh)
        wanted, memory = reference.run(frame, memory, thresholds=thresholds)
        given, same = other.run(frame, same, thresholds=thresholds)
        num_boxes += len(wanted.scores)
        num_found += _num_found(wanted, given)
        if count % every == 0:
            yield _drift(count, memory, same, num_boxes, num_found)
            num_boxes = num_found = 0
    if count % every:
        yield _drift(count, memory, same, num_boxes, num_found)


def _num_found(wanted: Any, given: Any) -> int:
    """Boxes of the first that the second has, too."""
    if not len(wanted.scores) or not len(given.scores):
        return 0
    first, second = wanted.boxes[:, None], given.boxes[None]
    low, high = (
        np.maximum(first[..., :2], second[..., :2]),
        np.minimum(first[..., 2:], second[..., 2:]),
    )
    shared = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = [np.prod(one[..., 2:] - one[..., :2], axis=-1) for one in (first, second)]
    iou = shared / np.maximum(areas[0] + areas[1] - shared, 1e-9)
    same = wanted.labels[:, None] == given.labels[None]
    same &= wanted.lanes[:, None] == given.lanes[None]
    return int(((iou >= _IOU) & same).any(axis=1).sum())


def _drift(count: int, memory: Any, same: Any, num_boxes: int, num_found: int) -> Drift:
    difference = sum(float(np.square(a - b).sum()) for a, b in zip(memory, same, strict=True))
    size = sum(float(np.square(a).sum()) for a in memory)
    return Drift(
        time_bin=count,
        memory=float(np.sqrt(difference / size)) if size else 0.0,
        found=num_found / num_boxes if num_boxes else float("nan"),
        num_boxes=num_boxes,
    )
