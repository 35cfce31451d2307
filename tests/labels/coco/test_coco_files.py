"""COCO as annotation tools export the frames of a clip, and results that refer to it."""

import json

import numpy as np
import pytest

from evdet.events.dtypes import SensorSize
from evdet.labels.coco.records import number_tracks
from evdet.labels.files import LabelError, read_boxes
from evdet.labels.source import RecordingSpan

SPAN = RecordingSpan(SensorSize(height=240, width=320), 0, 10**6)
LABEL_MAP = {0: "car", 1: "person"}


def truth(*annotations, images=((7, "frame_000000.png"), (9, "frame_000001.png"))):
    return {
        "images": [{"id": i, "file_name": name, "width": 320, "height": 240} for i, name in images],
        "categories": [{"id": 18, "name": "person"}, {"id": 44, "name": "car"}],
        "annotations": [
            {"id": k, "bbox": [10, 20, 30, 40], "category_id": 44, **one}
            for k, one in enumerate(annotations)
        ],
    }


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def read(path, **options):
    return read_boxes(path, LABEL_MAP, recording=SPAN, frame_period=50, **options)


def test_no_annotations_are_empty_times(tmp_path):
    assert read(write(tmp_path / "a.json", truth())).empty_times.tolist() == [50, 100]


def test_frame_numbers_come_from_the_names_of_pictures(tmp_path):
    labeled = read(write(tmp_path / "a.json", truth({"image_id": 9}, {"image_id": 7})))
    assert labeled.boxes["t"].tolist() == [50, 100]
    hashed = ((1, "frame_000003_jpg.rf.9b1c44.jpg"), (2, "frame_000004_jpg.rf.77aa.jpg"))
    content = truth({"image_id": 2}, images=hashed)
    labeled = read(write(tmp_path / "b.json", content))
    assert labeled.empty_times.tolist() == [200]
    assert labeled.boxes["t"].tolist() == [250]


def test_frame_ids_that_run_from_one_are_noted(tmp_path):
    content = truth({"image_id": 9})
    for k, image in enumerate(content["images"]):
        image["frame_id"] = k
    assert read(write(tmp_path / "a.json", content)).notes == ()
    for image in content["images"]:
        image["frame_id"] += 1
    [note] = read(write(tmp_path / "a.json", content)).notes
    assert "frame numbers run from 1" in note


def test_names_without_a_number_are_refused(tmp_path):
    content = truth(images=((1, "left.png"), (2, "right.png")))
    with pytest.raises(LabelError, match=r"the image left\.png has no frame number"):
        read(write(tmp_path / "a.json", content))


def test_crowds_and_ignored_annotations_do_not_count(tmp_path):
    annotations = (
        {"image_id": 7, "iscrowd": 1},
        {"image_id": 7, "iscrowd": 0},
        {"image_id": 9, "ignore": 1, "iscrowd": 0},
    )
    labeled = read(write(tmp_path / "a.json", truth(*annotations)))
    assert len(labeled.boxes) == 1
    assert labeled.ignored["is_crowd"].tolist() == [True, False]
    assert labeled.counts == {"crowd regions": 1, "ignored rows": 1}
    assert labeled.empty_times.tolist() == [100]
    assert labeled.flagged()["is_ignored"].tolist().count(True) == 2


@pytest.mark.parametrize(
    ("records", "tracks"),
    [
        ([], []),
        ([{}, {"track_id": 5}], [0, 5]),
        # CVAT counts from 0, in the attributes.
        ([{"attributes": {"track_id": 0}}, {"attributes": {"track_id": 1, "x": 1}}], [1, 2]),
        ([{"track_id": 0}, {"track_id": 1}], [1, 2]),
        ([{"track_id": 0}, {"track_id": 0}, {"track_id": 3}], [0, 0, 3]),
        ([{"track_id": 0}, {}], [0, 0]),
        ([{"track_id": -1}, {"track_id": 4}], [0, 4]),
        ([{"track_id": "a"}, {"track_id": "b"}, {"track_id": "a"}], [1, 2, 1]),
        ([{"track_id": 2**40}, {"instance_id": 2**41}, {"track_id": 2**40}], [1, 2, 1]),
        ([{"track_id": None}, {"track_id": [1]}], [0, 0]),
    ],
)
def test_tracks_are_numbered_from_one(records, tracks):
    assert number_tracks(records, [0] * len(records)) == tracks


def test_zero_is_a_track_where_it_is_once_in_a_picture():
    records = [{"track_id": 0}, {"track_id": 1}, {"track_id": 0}]
    assert number_tracks(records, [1, 1, 2]) == [1, 2, 1]
    assert number_tracks(records, [1, 1, 2], zero_is_none=True) == [0, 1, 0]
    assert number_tracks(records, [1, 1, 1]) == [0, 1, 0]


# --- results ---


def result(image, category=44, **more):
    box = [10, 20, 30, 40]
    return {"image_id": image, "category_id": category, "bbox": box, "score": 0.5, **more}


