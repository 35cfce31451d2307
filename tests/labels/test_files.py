import json

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.boxes import BOX_DTYPE
from evdet.events.dtypes import SensorSize
from evdet.labels.binning import LabeledTimes, bins_of
from evdet.labels.files import LabelError, read_boxes, write_boxes_coco, write_boxes_npy
from evdet.labels.source import RecordingSpan

LABEL_MAP = {0: "car", 1: "pedestrian", 5: "bus"}
RECORDING = RecordingSpan(SensorSize(height=100, width=200), 130, 999)
PERIOD = 50  # the recording's first slice of 50 us starts at 100
GEN1 = [
    ("ts", "<u8"), ("x", "<f4"), ("y", "<f4"), ("w", "<f4"), ("h", "<f4"),
    ("class_id", "u1"), ("confidence", "<f4"), ("track_id", "<u4"),
]  # fmt: skip
DSEC = [
    ("t", "<u8"), ("x", "<f8"), ("y", "<f8"), ("h", "<f8"), ("w", "<f8"),
    ("class_id", "u1"), ("class_confidence", "<f8"), ("track_id", "<u8"),
]  # fmt: skip


def read(path, label_map=LABEL_MAP, recording=RECORDING, frame_period=PERIOD):
    return read_boxes(path, label_map, recording=recording, frame_period=frame_period)


def write(path, text, encoding="utf-8"):
    path.write_text(text, encoding=encoding)
    return path


def rows(labeled):
    return [
        (int(b["t"]), *(float(b[n]) for n in ("x", "y", "w", "h")), int(b["class_id"]))
        for b in labeled.boxes
    ]


def refused(path, message, **options):
    with pytest.raises(LabelError, match=message) as caught:
        read(path, **options)
    assert str(path) in str(caught.value)


# --- NumPy ---


@pytest.mark.parametrize("dtype", [BOX_DTYPE.descr, GEN1, DSEC], ids=["1 Mpx", "Gen1", "DSEC"])
def test_npy_fields_are_read_by_name_and_ids_shifted(tmp_path, dtype):
    array = np.zeros(2, dtype)
    for name, values in zip(("x", "y", "w", "h"), ((1, 5), (2, 6), (3, 7), (4, 8)), strict=True):
        array[name] = values
    array["t" if "t" in array.dtype.names else "ts"] = (90, 20)
    array["class_id"], array["track_id"] = (0, 5), (7, 8)
    array["class_confidence" if "class_confidence" in array.dtype.names else "confidence"] = 0.5
    np.save(tmp_path / "a_bbox.npy", array)

    labeled = read(tmp_path / "a_bbox.npy")

    assert rows(labeled) == [(20, 5, 6, 7, 8, 6), (90, 1, 2, 3, 4, 1)]
    assert labeled.boxes.dtype == BOX_DTYPE
    assert labeled.boxes["track_id"].tolist() == [8, 7]
    assert labeled.boxes["class_confidence"].tolist() == [0.5, 0.5]


def test_npy_without_boxes_has_no_labels(tmp_path):
    np.save(tmp_path / "a_bbox.npy", np.zeros(0, BOX_DTYPE))

    labeled = read(tmp_path / "a_bbox.npy")

    assert len(labeled.boxes) == len(labeled.empty_times) == 0


def test_npy_keeps_how_long_an_object_has_been_still(tmp_path):
    array = np.zeros(1, [("still_us", "<i8"), *BOX_DTYPE.descr])
    array["still_us"] = 1_500_000
    np.save(tmp_path / "a_bbox.npy", array)

    assert read(tmp_path / "a_bbox.npy").boxes["still_us"].tolist() == [1_500_000]


def test_npy_keeps_the_score_of_the_class_alone(tmp_path):
    array = np.zeros(1, [*BOX_DTYPE.descr, ("class_score", "<f8")])
    array["class_score"] = 0.25
    array["w"] = array["h"] = 10
    np.save(tmp_path / "a_bbox.npy", array)
    assert read(tmp_path / "a_bbox.npy").boxes["class_score"].tolist() == [0.25]


