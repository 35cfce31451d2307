import numpy as np
import pytest

from evdet.boxes import BOX_DTYPE
from evdet.evaluation import read_box_files
from evdet.events.dtypes import SensorSize
from evdet.labels.binning import IGNORED_DTYPE, LabeledTimes
from evdet.labels.files import LabelError, write_boxes_coco, write_boxes_npy
from evdet.metrics import PROTOCOLS, score_recordings, without_ignored

COCO, PEROT, RVT_1MPX = (PROTOCOLS[name] for name in ("coco", "perot2020-gen1", "rvt-1mpx"))
LABEL_MAP = {0: "car", 1: "pedestrian", 2: "dog"}
SECOND = 1_000_000


def boxes_of(*rows):
    """Rows t x y w h class_id score; ids as in memory, from 1."""
    boxes = np.zeros(len(rows), BOX_DTYPE)
    for box, row in zip(boxes, rows, strict=True):
        for name, value in zip(("t", "x", "y", "w", "h", "class_id"), row[:6], strict=True):
            box[name] = value
        box["class_confidence"] = row[6]
    return boxes


TRUTH = boxes_of((SECOND, 10, 10, 40, 40, 1, 1), (2 * SECOND, 20, 10, 40, 40, 2, 1))
FOUND = boxes_of((SECOND, 10, 10, 40, 40, 1, 0.9), (2 * SECOND, 20, 10, 40, 40, 2, 0.8))


def write(path, boxes):
    write_boxes_npy(path, boxes)
    return path


def read(folder, found=FOUND, truth=TRUTH, protocol=COCO, **options):
    return read_box_files(
        write(folder / "found.npy", found),
        write(folder / "drive_bbox.npy", truth),
        protocol,
        **{"label_map": LABEL_MAP, **options},
    )


def test_files_without_boxes_have_no_score(tmp_path):
    files = read(tmp_path, boxes_of(), boxes_of())
    assert np.isnan(score_recordings(files.recordings, files.class_names, COCO).map)


def test_finding_nothing_at_all_scores_zero(tmp_path):
    files = read(tmp_path, boxes_of())
    assert score_recordings(files.recordings, files.class_names, COCO).map == 0


def test_a_file_against_its_boxes(tmp_path):
    files = read(tmp_path)
    assert files.class_names == ("car", "pedestrian", "dog")
    assert files.notes == ()
    assert [one.name for one in files.recordings] == ["drive"]
    assert files.recordings[0].labeled_times.tolist() == [SECOND, 2 * SECOND]
    scores = score_recordings(files.recordings, files.class_names, files.protocol)
    assert scores.map == pytest.approx(1)


def test_protocols_choose_their_classes_and_others_are_counted(tmp_path):
    more = np.concatenate([FOUND, boxes_of((3 * SECOND, 0, 0, 9, 9, 3, 0.5))])
    files = read(tmp_path, more, protocol=PEROT)
    assert files.class_names == ("car", "pedestrian")
    assert files.notes == ("1 detections left out: class dog not chosen",)
    assert len(files.recordings[0].detections) == 2


def test_classes_can_be_merged_by_hand(tmp_path):
    files = read(tmp_path, classes=["car+pedestrian=thing"])
    assert files.class_names == ("thing",)
    assert files.recordings[0].truth["class_id"].tolist() == [1, 1]


def test_without_a_label_map_classes_are_called_by_their_ids(tmp_path):
    assert read(tmp_path, label_map=None).class_names == ("0", "1")


def test_a_time_without_objects_counts_where_the_format_can_say_it(tmp_path):
    labeled = LabeledTimes(TRUTH, np.array([3 * SECOND]))
    write_boxes_coco(tmp_path / "boxes.json", labeled, LABEL_MAP)
    found = np.concatenate([FOUND, boxes_of((3 * SECOND, 0, 0, 9, 9, 1, 0.95))])
    files = read_box_files(
        write(tmp_path / "found.npy", found), tmp_path / "boxes.json", COCO, label_map=LABEL_MAP
    )
    assert files.recordings[0].labeled_times.tolist() == [SECOND, 2 * SECOND, 3 * SECOND]
    scores = score_recordings(files.recordings, files.class_names, COCO)
    assert scores.per_class["car"].ap == pytest.approx(0.5)


