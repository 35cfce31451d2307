"""Boxes: what evdet writes is read by others, and what others write by evdet. The same boxes."""

import contextlib
import csv
import io
import json

import cv2
import numpy as np
import pytest

from evdet.boxes import BOX_DTYPE
from evdet.events import SensorSize
from evdet.labels import BoxWriter, RecordingSpan, read_boxes

pytestmark = pytest.mark.slow

SIZE = SensorSize(height=48, width=64)
LABEL_MAP = {0: "car", 1: "bus"}
PERIOD = 50_000
SPAN = RecordingSpan(SIZE, 0, 10 * PERIOD)
NUM_FRAMES = 5


def make_boxes():
    """Boxes of each frame, ids from 1; no frame 1, and tracks over several frames."""
    frames = {}
    for frame in (0, 2, 3, 4):
        boxes = np.zeros(2, BOX_DTYPE)
        boxes["t"] = (frame + 1) * PERIOD
        boxes["x"], boxes["y"] = [1.5 + frame, 20], [2.25, 8 + frame]
        boxes["w"], boxes["h"] = [10, 21.5], [12, 6]
        boxes["class_id"], boxes["track_id"] = [1, 2], [4, 7]
        boxes["class_confidence"] = [0.75, 0.5 + frame / 16]
        frames[frame] = boxes
    return frames


def write(path):
    """All boxes in a file, and what was written."""
    frames = make_boxes()
    with contextlib.closing(BoxWriter(path, LABEL_MAP)) as writer:
        for frame, boxes in frames.items():
            writer.write(boxes, frame=frame)
    return frames


def test_arrays_are_read_by_numpy(tmp_path):
    expected = np.concatenate(list(write(tmp_path / "a.npy").values()))
    found = np.load(tmp_path / "a.npy")
    for name in ("t", "x", "y", "w", "h", "track_id", "class_confidence"):
        np.testing.assert_array_equal(found[name], expected[name])
    np.testing.assert_array_equal(found["class_id"], expected["class_id"] - 1)


def test_tables_are_read_by_csv(tmp_path):
    expected = np.concatenate(list(write(tmp_path / "a.csv").values()))
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [LABEL_MAP[i - 1] for i in expected["class_id"]] == [row["class"] for row in rows]
    for name in ("t", "x", "y", "w", "h", "track_id", "class_confidence"):
        np.testing.assert_allclose([float(row[name]) for row in rows], expected[name], rtol=1e-6)


