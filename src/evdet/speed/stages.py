"""Durations of one detector, stage by stage."""

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
from evdet.speed.time_bins import TimeBins
from evdet.tracking import Tracker

__all__ = ["STAGES", "StageTimes", "time_batches", "time_stages"]

STAGES = ("read", "represent", "network", "select", "track")
"""From the file to tracks, in order; select gives the boxes."""

_MAX_SECONDS = 1.0
_MAX_CALLS = 20


@dataclass(frozen=True, kw_only=True)
class StageTimes:
    """The measurements of one pass over a source."""

    stages: dict[str, Durations]
    """Durations of each stage, with a wait for the accelerator at its end."""
    window: Durations
    """Durations of a time bin, from raw events to boxes, without waits between stages."""
    events: float
    """Median number of events of a time bin; 0 for pictures."""
    candidates: float
    """Median number of candidates of a time bin with a score over the threshold."""
    boxes: float
    """Median number of boxes of a time bin."""


@torch.inference_mode()
def time_stages(
    detector: Detector,
    time_bins: TimeBins,
    thresholds: SelectionThresholds,
    *,
    num_tbins: int,
    warm_up: int,
    tracker: Tracker | None = None,
) -> StageTimes:
    """Time each time bin twice: as a whole, and stage by stage.

    Args:
        detector: in evaluation mode, on its device. Batch 1, memory carried from bin to bin.
        time_bins: the source.
        thresholds: of the selection.
        num_tbins: time bins to measure.
        warm_up: time bins before them.
        tracker: of the stage track; None leaves the stage out.
    """
    device = next(detector.parameters()).device
    whole, staged = time_bins.play(), time_bins.play()
    carried_whole = carried = None
    totals: list[float] = []
    rows: list[list[float]] = []
    counts: list[tuple[int, int, int]] = []
    for index in range(num_tbins + warm_up):
        start = time.perf_counter()
        clip = time_bins.represent(next(whole))
        boxes, scores, carried_whole = detector.predict(clip, carried_whole)
        select_detections(boxes, scores, clip, thresholds)
        totals.append(time.perf_counter() - start)

        marks = [time.perf_counter()]
        time_bin = next(staged)
        marks.append(time.perf_counter())
        clip = time_bins.represent(time_bin)
        wait_for(device)
        marks.append(time.perf_counter())
        boxes, scores, carried = detector.predict(clip, carried)
        wait_for(device)
        marks.append(time.perf_counter())
        found = select_detections(boxes, scores, clip, thresholds)[0][0]
        marks.append(time.perf_counter())
        if tracker is not None:
            t = (index + 1) * time_bins.delta_t
            tracker.update(t, to_box_events(*_columns(found), t=t))
            marks.append(time.perf_counter())
        rows.append(np.diff(marks).tolist())
        num_over = int((scores >= thresholds.score_thresh).sum())
        counts.append((_num_events(time_bin), num_over, len(found["boxes"])))
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
    detector: Detector, time_bins: TimeBins, thresholds: SelectionThresholds, batches: Sequence[int]
) -> dict[int, float]:
    """Measure the frames per second of the network and the selection, by batch size.

    Args:
        detector: in evaluation mode, on its device.
        time_bins: the source; lanes take its time bins in turn.
        thresholds: of the selection.
        batches: batch sizes.
    """
    source = time_bins.play()
    clips = [time_bins.represent(next(source)) for _ in range(max(batches, default=0))]
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
        # The first call of a shape includes one-time preparation.
        rates[num_lanes] = num_lanes / float(np.median(seconds[1:]))
    return rates


def _num_events(time_bin: object) -> int:
    events = getattr(time_bin, "events", None)
    return 0 if events is None else len(events)


def _until_enough(seconds: Sequence[float]) -> Iterator[int]:
    for index in range(_MAX_CALLS):
        if index > 2 and sum(seconds) > _MAX_SECONDS:
            return
        yield index


def _columns(found: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    return found["boxes"], found["labels"], found["scores"]
