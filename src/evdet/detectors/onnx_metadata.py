"""The interface of an exported model: names of its tensors, and its metadata as JSON."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from evdet.detectors.onnx_errors import ExportError
from evdet.frame_spec import FrameSpec, SelectionThresholds
from evdet.structured_text import parse_json

__all__ = [
    "CANDIDATES",
    "DETECTIONS",
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
CANDIDATES = ("candidate_boxes", "candidate_scores")
"""Boxes (batch, anchors, 4) and scores (batch, anchors, classes) before selection."""
DETECTIONS = ("boxes", "labels", "scores", "batch_index")
"""Outputs after selection, a row per box, ordered by lane, then best first."""
THRESHOLDS = ("score_thresh", "nms_thresh", "max_boxes", "agnostic")
"""Optional inputs: the model has a default for each. Models of evdet 0.1.0 lack the last."""
_FORMAT = 2
"""Version of the JSON; it increases when older readers cannot read it. In format 1, of evdet 0.1.0,
the thresholds are fields of the frame spec."""
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
            return cls(memory=memory, frame_spec=spec, **content)
        except ExportError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ExportError(
                f"{name} has damaged metadata ({type(error).__name__}: {error}): export the "
                "checkpoint again"
            ) from error


def _read_spec(stored: dict[str, Any], file_format: int) -> FrameSpec:
    if file_format == 1:
        stored["thresholds"] = {name: stored.pop(name) for name in _THRESHOLDS_OF_1}
        stored["background_filter"] = stored.pop("noise_window", 0)
    thresholds = SelectionThresholds(**stored.pop("thresholds"))
    stored["class_names"] = tuple(stored["class_names"])
    return FrameSpec(**stored, thresholds=thresholds)


def memory_input(name: str) -> str:
    """Name of the model's input for a tensor of the memory."""
    return f"memory_{name}"


def memory_output(name: str) -> str:
    """Name of the model's output that is `memory_input(name)` of the next call."""
    return f"next_memory_{name}"