def test_track_numbers_of_64_bits_stay_different(tmp_path):
    array = np.zeros(3, DSEC)
    array["track_id"] = (2**40 + 1, 2**40, 2**40 + 1)
    np.save(tmp_path / "tracks.npy", array)

    first, second, third = read(tmp_path / "tracks.npy").boxes["track_id"]
    assert first == third != second


def test_npz_of_rvt_is_read(tmp_path):
    array = np.zeros(2, BOX_DTYPE)
    array["t"] = (3, 4)
    np.savez(tmp_path / "labels.npz", labels=array, objframe_idx_2_label_idx=np.arange(2))

    assert [row[0] for row in rows(read(tmp_path / "labels.npz"))] == [3, 4]


def test_boxes_of_any_value_are_read_for_the_rules_to_count(tmp_path):
    array = np.zeros(2, BOX_DTYPE)
    array["w"] = (np.nan, -3)
    np.save(tmp_path / "a_bbox.npy", array)

    assert len(read(tmp_path / "a_bbox.npy").boxes) == 2


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 4)), r"array of shape \(3, 4\) and type float64 is not box events"),
        (
            np.zeros(2, [("t", "i8"), ("x", "u2"), ("y", "u2"), ("p", "u1")]),
            "the field w is missin",
        ),
        (
            np.zeros(1, [("t", "i8"), ("x", "f4", (2,)), *BOX_DTYPE.descr[2:6]]),
            r"the field x holds float32 of shape \(2,\), not single numbers",
        ),
        (np.array([{"a": 1}], dtype=object), "not a NumPy array"),
        (
            np.array([(-1,) * 6], [*BOX_DTYPE.descr[:5], ("class_id", "i4")]),
            "row 0: class_id is -1, not a whole number from 0",
        ),
    ],
)
def test_arrays_that_are_no_boxes_are_refused(tmp_path, array, message):
    np.save(tmp_path / "a_bbox.npy", array, allow_pickle=True)

    with pytest.raises(LabelError, match=message):
        read(tmp_path / "a_bbox.npy")


def test_npy_cut_off_anywhere_is_refused_by_name(tmp_path):
    np.save(tmp_path / "whole.npy", np.zeros(3, BOX_DTYPE))
    content = (tmp_path / "whole.npy").read_bytes()
    for length in range(len(content)):
        (tmp_path / "cut.npy").write_bytes(content[:length])
        with pytest.raises(LabelError, match=r"cut\.npy"):
            read(tmp_path / "cut.npy")


BOXES = st.lists(
    st.tuples(
        st.integers(0, 10**15), *[st.floats(-1e4, 1e4, width=32)] * 4,
        st.integers(1, 300), st.integers(0, 2**32 - 1), st.floats(0, 1, width=32),
    ),
    max_size=8,
)  # fmt: skip


@given(BOXES)
def test_writing_and_reading_npy_is_the_identity(tmp_path_factory, some):
    path = tmp_path_factory.mktemp("npy") / "a_bbox.npy"
    boxes = np.sort(np.array(some, BOX_DTYPE), order="t", kind="stable")
    before = boxes.copy()

    write_boxes_npy(path, boxes)

    labeled = read(path)
    counted = (boxes["class_confidence"] > 0) | (boxes["class_confidence"] == 0).all()
    np.testing.assert_array_equal(labeled.boxes, boxes[counted])
    np.testing.assert_array_equal(labeled.ignored[list(BOX_DTYPE.names)], boxes[~counted])
    np.testing.assert_array_equal(boxes, before)
    np.testing.assert_array_equal(np.load(path)["class_id"], boxes["class_id"] - 1)


@given(BOXES, st.lists(st.integers(0, 10**15), max_size=4))
def test_writing_and_reading_coco_is_the_identity(tmp_path_factory, some, empty):
    path = tmp_path_factory.mktemp("coco") / "a.json"
    boxes = np.sort(np.array(some, BOX_DTYPE), order="t", kind="stable")
    boxes["class_id"] = 1 + boxes["class_id"] % 2
    empty_times = np.array(sorted(set(empty) - set(boxes["t"].tolist())), np.int64)

    write_boxes_coco(path, LabeledTimes(boxes, empty_times), LABEL_MAP)
    labeled = read(path)

    np.testing.assert_array_equal(labeled.boxes, boxes)
    np.testing.assert_array_equal(labeled.empty_times, empty_times)


