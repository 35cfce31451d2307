import numpy as np
import pytest
import supervision

from evdet.events.dtypes import SensorSize
from evdet.labels import LabelError, RecordingSpan, read_boxes

LABEL_MAP = {0: "car", 2: "person"}
RECORDING = RecordingSpan(SensorSize(height=240, width=304), 130, 999)
SINKS = [(supervision.CSVSink, "sink.csv"), (supervision.JSONSink, "sink.json")]


def read(path, label_map=LABEL_MAP):
    return read_boxes(path, label_map, recording=RECORDING, frame_period=50)


def write(sink_class, path, frames, column="frame_index", **data):
    """Write detections as supervision does; frames are (index, how many boxes)."""
    with sink_class(str(path)) as sink:
        for frame, count in frames:
            left = np.arange(count, dtype=float) * 10
            found = supervision.Detections(
                np.stack([left, left + 1, left + 5, left + 7], axis=1),
                confidence=np.full(count, 0.5),
                class_id=np.full(count, 2),
                tracker_id=np.arange(count),
                data={name: np.full(count, value) for name, value in data.items()},
            )
            sink.append(found, custom_data={column: frame} if column else {})
    return path


@pytest.mark.parametrize(("sink", "name"), SINKS)
def test_a_run_without_a_detection_has_no_boxes(tmp_path, sink, name):
    assert len(read(write(sink, tmp_path / name, [(0, 0), (1, 0)])).boxes) == 0


@pytest.mark.parametrize(("sink", "name"), SINKS)
def test_what_supervision_writes_is_read(tmp_path, sink, name):
    boxes = read(write(sink, tmp_path / name, [(0, 0), (1, 2), (4, 1)])).boxes
    assert boxes["t"].tolist() == [200, 200, 350]
    assert boxes["class_id"].tolist() == [3, 3, 3]
    assert boxes["track_id"].tolist() == [1, 2, 1]
    assert boxes["class_confidence"].tolist() == [0.5] * 3
    assert [float(boxes[1][side]) for side in "xywh"] == [10, 11, 5, 6]


@pytest.mark.parametrize(("sink", "name"), SINKS)
def test_class_names_and_times_come_before_numbers(tmp_path, sink, name):
    path = write(sink, tmp_path / name, [(777, 1)], "t_us", class_name="car")
    assert read(path).boxes[["t", "class_id"]].tolist() == [(777, 1)]


@pytest.mark.parametrize(("sink", "name"), SINKS)
def test_rows_without_a_frame_are_refused_with_what_to_add(tmp_path, sink, name):
    path = write(sink, tmp_path / name, [(0, 1)], column=None)
    with pytest.raises(LabelError, match=r'custom_data=\{"frame_index": i\}'):
        read(path)


HEAD = "x_min,y_min,x_max,y_max,class_id,confidence,tracker_id,frame_index\n"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,2,3,4,2,0.5,,0.5", "line 2: frame_index is '0.5', not a whole number of frames"),
        ("1,2,3,4,2,0.5,,-1", "the frame index -1 is before the first"),
        ("1,2,nan,4,2,0.5,,0", "x_max is 'nan', not a number"),
        ("1,2", "x_max is None, not a number"),
        ("1,2,3,4,,0.5,,0", "class_id is '', not an id of the label map"),
        ("1,2,3,4,-2,0.5,,0", "class_id is '-2', not an id"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, row, message):
    path = tmp_path / "sink.csv"
    path.write_text(f"{HEAD}{row}\n")
    with pytest.raises(LabelError, match=message):
        read(path)


def test_boxes_without_class_and_track_are_of_the_only_class(tmp_path):
    path = tmp_path / "sink.csv"
    path.write_text(f"{HEAD}1,2,3,4,,,,0\n")
    (box,) = read(path, {4: "digit"}).boxes
    assert [float(box[n]) for n in ("class_id", "track_id", "class_confidence")] == [5, 0, 1]