def test_truth_is_clipped_where_the_size_is_known(tmp_path):
    beyond = boxes_of((SECOND, 10, 10, 40, 40, 1, 1), (SECOND, 90, 10, 40, 40, 1, 1))
    unknown = read(tmp_path, truth=beyond)
    assert not unknown.protocol.clips_truth
    known = read(tmp_path, truth=beyond, size=SensorSize(100, 100))
    assert known.protocol.clips_truth
    assert unknown.recordings[0].truth["w"].tolist() == [40, 40]
    assert known.recordings[0].truth["w"].tolist() == [40, 10]
    assert known.notes == ("1 boxes clipped",)
    assert read(tmp_path, truth=beyond, protocol=PEROT, size=SensorSize(100, 100)).notes == ()


def test_rvt_measures_1_megapixel_boxes_at_half_the_resolution(tmp_path):
    label_map = {0: "pedestrian", 1: "two wheeler", 2: "car"}
    halved = read(tmp_path, protocol=RVT_1MPX, label_map=label_map)
    assert halved.recordings[0].truth["w"].tolist() == [20, 20]
    assert halved.recordings[0].detections["x"].tolist() == [5, 10]
    as_it_is = read(tmp_path, protocol=RVT_1MPX, label_map=label_map, size=SensorSize(360, 640))
    assert as_it_is.recordings[0].truth["w"].tolist() == [40, 40]


def test_boxes_that_are_none_are_left_out_and_counted(tmp_path):
    bad = boxes_of((SECOND, 0, 0, -4, 9, 1, 0.7), (SECOND, 0, np.nan, 9, 9, 1, 0.7))
    files = read(tmp_path, np.sort(np.concatenate([FOUND, bad]), order="t"))
    assert files.notes == ("2 detections left out: not finite, or a negative side",)
    # One without area is a box: pycocotools counts it, too.
    flat = np.concatenate([FOUND, boxes_of((2 * SECOND, 0, 0, 0, 9, 1, 0.7))])
    assert read(tmp_path, flat).notes == ()


def test_files_that_are_swapped_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"all 2 detections of .*found\.npy have the confidence 1"):
        read(tmp_path, TRUTH, FOUND)


def test_detections_of_equal_scores_are_scored_with_a_note(tmp_path):
    for score in (1, 0.5, 0):
        equal = FOUND.copy()
        equal["class_confidence"] = score
        files = read(tmp_path, equal)
        [note] = files.notes
        assert note.startswith(f"all 2 detections have the confidence {score:g}, so")
        scores = score_recordings(files.recordings, files.class_names, files.protocol)
        assert scores.map == pytest.approx(1)


def test_truth_that_does_not_count_is_neither_found_nor_missed(tmp_path):
    """As pycocotools, of a crowd; as the VOC devkit, of a difficult object."""
    crowd = np.zeros(1, IGNORED_DTYPE)
    crowd["t"], crowd["x"], crowd["w"], crowd["h"] = SECOND, 100, 90, 90
    crowd["class_id"], crowd["is_crowd"] = 1, True
    inside = boxes_of((SECOND, 110, 10, 30, 30, 1, 0.99), (SECOND, 150, 40, 30, 30, 1, 0.98))
    found = np.sort(np.concatenate([FOUND, inside]), order="t", kind="stable")
    for is_crowd, ap in ((True, 1.0), (False, 1 / 3)):
        crowd["is_crowd"] = is_crowd
        path = tmp_path / "truth.json"
        counts = {"crowd regions": 1}
        labeled = LabeledTimes(TRUTH, np.zeros(0, np.int64), counts, crowd)
        write_boxes_coco(path, labeled, LABEL_MAP)
        files = read_box_files(
            write(tmp_path / "found.npy", found), path, COCO, label_map=LABEL_MAP
        )
        what = "crowd region" if is_crowd else "difficult object"
        assert files.notes == (f"1 {what} is not counted",)
        scores = score_recordings(files.recordings, files.class_names, COCO)
        assert scores.per_class["car"].ap == pytest.approx(ap, abs=0.01)
        assert scores.num_truths == 2


