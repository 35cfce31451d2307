"""One pass over a recording: its span, longest gap, time order and damage."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evdet.events import AS_STATED, Events, ReadOptions, RecordingError, SensorSize, open_recording
from evdet.labels import RecordingSpan

__all__ = ["RecordingScan", "scan_recording"]


@dataclass(frozen=True, kw_only=True)
class RecordingScan:
    """What one pass over a recording finds."""

    span: RecordingSpan
    """Sensor size and time span of what could be read."""
    num_events: int
    longest_gap: int
    """The longest time without an event, in microseconds."""
    gap_start: int
    """Its start."""
    num_steps_back: int
    """Events that are earlier than the one before them."""
    largest_step_back: int
    """The largest such step, in microseconds."""
    incomplete_end: str
    """Says that the file ends within an event; empty if it does not."""
    error: str
    """What is wrong with the file; empty if it could be read to its end."""


def scan_recording(
    path: Path, options: ReadOptions = AS_STATED, *, size: SensorSize | None = None
) -> RecordingScan:
    """Read a recording to its end or its first damage; an unreadable one has an error.

    Args:
        path: the file.
        options: what the file leaves open.
        size: the sensor's size where the file states none or a wrong one.
    """
    pass_ = _Pass()
    error, recording = "", None
    try:
        recording = open_recording(path, size=size, options=options, reports_end=False)
        for block in recording.blocks():
            if len(block):
                pass_.take(block)
        found_size = recording.size if pass_.num_events else SensorSize(0, 0)
    except (RecordingError, OSError) as damage:
        error = str(damage)
        found_size = SensorSize(pass_.height, pass_.width)
    return RecordingScan(
        span=RecordingSpan(found_size, pass_.start, pass_.end),
        num_events=pass_.num_events,
        longest_gap=pass_.longest_gap,
        gap_start=pass_.gap_start,
        num_steps_back=recording.num_steps_back if recording else 0,
        largest_step_back=recording.largest_step_back if recording else 0,
        incomplete_end=recording.incomplete_end if recording and not error else "",
        error=error,
    )


class _Pass:
    """The state of a pass."""

    def __init__(self) -> None:
        self.num_events = self.height = self.width = 0
        self.longest_gap = self.gap_start = 0
        self.start: int | None = None
        self.end: int | None = None

    def take(self, block: Events) -> None:
        """Take the next events of the file."""
        first = int(block["t"].min())
        latest = np.maximum.accumulate(block["t"])
        if self.end is not None:
            latest = np.maximum(np.concatenate([[self.end], latest]), self.end)
        steps = np.diff(latest)
        longest = int(steps.argmax()) if len(steps) else 0
        if len(steps) and steps[longest] > self.longest_gap:
            self.longest_gap, self.gap_start = int(steps[longest]), int(latest[longest])
        self.start = first if self.start is None else min(self.start, first)
        self.end = int(latest[-1])
        self.num_events += len(block)
        self.width = max(self.width, int(block["x"].max()) + 1)
        self.height = max(self.height, int(block["y"].max()) + 1)
