"""A detector -> ONNX operators for one time bin: frame and memory in, candidates and memory out."""

import contextlib
import copy
import io
import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from evdet.detectors import (
    CANDIDATES,
    DURATION,
    FRAME,
    ExportError,
    MemoryPart,
    memory_input,
    memory_output,
)
from evdet.export.selection_graph import OPSET
from evdet.models import Detector
from evdet.shapes import Size

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["BATCH", "SIZE", "memory_parts", "trace"]

BATCH = "batch"
"""Name of the dimension of lanes, where it is free."""
SIZE = ("height", "width")
"""Names of the dimensions of a frame, where they are free."""

_log = logging.getLogger(__name__)

# Sizes for which no two of the strides below give the same rows and columns.
_PROBES = ((1024, 1536), (1025, 1299), (1537, 2047))
_STRIDES = tuple(1 << power for power in range(10))


def trace(
    detector: Detector,
    size: Size,
    memory: Sequence[MemoryPart],
    *,
    fixed_shape: bool = False,
) -> tuple["ModelProto", tuple[str, ...]]:
    """Trace a detector for one time bin, with as many free dimensions as torch can export.

    Args:
        detector: in evaluation mode, on the CPU.
        size: height and width of a frame, where only one size is possible.
        memory: what `memory_parts` returned for the detector.
        fixed_shape: trace it for one lane and this size in any case.

    Returns:
        The model, with the input `FRAME`, the outputs `CANDIDATES` and the memory's inputs and
        outputs; and the names of its free dimensions.

    Raises:
        ExportError: torch cannot export the detector.
    """
    attempts: list[tuple[str, ...]] = [()]
    if not fixed_shape:
        attempts.insert(0, (BATCH,))
        if all(part.stride for part in memory):
            attempts.insert(0, (BATCH, *SIZE))
    failure: Exception | None = None
    for free in attempts:
        try:
            return _trace(detector, size, memory, free), free
        except Exception as error:  # torch raises many types where a model depends on its sizes
            failure = error
            _log.debug("no export with free %s: %s", free, _first_line(error))
    raise ExportError(
        f"torch {torch.__version__} with onnxscript {version('onnxscript')} cannot export this "
        f"detector: {_first_line(failure)}"
    ) from failure


def memory_parts(detector: Detector) -> tuple[MemoryPart, ...]:
    """Determine the shape of each tensor of a detector's memory for a frame of any size.

    Returns:
        Channels and stride of each; the stride is None where rows and columns follow another rule
        than division by a power of two, rounded up.
    """
    if not detector.memory_names:
        return ()
    spec = detector.frame_spec
    channels = 1 if spec is None else spec.in_channels
    # On the meta device only shapes are computed.
    shape_only = copy.deepcopy(detector).to("meta").eval()
    shapes = []
    for probe in _PROBES:
        frame = torch.empty(1, 1, channels, *probe, device="meta")
        with torch.no_grad():
            shapes.append([tuple(part.shape) for part in shape_only.predict(frame)[2]])
    return tuple(
        MemoryPart(name=name, channels=of_part[0][1], stride=_stride_of(of_part))
        for name, *of_part in zip(detector.memory_names, *shapes, strict=True)
    )


def _stride_of(shapes: Sequence[tuple[int, ...]]) -> int | None:
    for stride in _STRIDES:
        expected = [tuple(math.ceil(side / stride) for side in probe) for probe in _PROBES]
        if [shape[2:] for shape in shapes] == expected:
            return stride
    return None


def _first_line(error: Exception | None) -> str:
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


class _OneTimeBin(nn.Module):
    """The traced computation: tensors in, tensors out, without thresholds."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(
        self, frame: Tensor, memory: tuple[Tensor, ...], duration: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        durations = None if duration is None else duration[None]
        boxes, scores, new = self.detector.predict(frame[None], memory or None, durations=durations)
        return boxes.float(), scores.float(), *(part.contiguous() for part in new)


def _trace(
    detector: Detector, size: Size, parts: Sequence[MemoryPart], free: Sequence[str]
) -> "ModelProto":
    from onnx.inliner import inline_local_functions

    names = detector.memory_names
    spec = detector.frame_spec
    channels = 1 if spec is None else spec.in_channels
    if SIZE[0] in free:
        # At least two cells a side, because torch treats a 1 as fixed. No two sizes are equal.
        coarsest = max([32, *(part.stride or 0 for part in parts)])
        size = (2 * coarsest + 8, 2 * coarsest + 24)
    frame = torch.zeros(2 if BATCH in free else 1, channels, *size)
    with torch.no_grad():
        memory = detector.predict(frame[None])[2]
    axes = {axis: torch.export.Dim.DYNAMIC for axis, name in _axes() if name in free}
    lanes = {axis: dim for axis, dim in axes.items() if axis == 0}
    given: list[Any] = [frame, memory]
    shapes: list[Any] = [axes, tuple(axes for _ in memory)]
    timed = [DURATION] if detector.knows_time else []
    if timed and spec is not None:
        given.append(torch.full((len(frame),), float(spec.delta_t)))
        shapes.append(lanes)
    with _quiet():
        program = torch.export.export(
            _OneTimeBin(detector),
            tuple(given),
            dynamic_shapes=tuple(shapes),
            strict=False,
        )
        written: Any = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=[FRAME, *map(memory_input, names), *timed],
            output_names=[*CANDIDATES, *map(memory_output, names)],
            verbose=False,
        )
        model: ModelProto = written.model_proto
        if model.functions:
            model = inline_local_functions(model)
    _tidy(model, parts)
    return model


def _axes() -> Iterator[tuple[int, str]]:
    """The dimensions that may be free, of a frame and of every tensor of the memory."""
    yield from zip((0, 2, 3), (BATCH, *SIZE), strict=True)


def _tidy(model: Any, memory: Sequence[MemoryPart]) -> None:
    """Name the dimensions, and remove details of the machine that wrote the model."""
    graph = model.graph
    named: dict[str, list[str | None]] = {
        FRAME: [BATCH, None, *SIZE],
        DURATION: [BATCH],
        CANDIDATES[0]: [BATCH, "anchors", None],
        CANDIDATES[1]: [BATCH, "anchors", None],
    }
    for part in memory:
        shape = [BATCH, None, *(f"ceil({side}/{part.stride})" for side in SIZE)]
        named[memory_input(part.name)] = named[memory_output(part.name)] = shape
    for value in [*graph.input, *graph.output]:
        for dim, name in zip(value.type.tensor_type.shape.dim, named[value.name], strict=True):
            if dim.WhichOneof("value") == "dim_param" and name is not None:
                dim.dim_param = name
    # Otherwise inner values keep torch's names for sizes, and nodes the paths of source files.
    del graph.value_info[:]
    for thing in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        thing.ClearField("doc_string")
        if hasattr(thing, "metadata_props"):
            del thing.metadata_props[:]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress torch's progress, advice and deprecation messages."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
