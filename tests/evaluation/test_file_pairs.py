import numpy as np
import pytest

from evdet.boxes import BOX_DTYPE
from evdet.evaluation.file_pairs import match_files
from evdet.events.dtypes import EVENT_DTYPE


def write(path, dtype=BOX_DTYPE):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.zeros(1, dtype))
    return path


def test_two_files_are_a_pair_whatever_they_are_called(tmp_path):
    found, boxes = write(tmp_path / "mine.npy"), write(tmp_path / "drive_bbox.npy")
    [pair], notes = match_files(found, boxes)
    assert pair == ("drive", boxes, found)
    assert notes == []


def test_folders_are_paired_by_name_and_those_without_a_partner_are_named(tmp_path):
    for name in ("a_bbox", "night/b_bbox", "c_bbox"):
        write(tmp_path / "boxes" / f"{name}.npy")
    for name in ("a_detections", "night/b", "d_dt"):
        write(tmp_path / "found" / f"{name}.npy")
    pairs, notes = match_files(tmp_path / "found", tmp_path / "boxes")
    assert [pair.name for pair in pairs] == ["a", "c", "night/b"]
    assert [pair.detections is not None for pair in pairs] == [True, False, True]
    assert [note.startswith("1 ") for note in notes] == [True, True]
    assert [note.split(": ")[-1] for note in notes] == ["c", "d"]


def test_a_folder_of_a_data_set_has_recordings_and_a_label_map_beside_the_boxes(tmp_path):
    boxes, found = tmp_path / "boxes", tmp_path / "found"
    write(boxes / "a_bbox.npy")
    write(boxes / "a_td.npy", EVENT_DTYPE)
    (boxes / "b_td.csv").write_text("t,x,y,p\n")
    (boxes / "label_map_dictionary.json").write_text("{}")
    write(found / "a.npy")
    pairs, _ = match_files(found, boxes)
    assert [pair.boxes.name for pair in pairs] == ["a_bbox.npy"]


def test_what_cannot_be_paired_is_said(tmp_path):
    one, folder = write(tmp_path / "one.npy"), tmp_path / "folder"
    write(folder / "two_bbox.npy")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"nowhere does not exist"):
        match_files(one, tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"one\.npy is a file and .*folder a folder"):
        match_files(folder, one)
    with pytest.raises(ValueError, match="empty has no file of boxes: those end in"):
        match_files(tmp_path / "empty", folder)
    write(tmp_path / "others" / "three.npy")
    with pytest.raises(ValueError, match=r"no file of .*others .* of .*: the names"):
        match_files(tmp_path / "others", folder)
    write(folder / "two_labels.npy")
    with pytest.raises(ValueError, match="are both of two: move one of them away"):
        match_files(folder, folder)


def write_frames(folder, names=("frame_0", "frame_2"), line="0 0.5 0.5 0.1 0.1\n"):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}.txt").write_text(line)
    return folder


def test_a_folder_with_a_file_per_frame_is_one_recording(tmp_path):
    boxes, found = write_frames(tmp_path / "boxes"), write_frames(tmp_path / "found", ["frame_2"])
    assert match_files(found, boxes) == ([("boxes", boxes, found)], [])
    one = write(tmp_path / "one.npy")
    assert match_files(one, boxes) == ([("boxes", boxes, one)], [])
    assert match_files(boxes, one) == ([("one", one, boxes)], [])


def test_such_folders_may_lie_in_a_folder_of_recordings(tmp_path):
    for name in "ab":
        write_frames(tmp_path / "boxes" / name)
        write_frames(tmp_path / "found" / name)
    pairs, notes = match_files(tmp_path / "found", tmp_path / "boxes")
    assert [(pair.name, pair.boxes.name) for pair in pairs] == [("a", "a"), ("b", "b")]
    assert notes == []
    with pytest.raises(ValueError, match=r"is a folder with a file per frame and .* recordings"):
        match_files(tmp_path / "found" / "a", tmp_path / "boxes")


def test_files_of_recordings_are_not_taken_for_frames(tmp_path):
    mot = "1,1,11,21,30,40,1,0,1\n"
    for folder, names, line in (
        ("mot", ("drive_1", "drive_2"), mot),
        ("named", ("first", "second"), "0 0.5 0.5 0.1 0.1\n"),
    ):
        write_frames(tmp_path / folder, names, line)
        pairs, _ = match_files(tmp_path / folder, tmp_path / folder)
        assert [pair.name for pair in pairs] == sorted(names)


def test_detections_may_be_called_as_their_recordings(tmp_path):
    boxes, found = tmp_path / "boxes", tmp_path / "found"
    write(boxes / "a_bbox.npy")
    write(boxes / "b_bbox.npy")
    write(boxes / "c_bbox.npy")
    found.mkdir()
    (found / "a_td.csv").write_text("t,x,y,w,h,class_id,track_id,class_confidence\n")
    (found / "b_td.txt").write_text("1,-1,5,5,5,5,0.5,-1,-1,-1\n")
    (found / "c_td.json").write_text("[]")
    pairs, notes = match_files(found, boxes)
    assert [pair.detections.name for pair in pairs] == ["a_td.csv", "b_td.txt", "c_td.json"]
    assert notes == []
    (found / "a_td.txt").write_text("1 2 3 1\n")  # events
    assert match_files(found, boxes)[0] == pairs