def test_background_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="box 0 at t=0 us has class id 0, the background"):
        write_boxes_npy(tmp_path / "a_bbox.npy", np.zeros(1, BOX_DTYPE))
    assert not list(tmp_path.iterdir())


# --- COCO-video ---


def coco(**changes):
    content = {
        "videos": [{"id": 1, "name": "drive"}],
        "images": [
            {"id": 10, "video_id": 1, "frame_id": 0, "t": 700},
            {"id": 11, "video_id": 1, "frame_id": 1, "t": 800},
        ],
        "categories": [{"id": 3, "name": "pedestrian"}, {"id": 9, "name": "car"}],
        "annotations": [
            {"id": 1, "image_id": 11, "category_id": 9, "bbox": [1, 2, 3, 4], "track_id": 6}
        ],
    }
    return {**content, **changes}


def test_coco_categories_are_matched_by_name_and_empty_images_kept(tmp_path):
    labeled = read(write(tmp_path / "a.json", json.dumps(coco())))

    assert rows(labeled) == [(800, 1, 2, 3, 4, 1)]
    assert labeled.boxes["track_id"].tolist() == [6]
    assert labeled.empty_times.tolist() == [700]


def test_coco_without_annotations_is_all_empty_times(tmp_path):
    labeled = read(write(tmp_path / "a.json", json.dumps(coco(annotations=[]))))

    assert len(labeled.boxes) == 0
    assert labeled.empty_times.tolist() == [700, 800]


def test_coco_without_times_counts_frames(tmp_path):
    images = [{"id": 10, "frame_id": 0}, {"id": 11, "frame_id": 3}]
    labeled = read(write(tmp_path / "a.json", json.dumps(coco(images=images))))

    assert labeled.empty_times.tolist() == [150]
    assert labeled.boxes["t"].tolist() == [300]
    # frame k falls into the recording's bin k, and the recording starts in bin 2
    assert bins_of(np.array([150, 300]), PERIOD).tolist() == [2 + 0, 2 + 3]


def test_coco_of_several_videos_gives_the_one_called_like_the_file(tmp_path):
    content = coco(videos=[{"id": 1, "name": "walk"}, {"id": 2, "name": "drive.raw"}])
    content["images"][1]["video_id"] = 2
    text = json.dumps(content)

    assert len(read(write(tmp_path / "drive_bbox.json", text)).boxes) == 1
    walk = read(write(tmp_path / "walk.json", text))
    assert (len(walk.boxes), walk.empty_times.tolist()) == (0, [700])
    refused(write(tmp_path / "x.json", text), "2 videos has the name x.*walk, drive.raw")


def test_coco_results_are_boxes_of_numbered_frames(tmp_path):
    results = [
        {"image_id": 4, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 0.5},
        {"image_id": 0, "category_id": 1, "bbox": [5, 6, 7, 8], "score": 0.25, "t": 123},
    ]
    boxes = read(write(tmp_path / "drive.json", json.dumps(results))).boxes
    assert boxes["t"].tolist() == [123, 350]
    assert boxes["class_id"].tolist() == [1, 2]
    assert boxes["class_confidence"].tolist() == [0.25, 0.5]
    assert boxes[["x", "y", "w", "h"]][1].tolist() == (1, 2, 3, 4)
    assert len(read(write(tmp_path / "none.json", "[]")).boxes) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: not valid JSON"),
        ('{\n"images": [', "line 2: not valid JSON"),
        ("[" * 100_000, "no JSON|too deep"),
        ("3", "object with `images`, `annotations` and `categories`; this has int"),
        ("[3]", "result 0: '3' has no `bbox` and `score`"),
        ('[{"image_id": 0, "category_id": 0}]', "categories start at 1"),
        ('[{"category_id": 1}]', "result 0: `image_id` is None, not a whole number"),
        ('{"bias": 3}', "this has bias"),
        (json.dumps(coco(images=3)), "`images` must be a list of objects"),
        (json.dumps(coco(images=[{"id": 10, "t": 0.05}])), "image 0: `t` is 0.05, not a whole"),
        (json.dumps(coco(images=[{"id": 10}])), "neither `t` .* nor `frame_id`"),
        (json.dumps(coco(images=[{"id": 1, "t": 1}] * 2)), "two images have the id 1"),
        (json.dumps(coco(categories=[])), "annotation 0: .*category 9"),
        (
            json.dumps(coco(categories=[{"id": 9, "name": "cart"}])),
            "the class 'cart' is not in the label map, which has car, pedestrian, bus. "
            "Did you mean 'car'",
        ),
        (
            json.dumps(coco(annotations=[{"image_id": 11, "category_id": 9, "bbox": [1, 2, 3]}])),
            r"`bbox` is \[1, 2, 3\]",
        ),
        (
            json.dumps(
                coco(annotations=[{"image_id": 11, "category_id": 9, "bbox": [1, 2, 3, np.nan]}])
            ),
            "`bbox` is",
        ),
        (json.dumps(coco(annotations=[{"image_id": 12}])), "annotation 0: .*image 12"),
    ],
)
def test_json_that_is_no_coco_video_is_refused(tmp_path, text, message):
    refused(write(tmp_path / "a.json", text), message)


