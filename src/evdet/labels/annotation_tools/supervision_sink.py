"""Tables of the library supervision: CSVSink and JSONSink."""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

from evdet.labels.annotation_tools.json_file import read_json, records_of
from evdet.labels.annotation_tools.keyframes import TrackIds
from evdet.labels.source import BoxRows, LabelSource, number, to_time
from evdet.labels.text import read_text

__all__ = ["SINK_COLUMNS", "read_csv_sink", "read_json_sink"]

SINK_COLUMNS = ("x_min", "y_min", "x_max", "y_max", "class_id", "confidence", "tracker_id")
"""The columns of every row; what the program adds follows."""

_FRAMES = ("frame_index", "frame_idx", "frame", "frame_id", "frame_number")
_TIMES = ("t", "t_us", "time_us", "timestamp_us")
_NO_TRACK = ("", "-1", "None")


def read_csv_sink(source: LabelSource) -> BoxRows:
    """Read a table that supervision's CSVSink has written.

    The program that wrote it must have added a column with the frame, from 0, or the time in
    microseconds. The class is `class_name`, or else the id of the label map. Pixels count from 0.

    Returns:
        The boxes; ids as on disk. Frames without boxes have no rows.

    Raises:
        LabelError: a column is missing or a cell is invalid.

    Source:
        `CSVSink` on https://supervision.roboflow.com/latest/detection/tools/save_detections/.
    """
    table = csv.DictReader(io.StringIO(read_text(source), newline=""))
    rows: list[tuple[str, Mapping[str, Any]]] = []
    try:
        for row in table:
            rows.append((f"line {table.line_num}", row))
    except csv.Error as error:
        raise source.error(f"not a table: {error}", f"line {table.line_num}") from error
    return _read(source, rows, list(table.fieldnames or ()))


def read_json_sink(source: LabelSource) -> BoxRows:
    """Read a list that supervision's JSONSink has written; as `read_csv_sink`.

    Raises:
        LabelError: a field is missing or a value is invalid.
    """
    records = records_of(source, read_json(source), "the file")
    rows = [(f"record {i}", record) for i, record in enumerate(records)]
    return _read(source, rows, list(records[0]) if records else [*SINK_COLUMNS, *_FRAMES])


def _read(
    source: LabelSource, rows: Iterable[tuple[str, Mapping[str, Any]]], columns: list[str]
) -> BoxRows:
    time = next((name for name in (*_TIMES, *_FRAMES) if name in columns), None)
    if time is None:
        raise source.error(
            "no column says to which frame a row belongs: write it with "
            'sink.append(detections, custom_data={"frame_index": i}), frames from 0'
        )
    rows = list(rows)
    tracks = [_text(row.get("tracker_id")) for _, row in rows]
    ids = TrackIds([track for track in tracks if track not in _NO_TRACK])
    found = BoxRows()
    for (where, row), track in zip(rows, tracks, strict=True):
        left, top, right, bottom = (
            _number(source, row, name, where) for name in ("x_min", "y_min", "x_max", "y_max")
        )
        found.add(
            _time(source, row, time, where),
            (left, top, right - left, bottom - top),
            _class(source, row, where),
            track_id=0 if track in _NO_TRACK else ids[track],
            confidence=(
                _number(source, row, "confidence", where) if _text(row.get("confidence")) else 1.0
            ),
        )
    return found


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _number(source: LabelSource, row: Mapping[str, Any], name: str, where: str) -> float:
    value = number(row.get(name))
    if value is None:
        raise source.error(f"{name} is {row.get(name)!r:.60}, not a number", where)
    return value


def _time(source: LabelSource, row: Mapping[str, Any], name: str, where: str) -> int:
    value = to_time(row.get(name))
    if value is None:
        unit = "microseconds" if name in _TIMES else "frames"
        raise source.error(f"{name} is {row.get(name)!r:.60}, not a whole number of {unit}", where)
    return value if name in _TIMES else source.frame_time(value, where)


def _class(source: LabelSource, row: Mapping[str, Any], where: str) -> int:
    name = _text(row.get("class_name"))
    if name:
        return source.class_id_of(name, where)
    text = _text(row.get("class_id"))
    if not text and len(source.label_map) == 1:
        return next(iter(source.label_map))
    class_id = to_time(text)
    if class_id is None or class_id < 0:
        raise source.error(f"class_id is {text!r:.60}, not an id of the label map", where)
    return source.checked_class_id(class_id, where)
