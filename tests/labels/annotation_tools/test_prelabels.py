import json

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.boxes import BOX_DTYPE
from evdet.events.dtypes import SensorSize
from evdet.labels import (
    FramesToLabel,
    LabeledTimes,
    RecordingSpan,
    read_boxes,
    write_cvat,
    write_label_studio,
)

LABEL_MAP = {0: "car", 3: "person"}
START = 1_600_000_000_123_456  # an absolute time
PERIOD = 50_000
NUM_FRAMES = 12
FIRST = START // PERIOD
FRAMES = FramesToLabel(FIRST, NUM_FRAMES, PERIOD, SensorSize(height=240, width=304))
RECORDING = RecordingSpan(FRAMES.size, START, (FIRST + NUM_FRAMES) * PERIOD - 1)


def boxes(*rows):
    """Boxes of (frame, x, class_id from 1, track_id), at the ends of their frames."""
    out = np.zeros(len(rows), BOX_DTYPE)
    for box, (frame, x, class_id, track) in zip(out, rows, strict=True):
        box["t"], box["x"], box["y"] = (FIRST + frame + 1) * PERIOD, x, 7.5
        box["w"], box["h"], box["class_id"], box["track_id"] = 20, 30, class_id, track
    return LabeledTimes(np.sort(out, order=["t", "x"]))


def accepted(path):
    """The export of a task whose predictions the annotator has accepted."""
    (task,) = json.loads(path.read_text())
    task["annotations"] = [{"id": 1, "was_cancelled": False, **task.pop("predictions")[0]}]
    target = path.with_name("export.json")
    target.write_text(json.dumps([{"id": 1, **task}]))
    return target


def back(tmp_path, labeled, tool):
    if tool == "cvat":
        path = tmp_path / "a.xml"
        write_cvat(path, labeled, LABEL_MAP, FRAMES)
    else:
        path = tmp_path / "a.json"
        write_label_studio(path, labeled, LABEL_MAP, FRAMES, video="a.mp4")
        path = accepted(path)
    return read_boxes(path, LABEL_MAP, recording=RECORDING, frame_period=PERIOD)


TOOLS = pytest.mark.parametrize("tool", ["cvat", "label studio"])


@TOOLS
def test_without_boxes_there_are_none(tmp_path, tool):
    assert len(back(tmp_path, boxes(), tool).boxes) == 0


@TOOLS
def test_the_way_back_has_the_same_microseconds_pixels_and_classes(tmp_path, tool):
    labeled = boxes((0, 1, 1, 5), (1, 2, 1, 5), (2, 3, 1, 5), (2, 90, 4, 9), (6, 7, 1, 5))
    found = back(tmp_path, labeled, tool).boxes
    # Frames 3 to 5 are not annotated: the box of track 5 moves on, as the tool would show it.
    at = {int(box["t"]) for box in labeled.boxes}
    kept = found[np.isin(found["t"], sorted(at))]
    kept = np.sort(kept, order=["t", "x"])
    assert kept["class_id"].tolist() == labeled.boxes["class_id"].tolist()
    for name in ("t", "x", "y", "w", "h"):
        np.testing.assert_allclose(kept[name], labeled.boxes[name], rtol=0, atol=0.01)
    assert len(found) == len(labeled.boxes) + 3


@given(
    st.lists(
        st.tuples(
            st.integers(0, NUM_FRAMES - 1),
            st.integers(0, 280),
            st.sampled_from([1, 4]),
            st.integers(0, 3),
        ),
        max_size=12,
        unique_by=lambda row: row[:2],
    ),
    st.sampled_from(["cvat", "label studio"]),
)
def test_any_boxes_of_annotated_frames_come_back(tmp_path_factory, rows, tool):
    labeled = boxes(*rows)
    found = back(tmp_path_factory.mktemp("boxes"), labeled, tool).boxes
    found = found[np.isin(found["t"], labeled.boxes["t"])]

    def as_rows(array):
        return sorted((int(b["t"]), round(float(b["x"]), 2), int(b["class_id"])) for b in array)

    assert as_rows(found) == as_rows(labeled.boxes)


def test_boxes_of_other_frames_are_left_out(tmp_path):
    labeled = boxes((0, 1, 1, 1), (40, 1, 1, 1))
    assert write_cvat(tmp_path / "a.xml", labeled, LABEL_MAP, FRAMES) == 1


def test_names_with_special_characters_survive(tmp_path):
    names = {0: '<car> & "van"'}
    write_cvat(tmp_path / "a.xml", boxes((0, 1, 1, 1)), names, FRAMES)
    found = read_boxes(tmp_path / "a.xml", names, recording=RECORDING, frame_period=PERIOD)
    assert len(found.boxes)


@TOOLS
def test_a_class_without_a_name_is_refused(tmp_path, tool):
    with pytest.raises(ValueError, match="no class with the id 1"):
        back(tmp_path, boxes((0, 1, 2, 1)), tool)


def test_a_name_that_xml_cannot_hold_is_refused(tmp_path):
    with pytest.raises(ValueError, match="CVAT's XML cannot hold the class name"):
        write_cvat(tmp_path / "a.xml", boxes((0, 1, 1, 1)), {0: "a\x1bb"}, FRAMES)
    assert not (tmp_path / "a.xml").exists()
