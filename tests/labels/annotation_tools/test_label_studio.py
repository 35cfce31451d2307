import json
import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.events.dtypes import SensorSize
from evdet.labels import LabelError, RecordingSpan, read_boxes
from evdet.labels.annotation_tools.keyframes import Keyframe, TrackIds, fill_frames
from evdet.labels.source import LabelSource

LABEL_MAP = {0: "Man", 1: "Woman"}
RECORDING = RecordingSpan(SensorSize(height=100, width=200), 130, 999)
PERIOD = 50  # frame k is labelled at 150 + 50 k


def times(*frames):
    return [150 + PERIOD * frame for frame in frames]


def read(path, recording=RECORDING, period=PERIOD):
    return read_boxes(path, LABEL_MAP, recording=recording, frame_period=period)


def key(frame, x=10.0, **more):
    return {
        "frame": frame, "enabled": True, "rotation": 0, "x": x, "y": 20.0, "width": 5.0,
        "height": 30.0, "time": frame * 0.04, **more,
    }  # fmt: skip


def region(sequence, label="Man", region_id="tJhYZLMC9G", frames=8, **value):
    """A region as Label Studio exports it."""
    return {
        "value": {
            "framesCount": frames, "duration": frames * PERIOD / 1e6, "sequence": sequence,
            "labels": [label], **value,
        },
        "id": region_id, "from_name": "box", "to_name": "video", "type": "videorectangle",
        "origin": "manual",
    }  # fmt: skip


def task(results, task_id=7, video="/data/upload/1/0a1b2c3d-drive.mp4", **annotation):
    return {
        "id": task_id,
        "annotations": [
            {
                "id": 31, "completed_by": 1, "result": results, "was_cancelled": False,
                "ground_truth": False, "created_at": "2024-05-06T09:21:48.013846Z",
                "updated_at": "2024-05-06T09:21:48.013867Z", "lead_time": 21.3, "prediction": {},
                "result_count": 0, "task": task_id, "parent_prediction": None, **annotation,
            }
        ],
        "file_upload": video.rpartition("/")[2], "drafts": [], "predictions": [],
        "data": {"video": video}, "meta": {}, "created_at": "2024-05-06T09:20:48.013846Z",
        "inner_id": 1, "total_annotations": 1, "cancelled_annotations": 0, "project": 1,
    }  # fmt: skip


def write(folder, content, name="drive.json"):
    path = folder / name
    path.write_text(json.dumps(content, indent=2))
    return path


def seen(labeled):
    return [(int(b["t"]), float(b["x"]), int(b["class_id"])) for b in labeled.boxes]


# --- video ---


def test_a_video_without_a_region_has_no_objects_in_any_frame(tmp_path):
    labeled = read(write(tmp_path, [task([])]))
    assert len(labeled.boxes) == 0
    assert labeled.empty_times.tolist() == times(*range(18))  # to the end of the recording


def test_percents_of_the_sensor_become_pixels_and_frames_count_from_one(tmp_path):
    labeled = read(write(tmp_path, [task([region([key(3, enabled=False)])])]))
    (box,) = labeled.boxes
    assert [float(box[name]) for name in "xywh"] == [20, 20, 10, 30]
    assert [int(box[name]) for name in ("t", "class_id", "track_id")] == [*times(2), 1, 1]
    assert labeled.empty_times.tolist() == times(0, 1, 3, 4, 5, 6, 7)


def test_between_keyframes_a_box_moves_linearly_and_stays_to_the_end_of_the_video(tmp_path):
    labeled = read(write(tmp_path, [task([region([key(2, 10), key(6, 20)])])]))
    expected = [20, 25, 30, 35, 40, 40, 40]
    assert seen(labeled) == [
        (times(k)[0], x, 1) for k, x in zip(range(1, 8), expected, strict=True)
    ]


