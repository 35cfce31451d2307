import json
import logging

import h5py
import numpy as np
import pytest

from bag_maker import EVENTS, array, only_file, write_ros1, write_ros2
from evdet.boxes import BOX_DTYPE
from evdet.data.folder import open_folder, read_labels
from evdet.events.dtypes import SensorSize
from evdet.labels.label_map import FolderError, read_label_map
from evdet.labels.source import RecordingSpan

CLASSES = {"0": "car", "1": "pedestrian"}


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


@pytest.fixture
def root(tmp_path):
    (tmp_path / "label_map_dictionary.json").write_text(json.dumps(CLASSES))
    return tmp_path


def pairs(folder, split="train"):
    return {
        entry.name: (entry.recording.name, entry.boxes and entry.boxes.name)
        for entry in folder.splits[split]
    }


# --- the plain layout ---


def test_labels_lie_beside_their_recording_under_its_name(root):
    touch(root, "train/a_td.dat", "train/a_bbox.npy", "train/b.raw", "train/b.csv")
    touch(root, "train/c_cd.h5", "train/c_labels.json", "val/d.hdf5", "val/d_boxes.xml")

    folder = open_folder(root)

    assert folder.label_map == {0: "car", 1: "pedestrian"}
    assert folder.layout == "plain"
    assert pairs(folder) == {
        "a": ("a_td.dat", "a_bbox.npy"),
        "b": ("b.raw", "b.csv"),
        "c": ("c_cd.h5", "c_labels.json"),
    }
    assert pairs(folder, "val") == {"d": ("d.hdf5", "d_boxes.xml")}
    assert list(folder.splits) == ["train", "val"]
    assert {entry.kind for entry in folder.splits["train"]} == {"events"}


def test_recordings_may_lie_in_folders_below(root):
    touch(root, "train/monday/a.raw", "train/monday/a.json", "train/tuesday/a.raw")

    assert pairs(open_folder(root)) == {
        "monday/a": ("a.raw", "a.json"),
        "tuesday/a": ("a.raw", None),
    }


def test_a_folder_of_frames_labels_one_recording(root):
    touch(root, "train/a.raw", "train/a/frame_0.txt", "train/b.raw", "train/b_labels/0.xml")

    assert pairs(open_folder(root)) == {"a": ("a.raw", "a"), "b": ("b.raw", "b_labels")}


def test_arrays_and_tables_may_be_recordings_or_labels(root):
    touch(root, "train/readme.txt", "train/a.txt", "train/c_bbox.npy")
    np.save(root / "train/a.npy", np.zeros((3, 4)))
    np.save(root / "train/b.npy", np.zeros(3, BOX_DTYPE))
    (root / "train/b.csv").write_text("t,x,y,p\n1,2,3,1\n")
    (root / "train/c.txt").write_text("0.5 1 2 1\n")
    (root / "train/d.raw").touch()
    (root / "train/d.csv").write_text("t,x,y,w,h,class\n")

    assert pairs(open_folder(root)) == {
        "a": ("a.npy", "a.txt"),
        "b": ("b.csv", "b.npy"),
        "c": ("c.txt", "c_bbox.npy"),
        "d": ("d.raw", "d.csv"),
    }


def test_recordings_of_other_tools_are_told_from_labels(root):
    touch(root, "train/a.raw", "train/a_labels.txt")
    np.savez(root / "train/a.npz", labels=np.zeros(3, BOX_DTYPE))
    np.savez(root / "train/b.npz", t=[1], x=[2], y=[3], p=[1])
    (root / "train/c.csv").write_text('"timestamp (us)";"px";"py";"pol"\n1;2;3;1\n')
    (root / "train/d.txt").write_bytes("t\tx\ty\tp\r\n1\t2\t3\t1\r\n".encode("utf-16"))
    (root / "train/e.csv").write_text("%geometry:9,9\n2,3,1,1\n")

    found = pairs(open_folder(root))
    assert {name: recording for name, (recording, _) in found.items()} == {
        "a": "a.raw", "b": "b.npz", "c": "c.csv", "d": "d.txt", "e": "e.csv",
    }  # fmt: skip


def test_files_called_boxes_win_over_others_of_the_name(root, caplog):
    touch(root, "train/a.raw", "train/a.json", "train/a_bbox.npy", "train/a.bias")

    assert pairs(open_folder(root)) == {"a": ("a.raw", "a_bbox.npy")}
    assert not caplog.records


def test_of_several_label_files_one_is_read_and_that_is_said(root, caplog):
    touch(root, "train/a.raw", "train/a.txt", "train/a.xml", "train/a.csv")

    with caplog.at_level(logging.WARNING):
        assert pairs(open_folder(root)) == {"a": ("a.raw", "a.csv")}
    assert "a.raw has several label files; a.csv is read" in caplog.text


