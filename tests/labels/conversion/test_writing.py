"""What is written is read back, and read by the tools of each format."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from evdet.boxes import BOX_DTYPE
from evdet.events import SensorSize
from evdet.labels.binning import IGNORED_DTYPE, LabeledTimes
from evdet.labels.conversion import LABEL_FORMATS, find_format, write_labels
from evdet.labels.files import read_boxes
from evdet.labels.source import RecordingSpan

LABEL_MAP = {0: "car", 1: "two wheeler"}
SIZE = SensorSize(height=100, width=200)
PERIOD = 50
START = 1_030  # in frame 20
SPAN = RecordingSpan(SIZE, START, START + 10_000)
SUFFIX = {"npy": ".npy", "coco": ".json", "csv": ".csv", "mot": ".txt", "yolo": "", "voc": ""}
every_format = pytest.mark.parametrize("name", LABEL_FORMATS)


def time_of(frame):
    return (START // PERIOD + frame + 1) * PERIOD


def boxes_of(*rows, dtype=BOX_DTYPE):
    """Rows frame x y w h class track confidence, and whether it is a crowd."""
    rows = [(time_of(row[0]), *row[1:]) for row in sorted(rows, key=lambda row: row[0])]
    return np.array(rows, dtype)


def write(path, labeled, name, **options):
    given = {"size": SIZE, "frame_period": PERIOD, "start": START, **options}
    return write_labels(path, labeled, LABEL_MAP, format_name=name, **given)


def read(path):
    return read_boxes(path, LABEL_MAP, recording=SPAN, frame_period=PERIOD)


LABELED = LabeledTimes(
    boxes_of((0, 10, 20, 30, 40, 1, 3, 1), (0, 0, 0, 200, 100, 2, 4, 1), (7, 1, 2, 3, 4, 1, 3, 1)),
    np.array([time_of(2), time_of(3)]),
    {"crowd regions": 1, "difficult objects": 1},
    boxes_of((2, 50, 50, 9, 9, 1, 0, 1, 1), (7, 60, 50, 9, 9, 2, 0, 1, 0), dtype=IGNORED_DTYPE),
)


@every_format
def test_no_labels_at_all_are_a_file_or_folder_without_labels(tmp_path, name):
    path = tmp_path / f"x{SUFFIX[name]}"
    assert write(path, LabeledTimes.empty(), name) == []
    if not SUFFIX[name]:
        assert [one.name for one in path.iterdir()] == ["classes.txt"] * (name == "yolo")
        return
    labeled = read(path)
    assert len(labeled.boxes) == 0
    # A text file without lines may also be YOLO's.
    assert len(labeled.empty_times) == int(name == "mot")


@every_format
def test_boxes_times_tracks_and_flags_are_read_back(tmp_path, name):
    path = tmp_path / f"x{SUFFIX[name]}"
    lost = "\n".join(write(path, LABELED, name))
    labeled = read(path)

    has_tracks = name not in ("yolo", "voc")
    for field in ("t", "x", "y", "w", "h", "class_id", *(["track_id"] if has_tracks else [])):
        np.testing.assert_allclose(labeled.boxes[field], LABELED.boxes[field], rtol=1e-6)
    assert ("has no tracks: 2 left out" in lost) == (not has_tracks)
    keeps_empty = name not in ("npy", "mot")
    empty = LABELED.empty_times.tolist() if keeps_empty else [time_of(2)]
    assert labeled.empty_times.tolist() == empty
    assert ("no times without objects: 1 left out" in lost) == (not keeps_empty)
    if name == "yolo":
        assert not len(labeled.ignored)
        assert "YOLO has no boxes that do not count: 2 left out" in lost
        return
    assert labeled.ignored["x"].tolist() == [50, 60]
    keeps_crowds = name in ("coco", "csv")
    assert labeled.ignored["is_crowd"].tolist() == [keeps_crowds, False]
    assert ("has no crowd regions: 1 become" in lost) == (not keeps_crowds)


side = st.floats(-300, 300, width=32, allow_subnormal=False)
length = st.floats(0, 400, width=32, allow_subnormal=False)
box = st.tuples(
    st.integers(0, 30), side, side, length, length, st.integers(1, 2), st.integers(0, 2**32 - 1),
    st.sampled_from([1, 0.5, 0.125]),
)  # fmt: skip


@every_format
@given(st.lists(box, max_size=6))
@settings(max_examples=20)
def test_writing_and_reading_is_the_identity_up_to_what_is_said(tmp_path_factory, name, rows):
    path = tmp_path_factory.mktemp("labels") / f"x{SUFFIX[name]}"
    labeled = LabeledTimes(boxes_of(*rows))
    write(path, labeled, name)
    if not len(rows) and name in ("yolo", "voc"):
        return
    back = read(path)
    if name == "yolo":  # clipped to the picture
        assert set(back.boxes["t"].tolist()) <= set(labeled.boxes["t"].tolist())
        assert (back.boxes["x"] >= -1e-3).all()
        assert (back.boxes["x"] + back.boxes["w"] <= 200.001).all()
        return
    sides = ("t", "x", "y", "w", "h", "class_id")
    for field in sides if name == "voc" else BOX_DTYPE.names:
        np.testing.assert_allclose(back.boxes[field], labeled.boxes[field], rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("name", ["mot", "yolo", "voc"])
def test_formats_that_number_frames_need_a_period_and_say_which_times_move(tmp_path, name):
    path = tmp_path / f"x{SUFFIX[name]}"
    with pytest.raises(ValueError, match=r"numbers frames: give .* --frame-period"):
        write(path, LABELED, name, frame_period=None)
    moved = boxes_of((0, 1, 2, 3, 4, 1, 1, 1), (3, 1, 2, 3, 4, 1, 1, 1))
    moved["t"][1] -= 20
    [line, *_] = write(path, LabeledTimes(moved), name)
    assert "1 of 2 times become the end of their frame, up to 20 us later" in line
    assert read(path).boxes["t"].tolist() == [time_of(0), time_of(3)]
    moved["t"][1] = moved["t"][0] - 1
    with pytest.raises(ValueError, match="both in frame 0 of 50 us: give a shorter --frame-period"):
        write(path, LabeledTimes(np.sort(moved)), name)
    moved["t"][1] = 7
    with pytest.raises(ValueError, match="7 us is before the recording's first frame"):
        write(path, LabeledTimes(np.sort(moved)), name)


def test_formats_in_shares_need_the_size(tmp_path):
    for name in ("yolo", "voc"):
        with pytest.raises(ValueError, match="--sensor-size WxH"):
            write(tmp_path / "x", LABELED, name, size=None)
    assert write(tmp_path / "x.json", LABELED, "coco", size=None, frame_period=None) == []
    assert "width" not in json.loads((tmp_path / "x.json").read_text())["images"][0]


def test_what_a_format_has_no_place_for_is_said(tmp_path):
    boxes = np.zeros(1, [*BOX_DTYPE.descr, ("still_us", "<i8")])
    boxes["t"], boxes["w"], boxes["h"], boxes["class_id"] = time_of(0), 3, 4, 1
    boxes["class_confidence"] = 0.5
    labeled = LabeledTimes(boxes)
    assert write(tmp_path / "x.npy", labeled, "npy") == []
    assert write(tmp_path / "x.json", labeled, "coco") == ["COCO has no field still_us: 1 left out"]
    assert "VOC has no confidences: 1 left out" in write(tmp_path / "voc", labeled, "voc")
    boxes["w"] = np.nan
    [line] = write(tmp_path / "x.csv", LabeledTimes(boxes[list(BOX_DTYPE.names)]), "csv")
    assert line == "boxes left out, not finite or of a negative side: 1"
    assert read(tmp_path / "x.csv").empty_times.tolist() == [time_of(0)]


def test_boxes_beyond_the_picture_are_clipped_for_yolo_and_said(tmp_path):
    beyond = boxes_of((0, 190, 20, 30, 40, 1, 0, 1), (0, 250, 0, 9, 9, 1, 0, 1))
    assert write(tmp_path / "x", LabeledTimes(beyond), "yolo") == [
        "YOLO has no boxes beyond the picture: 1 clipped",
        "YOLO has no boxes beyond the picture: 1 left out",
    ]
    np.testing.assert_allclose(read(tmp_path / "x").boxes["w"], [10], rtol=1e-6)


@pytest.mark.parametrize(
    ("path", "name", "found"),
    [
        ("a.npy", None, "npy"), ("a.JSON", None, "coco"), ("a.csv", None, "csv"),
        ("a.txt", None, "mot"), ("a", "yolo", "yolo"), ("a.v1", "voc", "voc"),
    ],
)  # fmt: skip
def test_the_ending_is_the_format_and_folders_are_named(path, name, found):
    assert find_format(Path(path), name) == found


@pytest.mark.parametrize(
    ("path", "name", "message"),
    [
        ("a", None, "--format yolo or --format voc"),
        ("a.xml", None, "'.xml' is of no format"),
        ("a.json", "mot", "--format mot is a file that ends in .txt"),
        ("a.txt", "yolo", "--format yolo is a folder"),
    ],
)
def test_other_endings_are_refused(path, name, message):
    with pytest.raises(ValueError, match=message):
        find_format(Path(path), name)


# --- read by others ---


def quietly():
    return contextlib.redirect_stdout(io.StringIO())


def test_pycocotools_scores_results_against_the_truth_and_leaves_out_what_does_not_count(tmp_path):
    write(tmp_path / "truth.json", LABELED, "coco")
    with quietly():
        truth = COCO(str(tmp_path / "truth.json"))
        results = [
            {**annotation, "score": 0.5}
            for annotation in truth.dataset["annotations"]
            if not annotation["iscrowd"]
        ]
        # What overlaps the crowd alone counts neither way.
        crowd = next(one for one in truth.dataset["annotations"] if one["iscrowd"])
        results.append({**crowd, "bbox": [52, 52, 5, 5], "score": 0.9})
        scores = COCOeval(truth, truth.loadRes(results), "bbox")
        scores.evaluate()
        scores.accumulate()
        scores.summarize()
    assert scores.stats[0] == pytest.approx(1)
    assert [image["file_name"] for image in truth.loadImgs(truth.getImgIds())] == [
        f"frame_{k:06d}.png" for k in (0, 2, 3, 7)
    ]
    assert truth.loadAnns([1])[0]["area"] == 1200
    # Ids are frame numbers, as in the results of `evdet detect`.
    assert sorted(truth.getImgIds()) == [0, 2, 3, 7]


def test_coco_files_have_what_fiftyone_imports(tmp_path):
    """Its importer reads pictures by `file_name`, and scales boxes by `width` and `height`.

    Source: `COCODetectionDatasetImporter` on https://docs.voxel51.com/api/fiftyone.utils.coco.html.
    """
    write(tmp_path / "truth.json", LABELED, "coco")
    content = json.loads((tmp_path / "truth.json").read_text())
    images, categories = content["images"], content["categories"]
    assert len({image["file_name"] for image in images}) == len({image["id"] for image in images})
    assert {(image["width"], image["height"]) for image in images} == {(200, 100)}
    assert all(isinstance(one["id"], int) and isinstance(one["name"], str) for one in categories)
    for one in content["annotations"]:
        assert one["image_id"] in {image["id"] for image in images}
        assert one["category_id"] in {category["id"] for category in categories}
        assert one["iscrowd"] in (0, 1)
        assert one["area"] == pytest.approx(one["bbox"][2] * one["bbox"][3])
    assert len({one["id"] for one in content["annotations"]}) == len(content["annotations"])


def test_supervision_reads_coco_yolo_and_voc(tmp_path):
    supervision = pytest.importorskip("supervision")
    from PIL import Image

    for kind in ("coco", "yolo", "voc"):
        pictures = tmp_path / f"pictures_{kind}"
        pictures.mkdir()
        for k in (0, 2, 3, 7):
            Image.new("RGB", (200, 100)).save(pictures / f"frame_{k:06d}.png")
    kept = LabeledTimes(LABELED.boxes, LABELED.empty_times)
    write(tmp_path / "truth.json", kept, "coco")
    write(tmp_path / "yolo", kept, "yolo")
    write(tmp_path / "voc", kept, "voc")
    (tmp_path / "data.yaml").write_text("names: [car, two wheeler]\n")
    sets = [
        supervision.DetectionDataset.from_coco(
            str(tmp_path / "pictures_coco"), str(tmp_path / "truth.json")
        ),
        supervision.DetectionDataset.from_yolo(
            str(tmp_path / "pictures_yolo"), str(tmp_path / "yolo"), str(tmp_path / "data.yaml")
        ),
        supervision.DetectionDataset.from_pascal_voc(
            str(tmp_path / "pictures_voc"), str(tmp_path / "voc")
        ),
    ]
    for one in sets:
        assert sorted(one.classes) == ["car", "two wheeler"]
        found = {Path(name).stem: one.annotations[name] for name in one.annotations}
        corners = sorted(found["frame_000000"].xyxy.tolist())
        np.testing.assert_allclose(corners, [[0, 0, 200, 100], [10, 20, 40, 60]], atol=1e-3)
        assert len(found["frame_000002"]) == 0


def test_trackeval_reads_and_scores_mot_text(tmp_path):
    trackeval = pytest.importorskip("trackeval")
    boxes = boxes_of(
        *((k, 10 + k, 20, 30, 40, 2, 1, 1) for k in range(5)),
        *((k, 90, 20, 30, 40, 2, 2, 1) for k in range(5)),
    )
    folder = tmp_path / "gt" / "drive" / "gt"
    folder.mkdir(parents=True)
    (tmp_path / "trackers" / "ours" / "data").mkdir(parents=True)
    write(folder / "gt.txt", LabeledTimes(boxes), "mot")
    found = boxes.copy()
    found["class_confidence"] = 0.75
    write(tmp_path / "trackers" / "ours" / "data" / "drive.txt", LabeledTimes(found), "mot")
    (tmp_path / "gt" / "drive" / "seqinfo.ini").write_text("[Sequence]\nseqLength=5\n")
    with quietly():
        dataset = trackeval.datasets.MotChallenge2DBox(
            {
                "GT_FOLDER": str(tmp_path / "gt"), "TRACKERS_FOLDER": str(tmp_path / "trackers"),
                "SEQ_INFO": {"drive": 5}, "SKIP_SPLIT_FOL": True, "PRINT_CONFIG": False,
            }
        )  # fmt: skip
        raw = dataset.get_raw_seq_data("ours", "drive")
        data = dataset.get_preprocessed_seq_data(raw, "pedestrian")
        scores = trackeval.metrics.HOTA().eval_sequence(data)
    assert data["num_gt_dets"] == data["num_tracker_dets"] == 10
    assert np.mean(scores["HOTA"]) == pytest.approx(1)


@pytest.mark.parametrize("char", ["\n", "\r", "\x1b", "\x85", "\u2028", "\ufffe", "\ud800"])
@pytest.mark.parametrize("name", ["yolo", "voc"])
def test_class_names_that_a_format_cannot_hold_are_refused(tmp_path, name, char):
    given = {"size": SIZE, "frame_period": PERIOD, "start": START, "format_name": name}
    with pytest.raises(ValueError, match=r"cannot hold the class name") as told:
        write_labels(tmp_path / "x", LABELED, {0: f"ca{char}r", 1: "bus"}, **given)
    assert char not in str(told.value)
    assert not (tmp_path / "x").exists()
    write_labels(tmp_path / "x", LABELED, {0: "d\u00e9 \u200d\u0645", 1: "bus"}, **given)


def test_yolo_names_no_classes_without_end(tmp_path):
    given = {"size": SIZE, "frame_period": PERIOD, "start": START, "format_name": "yolo"}
    label_map = {**LABEL_MAP, 999_999_999: "far"}
    with pytest.raises(ValueError, match="without gaps, and the label map has the id 999,999,999"):
        write_labels(tmp_path / "x", LABELED, label_map, **given)
