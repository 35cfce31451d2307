"""`evdet score`: files of detections and of ground truth -> scores, for any detector."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from evdet.atomic_file import write_text
from evdet.cli.many import failed_files
from evdet.cli.options import (
    Flag,
    ProtocolName,
    check_at_least,
    check_result_folder,
    check_writable,
    default,
)
from evdet.cli.score.table import check_has_truth, describe_scores, describe_tracks
from evdet.evaluation import measure_further, read_box_files
from evdet.events import parse_size
from evdet.labels import (
    LABEL_SUFFIXES,
    class_names_in,
    find_label_map,
    is_frame_folder,
    published_classes,
    read_label_map,
)
from evdet.metrics import Protocol, ScoredRecording, get_protocol, score_recordings
from evdet.outputs import check_folder_apart, label_maps_of, prepare_files
from evdet.runs import RunFolder

__all__ = ["ScoreOptions", "score"]


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """Score a file of detections against a file of boxes, or the files of two folders."""

    detections: Annotated[Path, tyro.conf.arg(metavar="FILE|DIR")]
    """Detections in any label format: a file, a folder of files, or one with a file per frame."""
    boxes: Annotated[Path, tyro.conf.arg(metavar="FILE|DIR")]
    """Ground truth: a file, or a folder of files with the same names."""
    protocol: ProtocolName = "coco"
    """Evaluation protocol."""
    classes: Annotated[tuple[str, ...], default("the protocol's; all for coco")] = ()
    """Classes of the label map to score; person+rider=pedestrian merges and renames."""
    label_map: Annotated[
        Path | None,
        default("label_map_dictionary.json of the boxes, or the protocol's classes", "FILE"),
    ] = None
    """JSON file with the names of the class ids on disk."""
    delta_t: Annotated[int, tyro.conf.arg(metavar="US")] = 0
    """Duration of the detector's time bins in microseconds; 0: times are those of the labels."""
    sensor_size: Annotated[str | None, default("unknown", "WxH")] = None
    """Width and height in pixels of the frames that the boxes refer to."""
    frame_period: Annotated[int | None, default("none", "US")] = None
    """Frame period in microseconds, for label files numbered by frame; needs --sensor-size."""
    track: Annotated[Flag, tyro.conf.arg(aliases=["--tracks"])] = False
    """Score the tracks of the files: HOTA, MOTA and IDF1."""
    json: Annotated[Path | None, default("none", "FILE")] = None
    """JSON file for the scores and their protocol."""
    output_dir: Annotated[Path | None, default("none", "DIR")] = None
    """Folder for evaluation.json."""


def score(options: ScoreOptions) -> None:
    """Score the files, and print the scores.

    Raises:
        ValueError: the files do not belong together, or an option is out of range.
        FailedFilesError: files of some of several recordings cannot be read; the others are scored.
    """
    check_at_least(0, options, "delta_t")
    check_at_least(1, options, "frame_period")
    if options.frame_period is not None and options.sensor_size is None:
        raise ValueError("--frame-period needs --sensor-size WxH, the size of the frames")
    check_writable(options.json)
    check_result_folder(options.output_dir)
    read = [options.label_map, options.detections, options.boxes, *label_maps_of(options.boxes)]
    check_folder_apart(options.output_dir, read=read)
    results = [RunFolder(options.output_dir).evaluation_file] if options.output_dir else []
    prepare_files([options.json], derived=results, read=read)
    stated = options.sensor_size
    size = None if stated is None else parse_size(stated, name="--sensor-size")
    protocol = get_protocol(options.protocol)
    label_map = _label_map(options.label_map, options.boxes, protocol)
    files = read_box_files(
        options.detections,
        options.boxes,
        protocol,
        label_map=label_map,
        classes=options.classes,
        size=size,
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
    check_has_truth(scores, str(options.boxes))
    further = measure_further(
        files.recordings,
        files.class_names,
        files.protocol,
        size=size or _extent(files.recordings),
        delta_t=options.delta_t,
        scores_tracks=options.track,
    )
    notes = [*files.notes, *further.notes]
    numbers = {**scores.as_dict(), "tracks": further.tracks, "notes": notes}
    if options.json is not None:
        write_text(options.json, json.dumps(numbers, indent=1) + "\n")
    if options.output_dir is not None:
        source = {
            "evaluated": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "detections": str(options.detections),
            "boxes": str(options.boxes),
        }
        run = RunFolder(options.output_dir)
        run.write_evaluation({**source, **numbers, "curves": further.curves})
    print(describe_scores(scores))
    if further.tracks is not None:
        print(describe_tracks(further.tracks))
    print("\n".join([f"recordings: {len(files.recordings)}", *notes]))
    if files.failed:
        raise failed_files(files.failed, len(files.recordings) + len(files.failed))


def _label_map(given: Path | None, boxes: Path, protocol: Protocol) -> Mapping[int, str] | None:
    """The names of the ids on disk; None uses their numbers."""
    if given is not None:
        return read_label_map(given)
    found = find_label_map(boxes)
    if found is not None:
        return found.names
    published = published_classes([], protocol.classes) if protocol.classes else ()
    if published:
        return dict(enumerate(published))
    return _own_names(boxes)


def _own_names(boxes: Path) -> Mapping[int, str] | None:
    """The names in COCO files, or beside a folder of YOLO files; None where ids are not theirs."""
    if is_frame_folder(boxes):
        return None if any(boxes.glob("*.xml")) else class_names_in(boxes)
    files = [boxes] if boxes.is_file() else [path for path in boxes.rglob("*") if path.is_file()]
    files = [path for path in files if path.suffix.lower() in LABEL_SUFFIXES]
    if not files or any(path.suffix.lower() != ".json" for path in files):
        return None
    named = [class_names_in(path) for path in files]
    return named[0] if all(names == named[0] for names in named) else None


def _extent(recordings: Sequence[ScoredRecording]) -> tuple[int, int]:
    """Height and width of the smallest picture that holds all ground-truth boxes."""
    ends = [
        (np.max(one.truth["y"] + one.truth["h"]), np.max(one.truth["x"] + one.truth["w"]))
        for one in recordings
        if len(one.truth)
    ]
    height, width = np.max(ends, axis=0) if ends else (0, 0)
    return math.ceil(height), math.ceil(width)
