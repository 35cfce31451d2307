"""`evdet labels`: a label file of any format -> another format."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from evdet.cli.options import (
    Flag,
    ReadingOptions,
    asked_size,
    check_at_least,
    counted,
    default,
)
from evdet.events import SensorSize, open_recording
from evdet.labels import (
    LabeledTimes,
    RecordingSpan,
    class_lists_beside,
    class_names_in,
    describe_counts,
    find_format,
    find_label_map,
    read_boxes,
    read_label_map,
    write_labels,
)
from evdet.outputs import label_maps_of, prepare_files

__all__ = ["LabelsOptions", "labels"]


@dataclass(frozen=True, kw_only=True)
class LabelsOptions:
    """Convert labels between NumPy, COCO, CSV and MOT files, and YOLO and VOC folders."""

    source: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="IN")]]
    """Label file of any format, or a folder with one file per frame."""
    output: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="OUT")]]
    """File to write: _bbox.npy, .json (COCO), .csv or .txt (MOT); or a folder, with --format."""
    format: Literal["auto", "npy", "coco", "csv", "mot", "yolo", "voc"] = "auto"
    """Format to write; auto takes the ending of OUT; yolo and voc are folders."""
    recording: Annotated[Path | None, default("none", "FILE")] = None
    """Labelled recording, for its sensor size and its clock."""
    time_unit: Annotated[
        Literal["ns", "us", "ms", "s"] | None, default("from the file", "us|ms|s|ns")
    ] = None
    """Unit of times of --recording, if it is a text, NumPy or HDF5 file."""
    columns: Annotated[str | None, default("from the file", "txyp")] = None
    """Order of columns of --recording, if it is a text, NumPy or HDF5 file."""
    stream: Annotated[str | None, default("the only one", "NAME")] = None
    """Stream, camera or topic of --recording, if it has several."""
    frame_period: Annotated[int | None, default("none", "US")] = None
    """Frame period in microseconds, for formats that number frames."""
    sensor_size: Annotated[str | None, default("that of --recording", "WxH")] = None
    """Width and height in pixels of the labelled frames."""
    label_map: Annotated[
        Path | None, default("label_map_dictionary.json of IN, or the names in IN", "FILE")
    ] = None
    """JSON file with the names of the class ids on disk."""
    force: Flag = False
    """Overwrite OUT if it exists."""


def labels(options: LabelsOptions) -> None:
    """Write the labels, and print what the format cannot keep.

    Raises:
        ValueError: an option is out of range or missing, or OUT exists.
        LabelError: IN cannot be understood.
    """
    check_at_least(1, options, "frame_period")
    stated = None if options.format == "auto" else options.format
    format_name = find_format(options.output, stated)
    old = _check_output(options)
    span = _span_of(options)
    label_map, notes = _label_map(options)
    labeled = read_boxes(
        options.source, label_map or {}, recording=span, frame_period=options.frame_period
    )
    if not label_map:
        label_map = _ids_as_names(labeled)
        if format_name in ("coco", "csv", "voc") and label_map:
            notes.append("classes have their ids as names: give --label-map FILE with their names")
    lost = write_labels(
        options.output,
        labeled,
        label_map,
        format_name=format_name,
        size=None if span is None else span.size,
        frame_period=options.frame_period,
        start=0 if span is None else span.start or 0,
    )
    # Frames of an earlier conversion that were not replaced would be read as further ones.
    for path, before in old:
        if path.exists() and os.path.samestat(path.stat(), before):
            path.unlink()
    num_times = len(np.union1d(labeled.boxes["t"], labeled.empty_times))
    what = f"{counted(len(labeled.boxes), 'box')} at {counted(num_times, 'time')}"
    notes = [*labeled.notes, *describe_counts(labeled.counts), *notes, *lost]
    print("\n".join([f"{options.output}: {what}", *(f"  {note}" for note in notes)]))


def _check_output(options: LabelsOptions) -> list[tuple[Path, os.stat_result]]:
    """Refuse to write over what is read, or over something else without --force.

    Returns:
        The files of an earlier conversion.
    """
    source, output = options.source, options.output
    read = [source, options.label_map, *label_maps_of(source), *class_lists_beside(source)]
    # Not the labels beside the recording: this command is there to make them.
    read += [options.recording, *label_maps_of(options.recording)]
    old = _frame_files(output)
    prepare_files([output], derived=old, read=read)
    if not output.exists():
        if not output.absolute().parent.is_dir():
            raise ValueError(f"cannot write {output}: the folder {output.parent} does not exist")
        return []
    if output.is_dir() and options.format not in ("yolo", "voc"):
        raise ValueError(f"cannot write {output}: it is a folder")
    if not output.is_dir() and options.format in ("yolo", "voc"):
        raise ValueError(f"cannot write {output}: it is a file, not a folder")
    if output.is_dir() and not any(output.iterdir()):
        return []
    if not options.force:
        raise ValueError(f"{output} exists: name another file, or overwrite it with --force")
    if output.is_dir():
        other = [path.name for path in old if not path.name.startswith("frame_")]
        if set(other) - {"classes.txt"}:
            raise ValueError(
                f"cannot write {output}: it has other files, such as "
                f"{min(set(other) - {'classes.txt'})}; name another folder"
            )
    return [(path, path.stat()) for path in old]


def _frame_files(folder: Path) -> list[Path]:
    paths = sorted(folder.iterdir()) if folder.is_dir() else ()
    return [path for path in paths if path.suffix.lower() in (".txt", ".xml")]


def _span_of(options: LabelsOptions) -> RecordingSpan | None:
    """The facts of the recording, as far as they are known."""
    size = asked_size(options.sensor_size)
    if options.recording is not None:
        reading = ReadingOptions(
            time_unit=options.time_unit, columns=options.columns, stream=options.stream
        ).options()
        recording = open_recording(options.recording, size=size, options=reading)
        return RecordingSpan(recording.size, recording.start, recording.end)
    return None if size is None else RecordingSpan(SensorSize(*size), 0, None)


def _label_map(options: LabelsOptions) -> tuple[Mapping[int, str] | None, list[str]]:
    if options.label_map is not None:
        return read_label_map(options.label_map), []
    if not options.source.exists():
        raise FileNotFoundError(f"the label file {options.source} does not exist")
    found = find_label_map(options.source)
    if found is not None:
        return found.names, []
    names = class_names_in(options.source)
    if not names:
        return None, []
    shown = ", ".join(f"{i} {name}" for i, name in names.items())
    return names, [f"classes as IN names them: {shown}"]


def _ids_as_names(labeled: LabeledTimes) -> dict[int, str]:
    used = np.union1d(labeled.boxes["class_id"], labeled.ignored["class_id"])
    return {int(class_id) - 1: str(class_id - 1) for class_id in used}
