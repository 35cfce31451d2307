"""`evdet export`: a checkpoint -> an ONNX model, compared with PyTorch, or a folder of weights."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from evdet.cli.options import (
    Flag,
    ReadingOptions,
    asked_size,
    check_at_least,
    check_writable,
    default,
    named,
)
from evdet.detectors import (
    ONNX_SUFFIX,
    WEIGHTS_SUFFIX,
    ExportError,
    check_libraries,
    load_network,
    load_onnx,
)
from evdet.export import (
    OPSET,
    TOLERANCE,
    Comparison,
    Exported,
    compare_drift,
    compare_onnx,
    export_onnx,
    export_weights,
    other_shape,
    quantize_onnx,
    weights_files,
)
from evdet.frame_spec import FrameSpec
from evdet.outputs import prepare_files, recording_files, run_files
from evdet.samples import find_recording
from evdet.sources import open_frames
from evdet.synthetic import simulated_windows

__all__ = ["ExportOptions", "describe_comparisons", "export"]

_OTHER_TIME_BINS = 3
_CALIBRATION_BINS = 400
_OF_ONNX = (
    "raw_heads", "fixed_shape", "fixed_thresholds", "int8", "calibrate", "source", "sensor_size",
    "reading", "time_bins",
)  # fmt: skip
_HINT = " (--license states another)"


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Export a checkpoint to ONNX and compare the two on a stream, or to weights that travel."""

    checkpoint: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="CHECKPOINT")]]
    """Checkpoint (*.ckpt), run folder, hf://ORG/NAME, or events-digits (bundled)."""
    output: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="OUT")]]
    """File to write: .onnx, or .safetensors with config.json and README.md beside it."""
    license: Annotated[str | None, default("unknown", "ID")] = None
    """Licence of the weights in the README.md, as the Hub spells it, such as apache-2.0."""
    raw_heads: Flag = False
    """Output decoded candidates and scores, without thresholds and non-maximum suppression."""
    fixed_shape: Flag = False
    """Fix the batch size to 1 and the frame size to that of the training."""
    fixed_thresholds: Flag = False
    """Fix the thresholds to those of the training, for runtimes without optional inputs."""
    int8: Flag = False
    """Quantise convolutions and matrix products to 8 bits; memory stays in float32."""
    calibrate: Annotated[Path | None, default("none", "FILE|DIR")] = None
    """Event recording, video or folder of images that --int8 takes the ranges of values from."""
    source: Annotated[Path | None, default("a simulated recording", "FILE|DIR")] = None
    """Event recording, video or folder of images for the comparison."""
    sensor_size: Annotated[str | None, default("as stated in the file", "WxH")] = None
    """Sensor width and height in pixels, such as 346x260."""
    reading: tyro.conf.OmitArgPrefixes[ReadingOptions] = field(default_factory=ReadingOptions)
    """How to read the recording."""
    time_bins: int = 24
    """Number of time bins for the comparison, with the memory carried on."""


def export(options: ExportOptions) -> int:
    """Export, and print what was written; compare an ONNX model with PyTorch.

    Returns:
        The exit status: 1 if the export differs from PyTorch.

    Raises:
        ValueError: an option is out of range.
    """
    if options.output.suffix.lower() == WEIGHTS_SUFFIX:
        _export_weights(options)
        return 0
    check_at_least(1, options, "time_bins")
    if options.license is not None:
        raise ValueError(f"--license is of weights (*{WEIGHTS_SUFFIX}): omit it")
    check_writable(options.output, suffixes=(ONNX_SUFFIX, WEIGHTS_SUFFIX))
    if options.int8 != (options.calibrate is not None):
        raise ValueError(
            "--int8 and --calibrate belong together: name a recording like those that the detector "
            "will see, such as sample"
        )
    if options.raw_heads and options.fixed_thresholds:
        raise ValueError("--raw-heads leaves thresholds out: omit --fixed-thresholds")
    # A file gets its final name after it has passed the comparison.
    unchecked = options.output.with_suffix(f".unchecked{ONNX_SUFFIX}")
    read = [options.checkpoint, *run_files(options.checkpoint), *recording_files(options.source)]
    read += recording_files(options.calibrate)
    prepare_files([options.output], derived=[unchecked], read=read)
    # Before the minute that torch takes.
    check_libraries("onnx", "onnxruntime", "onnxscript")
    detector = load_network(options.checkpoint)
    spec = detector.frame_spec
    if spec is None:
        raise ExportError(f"{options.checkpoint} has no frame specification")
    frames = list(_frames(options, spec))
    if not frames:
        raise ExportError(f"{options.source} has no time bin for the comparison: it is empty")
    calibration = list(_calibration(options, spec))
    if options.int8 and not calibration:
        raise ExportError(f"{options.calibrate} has no time bin to calibrate with: it is empty")
    print(f"{options.output}: exporting, which takes up to a minute", flush=True)
    write = (
        functools.partial(export_onnx, fixed_thresholds=True)
        if options.fixed_thresholds
        else export_onnx
    )
    try:
        exported = write(
            detector, unchecked, raw_heads=options.raw_heads, fixed_shape=options.fixed_shape
        )
        comparisons = [compare_onnx(detector, unchecked, frames)]
        if exported.free:
            others = other_shape(frames[:_OTHER_TIME_BINS], exported.free)
            comparisons.append(compare_onnx(detector, unchecked, others))
    except BaseException:
        unchecked.unlink(missing_ok=True)
        raise
    print("\n".join([*_describe_file(exported), "", *describe_comparisons(comparisons)]))
    problems = [each.problem for each in comparisons if each.problem is not None]
    if problems:
        print(f"differs from PyTorch: {problems[0]}. The model is kept as {unchecked}.")
        return 1
    if options.int8:
        try:
            lines = _quantize(unchecked, options.output, calibration)
        finally:
            unchecked.unlink(missing_ok=True)
        print("\n".join(lines))
        return 0
    unchecked.replace(options.output)
    print(f"equal to PyTorch: {options.output}")
    return 0


