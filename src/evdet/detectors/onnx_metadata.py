"""The interface of an exported model: names of its tensors, and its metadata as JSON."""

import dataclasses
import json
import types
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints

from evdet.detectors.onnx_errors import ExportError
from evdet.frame_spec import FrameSpec, SelectionThresholds
from evdet.structured_text import parse_json

__all__ = [
    "CANDIDATES",
    "DETECTIONS",
    "DURATION",
    "FRAME",
    "METADATA_KEY",
    "ONNX_SUFFIX",
    "THRESHOLDS",
    "MemoryPart",
    "ModelMetadata",
    "memory_input",
    "memory_output",
]

ONNX_SUFFIX = ".onnx"
"""File name ending of exported models."""
METADATA_KEY = "evdet"
"""Key of the JSON in the metadata of the model."""
FRAME = "frame"
"""Input: the frame of one time bin of each lane, (batch, channels, height, width)."""
DURATION = "duration"
"""Input of a model whose memory knows time: how long the time bin of each lane lasts, (batch), in
microseconds."""
CANDIDATES = ("candidate_boxes", "candidate_scores")
"""Boxes (batch, anchors, 4) and scores (batch, anchors, classes) before selection."""
DETECTIONS = ("boxes", "labels", "scores", "batch_index")
"""Outputs after selection, a row per box, ordered by lane, then best first."""
THRESHOLDS = ("score_thresh", "nms_thresh", "max_boxes", "agnostic")
"""Optional inputs: the model has a default for each. Models of evdet 0.1.0 lack the last."""
_FORMAT = 2
"""Version of the JSON; it increases when older readers cannot read it. In format 1, of evdet 0.1.0,
the thresholds are fields of the frame spec."""
_MAX_SIZE = 1 << 16
_MAX_REASON = 200
_THRESHOLDS_OF_1 = ("score_thresh", "nms_thresh", "max_boxes")


@dataclass(frozen=True, kw_only=True)
class MemoryPart:
    """One tensor of the memory, of shape (batch, channels, rows, columns)."""

    name: str
    """Its name in the detector."""
    channels: int
    """Its second dimension."""
    stride: int | None
    """Pixels of the frame per row and per column, with the number of rows rounded up; None in a
    model of one frame size whose memory follows another rule: its inputs state the shape."""


@dataclass(frozen=True, kw_only=True)
class ModelMetadata:
    """What a program needs to run the model."""

    evdet_version: str
    """Version of evdet that wrote it."""
    raw_heads: bool
    """Whether the model outputs all candidates, for a selection outside of it."""
    num_classes: int
    """Classes, without background."""
    memory: tuple[MemoryPart, ...]
    """The memory, in order."""
    frame_spec: FrameSpec
    """How its frames are made, the names of its classes, and its thresholds."""

    def to_json(self) -> str:
        """Write it as one JSON object."""
        return json.dumps({"format": _FORMAT, **dataclasses.asdict(self)})

    @classmethod
    def from_json(cls, text: str, name: str) -> "ModelMetadata":
        """Read what `to_json` wrote.

        Args:
            text: the JSON.
            name: of the file, for messages.

        Raises:
            ExportError: it is damaged, or of a later version of evdet.
        """
        try:
            content: dict[str, Any] = parse_json(text)
            file_format = content.pop("format")
            if file_format not in (1, _FORMAT):
                raise ExportError(
                    f"{name} was written by evdet {content.get('evdet_version')}, in a format "
                    "that this version cannot read: update evdet, or export the checkpoint again"
                )
            spec = _read_spec(content.pop("frame_spec"), file_format)
            memory = tuple(MemoryPart(**part) for part in content.pop("memory"))
            metadata = cls(memory=memory, frame_spec=spec, **content)
            _check_values(metadata)
        except ExportError:
            raise
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:_MAX_REASON]
            raise ExportError(
                f"{name} has damaged metadata ({reason}): export the checkpoint again"
            ) from error
        return metadata


def _read_spec(stored: dict[str, Any], file_format: int) -> FrameSpec:
    if file_format == 1:
        stored["thresholds"] = {name: stored.pop(name) for name in _THRESHOLDS_OF_1}
        stored["background_filter"] = stored.pop("noise_window", 0)
    thresholds = SelectionThresholds(**stored.pop("thresholds"))
    stored["class_names"] = tuple(stored["class_names"])
    return FrameSpec(**stored, thresholds=thresholds)


def _check_values(metadata: ModelMetadata) -> None:
    """Check types and ranges, which JSON leaves open.

    Raises:
        TypeError: a value has another type.
        ValueError: a number is out of range.
    """
    for part in (metadata, metadata.frame_spec, metadata.frame_spec.thresholds, *metadata.memory):
        hints = get_type_hints(type(part))
        for name, wanted in hints.items():
            if not _is_of(getattr(part, name), wanted):
                raise TypeError(f"{name} is {getattr(part, name)!r}")
    spec = metadata.frame_spec
    if metadata.num_classes != len(spec.class_names):
        raise ValueError(f"{metadata.num_classes} classes and {len(spec.class_names)} names")
    numbers = {
        "in_channels": spec.in_channels,
        "height": spec.height,
        "width": spec.width,
        **{
            f"stride of {part.name}": 1 if part.stride is None else part.stride
            for part in metadata.memory
        },
        **{f"channels of {part.name}": part.channels for part in metadata.memory},
    }
    for name, number in numbers.items():
        if not 1 <= number <= _MAX_SIZE:
            raise ValueError(f"{name} is {number}")


def _is_of(value: object, wanted: Any) -> bool:
    """Whether a value is of a type as `ModelMetadata` and its parts name them."""
    if isinstance(wanted, types.UnionType):
        return any(_is_of(value, one) for one in get_args(wanted))
    if get_origin(wanted) is tuple:
        inner = get_args(wanted)[0]
        return isinstance(value, tuple) and all(_is_of(one, inner) for one in value)
    # True is an int to Python, and 1 a float.
    return type(value) is wanted or (wanted is float and type(value) is int)


def memory_input(name: str) -> str:
    """Name of the model's input for a tensor of the memory."""
    return f"memory_{name}"


def memory_output(name: str) -> str:
    """Name of the model's output that is `memory_input(name)` of the next call."""
    return f"next_memory_{name}"