# --- MOT ---


def test_mot_counts_frames_and_pixels_from_one(tmp_path):
    path = write(tmp_path / "a.txt", "1,7,1,1,10,20,1,5,1\n\n3,8,11,21,10,20,0.5,0,0.3\n")

    labeled = read(path)

    assert rows(labeled) == [(150, 0, 0, 10, 20, 6), (250, 10, 20, 10, 20, 1)]
    assert labeled.boxes["track_id"].tolist() == [7, 8]
    assert labeled.boxes["class_confidence"].tolist() == [1, 0.5]


def test_mot_lines_that_are_not_scored_are_counted(tmp_path):
    labeled = read(write(tmp_path / "a.txt", "1,7,1,1,10,20,0,5,1\n"))

    assert len(labeled.boxes) == 0
    assert labeled.counts == {"ignored rows": 1}
    assert labeled.ignored["t"].tolist() == labeled.empty_times.tolist() == [150]
    assert labeled.ignored["class_id"].tolist() == [6]


def test_mot_without_classes_needs_a_label_map_of_one(tmp_path):
    path = write(tmp_path / "a.txt", "1,-1,1,1,10,20,0.9,-1,-1,-1\n")

    assert rows(read(path, {4: "cell"})) == [(150, 0, 0, 10, 20, 5)]
    assert read(path, {4: "cell"}).boxes["track_id"].tolist() == [0]
    refused(path, "line 1: the line names no class, and the label map has 3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3", "line 1: 3 values instead of frame,id,x,y,w,h"),
        ("1,2,3,4,5,x,1,1,1", "'x' is not a number"),
        ("1.5,2,3,4,5,6,1,1,1", "'1.5' is not a frame index"),
        ("--1,2,3,4,5,6,1,1,1", "'--1' is not a frame index"),
        ("1,2,3,4,5,nan,1,1,1", "'nan' is not a number"),
        ("-1,2,3,4,5,6,1,1,1", "frame index -2 is before the first"),
        ("1,2,3,4,5,6,1,0.5,1", "the class 0.5"),
        ("1,2,3,4,5,6,1,1e30,1", "the class id .* is too large"),
        ("1,1e30,3,4,5,6,1,1,1", "'1e30' is not a track id"),
    ],
)
def test_mot_junk_is_named_with_its_line(tmp_path, text, message):
    refused(write(tmp_path / "a.txt", text), message)


def test_frame_numbers_need_a_period_and_a_recording(tmp_path):
    path = write(tmp_path / "a.txt", "1,7,1,1,10,20,1,5,1\n")

    refused(path, "frame_period, in microseconds", frame_period=None)
    refused(path, "with their recording", recording=None)


# --- YOLO and PASCAL VOC ---


def voc(*objects, size=(200, 100)):
    return (
        f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>"
        + "".join(
            f"<object><name>{name}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax>"
            f"<ymax>{d}</ymax></bndbox></object>"
            for name, a, b, c, d in objects
        )
        + "</annotation>"
    )