def test_a_detection_of_a_difficult_object_counts_neither_way(tmp_path):
    labeled = LabeledTimes(TRUTH[1:], np.array([SECOND]), {}, difficult(TRUTH[:1]))
    write_boxes_coco(tmp_path / "truth.json", labeled, LABEL_MAP)
    twice = np.concatenate([FOUND[:1], FOUND])
    files = read_box_files(
        write(tmp_path / "found.npy", twice), tmp_path / "truth.json", COCO, label_map=LABEL_MAP
    )
    scores = score_recordings(files.recordings, files.class_names, COCO)
    assert np.isnan(scores.per_class["car"].ap)
    assert scores.map == pytest.approx(1)
    left = without_ignored(files.recordings[0], delta_t=0)
    assert left.truth["class_id"].tolist() == left.detections["class_id"].tolist() == [2]


def difficult(boxes):
    ignored = np.zeros(len(boxes), IGNORED_DTYPE)
    for name in BOX_DTYPE.names:
        ignored[name] = boxes[name]
    return ignored


def test_how_a_file_is_read_is_noted(tmp_path):
    (tmp_path / "found.txt").write_text("1,1,0,5,30,30,0.5,0,1\n2,1,9,5,30,30,0.25,0,1\n")
    (tmp_path / "truth.txt").write_text("1,1,1,6,30,30,1,0,1\n2,1,9,5,30,30,0,0,1\n")
    files = read_box_files(
        tmp_path / "found.txt", tmp_path / "truth.txt", COCO, label_map=LABEL_MAP,
        size=SensorSize(100, 100), frame_period=50,
    )  # fmt: skip
    assert files.notes == (
        "found.txt: pixels count from 0: the smallest corner is at 0",
        "1 ignored row is not counted",
    )


def test_a_single_sure_detection_is_not_taken_for_truth(tmp_path):
    assert len(read(tmp_path, TRUTH[:1]).recordings[0].detections) == 1


def test_other_classes_are_refused(tmp_path):
    with pytest.raises(LabelError, match="class id 6, which the label map does not have: 0 car, "):
        read(tmp_path, boxes_of((SECOND, 0, 0, 9, 9, 7, 0.5)))
    with pytest.raises(LabelError, match=r"none of the 1 .* car, pedestrian: they"):
        read(tmp_path, boxes_of((SECOND, 0, 0, 9, 9, 3, 0.5)), protocol=PEROT)
    with pytest.raises(ValueError, match=r"no class 'cat'.*"):
        read(tmp_path, classes=["cat"])


def test_no_overlap_in_times_is_refused_with_both_spans(tmp_path):
    late = FOUND.copy()
    late["t"] += 10_000
    with pytest.raises(ValueError, match=r"labels from 1000000 to 2000000 us and .* --delta-t 500"):
        read(tmp_path, late)
    assert read(tmp_path, late, protocol=PEROT).notes == ()
    late["t"] += 100_000
    with pytest.raises(ValueError, match=r"of perot2020-gen1; drive has .* on the same clock\?$"):
        read(tmp_path, late, protocol=PEROT)


def test_few_times_with_a_detection_are_said(tmp_path):
    times = boxes_of(*((k * SECOND, 0, 0, 40, 40, 1, 1) for k in range(1, 6)))
    [note] = read(tmp_path, FOUND, times).notes
    assert note.startswith("only 2 of 5 labelled times have a detection.")


def test_half_of_the_times_with_a_detection_are_not_few(tmp_path):
    times = boxes_of(*((k * SECOND, 0, 0, 40, 40, 1, 1) for k in range(1, 5)))
    assert read(tmp_path, FOUND, times).notes == ()


def test_files_with_names_of_classes_need_the_label_map(tmp_path):
    (tmp_path / "found.csv").write_text("t,x,y,w,h,class,confidence\n1000000,10,10,40,40,car,0.5\n")
    boxes = write(tmp_path / "drive_bbox.npy", TRUTH)
    with pytest.raises(LabelError, match=r"found\.csv .*--label-map"):
        read_box_files(tmp_path / "found.csv", boxes, COCO)
    files = read_box_files(tmp_path / "found.csv", boxes, COCO, label_map=LABEL_MAP)
    assert files.recordings[0].detections["class_id"].tolist() == [1]
