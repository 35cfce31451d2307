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
    """An exported model."""

    path: Path
    """The file."""
    num_bytes: int
    """Its size."""
    free: tuple[str, ...]
    """The free ones of the dimensions batch, height and width."""


def export_onnx(
    detector: Detector,
    path: str | os.PathLike[str],
    *,
    raw_heads: bool = False,
    fixed_shape: bool = False,
    fixed_thresholds: bool = False,
) -> Exported:
    """Write a detector as an ONNX model, for runtimes without evdet and torch.

    The model reads one time bin per call; docs/reference/onnx_models.md lists its inputs and
    outputs. Batch and frame size are free where the detector allows it. `compare_onnx` compares
    the two.

    Args:
        detector: with a `frame_spec`; it is not changed.
        path: file to write.
        raw_heads: output all candidates, decoded but unsorted, without selection.
        fixed_shape: fix one lane and the frame size of the training, for runtimes that optimise
            for one shape.
        fixed_thresholds: make the thresholds constants of the training's values, for runtimes
            without optional inputs.

    Raises:
        ExportError: a library is missing, torch cannot export the detector, or it has no
            `frame_spec`.
        OSError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ONNX_SUFFIX:
        raise ExportError(f"{path} does not end in {ONNX_SUFFIX}, as exported models must")
    spec = detector.frame_spec
    if spec is None:
        raise ExportError("the detector does not say how its frames are made: give it a frame_spec")
    if not path.absolute().parent.is_dir():
        raise ExportError(f"cannot write {path}: the folder {path.parent} does not exist")
    check_libraries("onnx", "onnxscript")
    import onnx

    exported = copy.deepcopy(detector).cpu().float().eval()
    memory = memory_parts(exported)
    model, free = trace(exported, (spec.height, spec.width), memory, fixed_shape=fixed_shape)
    if not raw_heads:
        append_selection(model, spec.thresholds, fixed_thresholds=fixed_thresholds)
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
