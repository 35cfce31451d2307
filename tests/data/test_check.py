import json
import shutil

import numpy as np
import pytest

from evdet.boxes import BOX_DTYPE
from evdet.data.check import check_folder
from evdet.events import ReadOptions
from evdet.events.dat.reader import write_dat
from evdet.events.dtypes import EVENT_DTYPE, SensorSize
from evdet.labels.box_rules import BoxRules
from evdet.labels.files import write_boxes_npy
from evdet.labels.label_map import FolderError

SIZE = SensorSize(height=60, width=80)
SECOND = 1_000_000


def write_recording(path, *, seconds=1.0, seed=0, start=0):
    """Events every ms or so, on a sensor of 80x60."""
    rng = np.random.default_rng(seed)
    events = np.zeros(int(seconds * 1000), EVENT_DTYPE)
    events["t"] = start + np.arange(len(events)) * 1000 + rng.integers(0, 900, len(events))
    events["x"], events["y"] = rng.integers(0, 80, len(events)), rng.integers(0, 60, len(events))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_dat(path, [events], SIZE)
    return events


def write_boxes(path, times, **columns):
    boxes = np.zeros(len(times), BOX_DTYPE)
    boxes["t"], boxes["class_id"] = times, 1
    boxes["x"], boxes["y"], boxes["w"], boxes["h"] = 10, 10, 20, 20
    for name, values in columns.items():
        boxes[name] = values
    write_boxes_npy(path, boxes)


EVERY_BIN = np.arange(50_000, SECOND, 50_000)


@pytest.fixture
def root(tmp_path):
    """A folder without fault: two recordings to train on and one of each other kind."""
    root = tmp_path / "set"
    for seed, name in enumerate(("train/a", "train/b", "val/c", "test/d")):
        write_recording(root / f"{name}_td.dat", seed=seed)
        write_boxes(root / f"{name}_bbox.npy", EVERY_BIN)
    name_classes(root, "car")
    return root


def name_classes(root, *names):
    label_map = dict(enumerate(names))
    (root / "label_map_dictionary.json").write_text(json.dumps(label_map))


def texts(findings):
    return {(f.kind, f.path.name): f.text for f in findings}


def test_a_folder_without_fault_has_no_findings(root):
    report = check_folder(root)

    assert report.findings == []
    train = report.splits["train"]
    assert (train.num_recordings, train.num_events) == (2, 2000)
    assert train.num_bins == 40
    assert train.num_labeled_bins == 38  # the last bin ends after the last event
    assert dict(train.boxes) == {"car": 38}
    assert report.classes == ("car",)


def test_progress_sees_every_recording_once(root):
    seen = []

    def progress(entries):
        for entry in entries:
            seen.append(entry.name)
            yield entry

    check_folder(root, progress=progress)

    assert seen == ["a", "b", "c", "d"]


def test_recordings_without_boxes_and_boxes_without_recordings_are_problems(root):
    (root / "train/a_bbox.npy").rename(root / "train/aa_bbox.npy")

    report = check_folder(root)

    problems = texts(report.problems)
    assert "has no label file beside it" in problems["no boxes", "a_td.dat"]
    assert "no recording beside it" in problems["boxes without recording", "aa_bbox.npy"]
    assert report.splits["train"].num_recordings == 2


def test_copies_across_splits_are_problems_and_within_one_are_remarks(root):
    shutil.copy(root / "train/a_td.dat", root / "val/z.dat")
    shutil.copy(root / "val/c_bbox.npy", root / "val/z_bbox.npy")
    shutil.copy(root / "test/d_td.dat", root / "test/e_td.dat")
    shutil.copy(root / "test/d_bbox.npy", root / "test/e_bbox.npy")

    report = check_folder(root)

    assert list(texts(report.problems)) == [("copies across splits", "z.dat")]
    assert list(texts(report.remarks)) == [("copies", "e_td.dat")]


def test_a_recording_that_breaks_says_where_and_is_used_up_to_there(root):
    path = root / "train/a_td.dat"
    content = path.read_bytes()
    records = np.frombuffer(content[-8 * 300 :], "<u4").copy()
    records[0::2] -= 300_000  # the clock of the last 300 of 1,000 events
    path.write_bytes(content[: -8 * 300] + records.tobytes())

    report = check_folder(root)

    ((kind, name), text), *rest = texts(report.problems).items()
    assert (kind, name, rest) == ("broken recording", "a_td.dat", [])
    assert "Training uses the 700 events up to t=" in text
    assert report.splits["train"].num_events == 1700


def test_a_recording_that_cannot_be_read_at_all_is_a_problem(root):
    (root / "train/a_td.dat").write_bytes(b"")
    (root / "train/b_td.dat").write_bytes(b"\0" * 100)

    report = check_folder(root)

    assert {kind for kind, _ in texts(report.problems)} <= {"broken recording", "no events"}
    assert len(report.problems) == 2
    assert report.splits["train"].num_recordings == 0