def _quantize(source: Path, output: Path, frames: list[np.ndarray]) -> list[str]:
    """Quantise a model that equals PyTorch, and compare the two.

    Returns:
        The lines to print.
    """
    made = quantize_onnx(source, output, frames)
    reference, quantised = (load_onnx(path, num_threads=1) for path in (source, output))
    (drift,) = compare_drift(reference, quantised, frames, every=len(frames))
    return [
        "",
        "float32 is equal to PyTorch; in 8 bits "
        f"{made.num_quantized} of {made.num_quantized + made.num_float} convolutions and products",
        f"  size    {made.num_bytes / 1e6:.1f} MB",
        f"  memory  differs by {drift.memory:.1%} (root mean square) after {drift.time_bin} time "
        "bins",
        f"  boxes   {drift.found:.1%} of {drift.num_boxes:,} with a score of 0.3 are found again "
        "(IoU 0.5)",
        f"written: {output}; compare its accuracy with evdet evaluate {output}",
    ]


def _export_weights(options: ExportOptions) -> None:
    """Write weights, configuration and card, and list them.

    Raises:
        ValueError: an option is of ONNX models.
    """
    standard = {
        field.name: field.default_factory() if callable(field.default_factory) else field.default
        for field in dataclasses.fields(ExportOptions)
    }
    for name in _OF_ONNX:
        if getattr(options, name) != standard[name]:
            option = "the reading options" if name == "reading" else named(name)
            raise ValueError(f"{option} belongs to ONNX models (*{ONNX_SUFFIX}), not to weights")
    read = [options.checkpoint, *run_files(options.checkpoint)]
    prepare_files(weights_files(options.output), read=read)
    written = export_weights(options.checkpoint, options.output, license=options.license)
    scores = written.scores
    stated = "none of this checkpoint" if scores is None else f"{scores.values['mAP']:.3f} mAP"
    print(f"{options.output}: {written.num_bytes / 1e6:.1f} MB of weights")
    print(f"  licence     {written.license}{_HINT if options.license is None else ''}")
    print(f"  evaluation  {stated}")
    print(f"written: {', '.join(map(str, written.paths))}")


def describe_comparisons(comparisons: Sequence[Comparison]) -> list[str]:
    """Put the differences from PyTorch, on streams of several shapes, into a small table."""
    head = f"  {'time bins':>9}  {'batch x size':14}{'boxes':>12}"
    lines = [
        "compared with PyTorch, memory carried on from time bin to time bin; largest differences",
        f"({comparisons[0].versions}):",
        f"{head}{'scores':>10}{'boxes':>10}{'memory':>10}",
    ]
    for each in comparisons:
        lanes, height, width = each.shape
        values = "".join(f"{value:10.1e}" for value in (each.scores, each.boxes, each.memory))
        found = "-" if each.num_detections is None else f"{each.num_detections:,}"
        lines.append(
            f"  {each.num_windows:9d}  {f'{lanes} x {height}x{width}':14}{found:>12}{values}"
        )
    lines.append(
        f"  at most {TOLERANCE:.0e}; boxes as a share of the frame's longer side, memory of its "
        "largest value"
    )
    return lines


def _describe_file(exported: Exported) -> list[str]:
    free = ", ".join(exported.free) or "none"
    return [
        f"  size                {exported.num_bytes / 1e6:.1f} MB, opset {OPSET}",
        f"  dynamic dimensions  {free}",
    ]


def _frames(options: ExportOptions, spec: FrameSpec) -> Iterator[np.ndarray]:
    """Frames of consecutive time bins, with a batch dimension of 1."""
    if options.source is None:
        yield from simulated_windows(spec, options.time_bins)
        return
    size = asked_size(options.sensor_size)
    stream = open_frames(options.source, spec, size=size, options=options.reading.options())
    for streamed in itertools.islice(stream, options.time_bins):
        yield streamed.frame[None].astype(np.float32)


def _calibration(options: ExportOptions, spec: FrameSpec) -> Iterator[np.ndarray]:
    """Frames of the recording for --int8, with a batch dimension of 1."""
    if options.calibrate is None:
        return
    size = asked_size(options.sensor_size)
    source = find_recording(options.calibrate)
    stream = open_frames(source, spec, size=size, options=options.reading.options())
    for streamed in itertools.islice(stream, _CALIBRATION_BINS):
        yield streamed.frame[None].astype(np.float32)