def test_one_yolo_file_labels_the_end_of_the_recording(tmp_path):
    labeled = read(write(tmp_path / "a.txt", "5 0.5 0.5 0.1 0.2\n0 0 0 0.1 0.2 0.25\n"))

    assert rows(labeled) == [(999, 90, 40, 20, 20, 6), (999, -10, -10, 20, 20, 1)]
    assert labeled.boxes["class_confidence"].tolist() == [1, 0.25]


def test_an_empty_yolo_file_is_a_frame_without_objects(tmp_path):
    labeled = read(write(tmp_path / "a.txt", "\n"))

    assert len(labeled.boxes) == 0
    assert labeled.empty_times.tolist() == [999]


def test_a_folder_of_yolo_files_labels_frame_by_frame(tmp_path):
    write(tmp_path / "classes.txt", "car\npedestrian\n")
    write(tmp_path / "frame_000.txt", "")
    write(tmp_path / "frame_002.txt", "0 0.5 0.5 0.1 0.2\n")

    labeled = read(tmp_path)

    assert rows(labeled) == [(250, 90, 40, 20, 20, 1)]
    assert labeled.empty_times.tolist() == [150]


def test_voc_corners_count_from_one_and_are_inside(tmp_path):
    labeled = read(write(tmp_path / "a.xml", voc(("bus", 1, 1, 200, 100), ("car", 5, 6, 5, 6))))

    assert rows(labeled) == [(999, 0, 0, 200, 100, 6), (999, 4, 5, 1, 1, 1)]


def test_a_folder_of_voc_files_labels_frame_by_frame(tmp_path):
    write(tmp_path / "0.xml", voc())
    write(tmp_path / "1.xml", voc(("car", 5, 6, 5, 6)))

    labeled = read(tmp_path)

    assert labeled.boxes["t"].tolist() == [200]
    assert labeled.empty_times.tolist() == [150]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "0 0.5 0.5 0.1\n", "line 1: 4 values instead of `class cx cy w h`"),
        ("a.txt", "0 0.1 0.1 0.2 0.2 0.3 0.3\n", "are these outlines"),
        ("a.txt", "\ncar 0.5 0.5 0.1 0.2\n", "line 2: the class is 'car', not an id"),
        ("a.txt", "0 0.5 nan 0.1 0.2\n", "'nan' is not a number"),
        (
            "a.txt",
            "0 100 50 20 20\n",
            "cx is 100, which is not a share of the picture.* are these pixels",
        ),
        ("a.xml", "<annotation>", "not valid XML"),
        ("a.xml", "", "not valid XML"),
        ("a.xml", "<svg/>", "the XML is <svg>"),
        ("a.xml", voc(("dog", 1, 1, 2, 2)), "object 1: the class 'dog' is not in the label map"),
        ("a.xml", voc(("car", 1, "x", 2, 2)), "'x' for <ymin>, not a number"),
        ("a.xml", "<annotation><object><name>car</name></object></annotation>", "None for <xmin>"),
        ("a.xml", voc(size=(640, 480)), "labelled picture is 640x480, the sensor is 200x100"),
    ],
)
def test_junk_in_files_of_frames_is_named_with_its_place(tmp_path, name, text, message):
    refused(write(tmp_path / name, text), message)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "the folder has no .txt"),
        (["1.txt", "1.xml"], "both .txt and .xml"),
        (["first.txt"], "the file first.txt has no frame number"),
        (["a1.txt", "b1.txt"], "a1.txt and b1.txt both are frame 1"),
    ],
)
def test_folders_of_frames_must_be_numbered(tmp_path, names, message):
    for name in names:
        write(tmp_path / name, "")
    refused(tmp_path, message)


def test_real_yolo_and_voc_files_of_one_picture_agree(event_data):
    found = 0
    recording = RecordingSpan(SensorSize(260, 346), 0, 40_000)
    for path in sorted((event_data / "labelled" / "pedro").rglob("*.txt")):
        yolo = read(path, {0: "person"}, recording).boxes
        pascal = read(path.with_suffix(".xml"), {0: "person"}, recording).boxes
        assert len(yolo) == len(pascal) > 0
        for side in ("x", "y", "w", "h"):  # the tool that made these counts from 0 in both
            np.testing.assert_allclose(yolo[side], pascal[side], atol=1.01)
        assert (pascal["class_id"] == 1).all()
        found += len(yolo)
    assert found == 9