def test_small_steps_back_and_gaps_are_remarks(root):
    events = write_recording(root / "train/a_td.dat")
    events["t"][500:] += 2 * SECOND
    events["t"][100] -= 5_000
    write_dat(root / "train/a_td.dat", [events], SIZE)

    remarks = texts(check_folder(root).remarks)

    assert "1 events step back" in remarks["time order", "a_td.dat"]
    assert remarks["gap in the events", "a_td.dat"].startswith("has no events for 2.0")


def test_boxes_outside_sensor_or_time_are_counted(root):
    write_boxes(root / "train/a_bbox.npy", [50_000, 100_000, 9 * SECOND], x=[100, -5, 10])

    report = check_folder(root)

    remarks = texts(report.remarks)
    name = "a_bbox.npy"
    assert (
        "1 of 3 boxes lie outside the recording's time"
        in remarks["boxes outside the time span", name]
    )
    assert "1 of 3 boxes lie outside the sensor 80x60" in remarks["boxes outside the sensor", name]
    left_out = report.splits["train"].left_out
    assert left_out["outside the recording"] == left_out["outside the sensor"] == 1
    assert left_out["clipped"] == 1


def test_boxes_on_another_clock_or_a_larger_picture_are_problems(root):
    write_boxes(root / "train/a_bbox.npy", EVERY_BIN + 5 * SECOND)
    write_boxes(root / "train/b_bbox.npy", EVERY_BIN, x=500)

    problems = texts(check_folder(root).problems)

    assert "on a clock that starts about 5.0" in problems["times of the labels", "a_bbox.npy"]
    assert "larger images" in problems["boxes outside the sensor", "b_bbox.npy"]


