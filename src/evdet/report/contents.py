"""What a report shows, as plain data: whoever gathers it needs no model and no HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

__all__ = ["Curve", "Picture", "RunReport"]

Curve = Sequence[tuple[int, float]]
"""(step, value) in the order of the steps."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture and what it says."""

    image: UInt8[np.ndarray, "H W 3"]
    """RGB, drawn already."""
    caption: str
    """One line, as text."""


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """A run, ready to be shown. What is empty or None has no place on the page."""

    title: str
    """Name of the run."""
    summary: str = ""
    """A sentence or two: what was trained on what."""
    scores: Mapping[str, Any] | None = None
    """`AveragePrecision.as_dict()` of the final evaluation."""
    curves: Mapping[str, Any] | None = None
    """`Curves.as_dict()` of the final evaluation."""
    speed: Mapping[str, Any] | None = None
    """What `evdet bench` measured: `SpeedReport.as_dict()` and its environment."""
    confusion: Int[np.ndarray, "K K"] | None = None
    """Counts as `confusion_matrix` gives them: row and column 0 stand for "nothing"."""
    class_names: Sequence[str] = ()
    """The classes of `confusion`, without background."""
    scalars: Mapping[str, Curve] = field(default_factory=dict)
    """Logged values by name, as (step, value); names with loss, lr and map are shown."""
    num_frames: int | None = None
    """Frames trained on, every repetition counted."""
    training_seconds: float | None = None
    """Duration of the training."""
    num_parameters: int | None = None
    """Trained numbers in the model."""
    video_path: Path | None = None
    """MP4 file; it becomes part of the page."""
    strip: Sequence[Picture] = ()
    """Frames over time, detections against truth."""
    failures: Sequence[Picture] = ()
    """The worst frames; each caption says what is wrong."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The resolved configuration."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Software and hardware, as `describe_environment` gives them."""
    commands: Sequence[str] = ()
    """What to type to get this run again."""
    notes: Sequence[str] = ()
    """What is missing and why, such as "no video: PyAV is not installed"."""
