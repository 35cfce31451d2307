"""Named evaluation protocols: the rules that make two scores comparable."""

import dataclasses
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool

from evdet.metrics.average_precision import AveragePrecision, average_precision_of
from evdet.metrics.frame_table import FrameTable, check_boxes, join_tables
from evdet.metrics.matching import IOU_THRESHOLDS
from evdet.metrics.recordings import BoxEvents, ScoredRecording, tabulate_recording
from evdet.metrics.time_pairing import last_of_bins, rows_in_bins, rows_within

__all__ = ["PROTOCOLS", "Protocol", "get_protocol", "keep_counted", "score_recordings"]

_CLASS_SCORE = "class_score"


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """The rules of an evaluation; filters apply to ground truth and detections alike."""

    name: str
    skip_until: int | None = None
    """Boxes up to and including this time are left out, in microseconds; None keeps all."""
    min_diag: float = 0.0
    """Boxes with a shorter diagonal are left out."""
    min_side: float = 0.0
    """Boxes with a shorter side are left out."""
    pixels: Literal["frame", "sensor", "half sensor"] = "frame"
    """The pixels in which boxes are measured: of the detector's frames, of the sensor, or of the
    sensor at half its resolution."""
    clips_truth: bool = False
    """Ground truth is clipped to the image, and left out if nothing remains."""
    tolerance: int | None = None
    """An annotated time is scored with all detections within this many microseconds before and
    after it, inclusive; None: with those of its own time bin."""
    counts_empty: bool = True
    """Annotated times without an object count: every detection there is a false alarm."""
    ranking: Literal["score", "class_score"] = "score"
    """Detections are ranked by their score, or by the class score of a detector that has a
    separate objectness, which then serves for thresholding only."""
    classes: tuple[str, ...] = ()
    """The classes that are scored; empty takes all."""
    max_detections: int = 100
    """Detections with the best scores that count, per frame and class."""
    start_before_label: int | None = None
    """A recording is played from this many frames before the end of its first frame with a label
    that counts, that frame included, or from its first event if that is later; one without such a
    label is not played. None plays all recordings from their first event."""
    reset_every: int | None = None
    """The detector's memory is emptied after every this many frames of a recording, counted from
    the first that is played; None carries it."""

    def as_dict(self) -> dict[str, Any]:
        """The rules as plain types for JSON, without the name."""
        plain = dataclasses.asdict(self)
        del plain["name"]
        return {
            **plain,
            "classes": list(self.classes),
            "iou_thresholds": [round(thresh, 2) for thresh in IOU_THRESHOLDS],
        }


_GEN1 = ("car", "pedestrian")
_ONE_MPX = ("pedestrian", "two wheeler", "car")

PROTOCOLS = {
    row.name: row
    for row in (
        Protocol(name="coco", clips_truth=True),
        Protocol(
            name="perot2020-gen1", classes=_GEN1, pixels="sensor", min_diag=30.0, min_side=10.0,
            skip_until=500_000, tolerance=50_000, counts_empty=False,
        ),
        Protocol(
            name="perot2020-1mpx", classes=_ONE_MPX, pixels="sensor", min_diag=60.0, min_side=20.0,
            skip_until=500_000, tolerance=50_000, counts_empty=False,
        ),
        Protocol(
            name="rvt-gen1", classes=_GEN1, pixels="sensor", min_diag=30.0, min_side=10.0,
            skip_until=500_000, ranking="class_score", counts_empty=False, start_before_label=21,
        ),
        # Diagonal and side as for Gen1, in pixels twice as large.
        Protocol(
            name="rvt-1mpx", classes=_ONE_MPX, pixels="half sensor", min_diag=30.0, min_side=10.0,
            skip_until=500_000, ranking="class_score", counts_empty=False, start_before_label=5,
        ),
        # RVT's, but for the clips of S5-ViT and the memory that its released code does not carry.
        Protocol(
            name="s5-gen1", classes=_GEN1, pixels="sensor", min_diag=30.0, min_side=10.0,
            skip_until=500_000, ranking="class_score", counts_empty=False, start_before_label=21,
            reset_every=21,
        ),
        Protocol(
            name="s5-1mpx", classes=_ONE_MPX, pixels="half sensor", min_diag=30.0, min_side=10.0,
            skip_until=500_000, ranking="class_score", counts_empty=False, start_before_label=10,
            reset_every=10,
        ),
        # Of the frames' own labels, as the released code filters them: not RVT's set of labels.
        Protocol(
            name="evrtdetr-gen1", classes=_GEN1, pixels="sensor", min_diag=30.0, min_side=10.0,
            skip_until=500_000, counts_empty=False,
        ),
        Protocol(
            name="evrtdetr-1mpx", classes=_ONE_MPX, pixels="half sensor", min_diag=30.0,
            min_side=10.0, skip_until=500_000, counts_empty=False,
        ),
    )
}  # fmt: skip
"""The protocols by name; docs/concepts/scores.md has the source of each."""