# --- tables ---


@pytest.mark.parametrize(
    "text",
    [
        "t,x,y,w,h,class,track_id\n20,1,2,3,4,car,7\n90,1,2,3,4,5,8\n",
        "\ufefft_us;x1;y1;x2;y2;label;id\r\n20;1;2;4;6;car;7\r\n90;1,0;2;4;6;5;8\r\n",
        "class\tTime_s\txmin\tymin\txmax\tymax\ttrack\tnote\ncar\t0.00002\t1\t2\t4\t6\t7\tbad\n\n"
        "bus\t0.00009\t1\t2\t4\t6\t8\t\n",
        "frame_x,t_ms,left,top,width,height,name,track_id\n,0.02,1,2,3,4,car,7\n,0.09,1,2,3,4,bus,8",
    ],
)
def test_tables_of_several_makes_say_the_same(tmp_path, text):
    labeled = read(write(tmp_path / "a.csv", text))

    assert rows(labeled) == [(20, 1, 2, 3, 4, 1), (90, 1, 2, 3, 4, 6)]
    assert labeled.boxes["track_id"].tolist() == [7, 8]


def test_a_table_may_come_as_excel_s_unicode_text(tmp_path):
    path = write(tmp_path / "a.txt", "t\tx\ty\tw\th\tclass\n20\t1\t2\t3\t4\tcar\n", "utf-16")

    assert rows(read(path)) == [(20, 1, 2, 3, 4, 1)]


def test_a_row_with_a_time_alone_says_that_there_was_no_object(tmp_path):
    labeled = read(write(tmp_path / "a.csv", "t,x,y,w,h,class\n20,1,2,3,4,car\n70,,,,,\n80\n"))

    assert len(labeled.boxes) == 1
    assert labeled.empty_times.tolist() == [70, 80]


def test_a_table_with_a_header_alone_has_no_labels(tmp_path):
    labeled = read(write(tmp_path / "a.csv", "t,x,y,w,h,class\n"))

    assert len(labeled.boxes) == len(labeled.empty_times) == 0


def test_a_table_may_count_frames_and_leave_out_the_only_class(tmp_path):
    labeled = read(write(tmp_path / "a.csv", "frame,x,y,w,h\n0,1,2,3,4\n2,1,2,3,4\n"), {3: "bird"})

    assert rows(labeled) == [(150, 1, 2, 3, 4, 4), (250, 1, 2, 3, 4, 4)]


def test_a_class_called_by_digits_is_taken_by_name_first(tmp_path):
    path = write(tmp_path / "a.csv", "t,x,y,w,h,class\n20,1,2,3,4,7\n")

    assert rows(read(path, {0: "7", 7: "other"}))[0][-1] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty; its first row must name the columns"),
        ("1,2,3,4,5,6\n", r"no column for a time .*; x, y .*; w, h .*; class"),
        (
            "t,x,y,w,h\n",
            r"no column for class\. The first row names the columns; it has t, x, y, w",
        ),
        (
            "t,x,y,w,h,class\n0.5,1,2,3,4,car\n",
            "line 2: t is 0.5, .*: name the column t_s if it is",
        ),
        ("t,x,y,w,h,class\n5,1,2,3,4,car\n5,1,,3,4,car\n", "line 3: y is '', not a number"),
        ("t,x,y,w,h,class\n5,1,2,nan,4,car\n", "w is 'nan', not a number"),
        ("t,x,y,w,h,class\n5,1,2,3,4,dog\n", "the class 'dog' is not in the label map"),
        ("t,x,y,w,h,class,id\n5,1,2,3,4,car,one\n", "id is 'one', not a number"),
        ("t,x,y,w,h,class,confidence\n5,1,2,3,4,car,87\n", "confidence is 87, not from 0 to 1"),
        ("t,x,y,w,h,class,confidence\n5,1,2,3,4,car,nan\n", "confidence is 'nan', not a number"),
        (
            "t_s,x,y,w,h,class\n" + "9" * 17 + ",1,2,3,4,car\n",
            "99999999999999999000000 us is out",
        ),
        ("PK\x03\x04", "save the sheet as CSV"),
        ("t,x\0", "it is a binary file"),
    ],
)
def test_tables_that_cannot_be_understood_are_refused(tmp_path, text, message):
    refused(write(tmp_path / "a.csv", text), message)