def test_labels_of_some_files_in_another_unit_are_problems_of_these_files(root):
    write_boxes(root / "train/b_bbox.npy", EVERY_BIN // 1000)

    ((kind, name), text), *rest = texts(check_folder(root).findings).items()

    assert (kind, name, rest) == ("times of the labels", "b_bbox.npy", [])
    assert "They would fit if they were milliseconds" in text


def test_unknown_classes_are_problems(root):
    write_boxes(root / "train/a_bbox.npy", EVERY_BIN, class_id=8)
    (root / "val/c_bbox.npy").unlink()
    (root / "val/c.csv").write_text("t,x,y,w,h,class\n50000,1,2,3,4,dog\n")

    report = check_folder(root)

    problems = texts(report.problems)
    assert "class ids 7, which the label map does not" in problems["unknown classes", "a_bbox.npy"]
    text = problems["unreadable labels", "c.csv"]
    assert text.startswith("line 2: the class 'dog' is not in the label map")
    assert report.splits["train"].left_out["class id 7 not in the label map"] == len(EVERY_BIN)


def test_frame_wide_boxes_and_gaps_in_the_labels_are_remarks(root):
    times = [*EVERY_BIN[:5], *EVERY_BIN[-5:]]
    write_boxes(root / "train/a_bbox.npy", times, x=0, w=[79] * 2 + [20] * 8)

    report = check_folder(root, rules=BoxRules(max_box_share=0.9))

    remarks = texts(report.remarks)
    assert "2 of 10 boxes are wider than 90%" in remarks["frame-wide boxes", "a_bbox.npy"]
    gap = remarks["gaps in the labels", "a_bbox.npy"]
    assert "1 gaps in the label times, which are usually 50 ms apart" in gap
    assert "0.50 s, from t=250000 us" in gap
    assert report.splits["train"].left_out["too wide"] == 2


def test_superseded_boxes_and_classes_not_chosen_are_counted(root):
    name_classes(root, "car", "pedestrian")
    write_boxes(root / "train/a_bbox.npy", [10_000, 20_000, 60_000], class_id=[1, 1, 2])

    report = check_folder(root, classes=["pedestrian=person"])

    train = report.splits["train"]
    assert report.classes == ("person",)
    assert dict(train.boxes) == {"person": 1}
    assert train.left_out["superseded"] == 1
    assert train.left_out["class car not chosen"] == 1 + len(EVERY_BIN)


def test_a_class_that_one_split_lacks_is_a_remark(root):
    name_classes(root, "car", "pedestrian")
    for name in ("train/a", "test/d"):
        write_boxes(root / f"{name}_bbox.npy", EVERY_BIN, class_id=[1, 2] * 9 + [1])

    report = check_folder(root)

    assert not report.problems
    assert texts(report.remarks) == {
        ("missing classes", "val"): "has no box of pedestrian: the validation does not score it. "
        "Move whole recordings that have it, or split all recordings again: `evdet split` balances "
        "the classes"
    }


def test_a_class_that_no_split_has_is_a_remark_of_the_folder(root):
    name_classes(root, "car", "pedestrian")

    assert texts(check_folder(root).remarks) == {
        ("missing classes", "set"): "has no box of pedestrian in any split, though the label map "
        "names it: leave it out with --classes, or label it"
    }
    assert not check_folder(root, classes=["car"]).remarks


def test_classes_that_boxes_too_small_to_use_have_are_missing(root):
    name_classes(root, "car", "pedestrian")
    write_boxes(root / "train/a_bbox.npy", EVERY_BIN, class_id=2, w=5, h=5)
    write_boxes(root / "val/c_bbox.npy", EVERY_BIN, class_id=[1, 2] * 9 + [1])

    rules = BoxRules(min_box_side=10.0)
    found = texts(check_folder(root, rules=rules).remarks)

    assert "no box of pedestrian: training cannot learn it" in found["missing classes", "train"]
    assert "no box of pedestrian: the test does not" in found["missing classes", "test"]
    assert ("missing classes", "val") not in found


def test_label_files_without_objects_are_remarks(root):
    write_boxes(root / "train/a_bbox.npy", [])

    assert "has no boxes" in texts(check_folder(root).remarks)["no objects", "a_bbox.npy"]


def test_boxes_that_do_not_count_are_remarks_and_are_not_trained_on(root):
    crowd = {"image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20], "iscrowd": 1}
    content = {
        "images": [{"id": k, "file_name": f"frame_{k:04d}.png"} for k in (1, 2, 3)],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [{**crowd, "id": 1}, {**crowd, "id": 2, "image_id": 2, "iscrowd": 0}],
    }
    (root / "train" / "a_bbox.npy").unlink()
    (root / "train" / "a.json").write_text(json.dumps(content))

    report = check_folder(root)

    found = texts(report.remarks)
    assert found["boxes that do not count", "a.json"] == "1 crowd region is not counted"
    assert "frame numbers run from 1" in found["how labels are read", "a.json"]
    assert report.splits["train"].left_out["crowd regions"] == 1
    assert report.splits["train"].boxes["car"] == 1 + 19
    assert report.splits["train"].num_labeled_bins == 3 + 19


def test_a_recording_that_ends_within_an_event_is_a_remark(root, caplog):
    path = root / "train/a_td.dat"
    path.write_bytes(path.read_bytes() + b"\x01\x02\x03")

    report = check_folder(root)

    assert not report.problems
    assert "ends within event" in texts(report.remarks)["incomplete end", "a_td.dat"]
    assert not caplog.records, "it is said once"
    strict = check_folder(root, options=ReadOptions(strict=True))
    assert "ends within event" in texts(strict.problems)["broken recording", "a_td.dat"]


def test_splits_without_a_box_to_use_are_problems(root):
    write_boxes(root / "train/a_bbox.npy", [])
    write_boxes(root / "train/b_bbox.npy", [])

    problems = texts(check_folder(root).problems)
    assert problems == {("no objects", "train"): "has no box to use, so training refuses it"}

    problems = texts(check_folder(root, rules=BoxRules(min_box_diag=70.0)).problems)
    assert "(19 diagonal too short)" in problems["no objects", "val"]


def test_missing_splits_are_problems(root):
    shutil.rmtree(root / "val")

    assert "has no val/" in texts(check_folder(root).problems)["missing split", "set"]


def test_ready_made_frames_are_read_too(root):
    h5py = pytest.importorskip("h5py")
    with h5py.File(root / "train/e.h5", "w") as file:
        file["data"] = np.zeros((20, 2, 60, 80), np.float32)
        file.attrs["delta_t"] = 50_000
    write_boxes(root / "train/e_bbox.npy", EVERY_BIN)
    (root / "train/f.h5").write_bytes((root / "train/e.h5").read_bytes()[:-3000])
    write_boxes(root / "train/f_bbox.npy", EVERY_BIN)

    report = check_folder(root)

    assert report.splits["train"].num_recordings == 3
    assert report.splits["train"].boxes["car"] == 2 * 19 + len(EVERY_BIN)
    assert {name for _, name in texts(report.problems)} == {"f.h5"}


def test_folders_that_are_none_are_refused(tmp_path):
    with pytest.raises(FolderError, match="does not exist"):
        check_folder(tmp_path / "nowhere")
    with pytest.raises(FolderError, match="has no train/, val/, test/"):
        check_folder(tmp_path)
    with pytest.raises(ValueError, match="delta_t must be at least 1 microsecond, got 0"):
        check_folder(tmp_path, delta_t=0)


def test_recordings_outside_the_splits_are_remarks(root):
    write_recording(root / "left.dat", seed=5)
    (root / "more").mkdir()
    write_recording(root / "more" / "deep.dat", seed=6)
    (root / "runs").mkdir()
    np.save(root / "runs" / "numbers.npy", np.zeros(3))

    report = check_folder(root)

    assert report.problems == []
    found = [one for one in report.remarks if one.kind == "recordings outside the splits"]
    assert sorted(one.path.name for one in found) == ["deep.dat", "left.dat"]
    assert "training does not use it" in found[0].text


def test_what_a_split_by_links_or_copies_leaves_is_no_remark(root):
    for path in (root / "train").iterdir():
        (root / path.name).hardlink_to(path)

    kinds = {one.kind for one in check_folder(root).remarks}

    assert "recordings outside the splits" not in kinds