def test_a_disabled_keyframe_is_the_last_with_the_box_until_the_next(tmp_path):
    sequence = [key(1, 10), key(3, 20, enabled=False), key(6, 50), key(7, 60, enabled=False)]
    labeled = read(write(tmp_path, [task([region(sequence)])]))
    assert [t for t, _, _ in seen(labeled)] == times(0, 1, 2, 5, 6)
    assert [x for _, x, _ in seen(labeled)] == [20, 30, 40, 100, 120]


def test_an_export_with_interpolated_frames_is_the_same(tmp_path):
    keys = [key(2, 10), key(4, 20, enabled=False)]
    full = [keys[0], key(3, 15, auto=True), keys[1]]
    one = read(write(tmp_path, [task([region(keys)])], "a.json"))
    other = read(write(tmp_path, [task([region(full)])], "b.json"))
    assert one.boxes.tolist() == other.boxes.tolist()


def test_keyframes_may_have_any_order(tmp_path):
    labeled = read(write(tmp_path, [task([region([key(5, 30, enabled=False), key(4, 10)])])]))
    assert [x for _, x, _ in seen(labeled)] == [20, 60]


def test_regions_are_tracks(tmp_path):
    regions = [
        region([key(1, enabled=False)], "Man", "a"),
        region([key(1, enabled=False)], "Woman", "b"),
    ]
    boxes = read(write(tmp_path, [task(regions)])).boxes
    assert boxes["class_id"].tolist() == boxes["track_id"].tolist() == [1, 2]


def test_json_min_is_read(tmp_path):
    value = region([key(2, 10, enabled=False)])["value"]
    record = {
        "video": "/data/upload/1/0a1b2c3d-drive.mp4", "id": 7, "box": [value], "annotator": 1,
        "annotation_id": 31, "created_at": "2024-05-06", "updated_at": "2024-05-06",
        "lead_time": 2.5,
    }  # fmt: skip
    assert seen(read(write(tmp_path, [record]))) == [(*times(1), 20, 1)]


def test_of_several_annotations_in_json_min_the_first_is_read(tmp_path, caplog):
    records = [
        {"video": "drive.mp4", "id": 7, "annotation_id": k, "annotator": k, "box": [
            region([key(1, x, enabled=False)])["value"]
        ]}
        for k, x in ((1, 10), (2, 30))
    ]  # fmt: skip
    with caplog.at_level(logging.WARNING):
        labeled = read(write(tmp_path, records))
    assert [x for _, x, _ in seen(labeled)] == [20]
    assert "task 7: annotated several times; the first is read" in caplog.text


def test_one_task_as_the_api_gives_it_is_read(tmp_path):
    path = write(tmp_path, task([region([key(1, enabled=False)])]))
    assert len(read(path).boxes) == 1


def test_labels_apart_from_the_region_are_found_by_its_id(tmp_path):
    box, label = region([key(1, enabled=False)]), region([key(1, enabled=False)], "Woman")
    del box["value"]["labels"]
    label["type"] = "labels"
    assert [c for _, _, c in seen(read(write(tmp_path, [task([box, label])])))] == [2]


def test_without_a_length_a_box_stays_to_the_end_of_the_recording(tmp_path):
    one = region([key(16)])
    del one["value"]["framesCount"], one["value"]["duration"]
    labeled = read(write(tmp_path, [task([one])]))
    assert [t for t, _, _ in seen(labeled)] == times(15, 16, 17)
    assert len(labeled.empty_times) == 0


def test_rotated_boxes_and_other_shapes_are_counted(tmp_path):
    vector = region([{"frame": 1, "vertices": []}], region_id="v") | {"type": "videovector"}
    sentence = {"id": "x", "type": "choices", "value": {"choices": ["day"]}}
    turned = region([key(1, rotation=90), key(3, rotation=0, enabled=False)])
    labeled = read(write(tmp_path, [task([turned, vector, sentence])]))
    assert labeled.counts == {"rotated boxes": 2, "shapes that are not boxes (videovector)": 1}
    assert [t for t, _, _ in seen(labeled)] == times(2)


