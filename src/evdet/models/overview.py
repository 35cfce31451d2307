"""A detector -> one line, and a table for notebooks."""

from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from evdet.frame_spec import PICTURES, READY_MADE, FrameSpec
from evdet.structured_text import html_table

__all__ = ["DescribedDetector", "detector_html", "detector_line"]

_MOST_NAMES = 12
_INPUTS = {PICTURES: "pictures", READY_MADE: "ready-made frames"}


@runtime_checkable
class DescribedDetector(Protocol):
    """What is shown of a detector."""

    @property
    def frame_spec(self) -> FrameSpec | None:
        """How its frames are made."""

    @property
    def num_classes(self) -> int:
        """Classes, without background."""

    @property
    def memory_names(self) -> tuple[str, ...]:
        """The name of each tensor of the memory, in order."""

    @property
    def knows_time(self) -> bool:
        """Whether its memory takes into account how long a frame lasts."""


def detector_line(detector: DescribedDetector) -> str:
    """Put a detector into one line, without computing anything."""
    spec, count = detector.frame_spec, _num_parameters(detector)
    parts = [] if count is None else [_counted(count, "parameter")]
    if spec is not None:
        parts.append(f"{_input_of(spec)} of {spec.width}x{spec.height}, {spec.delta_t / 1000:g} ms")
    num_parts = len(detector.memory_names)
    memory = f"memory of {_counted(num_parts, 'tensor')}" if num_parts else "no memory"
    parts += [_counted(detector.num_classes, "class"), memory]
    return f"{type(detector).__name__}({', '.join(parts)})"


def detector_html(detector: DescribedDetector) -> str:
    """Show a detector as a table."""
    spec, count = detector.frame_spec, _num_parameters(detector)
    rows: list[tuple[str, object]] = [] if count is None else [("parameters", f"{count:,}")]
    if spec is None:
        rows += [("input", "not stated: it has no frame_spec")]
    else:
        rows += [
            ("input", f"{_input_of(spec)}, {_counted(spec.in_channels, 'channel')}"),
            ("frames of the training", f"{spec.width}x{spec.height} pixels"),
            ("time bin", f"{spec.delta_t / 1000:g} ms"),
        ]
    names = () if spec is None else spec.class_names
    shown = ", ".join(names[:_MOST_NAMES]) + ", …" * (len(names) > _MOST_NAMES)
    count_of_classes = str(detector.num_classes)
    rows += [("classes", f"{count_of_classes}: {shown}" if names else count_of_classes)]
    rows += [("memory", _memory_of(detector))]
    return html_table(rows, title=type(detector).__name__)


def _input_of(spec: FrameSpec) -> str:
    return _INPUTS.get(spec.preprocess, spec.preprocess)


def _counted(count: int, noun: str) -> str:
    plural = "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{plural * (count != 1)}"


def _num_parameters(detector: DescribedDetector) -> int | None:
    """Number of weights; None for an exported model."""
    if not isinstance(detector, nn.Module):
        return None
    return sum(weight.numel() for weight in detector.parameters())


def _memory_of(detector: DescribedDetector) -> str:
    num_parts = len(detector.memory_names)
    if not num_parts:
        return "none: frames are independent"
    text = _counted(num_parts, "tensor")
    num_bytes = _memory_bytes(detector)
    if num_bytes is not None:
        text += f", {num_bytes / 1e3:,.0f} kB for each recording"
    return text + (", knows how long a frame lasts" if detector.knows_time else "")


def _memory_bytes(detector: Any) -> int | None:
    """Size of the memory of one lane of the training's frames; None where it is not known."""
    spec = detector.frame_spec
    try:
        if hasattr(detector, "empty_memory"):
            parts = detector.empty_memory(1, spec.height, spec.width)
            return sum(int(part.nbytes) for part in parts)
        if detector.training:
            return None
        # From shapes alone. Here, since it takes a moment to load.
        from torch._subclasses.fake_tensor import FakeTensorMode

        with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            device = next(detector.parameters()).device
            shape = (1, 1, spec.in_channels, spec.height, spec.width)
            _, memory = detector.find_candidates(torch.zeros(shape, device=device), None)
            return sum(int(part.numel() * part.element_size()) for part in memory)
    except Exception:  # it has no frame spec, or computes more than shapes
        return None
