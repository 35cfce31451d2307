"""HOTA, MOTA and IDF1 of tracks, computed by `trackers.eval`; they equal TrackEval's numbers."""

import dataclasses
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from tqdm import TqdmWarning

from evdet.metrics.average_precision import to_plain
from evdet.metrics.frame_table import BoxTable, FrameTable
from evdet.metrics.recordings import ScoredRecording, check_recordings, pair_own_bin
from evdet.structured_text import html_table

__all__ = ["TrackNumbers", "TrackScores", "TrackScoresUnavailableError", "track_scores"]


_IOU_THRESH = 0.5  # from which a box is right for MOTA, IDF1 and their parts


class TrackScoresUnavailableError(RuntimeError):
    """A library of the extra `tracking` is missing; the message is one line."""


@dataclass(frozen=True, kw_only=True)
class TrackNumbers:
    """The scores of tracks; without objects and tracks: NaN, and counts of 0."""

    hota: float
    """Geometric mean of `det_a` and `ass_a`, mean over IoU 0.05:0.05:0.95."""
    det_a: float
    """Detection accuracy; this and the six below are means over the same IoUs."""
    ass_a: float
    """Association accuracy: how well the boxes of an object keep one track."""
    det_re: float
    """Share of the objects' boxes that are found."""
    det_pr: float
    """Share of the tracks' boxes that are right."""
    ass_re: float
    """How completely one track covers an object."""
    ass_pr: float
    """How purely a track keeps to one object."""
    loc_a: float
    """Mean IoU of the boxes that are right."""
    mota: float
    """1 minus misses, false boxes and switches per object box; may be negative."""
    motp: float
    """Mean IoU of the boxes that are right at the IoU threshold."""
    recall: float
    """Share of the objects' boxes that are found at the IoU threshold."""
    precision: float
    """Share of the tracks' boxes that are right at the IoU threshold."""
    idf1: float
    """F1 score of the boxes that the single best track of each object gets right."""
    id_recall: float
    """Share of the objects' boxes that are among them."""
    id_precision: float
    """Share of the tracks' boxes that are among them."""
    num_switches: int
    """Times an object's track changes."""
    num_fragments: int
    """Times an object is found again after it was lost."""
    num_mostly_tracked: int
    """Objects found in more than 80 % of their frames."""
    num_partly_tracked: int
    """Objects found in 20 to 80 % of their frames."""
    num_mostly_lost: int
    """Objects found in less than 20 % of their frames."""
    num_objects: int
    """Tracks of the ground truth."""
    num_tracks: int
    """Tracks of the tracker."""
    num_truths: int
    """Boxes of the ground truth."""
    num_detections: int
    """Detections with a track."""

    def as_dict(self) -> dict[str, Any]:
        """Plain types for JSON, under TrackEval's names: None for NaN."""
        plain = dataclasses.asdict(self)
        return {_JSON_NAMES.get(key, key): to_plain(value) for key, value in plain.items()}


# TrackEval's names, by which these numbers are known.
_JSON_NAMES = {
    "hota": "HOTA",
    "det_a": "DetA",
    "ass_a": "AssA",
    "det_re": "DetRe",
    "det_pr": "DetPr",
    "ass_re": "AssRe",
    "ass_pr": "AssPr",
    "loc_a": "LocA",
    "mota": "MOTA",
    "motp": "MOTP",
    "recall": "CLR_Re",
    "precision": "CLR_Pr",
    "idf1": "IDF1",
    "id_recall": "IDR",
    "id_precision": "IDP",
    "num_switches": "IDSW",
    "num_fragments": "Frag",
    "num_mostly_tracked": "MT",
    "num_partly_tracked": "PT",
    "num_mostly_lost": "ML",
}
_RATES = (*list(_JSON_NAMES)[:15],)


