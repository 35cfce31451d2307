"""`evdet evaluate --detections D --boxes B`: files of any detector -> numbers."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evdet.atomic_file import write_text
from evdet.cli.score_table import describe_scores, describe_tracks
from evdet.runs import RunFolder

if TYPE_CHECKING:
    from evdet.cli.evaluate_options import EvaluateOptions
    from evdet.metrics import Protocol, ScoredRecording

__all__ = ["evaluate_files"]


def evaluate_files(options: "EvaluateOptions") -> None:
    """Score a file of detections against a file of boxes, or the files of two folders.

    Args:
        options: what the user asked for; `detections` and `boxes` are given.

    Raises:
        ValueError: the files do not belong together, or an option is out of range.
    """
    from evdet.evaluation import measure_further, read_box_files
    from evdet.events import SensorSize
    from evdet.metrics import get_protocol, score_recordings

    protocol = get_protocol(options.protocol)
    _check(options)
    detections, boxes = options.detections or Path(), options.boxes or Path()
    label_map = _label_map(options.label_map, boxes, protocol)
    files = read_box_files(
        detections,
        boxes,
        protocol,
        label_map=label_map,
        classes=options.classes,
        size=None if options.size is None else SensorSize(*options.size),
        frame_period=options.frame_period,
        delta_t=options.delta_t,
    )
    others = protocol.classes and files.class_names != protocol.classes
    scores = score_recordings(
        files.recordings,
        files.class_names,
        files.protocol,
        delta_t=options.delta_t,
        deviations=[f"other classes than {', '.join(protocol.classes)}"] if others else [],
    )
    further = measure_further(
        files.recordings,
        files.class_names,
        files.protocol,
        size=options.size or _extent(files.recordings),
        delta_t=options.delta_t,
        scores_tracks=options.tracks,
    )
    notes = [*files.notes, *further.notes]
    numbers = {**scores.as_dict(), "tracks": further.tracks, "notes": notes}
    if options.json is not None:
        write_text(options.json, json.dumps(numbers, indent=1) + "\n")
    if options.output is not None:
        source = {"detections": str(detections), "boxes": str(boxes)}
        run = RunFolder(options.output)
        run.write_evaluation({**source, **numbers, "curves": further.curves})
    print(describe_scores(scores))
    if further.tracks is not None:
        print(describe_tracks(further.tracks))
    print("\n".join([f"recordings: {len(files.recordings)}", *notes]))


def _check(options: "EvaluateOptions") -> None:
    if options.delta_t < 0:
        raise ValueError(f"delta_t must be 0 or more microseconds, got {options.delta_t}")
    if options.size is not None and min(options.size) < 1:
        raise ValueError(f"size must be at least 1 by 1 pixel, got {options.size}")
    if options.frame_period is not None and options.size is None:
        raise ValueError("--frame-period needs --size HEIGHT WIDTH of the frames, too")


def _label_map(given: Path | None, boxes: Path, protocol: "Protocol") -> Mapping[int, str] | None:
    """The names of the ids on disk; None calls them by their numbers."""
    from evdet.labels import find_label_map, published_classes, read_label_map

    if given is not None:
        return read_label_map(given)
    found = find_label_map(boxes)
    if found is not None:
        return found.names
    published = published_classes([], protocol.classes) if protocol.classes else ()
    return dict(enumerate(published)) if published else None


def _extent(recordings: "Sequence[ScoredRecording]") -> tuple[int, int]:
    """The smallest picture that holds all true boxes."""
    ends = [
        (np.max(one.truth["y"] + one.truth["h"]), np.max(one.truth["x"] + one.truth["w"]))
        for one in recordings
        if len(one.truth)
    ]
    height, width = np.max(ends, axis=0) if ends else (0, 0)
    return math.ceil(height), math.ceil(width)
