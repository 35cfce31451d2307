import numpy as np
import pytest

from evdet.events.dtypes import SensorSize
from evdet.labels.files import LabelError, read_boxes
from evdet.labels.source import RecordingSpan

PERIOD = 50


def read(path):
    span = RecordingSpan(SensorSize(height=100, width=200), 0, 999)
    return read_boxes(path, {0: "car", 1: "bus"}, recording=span, frame_period=PERIOD)


def folder(path, files):
    path.mkdir(exist_ok=True)
    for name, text in files.items():
        (path / name).write_text(text)
    return path


def refused(path, message):
    with pytest.raises(LabelError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


BOX = "0 0.5 0.5 0.1 0.2"


def test_a_folder_of_empty_files_has_empty_times(tmp_path):
    labeled = read(folder(tmp_path / "a", {"0.txt": "", "2.txt": "\n"}))
    assert labeled.empty_times.tolist() == [50, 150]
    assert not len(labeled.boxes)


@pytest.mark.parametrize(
    ("lines", "confidences", "tracks"),
    [
        ([BOX], [1], [0]),
        ([f"{BOX} 0.25", f"{BOX} 1"], [0.25, 1], [0, 0]),
        ([f"{BOX} 7", f"{BOX} 1"], [1, 1], [7, 1]),
        ([f"{BOX} 7.0"], [1], [7]),
        ([f"{BOX} 0.25 7", f"{BOX} 1 1"], [0.25, 1], [7, 1]),
        ([f"{BOX} 0.25", BOX], [0.25, 1], [0, 0]),
        # A track is in a frame once, so these are confidences.
        ([f"{BOX} 1", f"{BOX} 1"], [1, 1], [0, 0]),
    ],
)
def test_more_values_are_confidences_and_tracks(tmp_path, lines, confidences, tracks):
    labeled = read(folder(tmp_path / "a", {"clip_0.txt": "\n".join(lines)}))
    assert labeled.boxes["class_confidence"].tolist() == confidences
    assert labeled.boxes["track_id"].tolist() == tracks


def test_the_files_of_a_folder_decide_together_what_a_sixth_value_is(tmp_path):
    files = {"0.txt": f"{BOX} 1\n", "1.txt": f"{BOX} 1\n", "2.txt": f"{BOX} 2\n"}
    assert read(folder(tmp_path / "a", files)).boxes["track_id"].tolist() == [1, 1, 2]
    files["2.txt"] = f"{BOX} 0.5\n"
    assert read(folder(tmp_path / "b", files)).boxes["class_confidence"].tolist() == [1, 1, 0.5]
    del files["2.txt"]
    refused(folder(tmp_path / "c", files), "every sixth value is 0 or 1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{BOX} 1.5", "sixth value is 1.5, neither a confidence from 0 to 1 nor a track"),
        (f"{BOX} 0.5\n{BOX} 87", "sixth value is (0.5|87), neither"),
        (f"{BOX} -1", "sixth value is -1"),
        (f"{BOX} 1.5 3", "the confidence is 1.5, not from 0 to 1"),
        (f"{BOX} 0.5 3.5", "7 values, and the last is not a track number: are these outlines"),
        ("0 0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.9", "9 values .* outlines"),
        ("0 0.5 0.5 -0.1 0.2", "w is -0.1, which is not a share"),
        ("0 1.2 0.5 0.1 0.2", "cx is 1.2, .* from 0 to 1"),
        ("0 0.5 0.5 0.1 1.5", "h is 1.5"),
        ("0 0.5 0.5 nan 0.1", "'nan' is not a number"),
        ("0 0.5 0.5 inf 0.1", "'inf' is not a number"),
        ("-1 0.5 0.5 0.1 0.1", "the class is '-1'"),
        ("\u0663 0.5 0.5 0.1 0.1", "not an id of the label map"),
    ],
)
def test_values_that_are_neither_are_refused(tmp_path, text, message):
    refused(folder(tmp_path / "a", {"clip_0.txt": text}), message)


def test_rounding_at_the_border_is_no_fault(tmp_path):
    labeled = read(folder(tmp_path / "a", {"0.txt": "0 0.5 0.5 1.0000001 1.0"}))
    np.testing.assert_allclose(labeled.boxes["w"], 200, rtol=1e-4)


def test_ultralytics_counts_the_frames_of_a_video_from_one(tmp_path):
    files = {"drive_1.txt": f"{BOX} 7", "drive_12.txt": f"{BOX} 8"}
    labeled = read(folder(tmp_path / "drive", files))
    assert labeled.boxes["t"].tolist() == [50, 600]
    assert labeled.notes == ("frame numbers count from 1, as ultralytics writes them",)
    plain = dict.fromkeys(files, BOX)
    assert read(folder(tmp_path / "labels", plain)).boxes["t"].tolist() == [50, 600]
    # Without confidences and tracks, names are counted from 0.
    assert read(folder(tmp_path / "other", plain)).boxes["t"].tolist() == [100, 650]
    padded = {"drive_0001.txt": f"{BOX} 7", "drive_0012.txt": f"{BOX} 8"}
    assert read(folder(tmp_path / "padded", padded)).boxes["t"].tolist() == [100, 650]


def test_other_files_of_the_tools_are_no_frames(tmp_path):
    others = dict.fromkeys(("README.roboflow.txt", "classes.txt", "train.txt", "readme.txt"), "x")
    files = {**others, "frame_000001_jpg.rf.0a9.txt": BOX}
    assert read(folder(tmp_path / "a", files)).boxes["t"].tolist() == [100]


def test_classes_may_be_whole_floats(tmp_path):
    """numpy.savetxt writes them."""
    line = "1.000000000000000000e+00 0.5 0.5 0.1 0.2"
    assert read(folder(tmp_path, {"frame_3.txt": line})).boxes["class_id"].tolist() == [2]


def test_corners_in_place_of_a_centre_are_refused(tmp_path):
    corners = "0 0.1 0.1 0.9 0.9\n0 0.6 0.6 0.9 0.95"
    refused(
        folder(tmp_path, {"frame_3.txt": corners}), "each line could be the two corners x1 y1 x2 y2"
    )


def test_a_box_at_the_edge_is_not_taken_for_corners(tmp_path):
    for k, lines in enumerate(("0 0.05 0.05 0.12 0.13", "0 0.1 0.1 0.9 0.9\n0 0.6 0.6 0.2 0.2")):
        assert len(read(folder(tmp_path / str(k), {"frame_3.txt": lines})).boxes) == k + 1