def test_text_in_an_unknown_encoding_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes("t,x,y,w,h,class\n5,1,2,3,4,vélo\n".encode("latin-1"))
    refused(tmp_path / "a.csv", "byte 27 is not valid UTF-8: save the file as UTF-8")


# --- any format ---


def test_a_missing_file_and_an_unknown_extension_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.csv does not exist"):
        read(tmp_path / "a.csv")
    refused(write(tmp_path / "a.docx", ""), "format '.docx' .*.npy, ")


def read_or_refuse(path):
    try:
        labeled = read(path)
    except LabelError as refusal:
        message = str(refusal)
    else:
        assert (np.diff(labeled.boxes["t"]) >= 0).all()
        return
    assert str(path) in message


@given(
    st.sampled_from([".npy", ".json", ".xml", ".csv", ".txt", ".npz"]),
    st.one_of(st.binary(max_size=60), st.text('01.,;\t\n{}[]<>:"txywh class', max_size=60)),
)
def test_junk_is_refused_or_read_and_never_crashes(tmp_path_factory, suffix, content):
    path = tmp_path_factory.mktemp("junk") / f"a{suffix}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    read_or_refuse(path)


@given(st.data())
def test_a_damaged_file_is_refused_or_read_and_never_crashes(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    boxes = np.ones(2, BOX_DTYPE)
    write_boxes_npy(folder / "a.npy", boxes)
    write_boxes_coco(folder / "a.json", LabeledTimes(boxes), LABEL_MAP)
    write(folder / "a.xml", voc(("car", 1, 1, 9, 9)))
    write(folder / "a.csv", "t,x,y,w,h,class\n20,1,2,3,4,car\n")
    write(folder / "a.txt", "1,7,1,1,10,20,1,5,1\n")
    path = data.draw(st.sampled_from(sorted(folder.iterdir())))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    read_or_refuse(path)


# --- flags, columns of tables ---


def test_arrays_longer_than_their_file_take_no_memory(tmp_path):
    path = tmp_path / "a_bbox.npy"
    path.write_bytes(b"\x93NUMPY\3\0\xf6\0 \x7b" + b" " * 200)
    refused(path, "its header is longer than the file")
    header = {"descr": [("t", "<i8")], "fortran_order": False, "shape": (99_999_999,)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    refused(path, "its header tells of 799,999,992 bytes, and 0 follow")


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4, 5, 6, 7), (7, 3, 5, 1, 0, 6, 2, 4)])
def test_npy_fields_are_read_in_any_order_and_unknown_ones_skipped(tmp_path, order):
    fields = [BOX_DTYPE.descr[k] for k in order]
    array = np.zeros(2, [("note", "S4"), *fields, ("score2d", "<f4", (2,))])
    array["t"], array["x"], array["class_confidence"] = (90, 20), (1, 5), 0.5
    np.save(tmp_path / "a_bbox.npy", array)

    boxes = read(tmp_path / "a_bbox.npy").boxes

    assert boxes.dtype == BOX_DTYPE
    assert boxes[["t", "x"]].tolist() == [(20, 5), (90, 1)]


def test_npy_boxes_of_confidence_zero_do_not_count_unless_all_have_it(tmp_path):
    array = np.zeros(3, BOX_DTYPE)
    array["t"], array["class_confidence"] = (20, 90, 90), (1, 0, 0.5)
    np.save(tmp_path / "a_bbox.npy", array)
    labeled = read(tmp_path / "a_bbox.npy")
    assert labeled.boxes["t"].tolist() == [20, 90]
    assert labeled.ignored["t"].tolist() == [90]
    assert labeled.counts == {"boxes of confidence 0": 1}
    assert len(labeled.empty_times) == 0

    array["class_confidence"] = 0
    np.save(tmp_path / "a_bbox.npy", array)
    assert len(read(tmp_path / "a_bbox.npy").boxes) == 3


