"""The content of a report, as plain data without models and HTML."""

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
    """A picture with its caption."""

    image: UInt8[np.ndarray, "H W 3"]
    """RGB, with everything drawn on it."""
    caption: str
    """One line, as text."""
    heading: str = ""
    """Why it is shown, above the caption."""


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """The content of a run's page; empty and None fields are left out of the page."""

    title: str
    """Name of the run."""
    summary: str = ""
    """One or two sentences on the detector and its data set."""
    date: str = ""
    """When it was evaluated, as a sentence."""
    scores: Mapping[str, Any] | None = None
    """`AveragePrecision.as_dict()` of the final evaluation."""
    curves: Mapping[str, Any] | None = None
    """`Curves.as_dict()` of the final evaluation."""
    speed: Mapping[str, Any] | None = None
    """Measurements of `evdet bench`: `SpeedReport.as_dict()` and its environment."""
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
    """Parameters of the detector."""
    video_path: Path | None = None
    """MP4 file, which is embedded in the page."""
    strip: Sequence[Picture] = ()
    """Frames over time, with detections and ground truth."""
    best: Sequence[Picture] = ()
    """The frames with the fewest errors; the headings count what was found."""
    typical: Sequence[Picture] = ()
    """Frames of median quality."""
    failures: Sequence[Picture] = ()
    """The worst frames; the headings count the errors."""
    score_thresh: float | None = None
    """Lowest score of the scored detections."""
    data: Mapping[str, Any] | None = None
    """`DataStatistics.as_dict()` of the data set."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The resolved configuration."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Software and hardware, as `describe_environment` gives them."""
    commands: Sequence[str] = ()
    """Commands that reproduce this run."""
    notes: Sequence[str] = ()
    """Missing parts and the reasons, such as "no video: PyAV is not installed"."""
