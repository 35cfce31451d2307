"""`evdet export`: a checkpoint -> an ONNX model, compared with PyTorch before it gets its name."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    import numpy as np

    from evdet.export import Comparison, Exported
    from evdet.frame_spec import FrameSpec

__all__ = ["ExportOptions", "describe_comparisons", "export"]

_OTHER_WINDOWS = 3


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Write a checkpoint as an ONNX model, and compare what the two say of a stream."""

    checkpoint: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="CHECKPOINT")]]
    """A checkpoint (*.ckpt), a run's folder, whose best checkpoint is taken, or events-digits."""
    output: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="OUT.onnx")]]
    """The file to write; its name ends in .onnx."""
    raw_heads: tyro.conf.FlagCreatePairsOff[bool] = False
    """Give all candidates, decoded, with their scores, and leave thresholds and non-maximum
    suppression out."""
    fixed_shape: tyro.conf.FlagCreatePairsOff[bool] = False
    """For one lane and the frame size of the training alone, as some runtimes want it."""
    source: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Recording, video or folder of images to compare on; by default one is simulated."""
    windows: int = 24
    """Windows to compare, the memory carried on."""


def export(options: ExportOptions) -> int:
    """Export, compare, and say what came of it.

    Args:
        options: what the user asked for.

    Returns:
        The exit status: 1 where the export differs from PyTorch.

    Raises:
        ValueError: an option is out of range.
    """
    from evdet.detectors import ONNX_SUFFIX, ExportError, check_libraries, load_network
    from evdet.export import compare_onnx, export_onnx, other_shape

    if options.windows < 1:
        raise ValueError(f"windows must be at least 1, got {options.windows}")
    if options.output.suffix.lower() != ONNX_SUFFIX:
        raise ExportError(f"{options.output} does not end in {ONNX_SUFFIX}, as exports do")
    if not options.output.absolute().parent.is_dir():
        raise ExportError(f"there is no folder {options.output.parent} to write {options.output}")
    # Before the minute that torch takes.
    check_libraries("onnx", "onnxruntime", "onnxscript")
    detector = load_network(options.checkpoint)
    spec = detector.frame_spec
    if spec is None:
        raise ExportError(f"{options.checkpoint} does not say what its frames are made of")
    windows = list(_windows(options, spec))
    if not windows:
        raise ExportError(f"{options.source} has no window to compare on: name a longer source")
    print(f"{options.output}: torch writes the model, which takes up to a minute", flush=True)
    # A file of the name that was asked for has passed the comparison.
    unchecked = options.output.with_suffix(f".unchecked{ONNX_SUFFIX}")
    exported = export_onnx(
        detector, unchecked, raw_heads=options.raw_heads, fixed_shape=options.fixed_shape
    )
    comparisons = [compare_onnx(detector, unchecked, windows)]
    if exported.free:
        others = other_shape(windows[:_OTHER_WINDOWS], exported.free)
        comparisons.append(compare_onnx(detector, unchecked, others))
    print("\n".join([*_describe_file(exported), "", *describe_comparisons(comparisons)]))
    problems = [each.problem for each in comparisons if each.problem is not None]
    if problems:
        print(f"NOT THE SAME: {problems[0]}. The model is left in {unchecked}.")
        return 1
    unchecked.replace(options.output)
    print(f"the same as PyTorch: {options.output}")
    return 0


def describe_comparisons(comparisons: "Sequence[Comparison]") -> list[str]:
    """Put the differences from PyTorch into a small table.

    Args:
        comparisons: of streams of several shapes.

    Returns:
        The lines.
    """
    from evdet.export import TOLERANCE

    head = f"  {'windows':>8}  {'lanes x size':14}{'boxes found':>12}"
    lines = [
        "compared with PyTorch, window after window, memory carried on; largest differences",
        f"({comparisons[0].versions}):",
        f"{head}{'scores':>10}{'boxes':>10}{'memory':>10}",
    ]
    for each in comparisons:
        lanes, height, width = each.shape
        values = "".join(f"{value:10.1e}" for value in (each.scores, each.boxes, each.memory))
        found = "-" if each.num_detections is None else f"{each.num_detections:,}"
        lines.append(
            f"  {each.num_windows:8d}  {f'{lanes} x {height}x{width}':14}{found:>12}{values}"
        )
    lines.append(
        f"  at most {TOLERANCE:.0e}; boxes as a share of the frame's longer side, memory of its "
        "largest value"
    )
    return lines


def _describe_file(exported: "Exported") -> list[str]:
    from evdet.export import OPSET

    free = ", ".join(exported.free) or "no dimension"
    return [
        f"  size  {exported.num_bytes / 1e6:.1f} MB, opset {OPSET}",
        f"  free  {free}",
    ]


def _windows(options: ExportOptions, spec: "FrameSpec") -> "Iterator[np.ndarray]":
    """Consecutive windows of one lane."""
    import numpy as np

    from evdet.sources import open_frames
    from evdet.synthetic import simulated_windows

    if options.source is None:
        yield from simulated_windows(spec, options.windows)
        return
    stream = open_frames(options.source, spec)
    for streamed in itertools.islice(stream, options.windows):
        yield streamed.frame[None].astype(np.float32)