def test_labels_without_a_recording_are_listed(root):
    touch(root, "train/a.raw", "train/aa_bbox.npy", "train/README.txt")

    assert open_folder(root).unmatched == {"train": (root / "train/aa_bbox.npy",)}


def test_hidden_files_and_sidecars_are_passed_over(root):
    touch(root, "train/a.raw", "train/.a.raw.part", "train/.cache/b.raw", "train/a.labelfreq")

    assert pairs(open_folder(root)) == {"a": ("a.raw", None)}


def test_a_link_to_a_folder_above_is_no_trap(root):
    touch(root, "train/a.raw")
    (root / "train/loop").symlink_to(root / "train")

    assert list(pairs(open_folder(root))) == ["a"]


def test_only_the_parts_that_are_asked_for_are_opened(root):
    touch(root, "train/a.raw", "test/b.raw")

    assert list(open_folder(root, splits=("test",)).splits) == ["test"]


def test_two_recordings_of_one_name_are_refused(root):
    touch(root, "train/a.raw", "train/a_td.dat")

    with pytest.raises(FolderError, match=r"a.* and .*a.* have the same name: is one a copy"):
        open_folder(root)


# --- published layouts ---


def test_gen1_is_read_as_published(tmp_path):
    name = "train/17-03-30_12-53-58_1037500000_1097500000"
    touch(tmp_path, f"{name}_td.dat", f"{name}_bbox.npy")

    folder = open_folder(tmp_path)

    assert folder.label_map == {0: "car", 1: "pedestrian"}
    assert pairs(folder)[name.removeprefix("train/")][1] is not None


def test_one_mpx_is_read_as_published(tmp_path):
    name = "moorea_2019-02-19_004_td_61500000_121500000"
    touch(tmp_path, f"val/{name}_td.dat", f"val/{name}_bbox.npy", f"val/{name}_bbox.labelfreq")

    folder = open_folder(tmp_path)

    assert folder.label_map[2] == "car"
    assert len(folder.label_map) == 7
    assert pairs(folder, "val") == {name: (f"{name}_td.dat", f"{name}_bbox.npy")}


def test_dsec_detection_is_read_as_published(tmp_path):
    for sequence in ("train/interlaken_00_c", "train/thun_00_a", "test/interlaken_00_a"):
        touch(tmp_path, f"{sequence}/events/left/events.h5", f"{sequence}/events/right/events.h5")
        touch(tmp_path, f"{sequence}/events/left/rectify_map.h5")
    boxes = np.zeros(
        1,
        [("t", "<u8"), ("x", "<f8"), ("y", "<f8"), ("h", "<f8"), ("w", "<f8"), ("class_id", "u1"),
         ("class_confidence", "<f8"), ("track_id", "<u8")],
    )  # fmt: skip
    boxes["t"], boxes["class_id"], boxes["w"] = 60_000, 2, 7
    path = tmp_path / "train/thun_00_a/object_detections/left/tracks.npy"
    path.parent.mkdir(parents=True)
    np.save(path, boxes)

    folder = open_folder(tmp_path)

    assert folder.layout == "DSEC-Detection"
    assert [folder.label_map[i] for i in (0, 2, 7)] == ["pedestrian", "car", "train"]
    assert pairs(folder) == {
        "interlaken_00_c": ("events.h5", None),
        "thun_00_a": ("events.h5", "tracks.npy"),
    }
    assert list(pairs(folder, "test")) == ["interlaken_00_a"]
    labeled = read_labels(folder.splits["train"][1], folder)
    assert (labeled.boxes["t"][0], labeled.boxes["class_id"][0]) == (60_000, 3)


@pytest.mark.parametrize("home", ["", "HDF5/", "Static/HDF5/"])
def test_etram_is_read_as_published(tmp_path, home):
    for part in ("train_h5_1/train_day_0001", "train_h5_2/train_night_0040", "val_h5_1/val_day_1"):
        touch(tmp_path, f"{home}{part}_td.h5", f"{home}{part}_bbox.npy")
    touch(tmp_path, "Static/Eight_class_annotations/eight_class_annotations_train/x_bbox.npy")

    folder = open_folder(tmp_path)

    assert folder.layout == "eTraM"
    assert folder.label_map == {0: "pedestrian", 1: "vehicle", 2: "micro-mobility"}
    assert pairs(folder) == {
        "train_day_0001": ("train_day_0001_td.h5", "train_day_0001_bbox.npy"),
        "train_night_0040": ("train_night_0040_td.h5", "train_night_0040_bbox.npy"),
    }
    assert list(pairs(folder, "val")) == ["val_day_1"]


