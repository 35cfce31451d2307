import csv
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from pycocotools.coco import COCO

from evdet.boxes import BOX_DTYPE
from evdet.events.dtypes import SensorSize
from evdet.labels.files import read_boxes
from evdet.labels.source import RecordingSpan
from evdet.labels.writers import BOX_SUFFIXES, BoxWriter

LABELS = {0: "car", 1: "7", 2: 'a "big", thing'}
PERIOD = 50_000
START = 1_030_000  # in window 20
SPAN = RecordingSpan(SensorSize(480, 640), START, START + 10**7)
suffixes = pytest.mark.parametrize("suffix", BOX_SUFFIXES)


def boxes_of(*rows):
    """Rows of window (from the first), x, y, w, h, class, track, confidence."""
    times = [((START // PERIOD + row[0] + 1) * PERIOD, *row[1:]) for row in rows]
    return np.array(times, BOX_DTYPE)


def frame_at(t):
    return int(t // PERIOD - START // PERIOD - 1)


def write(path, *windows, label_map=LABELS):
    writer = BoxWriter(path, label_map)
    try:
        writer.write(boxes_of(), frame=0)
        for boxes in windows:
            for t in np.unique(boxes["t"]):
                writer.write(boxes[boxes["t"] == t], frame=frame_at(t))
    finally:
        writer.close()


def read(path):
    labeled = read_boxes(path, LABELS, recording=SPAN, frame_period=PERIOD)
    if path.suffix != ".npy":
        return labeled.boxes
    # In an array a confidence of 0 says that a box does not count; of detections it is a score.
    return np.concatenate([labeled.boxes, labeled.ignored[list(BOX_DTYPE.names)]])


FIRST = boxes_of((0, 1.5, 2, 30, 40, 1, 3, 0.5), (0, 5, 6, 7, 8, 3, 0, 0.25))
SECOND = boxes_of((4, 0.1, 0.2, 0.3, 0.4, 2, 4, 1))


@suffixes
def test_without_boxes_there_is_a_file_without_boxes(tmp_path, suffix):
    write(tmp_path / f"x{suffix}", boxes_of())
    assert len(read(tmp_path / f"x{suffix}")) == 0
    assert [path.name for path in tmp_path.iterdir()] == [f"x{suffix}"]


def test_what_is_written_is_on_the_disk_in_the_words_of_each_format(tmp_path):
    for suffix in BOX_SUFFIXES:
        write(tmp_path / f"x{suffix}", FIRST, SECOND)

    array = np.load(tmp_path / "x.npy")
    assert array.dtype == BOX_DTYPE
    assert array["class_id"].tolist() == [0, 2, 1]
    assert array["t"].tolist() == [1_050_000, 1_050_000, 1_250_000]
    rows = list(csv.DictReader((tmp_path / "x.csv").read_text().splitlines()))
    assert rows[1] == {
        "t": "1050000", "x": "5.0", "y": "6.0", "w": "7.0", "h": "8.0",
        "class": 'a "big", thing', "class_id": "2", "track_id": "0", "class_confidence": "0.25",
    }  # fmt: skip
    results = json.loads((tmp_path / "x.json").read_text())
    assert results[0] == {
        "image_id": 0, "category_id": 1, "bbox": [1.5, 2.0, 30.0, 40.0], "score": 0.5,
        "t": 1_050_000, "track_id": 3,
    }  # fmt: skip
    assert [result["image_id"] for result in results] == [0, 0, 4]
    assert (tmp_path / "x.txt").read_text() == (
        "1,3,2.5,3.0,30.0,40.0,0.5,0,-1\n"
        "1,-1,6.0,7.0,7.0,8.0,0.25,2,-1\n"
        "5,4,1.1,1.2,0.3,0.4,1,1,-1\n"
    )


side = st.floats(-1000, 1000, width=32, allow_subnormal=False)
box = st.tuples(
    st.integers(0, 10**6), side, side, st.floats(0, 2000, width=32), st.floats(0, 2000, width=32),
    st.integers(1, 3), st.integers(0, 2**32 - 1), st.floats(0, 1, width=32),
)  # fmt: skip


@suffixes
@given(rows=st.lists(box, max_size=6))
def test_what_is_written_is_read_back(tmp_path_factory, suffix, rows):
    path = tmp_path_factory.mktemp("boxes") / f"x{suffix}"
    boxes = boxes_of(*sorted(rows, key=lambda row: row[0]))
    cut = len(boxes) // 2

    write(path, boxes[:cut], boxes[cut:])

    there = read(path)
    if suffix != ".txt":
        np.testing.assert_array_equal(np.sort(there), np.sort(boxes))
        return
    # MOT counts pixels from 1, and keeps a confidence of 0 for boxes that are not to be scored.
    for name in BOX_DTYPE.names:
        np.testing.assert_allclose(there[name], boxes[name], rtol=1e-6, atol=1e-5)


def test_pycocotools_reads_the_results(tmp_path):
    write(tmp_path / "x.json", FIRST, SECOND)
    truth = COCO()
    truth.dataset = {
        "images": [{"id": image} for image in range(5)],
        "categories": [{"id": i + 1, "name": name} for i, name in LABELS.items()],
        "annotations": [],
    }
    truth.createIndex()

    found = truth.loadRes(str(tmp_path / "x.json"))

    assert [found.anns[i]["area"] for i in found.getAnnIds(imgIds=[0])] == [1200, 56]


@suffixes
def test_the_file_is_complete_after_every_window(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    writer = BoxWriter(path, LABELS)
    for number in range(1, 12):
        writer.write(boxes_of((number, 1, 2, 3, 4, 1, 0, 0.5)), frame=number)
        assert len(read(path)) == number
    writer.close()


@suffixes
def test_an_older_file_is_replaced_and_stays_whole_for_its_readers(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    write(path, FIRST, SECOND)
    before = path.read_bytes()
    with path.open("rb") as file:
        write(path, boxes_of())
        assert file.read() == before
    assert len(read(path)) == 0


@suffixes
def test_a_full_disk_leaves_what_was_written_before(tmp_path, suffix):
    resource = pytest.importorskip("resource")
    path = tmp_path / f"x{suffix}"
    child = os.fork()
    if not child:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        writer = BoxWriter(path, LABELS)
        status = 0
        try:
            for number in range(1000):
                writer.write(boxes_of((number, 1, 2, 3, 4, 1, 0, 0.5)), frame=number)
        except OSError as error:
            status = 7 if str(path) in str(error) else 8
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    boxes = read(path)
    assert 5 < len(boxes) < 100
    np.testing.assert_array_equal(
        boxes["t"], boxes_of(*((k, 1, 2, 3, 4, 1, 0, 0.5) for k in range(len(boxes))))["t"]
    )


def test_an_ending_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match=r"x\.xls: .*\.npy, \.csv, \.json, \.txt"):
        BoxWriter(Path("x.xls"), LABELS)


@suffixes
def test_background_and_classes_without_a_name_are_refused(tmp_path, suffix):
    with pytest.raises(ValueError, match="class id 0, the background"):
        write(tmp_path / f"x{suffix}", boxes_of((0, 1, 2, 3, 4, 0, 0, 0.5)))
    with pytest.raises(ValueError, match="no class with the id 3"):
        write(tmp_path / f"x{suffix}", boxes_of((0, 1, 2, 3, 4, 4, 0, 0.5)))


def test_a_folder_that_is_not_there_is_an_error_of_the_system(tmp_path):
    with pytest.raises(OSError, match=r"cannot write .*x\.npy: No such file or directory"):
        write(tmp_path / "nowhere" / "x.npy")


@suffixes
def test_boxes_can_have_ages(tmp_path, suffix):
    path, plain = tmp_path / f"aged{suffix}", tmp_path / f"plain{suffix}"
    writer = BoxWriter(path, LABELS, has_ages=True)
    assert len(read(path)) == 0
    writer.write(FIRST, frame=frame_at(FIRST["t"][0]), age=12_345)
    writer.write(SECOND, frame=frame_at(SECOND["t"][0]), age=7)
    writer.close()
    write(plain, FIRST, SECOND)
    # Readers that do not know them read the same boxes.
    np.testing.assert_array_equal(read(path), read(plain))
    if suffix == ".npy":
        assert np.load(path)["age_us"].tolist() == [12_345, 12_345, 7]
        assert "age_us" not in np.load(plain).dtype.names
    elif suffix == ".csv":
        rows = list(csv.DictReader(path.read_text().splitlines()))
        assert [row["age_us"] for row in rows] == ["12345", "12345", "7"]
    elif suffix == ".json":
        assert [row["age_us"] for row in json.loads(path.read_text())] == [12_345, 12_345, 7]
    else:  # no place for it
        assert path.read_text() == plain.read_text()
