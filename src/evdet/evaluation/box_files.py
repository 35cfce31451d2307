"""A file of detections and a file of boxes, or two folders of them -> recordings to score."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evdet.evaluation.file_pairs import MatchedFiles, match_files
from evdet.events import SensorSize
from evdet.labels import (
    BoxRules,
    ClassChoice,
    LabeledTimes,
    LabelError,
    RecordingSpan,
    apply_classes,
    apply_rules,
    choose_classes,
    describe_counts,
    read_boxes,
)
from evdet.metrics import (
    Protocol,
    ScoredRecording,
    are_sound,
    rows_in_bins,
    rows_within,
    to_box_table,
)
from evdet.shapes import BoxEvents

__all__ = ["BoxFiles", "read_box_files"]

_HALF_SIZE = SensorSize(360, 640)
"""The size that `half sensor` protocols measure in: files of this size are not halved."""


@dataclass(frozen=True, kw_only=True)
class BoxFiles:
    """The content of files of detections and of boxes, ready to be scored."""

    recordings: list[ScoredRecording]
    """In the protocol's pixels."""
    class_names: tuple[str, ...]
    """The classes that are scored; id 1 is the first."""
    protocol: Protocol
    """The protocol as applied: ground truth is clipped only if the image size is known, and
    files do not say from where the recordings were played, nor with which memory."""
    notes: tuple[str, ...]
    """Unmatched files and boxes that were left out."""
    failed: tuple[tuple[str, str], ...] = ()
    """Of several recordings, those whose files could not be read, and why."""


def read_box_files(
    detections: Path,
    boxes: Path,
    protocol: Protocol,
    *,
    label_map: Mapping[int, str] | None = None,
    classes: Sequence[str] = (),
    size: SensorSize | None = None,
    frame_period: int | None = None,
    delta_t: int = 0,
) -> BoxFiles:
    """Read files of detections and of boxes, in any of the label formats.

    Args:
        detections: a file, or a folder of files.
        boxes: the ground truth; the files of folders are matched by name.
        protocol: the rules of the evaluation.
        label_map: names of the ids on disk; None takes the ids as names.
        classes: the classes to score, as `choose_classes` takes them; none takes the protocol's.
        size: the image that the boxes are measured in.
        frame_period: microseconds from one frame to the next, for files that count frames.
        delta_t: duration of the detector's time bin in microseconds; 0 matches equal times only.

    Returns:
        The recordings. Of several, those whose files can be read. One with boxes and no file of
        detections counts as without detections; one without boxes is left out.

    Raises:
        LabelError: a file cannot be understood, or the two have different classes.
        ValueError: the files do not belong together, or seem to be swapped.
    """
    pairs, notes = match_files(detections, boxes)
    names = label_map
    if names is None:
        names = {}
        _check_have_ids(pairs)
    span = None if size is None else RecordingSpan(size, 0, None)
    read: list[tuple[MatchedFiles, LabeledTimes, LabeledTimes]] = []
    failed: list[tuple[str, str]] = []
    for pair in pairs:
        try:
            read.append(_read_pair(pair, names, span, frame_period))
        except (ValueError, OSError) as error:
            if len(pairs) == 1:
                raise
            failed.append((pair.name, str(error)))
    if not read:
        raise LabelError(f"no file could be read; the first: {failed[0][1]}")
    if failed:
        count, all_ = len(failed), len(pairs)
        notes.append(f"{count} of {all_} recordings could not be read and are not scored")
    if label_map is None:
        names = _ids_as_names([part.boxes for _, *both in read for part in both])
    notes += _check_swapped(read, detections, boxes)
    choice = choose_classes(names, classes or protocol.classes)
    counts, ignored = Counter[str](), Counter[str]()
    recordings = []
    for pair, found, truth in read:
        _check_ids(pair, found.boxes, choice)
        notes += _notes_of(pair.detections, found) + _notes_of(pair.boxes, truth)
        ignored.update(truth.counts)
        recordings.append(_to_recording(pair.name, found, truth, choice, protocol, size, counts))
    _check_classes(read, recordings, choice)
    few = _check_times(recordings, protocol, delta_t)
    return BoxFiles(
        recordings=recordings,
        class_names=choice.names,
        protocol=_as_applied(protocol, size),
        notes=(
            *notes,
            *few,
            *describe_counts(ignored),
            *(f"{count:,} {what}" for what, count in counts.items()),
        ),
        failed=tuple(failed),
    )


def _read_pair(
    pair: MatchedFiles,
    names: Mapping[int, str],
    span: RecordingSpan | None,
    frame_period: int | None,
) -> tuple[MatchedFiles, LabeledTimes, LabeledTimes]:
    found = LabeledTimes.empty()
    if pair.detections is not None:
        found = read_boxes(
            pair.detections, names, recording=span, frame_period=frame_period, truth=pair.boxes
        )
    return pair, found, read_boxes(pair.boxes, names, recording=span, frame_period=frame_period)


def _as_applied(protocol: Protocol, size: SensorSize | None) -> Protocol:
    return replace(
        protocol,
        clips_truth=protocol.clips_truth and size is not None,
        start_before_label=None,
        reset_every=None,
    )


def _to_recording(
    name: str,
    found: LabeledTimes,
    truth: LabeledTimes,
    choice: ClassChoice,
    protocol: Protocol,
    size: SensorSize | None,
    counts: Counter[str],
) -> ScoredRecording:
    # Of detections, a confidence of 0 is a score.
    detections = _of_classes("detections", found.flagged(), choice, counts)
    objects = _of_classes("boxes", truth.flagged(), choice, counts)
    if protocol.clips_truth and size is not None:
        objects, dropped = apply_rules(objects, BoxRules(), size)
        for reason, count in dropped.items():
            counts[f"boxes {reason}"] += count
    if protocol.pixels == "half sensor" and size != _HALF_SIZE:
        detections, objects = _halved(detections), _halved(objects)
    return ScoredRecording(
        name=name,
        truth=objects,
        # A time is annotated even if all its objects are of other classes.
        labeled_times=np.union1d(truth.boxes["t"], truth.empty_times),
        detections=detections,
    )