def test_etram_in_two_forms_must_be_named(tmp_path):
    touch(tmp_path, "HDF5/train_h5_1/a_td.h5", "RAW/train_1/a_td.raw")

    with pytest.raises(FolderError, match=r"more than once: give one of .*HDF5, .*RAW"):
        open_folder(tmp_path)


def test_ready_made_frames_are_recognised(root):
    sequence = root / "train/17-04-13_15-05-43_1220500000_1280500000"
    (sequence / "event_representations_v2/stacked_histogram_dt=50_nbins=10").mkdir(parents=True)
    touch(root, "train/b_td.h5", "train/b_bbox.npy")
    (sequence / "labels_v2").mkdir()
    boxes = np.zeros(2, BOX_DTYPE)
    np.savez(sequence / "labels_v2/labels.npz", labels=boxes)
    (root / "train/b_td.h5").unlink()
    with h5py.File(root / "train/b_td.h5", "w") as file:
        file["data"] = np.zeros((1, 2, 4, 4), np.float32)

    folder = open_folder(root)

    rvt, tensors = folder.splits["train"]
    assert (rvt.kind, rvt.recording) == ("frames", sequence)
    assert (tensors.kind, tensors.boxes) == ("frames", root / "train/b_bbox.npy")
    assert len(read_labels(rvt, folder).boxes) == 2


# --- reading labels ---


def test_a_recording_without_a_label_file_has_no_labels(root):
    folder = open_folder(touch(root, "train/a.raw"))

    assert len(read_labels(folder.splits["train"][0], folder).boxes) == 0


def test_labels_get_what_they_need_of_the_recording(root):
    touch(root, "train/a.raw")
    (root / "train/a.txt").write_text("1 0.5 0.5 1 1\n")
    folder = open_folder(root)
    span = RecordingSpan(SensorSize(10, 20), 5, 77)

    (box,) = read_labels(folder.splits["train"][0], folder, span).boxes

    assert (box["t"], box["w"], box["h"], box["class_id"]) == (77, 20, 10, 2)


# --- folders and label maps that cannot be used ---


def test_an_empty_folder_says_what_to_put_there(tmp_path):
    with pytest.raises(
        FolderError, match=r"has no train/, val/, test/ with recordings.*evdet spli"
    ):
        open_folder(tmp_path)


def test_a_file_and_a_missing_folder_are_named(tmp_path):
    with pytest.raises(FolderError, match="is a file: give the folder that it lies in"):
        open_folder(touch(tmp_path, "a.raw") / "a.raw")
    with pytest.raises(FolderError, match="nowhere does not exist"):
        open_folder(tmp_path / "nowhere")


def test_recordings_that_are_not_split_point_to_the_command(tmp_path):
    with pytest.raises(FolderError, match=r"`evdet split .*`"):
        open_folder(touch(tmp_path, "a.raw"))


def test_splits_without_recordings_are_refused(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(FolderError, match="no recording in train/"):
        open_folder(tmp_path)


def test_a_missing_label_map_says_how_to_write_it(tmp_path):
    with pytest.raises(
        FolderError, match=r"label_map_dictionary.json is missing.*\{\"0\": \"car\""
    ):
        open_folder(touch(tmp_path, "train/a.raw"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not valid JSON"),
        ("[]", "names no classes"),
        ("{}", "names no classes"),
        ('{"car": 0}', '"car": 0'),
        ('{"0": ""}', '"0": ""'),
        ('{"0": "car", "1": "car"}', "several ids with the name 'car'"),
        ("\x00\xff", "is not valid JSON"),
    ],
)
def test_label_maps_that_are_none_are_refused(tmp_path, text, message):
    path = tmp_path / "label_map_dictionary.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(FolderError, match=message):
        read_label_map(path)


def test_a_label_map_is_sorted_by_id(tmp_path):
    path = tmp_path / "map.json"
    path.write_text('\ufeff{"10": "b", "2": " a "}', encoding="utf-8")

    assert list(read_label_map(path).items()) == [(2, "a"), (10, "b")]


def test_bags_are_recordings_in_files_and_in_folders(root):
    topics = {"/events": [array(EVENTS)]}
    for folder in ("train", "val"):
        (root / folder).mkdir()
    write_ros1(root / "train" / "a.bag", topics)
    write_ros2(root / "train" / "b", topics)
    only_file(write_ros2(root / "c", topics, mcap=True)).rename(root / "val" / "c.mcap")
    touch(root, "train/a_bbox.npy", "train/b_bbox.npy", "val/c.json")
    folder = open_folder(root)
    assert pairs(folder) == {"a": ("a.bag", "a_bbox.npy"), "b": ("b", "b_bbox.npy")}
    assert pairs(folder, "val") == {"c": ("c.mcap", "c.json")}
    assert {entry.kind for entry in folder.splits["train"]} == {"events"}
    assert not any(folder.unmatched.values())
