"""Tables as other programs write them."""

import numpy as np
import pytest

from evdet.events import SensorSize
from evdet.labels.files import LabelError, read_boxes
from evdet.labels.source import RecordingSpan

SPAN = RecordingSpan(SensorSize(height=240, width=320), 0, 10**6)
LABEL_MAP = {0: "car", 1: "person"}
BOX = (10.0, 20.0, 30.0, 40.0)


def read(path, text, label_map=LABEL_MAP):
    path.write_text(text, encoding="utf-8")
    return read_boxes(path, label_map, recording=SPAN, frame_period=50_000)


def only_box(path, text):
    [box] = read(path, text).boxes
    assert tuple(float(box[name]) for name in "xywh") == BOX
    return int(box["t"]), int(box["class_id"]) - 1


def test_a_header_alone_has_no_boxes(tmp_path):
    labeled = read(tmp_path / "a.csv", "t,x,y,w,h,class\n")
    assert not len(labeled.boxes)
    assert not len(labeled.empty_times)


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("t [us],x [px],y [px],w [px],h [px],class", "50000,10,20,30,40,car"),
        ("time (ms),x,y,w,h,class", "50,10,20,30,40,car"),
        ("Timestamp [s],x,y,w,h,class", "0.05,10,20,30,40,car"),
        ("# t,x,y,w,h,class", "50000,10,20,30,40,car"),
        ("Frame Index,x_min,y_min,x_max,y_max,Class ID", "0,10,20,40,60,0"),
        ("frame_index;x;y;w;h;class_name", "0;10,0;20,0;30,0;40,0;car"),
        (
            "label_name,bbox_x,bbox_y,bbox_width,bbox_height,image_name,image_width,image_height",
            "car,10,20,30,40,frame_000000.png,320,240",
        ),
        (",t,x,y,w,h,class_id", "0,50000.0,10,20,30,40,0.0"),
    ],
)
def test_names_of_columns_are_understood_in_the_spellings_of_tools(tmp_path, header, cells):
    assert only_box(tmp_path / "a.csv", f"{header}\n{cells}\n") == (50_000, 0)


def test_excels_line_that_names_the_separator_is_skipped(tmp_path):
    text = "sep=;\nt;x;y;w;h;class\n50000;10,0;20;30;40;car\n"
    assert only_box(tmp_path / "a.csv", text) == (50_000, 0)
    with pytest.raises(LabelError, match="line 3: x is"):
        read(tmp_path / "b.csv", "sep=;\nt;x;y;w;h;class\n50000;ten;20;30;40;car\n")


def test_of_ids_and_names_of_classes_the_names_count(tmp_path):
    """YOLOv5's `results.pandas()` has COCO's ids in `class`, and names in `name`."""
    header = "frame,xmin,ymin,xmax,ymax,confidence,class,name\n"
    text = f"{header}0,10,20,40,60,0.9,2,car\n0,10,20,40,60,0.9,0,person\n"
    assert read(tmp_path / "a.csv", text).boxes["class_id"].tolist() == [1, 2]
    with pytest.raises(LabelError, match="the class 'truck' is not in the label map"):
        read(tmp_path / "b.csv", f"{header}0,10,20,40,60,0.9,0,truck\n")
    names_of_objects = f"{header}0,10,20,40,60,0.9,1,object 7\n"
    assert read(tmp_path / "c.csv", names_of_objects).boxes["class_id"].tolist() == [2]


@pytest.mark.parametrize("text", ["True", "true", "1", "1.0"])
def test_flags_are_numbers_or_words(tmp_path, text):
    header = "t,x,y,w,h,class,iscrowd\n"
    rows = f"50000,10,20,30,40,car,{text}\n50000,10,20,30,40,car,False\n"
    labeled = read(tmp_path / "a.csv", header + rows)
    assert len(labeled.boxes) == 1
    assert labeled.counts == {"crowd regions": 1}


def test_rows_without_values_are_times_without_objects(tmp_path):
    text = "t,x,y,w,h,class,track_id\n50000,nan,nan,nan,nan,,nan\n100000,10,20,30,40,car,nan\n"
    labeled = read(tmp_path / "a.csv", text)
    assert labeled.empty_times.tolist() == [50_000]
    assert labeled.boxes["track_id"].tolist() == [0]


@pytest.mark.parametrize(
    "header",
    [
        "frame,id,bb_left,bb_top,bb_width,bb_height,conf,class,visibility",
        "FrameId,Id,X,Y,Width,Height,Confidence,ClassId,Visibility",
        "frame,id,x,y,w,h,conf,class,visibility",
    ],
)
def test_a_table_with_the_columns_of_mot_counts_as_mot_does(tmp_path, header):
    """py-motmetrics has such names; frames and pixels count from 1, confidence 0 is ignored."""
    text = f"{header}\n1,5,11,21,30,40,1,0,1\n2,5,11,21,30,40,0,0,1\n"
    for name in ("a.csv", "a.txt"):
        labeled = read(tmp_path / name, text)
        [box] = labeled.boxes
        assert tuple(box)[:7] == (50_000, *BOX, 1, 5)
        assert labeled.counts == {"ignored rows": 1}


def test_frames_of_a_table_that_run_from_one_are_noted(tmp_path):
    header = "frame,x,y,w,h,class\n"
    row = ",10,20,30,40,car\n"
    labeled = read(tmp_path / "a.csv", header + "".join(f"{k}{row}" for k in (1, 2, 2, 3)))
    [note] = labeled.notes
    assert "frame numbers run from 1" in note
    assert read(tmp_path / "b.csv", f"{header}0{row}1{row}").notes == ()
    np.testing.assert_array_equal(np.unique(labeled.boxes["t"]), [100_000, 150_000, 200_000])