def _of_classes(
    what: str, boxes: BoxEvents, choice: ClassChoice, counts: Counter[str]
) -> BoxEvents:
    boxes, dropped = apply_classes(boxes, choice)
    for reason, count in dropped.items():
        counts[f"{what} left out: {reason}"] += count
    bad = ~are_sound(to_box_table(boxes))
    if bad.any():
        counts[f"{what} left out: not finite, or a negative side"] += int(bad.sum())
    sound: BoxEvents = boxes[~bad]
    return sound


def _halved(boxes: BoxEvents) -> BoxEvents:
    boxes = boxes.copy()
    for name in ("x", "y", "w", "h"):
        boxes[name] /= 2
    return boxes


def _check_have_ids(pairs: Sequence[MatchedFiles]) -> None:
    for pair in pairs:
        for path in (pair.detections, pair.boxes):
            if path is not None and path.suffix.lower() not in (".npy", ".npz"):
                raise LabelError(
                    f"{path} may contain class names, so the label map is needed: give --label-map "
                    'FILE, such as {"0": "car", "1": "pedestrian"}'
                )


def _ids_as_names(parts: Sequence[BoxEvents]) -> dict[int, str]:
    used = {int(class_id) - 1 for part in parts for class_id in np.unique(part["class_id"])}
    return {class_id: str(class_id) for class_id in sorted(used)}


def _check_swapped(
    read: Sequence[tuple[MatchedFiles, LabeledTimes, LabeledTimes]], detections: Path, boxes: Path
) -> list[str]:
    """Note that all scores are equal, unless the ground truth has the scores: refuse that."""
    scores = np.concatenate([found.boxes["class_confidence"] for _, found, _ in read])
    if len(scores) < 2 or (scores != scores[0]).any():
        return []
    of_truth = np.concatenate([truth.boxes["class_confidence"] for _, _, truth in read])
    if ((of_truth > 0) & (of_truth < 1)).any():
        raise ValueError(
            f"all {len(scores):,} detections of {detections} have the confidence {scores[0]:g}, "
            f"while the boxes of {boxes} have confidences between 0 and 1. Are --detections and "
            "--boxes swapped?"
        )
    return [
        f"all {len(scores):,} detections have the confidence {scores[0]:g}, so average precision "
        "ranks them in the order of the files"
    ]


def _notes_of(path: Path | None, labeled: LabeledTimes) -> list[str]:
    return [] if path is None else [f"{path.name}: {note}" for note in labeled.notes]


def _check_ids(pair: MatchedFiles, found: BoxEvents, choice: ClassChoice) -> None:
    on_disk = np.unique(found["class_id"]).astype(np.int64) - 1
    unknown = [class_id for class_id in on_disk.tolist() if class_id not in choice.label_map]
    if unknown:
        known = ", ".join(f"{class_id} {name}" for class_id, name in choice.label_map.items())
        raise LabelError(
            f"{pair.detections} has detections of class id {unknown[0]}, which the label map does "
            f"not have: {known}. Was the detector trained on other classes? Ids on disk start at 0."
        )


def _check_classes(
    read: Sequence[tuple[MatchedFiles, LabeledTimes, LabeledTimes]],
    recordings: Sequence[ScoredRecording],
    choice: ClassChoice,
) -> None:
    """Refuse detections that are all of classes that are not scored."""
    num_read = sum(len(found.boxes) for _, found, _ in read)
    if num_read and not any(len(one.detections) for one in recordings):
        ids = np.unique(np.concatenate([found.boxes["class_id"] for _, found, _ in read]))
        there = ", ".join(choice.label_map[int(class_id) - 1] for class_id in ids)
        raise LabelError(
            f"none of the {num_read:,} detections is of the scored classes "
            f"{', '.join(choice.names)}: they are of {there}. --classes chooses others."
        )


def _check_times(
    recordings: Sequence[ScoredRecording], protocol: Protocol, delta_t: int
) -> list[str]:
    """Refuse detections that are never at a labelled time; note if few labelled times have one."""
    num_times = sum(len(one.labeled_times) for one in recordings)
    num_matched = sum(_count_matched(one, protocol, delta_t) for one in recordings)
    one = next((one for one in recordings if len(one.detections)), None)
    if one is None or 2 * num_matched >= num_times:
        return []
    hint = ""
    if protocol.tolerance is None and not delta_t:
        hint = (
            " If detections are stamped with the ends of time bins, give the bins' duration, such "
            "as --delta-t 50000."
        )
    if num_matched:
        return [f"only {num_matched} of {num_times} labelled times have a detection.{hint}"]
    spans = [
        f"{what} from {times.min()} to {times.max()} us"
        for what, times in (("labels", one.labeled_times), ("detections", one.detections["t"]))
        if len(times)
    ]
    raise ValueError(
        f"no detection is at a labelled time of {protocol.name}; {one.name} has "
        f"{' and '.join(spans)}. Are both in microseconds, on the same clock?{hint}"
    )


def _count_matched(one: ScoredRecording, protocol: Protocol, delta_t: int) -> int:
    times, found = one.labeled_times, one.detections["t"]
    if protocol.tolerance is None:
        return len(np.unique(rows_in_bins(times, found, delta_t).frames))
    return len(np.unique(rows_within(times, found, protocol.tolerance).frames))
