"""The lines of `evdet detect`: one per time bin of a live source, and a summary."""

import time
from collections import Counter, deque
from collections.abc import Sequence

import numpy as np

from evdet.cli.detect.ages import AgeCount
from evdet.cli.options import counted, line_without_tracks
from evdet.draw import box_texts
from evdet.pipeline import DetectedFrame
from evdet.tracking import Tracker

__all__ = ["DetectionSummary"]

_NUM_FIRST = 10
_NUM_NAMED = 6
# Hours of them.
_NUM_LATENCIES = 1_000_000


class DetectionSummary:
    """Counts frames, boxes and tracks, in memory that does not grow.

    Args:
        class_names: the detector's classes, without background.
        tracker: the tracker of the boxes, if they are tracked.
        ages: counts the ages of the boxes of a live source, where they have a bound.
        delta_t: duration of a time bin in microseconds, of which a frame may have several.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        tracker: Tracker | None = None,
        *,
        ages: AgeCount | None = None,
        delta_t: int | None = None,
    ) -> None:
        self._tracker = tracker
        self._ages = ages
        self._delta_t = delta_t
        self.num_frames = 0
        self._label_map = ["background", *class_names]
        self._began = time.monotonic()
        self._num_with_boxes = 0
        self._played = 0
        self._num_bins = 0
        self._counts: Counter[str] = Counter()
        self._num_tracks = 0
        self._latencies: deque[float] = deque(maxlen=_NUM_LATENCIES)
        self._first: list[str] = []
        self._are_time_bins = True
        self._latest = 0

    def add(self, found: DetectedFrame) -> float | None:
        """Count the next frame, whose boxes were found just now.

        Returns:
            Latency of the boxes in seconds; None for a source that is not live.
        """
        frame, boxes = found.frame, found.boxes
        latency = None if frame.arrived is None else time.monotonic() - frame.arrived
        if latency is not None:
            self._latencies.append(latency)
            if self._ages is not None:
                self._ages.add(round(latency * 1e6), len(boxes))
        self.num_frames += 1
        self._num_bins += self._bins_of(found)
        self._played += frame.delta_t
        self._latest = found.t
        self._are_time_bins = frame.events is not None
        self._num_with_boxes += len(boxes) > 0
        for label, count in zip(*np.unique(boxes["class_id"], return_counts=True), strict=True):
            self._counts[self._label_map[label]] += int(count)
        # Numbers are given one after the other.
        self._num_tracks = max(self._num_tracks, int(boxes["track_id"].max(initial=0)))
        for box, text in zip(boxes, box_texts(boxes, self._label_map), strict=True):
            if len(self._first) == _NUM_FIRST:
                break
            place = " ".join(f"{box[side]:7.1f}" for side in ("x", "y", "w", "h"))
            self._first.append(f"{box['t'] / 1e6:10.3f} s  {place}  {text}")
        return latency

    def line(self, found: DetectedFrame, latency: float) -> str:
        """Put a frame of a live source into a line: time, latency or age, and the best boxes."""
        texts = box_texts(found.boxes, self._label_map)
        more = f" and {len(texts) - _NUM_NAMED} more" if len(texts) > _NUM_NAMED else ""
        named = (", ".join(texts[:_NUM_NAMED]) or "nothing") + more
        delay = f"{'latency' if self._ages is None else 'age'} {latency * 1e3:.1f} ms"
        num_bins = self._bins_of(found)
        merged = f", {counted(num_bins, 'time bin')}" if num_bins > 1 else ""
        return f"{found.t / 1e6:.3f} s, {delay}{merged}: {named}"

    def lines(self, *, num_skipped: int | None = None, shows_boxes: bool = False) -> list[str]:
        """Put the summary into lines.

        Args:
            num_skipped: skipped time bins of a live source; None for a source that is not live.
            shows_boxes: add the first boxes.
        """
        seconds, played = time.monotonic() - self._began, self._played / 1e6
        merged = f" of {counted(self._num_bins, 'time bin')}" if self._has_merged else ""
        lines = [f"{self._frames(self.num_frames)}{merged}, {played:.1f} s, in {seconds:.1f} s"]
        if num_skipped is None:
            lines[0] += f" ({played / max(seconds, 1e-9):.1f}x real time)"
        else:
            lines[0] += f"; {num_skipped:,} skipped"
        if self._latencies:
            late = np.array(self._latencies) * 1e3
            middle, most = np.percentile(late, [50, 99])
            lines.append(
                f"latency: median {middle:.1f} ms, 99 % {most:.1f} ms, maximum {late.max():.1f} ms"
            )
        ages = None if self._ages is None else self._ages.line()
        lines += [] if ages is None else [ages]
        text = f"{counted(self._counts.total(), 'box')} on {self._frames(self._num_with_boxes)}"
        if self._counts:
            counts = (f"{name}: {count:,}" for name, count in self._counts.most_common())
            text += f" ({', '.join(counts)})"
        if self._num_tracks:
            text += f"; tracks: {self._num_tracks:,}"
        lines.append(text)
        if self._num_tracks and self._tracker is not None:
            lines.append(f"{self._tracker.name}: a track {self._tracker.rules}")
        without = None if self._tracker is None else line_without_tracks(self._tracker)
        lines += [] if without is None else [without]
        if shows_boxes and self._first:
            lines += ["first boxes (x, y, width, height in pixels):", *self._first]
        return lines

    @property
    def num_boxes(self) -> int:
        """Number of boxes on all frames."""
        return self._counts.total()

    @property
    def reached(self) -> str:
        """Time of the last frame, in words."""
        return f"{self._latest / 1e6:.3f} s"

    def _frames(self, count: int) -> str:
        if self._has_merged:
            return counted(count, "frame")
        return counted(count, "time bin" if self._are_time_bins else "picture")

    @property
    def _has_merged(self) -> bool:
        return self._num_bins > self.num_frames

    def _bins_of(self, found: DetectedFrame) -> int:
        """Time bins of a frame; a picture counts as one."""
        if found.frame.events is None or self._delta_t is None:
            return 1
        return found.frame.delta_t // self._delta_t