@dataclass(frozen=True, kw_only=True)
class TrackScores:
    """The scores of tracks, by class and in total."""

    overall: TrackNumbers
    """All classes together; boxes match only within their class."""
    class_mean: TrackNumbers
    """Means over the classes that have objects or tracks, and the total counts."""
    per_class: dict[str, TrackNumbers]
    """By class name, in the order of the names."""
    num_recordings: int
    """Scored recordings."""
    num_frames: int
    """Annotated times in them."""
    delta_t: int
    """Duration of a time bin in microseconds."""
    iou_thresh: float
    """IoU from which a box is right, for all but HOTA and its parts."""
    protocol: str
    """Name of the protocol."""

    def __repr__(self) -> str:
        return f"TrackScores({self._summary})"

    def _repr_html_(self) -> str:
        """For notebooks."""
        named = {"all": self.overall, **self.per_class}
        rows = [
            (name, one.hota, one.mota, one.idf1, one.num_switches, one.num_objects, one.num_tracks)
            for name, one in named.items()
        ]
        head = ("class", "HOTA", "MOTA", "IDF1", "switches", "objects", "tracks")
        return html_table(rows, title=self._summary, head=head)

    @property
    def _summary(self) -> str:
        total = self.overall
        return (
            f"{self.protocol}: HOTA {total.hota:.3f}, MOTA {total.mota:.3f}, IDF1 "
            f"{total.idf1:.3f}; {self.num_frames:,} frames, {total.num_objects:,} objects, "
            f"{total.num_tracks:,} tracks"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain types for JSON: the protocol first, then the overall numbers."""
        return {
            "protocol": self.protocol,
            "delta_t": self.delta_t,
            "iou_thresh": self.iou_thresh,
            "num_recordings": self.num_recordings,
            "num_frames": self.num_frames,
            **self.overall.as_dict(),
            "class_mean": self.class_mean.as_dict(),
            "per_class": {name: numbers.as_dict() for name, numbers in self.per_class.items()},
        }


def track_scores(
    recordings: Sequence[ScoredRecording],
    class_names: Sequence[str],
    *,
    delta_t: int,
) -> TrackScores:
    """Score tracks by TrackEval's rules.

    Each annotated time is scored with the detections of its own time bin (`pair_own_bin`); other
    detections are ignored. Detections without a track (track id 0) are left out.

    Args:
        recordings: ground truth and detections with track ids.
        class_names: the classes without background; id 1 is the first.
        delta_t: duration of the detector's time bin in microseconds. Detections are stamped with
            its end.

    Raises:
        ValueError: ground truth, detections and class names do not fit together; two boxes of one
            class have the same track id at one time; no detection has a track.
        TrackScoresUnavailableError: the library trackers is not installed.

    Source:
        TrackEval 1.3, https://github.com/JonathonLuiten/TrackEval, whose numbers these equal:
        `combine_sequences` of each class; over classes `combine_classes_det_averaged`, and
        `combine_classes_class_averaged` without empty classes.
    """
    if len(set(class_names)) < len(class_names):
        raise ValueError(f"class names must be all different, got {list(class_names)}")
    check_recordings(recordings, num_classes=len(class_names), delta_t=delta_t)
    _check_tracked(recordings)
    library = _load_library()
    parts: list[list[_Part]] = [[] for _ in class_names]
    for one in recordings:
        frames = pair_own_bin([one], delta_t=delta_t)
        for label, of_class in enumerate(parts, start=1):
            of_class.append(_score(library, one.name, frames, label))
    numbers = [_combine(library, of_class) for of_class in parts]
    return TrackScores(
        overall=_combine(library, [part for of_class in parts for part in of_class]),
        class_mean=_mean(numbers),
        per_class=dict(zip(class_names, numbers, strict=True)),
        num_recordings=len(recordings),
        num_frames=sum(len(one.labeled_times) for one in recordings),
        delta_t=delta_t,
        iou_thresh=_IOU_THRESH,
        protocol="trackeval",
    )


class _Part(NamedTuple):
    """The library's scores of one class in one recording."""

    hota: dict[str, Any]
    clear: dict[str, Any]
    identity: dict[str, Any]
    num_objects: int
    num_tracks: int


def _score(library: ModuleType, recording: str, frames: FrameTable, label: int) -> _Part:
    truth = frames.truth.take(frames.truth.labels == label)
    found = frames.found.take((frames.found.labels == label) & (frames.found.track_ids > 0))
    _check_unique(f"ground-truth boxes of {recording}", truth)
    _check_unique(f"detections of {recording}", found)
    # Frames without boxes change nothing: leaving them out saves time with many classes.
    used = np.union1d(truth.frames, found.frames)
    ids = [_split(one, one.track_ids, used) for one in (truth, found)]
    boxes = [_split(one, _corners(one), used) for one in (truth, found)]
    overlaps = [library.box_iou(a, b) for a, b in zip(*boxes, strict=True)]
    tracks = (*ids, overlaps)
    return _Part(
        hota=library.compute_hota_metrics(*tracks),
        clear=library.compute_clear_metrics(*tracks, threshold=_IOU_THRESH),
        identity=library.compute_identity_metrics(*tracks, threshold=_IOU_THRESH),
        num_objects=len(np.unique(truth.track_ids)),
        num_tracks=len(np.unique(found.track_ids)),
    )


def _combine(library: ModuleType, parts: Sequence[_Part]) -> TrackNumbers:
    clear = library.aggregate_clear_metrics([part.clear for part in parts])
    scores: Mapping[str, Any] = {
        **library.aggregate_hota_metrics([part.hota for part in parts]),
        **library.aggregate_identity_metrics([part.identity for part in parts]),
        **clear,
    }
    num_truths = clear["CLR_TP"] + clear["CLR_FN"]
    num_detections = clear["CLR_TP"] + clear["CLR_FP"]
    values = {name: scores[key] for name, key in _JSON_NAMES.items()}
    if not num_truths + num_detections:
        values.update(dict.fromkeys(_RATES, math.nan))
    return TrackNumbers(
        **values,
        num_objects=sum(part.num_objects for part in parts),
        num_tracks=sum(part.num_tracks for part in parts),
        num_truths=num_truths,
        num_detections=num_detections,
    )


def _mean(numbers: Sequence[TrackNumbers]) -> TrackNumbers:
    used = [one for one in numbers if one.num_truths + one.num_detections]
    values: dict[str, Any] = {}
    for item in dataclasses.fields(TrackNumbers):
        column = [getattr(one, item.name) for one in used]
        if item.name in _RATES:
            values[item.name] = float(np.mean(column)) if column else math.nan
        else:
            values[item.name] = sum(column)
    return TrackNumbers(**values)


def _split(boxes: BoxTable, values: np.ndarray, used: Int64[np.ndarray, " _"]) -> list[np.ndarray]:
    """The values by used frame; boxes and frames are in order."""
    return np.split(values, np.searchsorted(boxes.frames, used[1:])) if len(used) else []


def _corners(boxes: BoxTable) -> Float64[np.ndarray, "_ 4"]:
    return np.concatenate([boxes.xywh[:, :2], boxes.xywh[:, :2] + boxes.xywh[:, 2:]], axis=1)


def _check_tracked(recordings: Sequence[ScoredRecording]) -> None:
    num_detections = sum(len(one.detections) for one in recordings)
    if num_detections and not any(one.detections["track_id"].any() for one in recordings):
        raise ValueError(
            f"none of the {num_detections} detections has a track (track_id is 0 in all): track "
            "them first, for example with `evdet detect --track`"
        )


def _check_unique(what: str, boxes: BoxTable) -> None:
    """Refuse two boxes of one class and track id in a frame: they are ambiguous."""
    keys = np.stack([boxes.frames, boxes.track_ids])
    _, first, counts = np.unique(keys, axis=1, return_index=True, return_counts=True)
    if (counts > 1).any():
        row = first[counts > 1][0]
        raise ValueError(
            f"{counts[counts > 1][0]} {what} have class id {boxes.labels[row]} and track id "
            f"{boxes.track_ids[row]} at t={boxes.times[row]} us: track scores need one track id "
            "per object"
        )


def _load_library() -> ModuleType:
    # The library uses OpenCV: this import explains what to do if it cannot be loaded.
    import evdet.opencv  # noqa: F401

    try:
        with warnings.catch_warnings():
            # It imports tqdm.auto, which warns in a notebook without ipywidgets.
            warnings.simplefilter("ignore", TqdmWarning)
            import trackers.eval
    except ImportError as error:
        message = f"no track scores ({error}): pip install 'evdet[tracking]'"
        raise TrackScoresUnavailableError(message) from error
    return trackers.eval