def get_protocol(name: str) -> Protocol:
    """Give the protocol of a name.

    Raises:
        ValueError: the name is not in `PROTOCOLS`; the message has the nearest one.
    """
    if name not in PROTOCOLS:
        near = difflib.get_close_matches(name, PROTOCOLS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ValueError(f"unknown protocol {name!r}; choose from {', '.join(PROTOCOLS)}.{hint}")
    return PROTOCOLS[name]


def score_recordings(
    recordings: Sequence[ScoredRecording],
    class_names: Sequence[str],
    protocol: Protocol,
    *,
    delta_t: int = 0,
    deviations: Sequence[str] = (),
) -> AveragePrecision:
    """Score recordings together, by a protocol.

    Args:
        recordings: ground truth and detections, in the protocol's pixels.
        class_names: the classes without background; id 1 is the first.
        protocol: the rules.
        delta_t: duration of the detector's time bin in microseconds, for protocols that match by
            bin; 0 matches equal times only.
        deviations: the caller's deviations from the protocol, for the record.

    Returns:
        The scores; their `rules` hold those of the protocol, `delta_t` and `deviations`.

    Raises:
        ValueError: a class id is outside 1..C, or a value is not finite.
    """
    ranking, further = _ranking_of(recordings, protocol)
    counted = [keep_counted(one, protocol, delta_t=delta_t) for one in recordings]
    table = join_tables([_tabulate(one, protocol, ranking, delta_t) for one in counted])
    check_boxes("ground-truth boxes", table.truth, len(class_names))
    check_boxes("detections", table.found, len(class_names))
    rules = {**protocol.as_dict(), "ranking": ranking, "classes": list(class_names)}
    if protocol.tolerance is None:
        rules["delta_t"] = delta_t
    return average_precision_of(
        table,
        class_names,
        max_detections=protocol.max_detections,
        protocol=protocol.name,
        rules={**rules, "deviations": [*deviations, *further]},
    )


def keep_counted(
    recording: ScoredRecording, protocol: Protocol, *, delta_t: int = 0
) -> ScoredRecording:
    """Keep the boxes and the annotated times that count by a protocol.

    Args:
        recording: ground truth and detections, in the protocol's pixels.
        protocol: the rules.
        delta_t: duration of a time bin in microseconds, for protocols that match by bin: the last
            annotated time of each bin counts.

    Returns:
        A recording whose boxes keep all their fields.
    """
    truth = _chosen(recording.truth, _is_counted(recording.truth, protocol))
    times = recording.labeled_times
    if protocol.skip_until is not None:
        times = times[times > protocol.skip_until]
    if protocol.tolerance is None:
        times = last_of_bins(times, delta_t)
    if not protocol.counts_empty:
        objects = truth["t"]
        if "is_ignored" in (truth.dtype.names or ()):
            objects = objects[~truth["is_ignored"]]
        times = times[np.isin(times, objects)]
    return ScoredRecording(
        name=recording.name,
        truth=_chosen(truth, np.isin(truth["t"], times)),
        labeled_times=times,
        detections=_chosen(recording.detections, _is_counted(recording.detections, protocol)),
    )


def _chosen(boxes: BoxEvents, mask: Bool[np.ndarray, " _"]) -> BoxEvents:
    """The boxes of a mask; all of them without a copy, as there may be millions."""
    return boxes if mask.all() else boxes[mask]


def _ranking_of(recordings: Sequence[ScoredRecording], protocol: Protocol) -> tuple[str, list[str]]:
    has_both = all(
        _CLASS_SCORE in (one.detections.dtype.names or ())
        for one in recordings
        if len(one.detections)
    )
    if protocol.ranking == "score" or has_both:
        return protocol.ranking, []
    return "score", ["ranked by score: these detections have no separate class score"]


def _tabulate(
    counted: ScoredRecording, protocol: Protocol, ranking: str, delta_t: int
) -> FrameTable:
    times, found = counted.labeled_times, counted.detections
    found_at = (
        rows_in_bins(times, found["t"], delta_t)
        if protocol.tolerance is None
        else rows_within(times, found["t"], protocol.tolerance)
    )
    # An empty array may lack the field.
    by_class = ranking == _CLASS_SCORE and _CLASS_SCORE in (found.dtype.names or ())
    field = _CLASS_SCORE if by_class else "class_confidence"
    return tabulate_recording(counted, found_at, ranking=field)


def _is_counted(boxes: BoxEvents, protocol: Protocol) -> Bool[np.ndarray, " _"]:
    w, h = boxes["w"], boxes["h"]
    # In float32 as in the files, so that a box on the limit is decided as in Prophesee's toolbox.
    with np.errstate(over="ignore", invalid="ignore"):
        counted: Bool[np.ndarray, " _"] = (
            (w * w + h * h >= protocol.min_diag**2)
            & (w >= protocol.min_side)
            & (h >= protocol.min_side)
        )
    return counted if protocol.skip_until is None else counted & (boxes["t"] > protocol.skip_until)
