import json

import pytest

from evdet.events.dtypes import SensorSize
from evdet.labels import LabelError, RecordingSpan, read_boxes

LABEL_MAP = {0: "car", 1: "person"}
RECORDING = RecordingSpan(SensorSize(height=240, width=304), 130, 999)


def read(path):
    return read_boxes(path, LABEL_MAP, recording=RECORDING, frame_period=50)


def box(x=1.5, label=1, kind="bbox", **attributes):
    return {
        "id": 0, "type": kind, "attributes": {"occluded": False, **attributes}, "group": 0,
        "label_id": label, "z_order": 0, "bbox": [x, 2.0, 3.0, 4.5],
    }  # fmt: skip


def item(name, frame, *annotations, size=(240, 304)):
    return {
        "id": name, "annotations": list(annotations), "attr": {"frame": frame},
        "image": {"path": f"{name}.PNG", "size": list(size)},
    }  # fmt: skip


def write(folder, *items):
    names = [{"name": name, "parent": "", "attributes": []} for name in ("person", "car")]
    content = {
        "dm_format_version": "1.0", "media_type": 2, "infos": {},
        "categories": {
            "label": {"label_groups": [], "labels": names, "attributes": ["occluded"]},
            "points": {"items": []},
        },
        "items": list(items),
    }  # fmt: skip
    path = folder / "default.json"
    path.write_text(json.dumps(content))
    return path


def test_a_data_set_without_items_has_no_labels(tmp_path):
    labeled = read(write(tmp_path))
    assert len(labeled.boxes) == len(labeled.empty_times) == 0


def test_classes_go_by_name_and_frames_by_the_item(tmp_path):
    labeled = read(
        write(tmp_path, item("frame_000020", 0, box(track_id=0)), item("frame_000021", 1))
    )
    (one,) = labeled.boxes
    assert [float(one[name]) for name in "xywh"] == [1.5, 2, 3, 4.5]
    assert [int(one[name]) for name in ("t", "class_id", "track_id")] == [1150, 1, 1]
    assert labeled.empty_times.tolist() == [1200]


def test_items_without_numbers_go_by_their_attribute(tmp_path):
    labeled = read(write(tmp_path, item("left", 3, box(label=0, track_id=4)), item("right", 5)))
    assert labeled.boxes["t"].tolist() == [300]
    assert labeled.boxes["track_id"].tolist() == [4]
    assert labeled.boxes["class_id"].tolist() == [2]


def test_other_shapes_are_counted_and_boxes_outside_are_none(tmp_path):
    shapes = [box(kind="polygon"), box(rotation=30.0), box(outside=True), box(kind="label")]
    labeled = read(write(tmp_path, item("frame_1", 1, *shapes)))
    assert labeled.counts == {"shapes that are not boxes (polygon)": 1, "rotated boxes": 1}
    assert len(labeled.boxes) == 0
    assert len(labeled.empty_times) == 1


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (item("frame_1", 0, box(label=7)), "item frame_1: the label 7 does not exist"),
        (item("frame_1", 0, box() | {"bbox": [1, 2]}), r"`bbox` is \[1, 2\], not"),
        (item("frame_1", 0, box(float("nan"))), "`x` is nan, not a number"),
        (item("frame", -3, box()), "the frame index -3 is before the first"),
        (item("frame", 0, box()) | {"attr": {}}, "neither does the id end in a number"),
        (item("", 0) | {"annotations": [5]}, "`annotations` must be a list of objects"),
        (item("frame_1", 0, size=(480, 608)), "picture is 608x480, the sensor is 304x240"),
        (item("frame_1", 0) | {"annotations": 4}, "`annotations` must be a list"),
    ],
)
def test_a_wrong_item_is_named(tmp_path, one, message):
    with pytest.raises(LabelError, match=message):
        read(write(tmp_path, one))


def test_two_items_of_one_frame_are_refused(tmp_path):
    with pytest.raises(LabelError, match="'a' and 'b' both are frame 3"):
        read(write(tmp_path, item("a", 3), item("b", 3)))


def test_attributes_that_say_do_not_count_are_honoured(tmp_path):
    """Datumaro keeps COCO's iscrowd, VOC's difficult and MOT's ignored as attributes."""
    annotations = (box(is_crowd=True), box(difficult=True), box(ignored=True), box(is_crowd=False))
    labeled = read(write(tmp_path, item("frame_000001", 0, *annotations)))
    assert len(labeled.boxes) == 1
    counts = {"crowd regions": 1, "difficult objects": 1, "ignored rows": 1}
    assert labeled.counts == counts
