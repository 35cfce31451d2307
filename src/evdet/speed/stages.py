"""One detector, stage by stage: where the time of a window goes."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from evdet.boxes import to_box_events
from evdet.frame_spec import SelectionThresholds
from evdet.models import Detector, select_detections
from evdet.speed.durations import Durations, summarise, wait_for
from evdet.speed.windows import Windows
from evdet.tracking import Tracker

__all__ = ["STAGES", "StageTimes", "time_batches", "time_stages"]

STAGES = ("read", "represent", "network", "select", "track")
"""From the file to tracks, in order; boxes are out after select."""

_MAX_SECONDS = 1.0
_MAX_CALLS = 20


@dataclass(frozen=True, kw_only=True)
class StageTimes:
    """What one pass over a source measured."""

    stages: dict[str, Durations]
    """Of each stage; an accelerator was waited for at its end."""
    window: Durations
    """From raw events to boxes, in other windows of the same pass, without waits in between."""
    events: float
    """Events of a window, in the middle; 0 for pictures."""
    candidates: float
    """Candidates of a window with a score over the threshold, in the middle."""
    boxes: float
    """Boxes of a window, in the middle."""


@torch.inference_mode()
def time_stages(
    detector: Detector,
    windows: Windows,
    thresholds: SelectionThresholds,
    *,
    num_windows: int,
    warm_up: int,
    tracker: Tracker | None = None,
) -> StageTimes:
    """Play a source twice at once, window by window: in one go, and stage by stage.

    Args:
        detector: in evaluation mode, on its device. Batch 1, memory carried from window to window.
        windows: the source.
        thresholds: of the selection.
        num_windows: windows to measure.
        warm_up: windows before them.
        tracker: numbers the boxes; without one there is no stage track.

    Returns:
        The times.
    """
    device = next(detector.parameters()).device
    whole, staged = windows.play(), windows.play()
    carried_whole = carried = None
    totals: list[float] = []
    rows: list[list[float]] = []
    counts: list[tuple[int, int, int]] = []
    for number in range(num_windows + warm_up):
        start = time.perf_counter()
        clip = windows.represent(next(whole))
        boxes, scores, carried_whole = detector.predict(clip, carried_whole)
        select_detections(boxes, scores, clip, thresholds)
        totals.append(time.perf_counter() - start)

        marks = [time.perf_counter()]
        window = next(staged)
        marks.append(time.perf_counter())
        clip = windows.represent(window)
        wait_for(device)
        marks.append(time.perf_counter())
        boxes, scores, carried = detector.predict(clip, carried)
        wait_for(device)
        marks.append(time.perf_counter())
        found = select_detections(boxes, scores, clip, thresholds)[0][0]
        marks.append(time.perf_counter())
        if tracker is not None:
            t = (number + 1) * windows.delta_t
            tracker.update(t, to_box_events(*_columns(found), t=t))
            marks.append(time.perf_counter())
        rows.append(np.diff(marks).tolist())
        num_over = int((scores >= thresholds.score_thresh).sum())
        counts.append((_num_events(window), num_over, len(found["boxes"])))
    events, candidates, num_boxes = np.median(counts[warm_up:], axis=0).tolist()
    columns = zip(*rows[warm_up:], strict=True)
    return StageTimes(
        stages={stage: summarise(column) for stage, column in zip(STAGES, columns, strict=False)},
        window=summarise(totals[warm_up:]),
        events=events,
        candidates=candidates,
        boxes=num_boxes,
    )


@torch.inference_mode()
def time_batches(
    detector: Detector, windows: Windows, thresholds: SelectionThresholds, batches: Sequence[int]
) -> dict[int, float]:
    """Measure how many frames a second the network and the selection manage side by side.

    Args:
        detector: in evaluation mode, on its device.
        windows: the source; lanes show its windows in turn.
        thresholds: of the selection.
        batches: numbers of lanes.

    Returns:
        Frames per second of each.
    """
    source = windows.play()
    clips = [windows.represent(next(source)) for _ in range(max(batches, default=0))]
    rates = {}
    for num_lanes in batches:
        clip = torch.cat(clips[:num_lanes], dim=1)
        _, _, memory = detector.predict(clip)
        seconds: list[float] = []
        for _ in _until_enough(seconds):
            start = time.perf_counter()
            boxes, scores, memory = detector.predict(clip, memory)
            select_detections(boxes, scores, clip, thresholds)
            seconds.append(time.perf_counter() - start)
        # The first call of a shape prepares what the others find.
        rates[num_lanes] = num_lanes / float(np.median(seconds[1:]))
    return rates


def _num_events(window: object) -> int:
    events = getattr(window, "events", None)
    return 0 if events is None else len(events)


def _until_enough(seconds: Sequence[float]) -> Iterator[int]:
    for number in range(_MAX_CALLS):
        if number > 2 and sum(seconds) > _MAX_SECONDS:
            return
        yield number


def _columns(found: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    return found["boxes"], found["labels"], found["scores"]