def test_of_several_annotations_the_first_that_was_not_cancelled_is_read(tmp_path, caplog):
    one = task([region([key(1, 10, enabled=False)])], was_cancelled=True)
    for x in (20, 30):
        results = [region([key(1, x, enabled=False)])]
        one["annotations"].append({"id": x, "was_cancelled": False, "result": results})
    with caplog.at_level(logging.WARNING):
        labeled = read(write(tmp_path, [one]))
    assert [x for _, x, _ in seen(labeled)] == [40]
    assert "2 annotations; the first is read, with the id 20" in caplog.text


def test_another_frame_rate_than_the_videos_is_warned_of(tmp_path, caplog):
    path = write(tmp_path, [task([region([key(1)], frames=8, duration=8 * 40e-6)])])
    with caplog.at_level(logging.WARNING):
        read(path)
    assert "frames of 40 us, and frame_period is 50 us: is `framerate`" in caplog.text


def test_of_several_videos_the_one_with_the_name_of_the_file_is_read(tmp_path):
    tasks = [
        task([region([key(1, 10, enabled=False)])], 1, "/data/upload/1/0a1b2c3d-night_td.mp4"),
        task([region([key(1, 30, enabled=False)])], 2, "s3://bucket/drive.mp4"),
        task([region([key(1, 50, enabled=False)])], 3, "/data/local-files/?d=films/third.mp4"),
    ]
    for name, x in (("night_bbox.json", 20), ("drive.json", 60), ("third_labels.json", 100)):
        assert [b[1] for b in seen(read(write(tmp_path, tasks, name)))] == [x]
    with pytest.raises(LabelError, match="none of its 3 videos has the name other"):
        read(write(tmp_path, tasks, "other.json"))


# --- pictures ---


def picture(name, results, task_id=1):
    one = task(results, task_id, f"/data/upload/3/0a1b2c3d-{name}")
    one["data"] = {"image": f"/data/upload/3/0a1b2c3d-{name}"}
    return one


def rectangle(x=10.0, label="Woman", **more):
    return {
        "original_width": 200, "original_height": 100, "image_rotation": 0,
        "value": {
            "x": x, "y": 50.0, "width": 5.0, "height": 10.0, "rotation": 0,
            "rectanglelabels": [label],
        },
        "id": "aa", "from_name": "label", "to_name": "image", "type": "rectanglelabels",
        "origin": "manual", **more,
    }  # fmt: skip


def test_pictures_are_placed_by_the_numbers_in_their_names(tmp_path):
    tasks = [
        picture("frame_000003.png", [rectangle()], 1),
        picture("frame_000005.png", [], 2),
        picture("frame_000006.png", [], 3) | {"annotations": []},
    ]
    labeled = read(write(tmp_path, tasks))
    (box,) = labeled.boxes
    assert [float(box[name]) for name in "xywh"] == [20, 50, 10, 10]
    assert [int(box[name]) for name in ("t", "class_id", "track_id")] == [*times(3), 2, 0]
    assert labeled.empty_times.tolist() == times(5)


def test_json_min_of_pictures_is_read(tmp_path):
    record = {
        "image": "/data/upload/3/0a1b2c3d-frame_000002.png", "id": 4, "annotator": 1,
        "label": [rectangle()["value"] | {"original_width": 200, "original_height": 100}],
        "annotation_id": 8, "created_at": "x", "updated_at": "x", "lead_time": 1.0,
    }  # fmt: skip
    assert seen(read(write(tmp_path, [record]))) == [(*times(2), 20, 2)]


def test_shapes_on_pictures_are_counted(tmp_path):
    polygon = rectangle() | {"type": "polygonlabels", "value": {"points": [[1, 2]]}}
    turned = rectangle()
    turned["value"]["rotation"] = 45
    labeled = read(write(tmp_path, [picture("frame_1.png", [polygon, turned])]))
    assert labeled.counts == {"shapes that are not boxes (polygon)": 1, "rotated boxes": 1}


