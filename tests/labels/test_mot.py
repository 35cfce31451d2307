import pytest
from hypothesis import given, strategies as st

from evdet.events.dtypes import SensorSize
from evdet.labels.files import LabelError, read_boxes
from evdet.labels.source import RecordingSpan

SPAN = RecordingSpan(SensorSize(height=240, width=320), 0, 10**6)


def read(folder, text, label_map=None, name="drive.txt"):
    (folder / name).write_text(text)
    names = label_map or {1: "pedestrian"}
    return read_boxes(folder / name, names, recording=SPAN, frame_period=50)


def corners(labeled):
    return [(float(box["x"]), float(box["y"])) for box in labeled.boxes]


def test_pixels_count_from_one(tmp_path):
    labeled = read(tmp_path, "1,1,1,1,40,30,1,1,1\n2,1,11,21,40,30,1,1,1\n")
    assert corners(labeled) == [(0, 0), (10, 20)]
    assert labeled.notes == ()


@pytest.mark.parametrize("zero", ["0", "0.0", "0.00"])
def test_a_smallest_corner_at_zero_tells_that_pixels_count_from_zero(tmp_path, zero):
    labeled = read(tmp_path, f"1,1,{zero},7,40,30,1,1,1\n2,1,0.5,21,40,30,1,1,1\n")
    assert corners(labeled) == [(0, 7), (0.5, 21)]
    assert labeled.notes == ("pixels count from 0: the smallest corner is at 0",)


@pytest.mark.parametrize("corner", ["-3", "0.5"])
def test_boxes_that_start_before_the_first_pixel_are_noted(tmp_path, corner):
    labeled = read(tmp_path, f"1,1,{corner},7,40,30,1,1,1\n2,1,9,0,40,30,1,1,1\n")
    if corner == "0.5":
        assert labeled.notes == ("pixels count from 0: the smallest corner is at 0",)
        return
    assert corners(labeled) == [(-4, 6), (8, -1)]
    assert labeled.notes == (
        "2 boxes start before the first pixel, which is (1, 1) in this format",
    )


def test_a_frame_zero_tells_that_frames_count_from_zero(tmp_path):
    labeled = read(tmp_path, "0,1,9,9,40,30,1,1,1\n2,1,9,9,40,30,1,1,1\n")
    assert labeled.boxes["t"].tolist() == [50, 150]
    assert labeled.notes == ("frame numbers count from 0: there is a frame 0",)


def test_cvat_numbers_classes_by_its_list_and_pixels_from_zero(tmp_path):
    (tmp_path / "labels.txt").write_text("bus\ncar\n")
    label_map = {0: "car", 4: "bus"}
    labeled = read(tmp_path, "1,1,3.5,7,40,30,1,1,1.0\n1,2,5,6,7,8,1,2,0.5\n", label_map, "gt.txt")
    assert labeled.boxes["class_id"].tolist() == [5, 1]
    assert corners(labeled) == [(3.5, 7), (5, 6)]
    with pytest.raises(LabelError, match=r"class is 3, but labels\.txt .* names 2, counted from 1"):
        read(tmp_path, "1,1,3.5,7,40,30,1,3,1.0\n", label_map, "gt.txt")


def test_lines_that_are_not_considered_do_not_count(tmp_path):
    labeled = read(tmp_path, "1,1,5,7,40,30,0,1,1\n1,2,5,7,40,30,1,1,1\n2,3,5,7,40,30,0,8,1\n")
    assert len(labeled.boxes) == 1
    assert labeled.counts == {"ignored rows": 2}
    # A distractor may be taken for the one class that there is.
    assert labeled.ignored["class_id"].tolist() == [2, 2]
    assert labeled.empty_times.tolist() == [100]


def test_detections_have_any_score_and_minus_one_is_none(tmp_path):
    text = "1,-1,5,7,40,30,-1,-1,-1,-1\n1,-1,5,7,40,30,52.6,-1,-1,-1\n"
    assert read(tmp_path, text).boxes["class_confidence"].tolist() == [1, pytest.approx(52.6)]


def test_a_comma_at_the_end_of_lines_changes_nothing(tmp_path):
    assert len(read(tmp_path, "1,1,5,7,40,30,1,1,1,\n").boxes) == 1


@given(st.text("0123456789.,-\n e", max_size=80))
def test_any_lines_are_read_or_refused(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("mot")
    refusal = ""
    try:
        read(folder, f"1,1,5,7,40,30,1,1,1\n{text}")
    except LabelError as error:
        refusal = str(error)
    assert not refusal or "drive.txt" in refusal


def test_values_may_be_separated_by_other_signs(tmp_path):
    for mark in (" ", "\t", ", ", ";"):
        line = mark.join(["1", "5", "11", "21", "30", "40", "1", "0", "1"])
        assert len(read(tmp_path, f"{line}\n").boxes) == 1


def test_lines_that_end_as_those_of_visdrone_are_refused(tmp_path):
    text = "1,0,593,43,174,190,0,0,0,0\n1,1,11,21,30,40,1,4,0,1\n"
    with pytest.raises(LabelError, match="as they seem to here: leave out the last value"):
        read(tmp_path, text)
    assert len(read(tmp_path, "1,1,11,21,30,40,1,-1,-1,-1\n", {0: "car"}).boxes) == 1


def test_a_byte_order_mark_before_mot_text_is_skipped(tmp_path):
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "a.txt").write_text("1,5,11,21,30,40,1,0,1\n", encoding=encoding)
        labeled = read_boxes(tmp_path / "a.txt", {0: "car"}, recording=SPAN, frame_period=50)
        assert len(labeled.boxes) == 1


def test_tracks_that_count_from_zero_are_kept(tmp_path):
    def tracks(*pairs):
        text = "".join(f"{frame},{track},11,21,30,40,1,0,1\n" for frame, track in pairs)
        return read(tmp_path, text, {0: "car"}).boxes["track_id"].tolist()

    assert tracks((1, 0), (1, 1), (2, 0)) == [1, 2, 1]
    assert tracks((1, 0), (2, 0)) == [0, 0]
    assert tracks((1, 0), (1, 0), (2, 3)) == [0, 0, 3]
    assert tracks((1, -1), (1, 1), (2, 2)) == [0, 1, 2]


def test_classes_that_count_from_one_are_refused_and_the_advice_works(tmp_path):
    text = "1,1,11,21,30,40,1,1,1\n1,2,11,21,30,40,1,2,1\n"
    with pytest.raises(LabelError, match=r'the classes are 1, 2, .* such as \{"1": "car"\}'):
        read(tmp_path, text, {0: "car", 1: "bus"})
    assert read(tmp_path, text, {1: "car", 2: "bus"}).boxes["class_id"].tolist() == [2, 3]
