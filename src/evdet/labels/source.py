"""What every reader of a label file is given, what it gives back, and the error it raises."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from evdet.boxes import BOX_DTYPE
from evdet.events import SensorSize
from evdet.shapes import BoxEvents

__all__ = [
    "BoxRows",
    "LabelError",
    "LabelSource",
    "RecordingFacts",
    "RecordingSpan",
    "number",
    "to_time",
]


class LabelError(ValueError):
    """A label file that cannot be understood: the message names file, place and remedy."""


@runtime_checkable
class RecordingFacts(Protocol):
    """What some label files leave to the recording; a `Recording` has it."""

    @property
    def size(self) -> SensorSize:
        """The sensor's size in pixels."""

    @property
    def start(self) -> int | None:
        """Time of the earliest event in microseconds; None without events."""

    @property
    def end(self) -> int | None:
        """Time of the latest event in microseconds; None without events."""


class RecordingSpan(NamedTuple):
    """The facts of a recording, as plain values."""

    size: SensorSize
    start: int | None
    end: int | None


@dataclass(frozen=True)
class LabelSource:
    """A label file and what is needed to understand it."""

    path: Path
    """The file, or a folder of one file per frame."""
    label_map: Mapping[int, str]
    """Names of the ids on disk."""
    recording: RecordingFacts | None = None
    """The recording that was labelled."""
    frame_period: int | None = None
    """Microseconds from one frame to the next, where the file counts frames."""

    def error(self, what: str, place: str = "", path: Path | None = None) -> LabelError:
        """The error to raise.

        Args:
            what: what is wrong, and what to do.
            place: the line or the record, for people.
            path: the file, where the labels are a folder.
        """
        where = f"{path or self.path}, {place}" if place else f"{path or self.path}"
        return LabelError(f"{where}: {what}")

    def class_named(self, name: str, place: str, path: Path | None = None) -> int:
        """Id on disk of a class name.

        Raises:
            LabelError: the label map has no such class.
        """
        for class_id, known in self.label_map.items():
            if known == name:
                return class_id
        near = difflib.get_close_matches(name, self.label_map.values(), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise self.error(
            f"the class {name!r} is not in the label map, which has "
            f"{', '.join(self.label_map.values())}.{hint} Add it to label_map_dictionary.json, "
            "or rename it here.",
            place,
            path,
        )

    def class_numbered(self, class_id: int, place: str) -> int:
        """The id, which need not be in the label map: those are counted where classes are chosen.

        Raises:
            LabelError: it is too large for any label map.
        """
        if class_id >= 2**31:
            raise self.error(f"the class id {class_id} is too large", place)
        return class_id

    def frame_time(self, frame: int, place: str = "") -> int:
        """When a frame was labelled, for files that count frames.

        Frame k shows the events of the k-th slice of `Recording.slices(frame_period)`, and is
        labelled at the end of that slice; so it falls into the recording's bin k where bins last
        as long as frames.

        Args:
            frame: number of the frame, from 0.
            place: where the number stands, for people.

        Returns:
            Microseconds, on the clock of the recording.

        Raises:
            LabelError: the period is not known or the frame is negative.
        """
        if self.frame_period is None or self.frame_period <= 0:
            raise self.error(
                "the boxes are numbered by frame, so the duration of a frame is needed: give "
                f"frame_period in microseconds (got {self.frame_period})",
                place,
            )
        if not 0 <= frame < 2**40:
            raise self.error(f"a frame has the number {frame}: they count from the first", place)
        start = (self.facts(place).start or 0) // self.frame_period
        return (start + frame + 1) * self.frame_period

    def facts(self, place: str = "") -> RecordingFacts:
        """The recording.

        Raises:
            LabelError: it was not given.
        """
        if self.recording is None:
            raise self.error("these labels can only be read together with their recording", place)
        return self.recording


@dataclass
class BoxRows:
    """Boxes as a reader collects them: ids as on disk, in any order."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    """Values in the order of `BOX_DTYPE`."""
    empty_times: list[int] = field(default_factory=list)
    """Times without objects."""
    counts: dict[str, int] = field(default_factory=dict)
    """Rows left out, by reason."""

    def add(
        self,
        t: int,
        xywh: Sequence[float],
        class_id: int,
        *,
        track_id: int = 0,
        confidence: float = 1.0,
    ) -> None:
        """Add one box."""
        self.rows.append((t, *xywh, class_id, track_id, confidence))

    def count(self, reason: str) -> None:
        """Count one row that is left out."""
        self.counts[reason] = self.counts.get(reason, 0) + 1

    def boxes(self) -> BoxEvents:
        """The boxes as an array, ids still as on disk."""
        # A side beyond float32 becomes infinite, and the rules drop it as that.
        with np.errstate(over="ignore"):
            return np.array(self.rows, BOX_DTYPE)


def number(text: Any) -> float | None:
    """A finite number, or None for what is none.

    Args:
        text: digits, or a number already.
    """
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        return None
    try:
        value = float(text)
    except (ValueError, OverflowError):
        return None
    return value if np.isfinite(value) else None


def to_time(text: Any) -> int | None:
    """Whole microseconds, or None for what is none.

    Args:
        text: digits, or a number already; whole floats are accepted.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        return text if abs(text) < 2**62 else None
    if isinstance(text, str) and re.fullmatch(r"\s*[+-]?\d{1,18}\s*", text):
        # Not through a float: it would round times beyond 2^53.
        return int(text)
    value = number(text)
    return int(value) if value is not None and value.is_integer() and abs(value) < 2**53 else None