def test_coco_results_are_read_and_scored_by_pycocotools(tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    frames = write(tmp_path / "a.json")
    annotations = [
        {
            "id": 10 * frame + number + 1,
            "image_id": frame,
            "category_id": int(box["class_id"]),
            "bbox": [float(box[name]) for name in "xywh"],
            "area": float(box["w"] * box["h"]),
            "iscrowd": 0,
        }
        for frame, boxes in frames.items()
        for number, box in enumerate(boxes)
    ]
    truth = {
        "info": {},
        "images": [
            {"id": k, "width": SIZE.width, "height": SIZE.height} for k in range(NUM_FRAMES)
        ],
        "categories": [{"id": k + 1, "name": name} for k, name in LABEL_MAP.items()],
        "annotations": annotations,
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    with contextlib.redirect_stdout(io.StringIO()):
        ground_truth = coco.COCO(str(tmp_path / "truth.json"))
        results = ground_truth.loadRes(str(tmp_path / "a.json"))
        scores = evaluation.COCOeval(ground_truth, results, "bbox")
        scores.evaluate()
        scores.accumulate()
        scores.summarize()
    assert scores.stats[0] == pytest.approx(1.0)
    for frame, boxes in frames.items():
        found = results.imgToAnns[frame]
        bboxes = [[float(box[name]) for name in "xywh"] for box in boxes]
        np.testing.assert_allclose([row["bbox"] for row in found], bboxes, rtol=1e-6)
        assert [row["category_id"] for row in found] == boxes["class_id"].tolist()


def test_tracks_are_read_by_trackeval(tmp_path):
    trackeval = pytest.importorskip("trackeval")
    folders = {name: tmp_path / name for name in ("truth", "results/evdet/data")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    frames = write(folders["results/evdet/data"] / "drive.txt")
    # Ground truth as MOT has it: classes from 1, all rows counted.
    lines = [
        f"{frame + 1},{box['track_id']},{box['x'] + 1},{box['y'] + 1},{box['w']},{box['h']},1,1,1"
        for frame, boxes in frames.items()
        for box in boxes
    ]
    (folders["truth"] / "drive.txt").write_text("\n".join(lines) + "\n")
    config = {
        "GT_FOLDER": str(folders["truth"]),
        "GT_LOC_FORMAT": "{gt_folder}/{seq}.txt",
        "TRACKERS_FOLDER": str(tmp_path / "results"),
        "TRACKERS_TO_EVAL": ["evdet"],
        "SKIP_SPLIT_FOL": True,
        "SEQ_INFO": {"drive": NUM_FRAMES},
        "DO_PREPROC": False,
        "PRINT_CONFIG": False,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = trackeval.datasets.MotChallenge2DBox(config)
        raw = dataset.get_raw_seq_data("evdet", "drive")
    for frame in range(NUM_FRAMES):
        boxes = frames.get(frame, np.zeros(0, BOX_DTYPE))
        assert raw["tracker_ids"][frame].tolist() == boxes["track_id"].tolist()
        # MOT counts pixels from 1.
        expected = np.array([[box[name] for name in "xywh"] for box in boxes]).reshape(-1, 4)
        expected[:, :2] += 1
        found = np.reshape(raw["tracker_dets"][frame], (-1, 4))
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        similarity = raw["similarity_scores"][frame]
        np.testing.assert_allclose(np.diag(similarity), np.ones(len(boxes)), atol=1e-6)


def make_supervision_set(folder):
    """A data set of supervision: five pictures with 0, 1 or 2 boxes."""
    sv = pytest.importorskip("supervision")
    (folder / "images").mkdir()
    corners = np.array([[1.0, 2, 11, 12], [3, 4, 13, 24]])
    annotations = {}
    for frame in range(NUM_FRAMES):
        path = str(folder / "images" / f"frame_{frame:06d}.png")
        cv2.imwrite(path, np.zeros((*SIZE, 3), np.uint8))
        num = frame % 3
        annotations[path] = sv.Detections(
            xyxy=corners[:num].reshape(-1, 4), class_id=np.arange(2)[:num]
        )
    return sv.DetectionDataset(["car", "bus"], list(annotations), annotations), corners


SUPERVISION_FORMATS = {
    "yolo": lambda dataset, path: dataset.as_yolo(annotations_directory_path=str(path)),
    "voc": lambda dataset, path: dataset.as_pascal_voc(annotations_directory_path=str(path)),
    "coco.json": lambda dataset, path: dataset.as_coco(annotations_path=str(path)),
}


@pytest.mark.parametrize("name", SUPERVISION_FORMATS)
def test_data_sets_of_supervision_are_read(tmp_path, name):
    dataset, corners = make_supervision_set(tmp_path)
    SUPERVISION_FORMATS[name](dataset, tmp_path / name)
    found = read_boxes(tmp_path / name, LABEL_MAP, recording=SPAN, frame_period=PERIOD)
    frames = (found.boxes["t"] / PERIOD - 1).astype(int)
    assert frames.tolist() == [1, 2, 2, 4]
    assert found.boxes["class_id"].tolist() == [1, 1, 2, 1]
    expected = np.array([corners[0], corners[0], corners[1], corners[0]])
    boxes = found.boxes
    x1, y1, w, h = (boxes[name] for name in "xywh")
    # YOLO's shares have five digits.
    np.testing.assert_allclose(np.stack([x1, y1, x1 + w, y1 + h], -1), expected, atol=1e-3)


def test_tables_of_supervision_are_read(tmp_path):
    sv = pytest.importorskip("supervision")
    frames = make_boxes()
    with sv.CSVSink(str(tmp_path / "a.csv")) as sink:
        for frame, boxes in frames.items():
            x, y, w, h = (boxes[name] for name in "xywh")
            detections = sv.Detections(
                xyxy=np.stack([x, y, x + w, y + h], -1),
                class_id=boxes["class_id"].astype(int) - 1,
                confidence=boxes["class_confidence"],
                tracker_id=boxes["track_id"].astype(int),
            )
            sink.append(detections, custom_data={"frame_index": frame})
    found = read_boxes(tmp_path / "a.csv", LABEL_MAP, recording=SPAN, frame_period=PERIOD).boxes
    expected = np.concatenate(list(frames.values()))
    for name in ("t", "class_id", "track_id"):
        np.testing.assert_array_equal(found[name], expected[name])
    for name in "xywh":
        np.testing.assert_allclose(found[name], expected[name], atol=1e-4)