def test_pictures_of_another_size_are_refused(tmp_path):
    other = picture("frame_1.png", [rectangle(original_width=400, original_height=200)])
    with pytest.raises(LabelError, match="picture is 400x200, the sensor is 200x100"):
        read(write(tmp_path, [other]))


# --- refused ---


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frame": 0}, "the frame is 0: Label Studio's frames start at 1"),
        ({"frame": -4}, "the frame is -4"),
        ({"frame": 1.5}, "`frame` is 1.5, not a whole number"),
        ({"x": float("nan")}, "`x` is nan, not a number"),
        ({"width": None}, "`width` is None, not a number"),
    ],
)
def test_a_wrong_keyframe_is_named_with_its_place(tmp_path, change, message):
    path = write(tmp_path, [task([region([key(1) | change])])])
    with pytest.raises(LabelError, match=message) as error:
        read(path)
    assert "drive.json, task 7, region tJhYZLMC9G" in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([task([], was_cancelled=True)], "none of its 1 tasks has an annotation"),
        ([task([region([key(1)], labels=["Man", "Woman"])])], "the labels Man, Woman: give it one"),
        ([task([region([key(1)], labels=[])])], "no label: give it one label"),
        ([task([region([key(1)], "Wonan")])], "'Wonan' is not in the label map.*'Woman'"),
        ([task([region([key(1)], frames=10**9)])], "frame 999,999,999 is far beyond the recording"),
        ([task([region([key(1)], frames=-1)])], "`framesCount` is -1"),
        ([task([region("abc")])], "`sequence` must be a list of objects"),
        ([{"data": {}, "annotations": 3}], "`annotations` must be a list"),
        ([{"data": {}, "annotations": []}, 5], "`tasks` must be a list of objects"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, content, message):
    with pytest.raises(LabelError, match=message):
        read(write(tmp_path, content))


def test_video_labels_need_the_recording_for_its_size(tmp_path):
    with pytest.raises(LabelError, match="only be read with their recording"):
        read(write(tmp_path, [task([region([key(1)])])]), recording=None)


def test_a_file_that_is_cut_is_refused_wherever_it_is_cut(tmp_path):
    text = write(tmp_path, [task([region([key(1), key(3)])])]).read_text().rstrip()
    path = tmp_path / "cut.json"
    for length in range(0, len(text), 7):
        path.write_text(text[:length])
        with pytest.raises(LabelError, match=r"cut\.json"):
            read(path)


def test_coco_results_are_still_read_as_results(tmp_path):
    result = {"image_id": 0, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}
    assert len(read(write(tmp_path, [result])).boxes) == 1


# --- keyframes ---

SOURCE = LabelSource(Path("x.json"), LABEL_MAP)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.booleans()), unique_by=lambda k: k[0]),
    st.integers(0, 40),
)
def test_every_frame_gets_at_most_one_box_and_keyframes_keep_theirs(drawn, last):
    keys = [
        Keyframe(frame, (float(frame), 0.0, 1.0, 1.0), is_shown=shown, continues=more)
        for frame, shown, more in drawn
    ]
    filled = list(fill_frames(SOURCE, keys, last=last))
    frames = [box.frame for box in filled]
    assert frames == sorted(set(frames))
    # A box that moves one pixel a frame is at the pixel of its frame, up to the last keyframe.
    final = max((k.frame for k in keys), default=0)
    for box in filled:
        np.testing.assert_allclose(box.xywh[0], min(box.frame, final))
    assert {k.frame for k in keys if k.is_shown} <= set(frames)


@given(st.lists(st.integers(0, 99).map(str) | st.text(max_size=3)))
def test_track_ids_are_positive_and_distinct(names):
    ids = TrackIds(names)
    found = {name: ids[name] for name in names}
    assert all(0 < number < 2**32 for number in found.values())
    if all(name.isdecimal() for name in names):
        assert len(set(found.values())) == len({int(name) for name in names})
    else:
        assert len(set(found.values())) == len(found)