def test_the_size_of_the_picture_beside_two_corners_is_not_that_of_the_box(tmp_path):
    """The table of TensorFlow's object detection."""
    text = (
        "filename,width,height,class,xmin,ymin,xmax,ymax\n"
        "frame_000001.jpg,200,100,car,10,20,30,60\n"
        "frame_000003.jpg,200,100,bus,11,21,31,61\nframe_000003.jpg,200,100,car,1,2,3,4\n"
    )
    labeled = read(write(tmp_path / "a.csv", text))
    assert rows(labeled)[:2] == [(200, 10, 20, 20, 40, 1), (300, 11, 21, 20, 40, 6)]


def test_a_table_has_boxes_of_either_kind_beside_the_size_of_the_picture(tmp_path):
    for header, cells in (
        ("t,x1,y1,x2,y2,width,height", "20,1,2,4,6,200,100"),
        ("t,x,y,w,h,width,height", "20,1,2,3,4,200,100"),
        ("t,left,top,width,height", "20,1,2,3,4"),
        ("t,xmin,ymin,width,height", "20,1,2,3,4"),
        ("t,x1,y1,x2,y2,w,h", "20,1,2,4,6,3,4"),
    ):
        labeled = read(write(tmp_path / "a.csv", f"{header},class\n{cells},car\n"))
        assert rows(labeled) == [(20, 1, 2, 3, 4, 1)], header


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "t,width,height,class,xmin,ymin,xmax,ymax\n20,640,480,car,1,2,3,4\n",
            "line 2: the labelled picture is 640x480, the sensor is 200x100",
        ),
        (
            "t,x1,y1,x2,y2,class\n20,10,20,3,4,car\n",
            "line 2: the box ends at 3, 4, before it starts at 10, 20: are x2 and y2 width",
        ),
        ("filename,x,y,w,h,class\nleft.png,1,2,3,4,car\n", "the picture left.png has no frame"),
        ("filename,x,y,w,h,class\n,1,2,3,4,car\n", "line 2: filename is empty"),
    ],
)
def test_tables_in_other_pixels_or_without_frames_are_refused(tmp_path, text, message):
    refused(write(tmp_path / "a.csv", text), message)


def test_a_table_may_have_flags(tmp_path):
    text = "t,x,y,w,h,class,iscrowd,difficult\n20,1,2,3,4,car,0,0\n20,1,2,3,4,car,1,0\n"
    labeled = read(write(tmp_path / "a.csv", text + "90,1,2,3,4,car,0,1\n"))
    assert labeled.counts == {"crowd regions": 1, "difficult objects": 1}
    assert labeled.empty_times.tolist() == [90]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "t,x1,y1,x2,y2,class\n" + "20,0.1,0.1,0.3,0.4,car\n40,0,0,1,1,car\n" * 4),
        ("a.txt", "1,1,0.1,0.1,0.3,0.4,1,0,1\n" * 8),
    ],
)
def test_boxes_in_shares_of_the_picture_are_refused(tmp_path, name, text):
    refused(write(tmp_path / name, text), "all boxes are smaller than a pixel")


def test_boxes_of_one_pixel_are_read(tmp_path):
    text = "t,x,y,w,h,class\n" + "20,0,0,1,1,car\n" * 8
    assert len(read(write(tmp_path / "a.csv", text)).boxes) == 8


def test_two_corners_in_place_of_a_corner_and_a_size_are_refused(tmp_path):
    """The sensor has 200x100 pixels."""
    corners = "".join(f"{k},1,{110 + k},51,{140 + k},81,1,0,1\n" for k in range(1, 9))
    refused(write(tmp_path / "a.txt", corners), "8 of 8 boxes reach beyond the sensor")
    rows = "".join(f"20,{x},50,{x + 30},80,car\n" for x in range(110, 120))
    refused(write(tmp_path / "b.csv", f"t,x,y,w,h,class\n{rows}"), "all could be two corners")
    assert len(read(write(tmp_path / "c.csv", f"t,x1,y1,x2,y2,class\n{rows}")).boxes) == 10


def test_mot_text_in_a_file_of_a_table_is_named(tmp_path):
    refused(write(tmp_path / "a.csv", "1,1,11,21,30,40,1,0,1\n"), "MOT text, without names, has")