def test_results_refer_to_the_ids_of_the_truth(tmp_path):
    path = write(tmp_path / "truth.json", truth({"image_id": 7}))
    results = write(tmp_path / "found.json", [result(9), result(7, 18)])
    boxes = read(results, truth=path).boxes
    assert boxes["t"].tolist() == [50, 100]
    assert boxes["class_id"].tolist() == [2, 1]
    assert not len(read(write(tmp_path / "none.json", []), truth=path).boxes)


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([result(8)], r"result 0: `image_id` is 8, .* must be the id of one of its images, 7, 9"),
        ([result(7, 1)], r"`category_id` is 1, .* must be the id of one of its categories, 18, 44"),
        ([result("a")], r"`image_id` is 'a', and truth\.json has no `file_name`"),
    ],
)
def test_ids_that_the_truth_does_not_have_are_refused(tmp_path, results, message):
    path = write(tmp_path / "truth.json", truth({"image_id": 7}))
    with pytest.raises(LabelError, match=message):
        read(write(tmp_path / "found.json", results), truth=path)


def test_results_of_another_video_of_the_truth_are_left_out(tmp_path):
    content = truth({"image_id": 7})
    content["videos"] = [{"id": 1, "name": "drive"}, {"id": 2, "name": "walk"}]
    for image, video in zip(content["images"], (1, 2), strict=True):
        image["video_id"] = video
    path = write(tmp_path / "drive.json", content)
    boxes = read(write(tmp_path / "found.json", [result(7), result(9)]), truth=path).boxes
    assert boxes["t"].tolist() == [50]


def test_results_with_times_need_no_truth(tmp_path):
    path = write(tmp_path / "truth.json", truth({"image_id": 7}))
    results = write(tmp_path / "found.json", [result(3, 2, t=70)])
    for options in ({}, {"truth": path}):
        boxes = read(results, **options).boxes
        assert (boxes["t"][0], boxes["class_id"][0]) == (70, 2)


def test_ids_that_may_count_from_one_are_refused_without_a_coco_truth(tmp_path):
    np.save(tmp_path / "truth.npy", np.zeros(0))
    for options in ({}, {"truth": tmp_path / "truth.npy"}):
        with pytest.raises(LabelError, match=r"`image_id` starts at 1, .* `image_id` must be"):
            read(write(tmp_path / "found.json", [result(1, 1), result(2, 1)]), **options)
    found = read(write(tmp_path / "found.json", [result(0, 1), result(2, 1)]))
    assert found.boxes["t"].tolist() == [50, 150]


def test_pictures_of_another_size_than_the_sensor_are_refused(tmp_path):
    """Roboflow scales pictures to 640x640 by default."""
    content = truth({"image_id": 9})
    content["images"][1].update(width=640, height=640)
    with pytest.raises(LabelError, match=r"image 1: the labelled picture is 640x640, the sensor"):
        read(write(tmp_path / "a.json", content))


def test_boxes_that_cvat_has_rotated_are_dropped_and_counted(tmp_path):
    upright = {"occluded": False, "rotation": 0.0}
    content = truth(
        {"image_id": 7, "attributes": upright},
        {"image_id": 7, "attributes": {**upright, "rotation": 30.0}},
    )
    labeled = read(write(tmp_path / "a.json", content))
    assert len(labeled.boxes) == 1
    assert labeled.counts == {"rotated boxes": 1}


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ({"isGroupOf": 1}, "crowd regions"),
        ({"attributes": {"is_crowd": True}}, "crowd regions"),
        ({"attributes": {"difficult": "true"}}, "difficult objects"),
        ({"iscrowd": 0, "ignored": True}, "ignored rows"),
    ],
)
def test_other_spellings_of_flags_are_honoured(tmp_path, flags, reason):
    labeled = read(write(tmp_path / "a.json", truth({"image_id": 7, **flags}, {"image_id": 7})))
    assert len(labeled.boxes) == 1
    assert labeled.counts == {reason: 1}


def test_frame_index_counts_frames_and_not_the_name(tmp_path):
    """TAO: the picture of frame 30 is frame0031.jpg."""
    content = truth({"image_id": 9}, images=((7, "v/frame0001.jpg"), (9, "v/frame0031.jpg")))
    for image, frame in zip(content["images"], (0, 30), strict=True):
        image["frame_index"] = frame
    assert read(write(tmp_path / "a.json", content)).boxes["t"].tolist() == [31 * 50]


def test_results_may_name_pictures_in_place_of_ids(tmp_path):
    """ultralytics writes the name as `image_id`, or as `file_name` beside a count."""
    path = write(tmp_path / "truth.json", truth({"image_id": 7}))
    found = [result("frame_000001"), {**result(0), "file_name": "images/frame_000000.jpg"}]
    labeled = read(write(tmp_path / "found.json", found), truth=path)
    assert labeled.boxes["t"].tolist() == [50, 100]
    with pytest.raises(LabelError, match="the name of a picture, which the COCO ground truth"):
        read(tmp_path / "found.json")


@pytest.mark.parametrize("score", ["null", "NaN", '"high"'])
def test_a_score_that_is_no_number_is_not_taken_for_one(tmp_path, score):
    text = json.dumps([result(0)]).replace("0.5", score)
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(LabelError, match=r"result 0: `score` is .*, not a number"):
        read(tmp_path / "a.json")
