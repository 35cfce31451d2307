"""The input, output and error of all readers of label files."""

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from evdet.boxes import BOX_DTYPE
from evdet.events import SensorSize
from evdet.labels.binning import IGNORED_DTYPE
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
    """An invalid label file: the message names file, location and remedy."""


@runtime_checkable
class RecordingFacts(Protocol):
    """The facts that some label files lack; a `Recording` has them."""

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
    """A label file and what is needed to read it."""

    path: Path
    """The file, or a folder of one file per frame."""
    label_map: Mapping[int, str]
    """Names of the ids on disk."""
    recording: RecordingFacts | None = None
    """The labelled recording."""
    frame_period: int | None = None
    """Microseconds between frames, for files with frame indices."""
    truth: Path | None = None
    """The ground truth that COCO results refer to with their ids."""

    def error(self, what: str, where: str = "", path: Path | None = None) -> LabelError:
        """The error to raise.

        Args:
            what: the problem and the remedy.
            where: the line or the record, such as "line 3".
            path: the file, where the labels are a folder.
        """
        file = path or self.path
        return LabelError(f"{file}, {where}: {what}" if where else f"{file}: {what}")

    def class_id_of(self, name: str, where: str, path: Path | None = None) -> int:
        """Id on disk of a class name.

        Raises:
            LabelError: the label map has no class of this name.
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
            where,
            path,
        )

    def checked_class_id(self, class_id: int, where: str) -> int:
        """The id, unless it is too large; ids that are not in the label map are counted later.

        Raises:
            LabelError: it is too large for any label map.
        """
        if class_id >= 2**31:
            raise self.error(f"the class id {class_id} is too large", where)
        return class_id

    def frame_time(self, frame: int, where: str = "") -> int:
        """Time of the labels of a frame, for files with frame indices, on the recording's clock.

        Frame k shows the k-th bin of `Recording.slices(frame_period)` and is labelled at the end
        of that bin; with bins as long as frames, it belongs to bin k.

        Args:
            frame: index of the frame, from 0.
            where: location in the file, for the error.

        Raises:
            LabelError: the period is not known or the frame is negative.
        """
        if self.frame_period is None or self.frame_period <= 0:
            raise self.error(
                "the boxes have frame indices, not times: give the duration of a frame, "
                f"--frame-period or frame_period, in microseconds (got {self.frame_period})",
                where,
            )
        if not 0 <= frame < 2**40:
            raise self.error(f"the frame index {frame} is before the first", where)
        start = (self.facts(where).start or 0) // self.frame_period
        return (start + frame + 1) * self.frame_period

    def facts(self, where: str = "") -> RecordingFacts:
        """The recording.

        Raises:
            LabelError: it was not given.
        """
        if self.recording is None:
            raise self.error(
                "these labels can only be read with their recording: give it (--recording), or "
                "--sensor-size WxH where it starts at 0",
                where,
            )
        return self.recording

    def check_picture(self, width: Any, height: Any, where: str, path: Path | None = None) -> None:
        """Check that the labelled picture has the sensor's size, so that boxes are in its pixels.

        Args:
            width: as the file states it; anything but a positive number is not checked.
            height: likewise.
            where: location in the file, for the error.
            path: the file, where the labels are a folder.

        Raises:
            LabelError: it has another size.
        """
        sides = (number(height), number(width))
        if self.recording is None or not sides[0] or not sides[1]:
            return
        size = self.recording.size
        if sides != tuple(size):
            raise self.error(
                f"the labelled picture is {sides[1]:g}x{sides[0]:g}, the sensor is {size}: scale "
                "the boxes, or label pictures of the sensor's size (`evdet view --frames`)",
                where,
                path,
            )


@dataclass
class BoxRows:
    """Boxes as a reader collects them: ids as on disk, in any order."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    """Values in the order of `BOX_DTYPE`."""
    ignored_rows: list[tuple[Any, ...]] = field(default_factory=list)
    """Those of boxes that do not count, in the order of `IGNORED_DTYPE`."""
    empty_times: list[int] = field(default_factory=list)
    """Times without objects."""
    counts: dict[str, int] = field(default_factory=dict)
    """Boxes that do not count, by reason: the keys of `NOT_COUNTED`."""
    notes: list[str] = field(default_factory=list)
    """How the file was understood, where it could be understood otherwise."""

    def add(
        self,
        t: int,
        xywh: Sequence[float],
        class_id: int,
        *,
        track_id: int = 0,
        confidence: float = 1.0,
        ignored: str = "",
    ) -> None:
        """Add one box.

        Args:
            t: time in microseconds.
            xywh: left, top, width and height in pixels.
            class_id: id on disk.
            track_id: 0 for none.
            confidence: from 0 to 1.
            ignored: why the box does not count, a key of `NOT_COUNTED`; empty: it counts.
        """
        row = (t, *xywh, class_id, track_id, confidence)
        if ignored:
            self.ignored_rows.append((*row, ignored == "crowd regions"))
            self.counts[ignored] = self.counts.get(ignored, 0) + 1
        else:
            self.rows.append(row)

    def boxes(self) -> BoxEvents:
        """The boxes that count as an array, ids as on disk."""
        # A side beyond float32 becomes infinite, and the box rules drop it.
        with np.errstate(over="ignore"):
            return np.array(self.rows, BOX_DTYPE)

    def ignored(self) -> BoxEvents:
        """The other boxes as an array, ids as on disk."""
        with np.errstate(over="ignore"):
            return np.array(self.ignored_rows, IGNORED_DTYPE)


def number(text: Any) -> float | None:
    """Text or a number as a finite float, or None."""
    if type(text) is float:
        return text if math.isfinite(text) else None
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        return None
    try:
        value = float(text)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def to_time(text: Any) -> int | None:
    """Text or a number, whole floats included, as whole microseconds, or None."""
    if isinstance(text, int) and not isinstance(text, bool):
        return text if abs(text) < 2**62 else None
    if isinstance(text, str) and re.fullmatch(r"\s*[+-]?\d{1,18}\s*", text):
        # Not through a float: it would round times beyond 2^53.
        return int(text.strip())  # some spaces int() does not take
    value = number(text)
    return int(value) if value is not None and value.is_integer() and abs(value) < 2**53 else None
