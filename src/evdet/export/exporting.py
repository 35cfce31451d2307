"""A detector -> an .onnx file: frame and memory in, boxes and memory out."""

import copy
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from evdet.atomic_file import replacing
from evdet.detectors import (
    METADATA_KEY,
    ONNX_SUFFIX,
    ExportError,
    ModelMetadata,
    check_libraries,
)
from evdet.export.selection_graph import append_selection
from evdet.export.tracing import memory_parts, trace
from evdet.models import Detector

__all__ = ["Exported", "export_onnx"]


class Exported(NamedTuple):
    """A file that was written."""

    path: Path
    """The file."""
    num_bytes: int
    """Its size."""
    free: tuple[str, ...]
    """Dimensions that may be anything: of batch, height and width."""


def export_onnx(
    detector: Detector,
    path: str | os.PathLike[str],
    *,
    raw_heads: bool = False,
    fixed_shape: bool = False,
) -> Exported:
    """Write a detector as an ONNX model, for runtimes that know nothing of evdet or torch.

    The model reads one time bin at a time: docs/reference/onnx_models.md lists its inputs and
    outputs. Batch and frame size are free where the detector allows it. The two are not compared
    here: `compare_onnx` does that.

    Args:
        detector: with a `frame_spec`; it is left as it is.
        path: file to write.
        raw_heads: give all candidates, decoded but unsorted, and leave the selection out.
        fixed_shape: for one lane and the frame size of the training, for runtimes that plan
            ahead for one shape.

    Returns:
        What was written.

    Raises:
        ExportError: a library is missing, torch cannot do it, or the detector does not say what
            its frames are made of.
        OSError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ONNX_SUFFIX:
        raise ExportError(f"{path} does not end in {ONNX_SUFFIX}, by which exports are known")
    spec = detector.frame_spec
    if spec is None:
        raise ExportError(
            "the detector does not say what its frames are made of: give it a frame_spec"
        )
    if not path.absolute().parent.is_dir():
        raise ExportError(f"there is no folder {path.parent} to write {path.name} in")
    check_libraries("onnx", "onnxscript")
    import onnx

    still = copy.deepcopy(detector).cpu().float().eval()
    memory = memory_parts(still)
    model, free = trace(still, (spec.height, spec.width), memory, fixed_shape=fixed_shape)
    if not raw_heads:
        append_selection(model, spec.thresholds)
    metadata = ModelMetadata(
        evdet_version=version("evdet"),
        raw_heads=raw_heads,
        num_classes=detector.num_classes,
        memory=memory,
        frame_spec=spec,
    )
    _sign(model, metadata)
    onnx.checker.check_model(model)
    content = model.SerializeToString()
    with replacing(path) as part:
        part.write_bytes(content)
    return Exported(path, path.stat().st_size, free)


def _sign(model: Any, metadata: ModelMetadata) -> None:
    model.producer_name = "evdet"
    model.producer_version = metadata.evdet_version
    entry = model.metadata_props.add()
    entry.key = METADATA_KEY
    entry.value = metadata.to_json()
