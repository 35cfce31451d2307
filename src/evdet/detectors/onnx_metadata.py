"""The contract of an exported model: names of its tensors, and its metadata as JSON."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from evdet.detectors.onnx_errors import ExportError
from evdet.frame_spec import FrameSpec, SelectionThresholds

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
"""How the names of exported models end."""
METADATA_KEY = "evdet"
"""Key of the JSON in the metadata of the model."""
FRAME = "frame"
"""Input: a window of each lane, (batch, channels, height, width)."""
CANDIDATES = ("candidate_boxes", "candidate_scores")
"""Boxes (batch, anchors, 4) and scores (batch, anchors, classes) before selection."""
DETECTIONS = ("boxes", "labels", "scores", "batch_index")
"""Outputs after selection, a row per box: lane after lane, in each the best first."""
THRESHOLDS = ("score_thresh", "nms_thresh", "max_boxes")
"""Inputs that may be left out: the model has a default for each."""
_FORMAT = 2
"""Goes up when a reader of today could no longer use what is written. Of format 1, which version
0.1.0 wrote, the frame spec has the thresholds beside its other fields."""
_THRESHOLDS_OF_1 = ("score_thresh", "nms_thresh", "max_boxes")


@dataclass(frozen=True, kw_only=True)
class MemoryPart:
    """One tensor of the memory, of shape (batch, channels, rows, columns)."""

    name: str
    """As the detector calls it."""
    channels: int
    """Its second dimension."""
    stride: int | None
    """Pixels of the frame per row and per column, rounded up where they do not fit; None in a
    model of one size whose memory follows another rule, and whose inputs state the shape."""


@dataclass(frozen=True, kw_only=True)
class ModelMetadata:
    """All that a reader must know who has the file alone."""

    evdet_version: str
    """Of the evdet that wrote it."""
    raw_heads: bool
    """Whether it gives all candidates, and leaves the selection to the reader."""
    num_classes: int
    """Classes, without background."""
    memory: tuple[MemoryPart, ...]
    """The memory, in order."""
    frame_spec: FrameSpec
    """What its frames are made of, what its classes are called, and its thresholds."""

    def to_json(self) -> str:
        """Write it as one object."""
        return json.dumps({"format": _FORMAT, **dataclasses.asdict(self)})

    @classmethod
    def from_json(cls, text: str, name: str) -> "ModelMetadata":
        """Read what `to_json` wrote.

        Args:
            text: the JSON.
            name: the file, for messages.

        Returns:
            The metadata.

        Raises:
            ExportError: it is damaged, or of a later version of evdet.
        """
        try:
            content: dict[str, Any] = json.loads(text)
            number = content.pop("format")
            if number not in (1, _FORMAT):
                raise ExportError(
                    f"{name} was written by evdet {content.get('evdet_version')}, whose files "
                    "this one cannot read: update evdet, or export the checkpoint again"
                )
            spec = _read_spec(content.pop("frame_spec"), number)
            memory = tuple(MemoryPart(**part) for part in content.pop("memory"))
            return cls(memory=memory, frame_spec=spec, **content)
        except ExportError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ExportError(
                f"{name}: what it says of itself is damaged ({type(error).__name__}: {error}); "
                "export the checkpoint again"
            ) from error


def _read_spec(stored: dict[str, Any], number: int) -> FrameSpec:
    if number == 1:
        stored["thresholds"] = {name: stored.pop(name) for name in _THRESHOLDS_OF_1}
        stored["background_filter"] = stored.pop("noise_window", 0)
    thresholds = SelectionThresholds(**stored.pop("thresholds"))
    stored["class_names"] = tuple(stored["class_names"])
    return FrameSpec(**stored, thresholds=thresholds)


def memory_input(name: str) -> str:
    """Name of the model's input for a tensor of the memory."""
    return f"memory_{name}"


def memory_output(name: str) -> str:
    """Name of the model's output that goes into `memory_input(name)` next time."""
    return f"next_memory_{name}"
