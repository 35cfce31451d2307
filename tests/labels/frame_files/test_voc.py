import pytest

from evdet.events.dtypes import SensorSize
from evdet.labels.files import LabelError, read_boxes
from evdet.labels.source import RecordingSpan

SOURCES = {
    "VOC": "<source><database>The VOC2007 Database</database><annotation>PASCAL VOC2007"
    "</annotation><image>flickr</image></source>",
    "labelImg": "<source><database>Unknown</database></source>",
    "none": "",
    "CVAT": "<source><database>Unknown</database><annotation>Unknown</annotation>"
    "<image>Unknown</image></source>",
    "Label Studio": "<source><database>MyDatabase</database><annotation>COCO2017</annotation>"
    "<image>flickr</image><flickrid>NULL</flickrid></source>",
}


def voc(*corners, source="", difficult=()):
    objects = "".join(
        f"<object><name>car</name><difficult>{int(i in difficult)}</difficult><bndbox>"
        f"<xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for i, (a, b, c, d) in enumerate(corners)
    )
    return f"<annotation>{source}{objects}</annotation>"


def read(path):
    span = RecordingSpan(SensorSize(height=100, width=200), 0, 999)
    return read_boxes(path, {0: "car"}, recording=span, frame_period=50)


def sides(boxes):
    return [tuple(float(box[name]) for name in "xywh") for box in boxes]


def write(path, text):
    path.write_text(text)
    return path


def test_a_file_without_objects_is_a_time_without_objects(tmp_path):
    labeled = read(write(tmp_path / "a.xml", voc()))
    assert labeled.empty_times.tolist() == [999]
    assert labeled.notes == ()


@pytest.mark.parametrize("source", ["VOC", "labelImg", "none"])
def test_pixels_count_from_one_and_both_corners_are_inside(tmp_path, source):
    path = write(tmp_path / "a.xml", voc((1, 1, 200, 100), (5, 6, 5, 6), source=SOURCES[source]))
    labeled = read(path)
    assert sides(labeled.boxes) == [(0, 0, 200, 100), (4, 5, 1, 1)]
    assert labeled.notes == ()


@pytest.mark.parametrize("source", ["CVAT", "Label Studio"])
def test_tools_that_count_from_zero_are_known_by_their_source(tmp_path, source):
    text = voc((1, 1, 200, 100), (5.5, 6, 7, 8), source=SOURCES[source])
    labeled = read(write(tmp_path / "a.xml", text))
    assert sides(labeled.boxes) == [(1, 1, 199, 99), (5.5, 6, 1.5, 2)]


def test_a_corner_at_zero_tells_that_all_files_of_the_folder_count_from_zero(tmp_path):
    write(tmp_path / "0.xml", voc((5, 6, 9, 9)))
    write(tmp_path / "1.xml", voc((0, 6, 9, 9)))
    labeled = read(tmp_path)
    assert sides(labeled.boxes) == [(5, 6, 4, 3), (0, 6, 9, 3)]
    assert labeled.notes == ("pixels count from 0: there are corners at 0",)


def test_difficult_objects_do_not_count(tmp_path):
    labeled = read(write(tmp_path / "a.xml", voc((1, 1, 9, 9), (5, 6, 7, 8), difficult=[1])))
    assert sides(labeled.boxes) == [(0, 0, 9, 9)]
    assert sides(labeled.ignored) == [(4, 5, 3, 3)]
    assert labeled.counts == {"difficult objects": 1}
    assert not labeled.ignored["is_crowd"].any()


def test_a_frame_with_difficult_objects_alone_is_annotated(tmp_path):
    labeled = read(write(tmp_path / "a.xml", voc((1, 1, 9, 9), difficult=[0])))
    assert labeled.empty_times.tolist() == [999]
    assert not len(labeled.boxes)


def test_corners_in_the_wrong_order_are_refused(tmp_path):
    with pytest.raises(LabelError, match=r"object 1: .*ends at 3, 4, before it starts at 10, 20"):
        read(write(tmp_path / "a.xml", voc((10, 20, 3, 4))))
