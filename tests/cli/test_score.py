import json

import numpy as np
import pytest

from evdet.boxes import BOX_DTYPE
from evdet.cli import main


@pytest.fixture
def files(tmp_path):
    """Folders of boxes and of detections, as other detectors leave them; the ids are Gen1's."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        boxes = np.zeros(20, BOX_DTYPE)
        boxes["t"] = np.repeat(np.arange(1, 11) * 200_000, 2)
        boxes["x"], boxes["w"], boxes["h"] = rng.uniform(0, 100, 20), 50, 60
        boxes["class_id"], boxes["class_confidence"] = np.arange(20) % 2, 1
        found = boxes.copy()
        found["x"] += rng.normal(0, 3, 20)
        found["class_confidence"] = rng.uniform(0, 1, 20)
        for kind, content in (("boxes", boxes), ("found", found)):
            (tmp_path / kind).mkdir(exist_ok=True)
            tail = "bbox" if kind == "boxes" else "detections"
            np.save(tmp_path / kind / f"{name}_{tail}.npy", content)
    return tmp_path


FOLDERS = ("--detections", "found", "--boxes", "boxes")


def refused(capsys, words):
    status = main(["score", *map(str, words)])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert captured.err.count("\n") == 1
    return status, captured.err


def test_two_files_are_scored(capsys, files):
    words = ["--detections", "found/a_detections.npy", "--boxes", "boxes/a_bbox.npy"]
    words = [str(files / word) if word.endswith("npy") else word for word in words]
    numbers = files / "numbers.json"
    protocol = ["--protocol", "perot2020-gen1", "--json", str(numbers)]
    assert main(["score", *words, *protocol]) == 0
    shown = capsys.readouterr().out
    assert "protocol perot2020-gen1: mAP 0." in shown
    assert "t > 0.5 s, diagonal >= 30, sides >= 10, in pixels of the sensor" in shown
    content = json.loads(numbers.read_text())
    assert content["protocol"] == "perot2020-gen1"
    assert content["num_frames"] == 8  # of ten, at 0.2, 0.4, ... 2 s
    assert 0 < content["mAP"] < content["mAP50"] <= 1
    assert set(content["per_class"]) == {"car", "pedestrian"}


@pytest.mark.parametrize("protocol", ["coco", "perot2020-gen1"])
def test_without_ground_truth_there_is_nothing_to_score(capsys, tmp_path, protocol):
    boxes = np.zeros(3, BOX_DTYPE)
    boxes["t"], boxes["class_confidence"] = [50_000, 100_000, 150_000], [0.5, 0.6, 0.7]
    boxes["w"], boxes["h"] = 10, 10
    np.save(tmp_path / "found.npy", boxes)
    # The protocol of Gen1 counts no box of the first half second.
    np.save(tmp_path / "truth.npy", boxes[:0] if protocol == "coco" else boxes)
    numbers = tmp_path / "numbers.json"
    words = ["--detections", tmp_path / "found.npy", "--boxes", tmp_path / "truth.npy"]
    status, said = refused(capsys, [*words, "--protocol", protocol, "--json", numbers])
    assert status == 2
    assert "nothing to score" in said
    assert not numbers.exists()


def test_two_folders_are_scored_together(capsys, files):
    folders = ["--detections", str(files / "found"), "--boxes", str(files / "boxes")]
    (files / "found" / "b_detections.npy").rename(files / "found" / "c_detections.npy")
    words = ["--classes", "0", "--output-dir", str(files / "out"), "--delta-t", "50000"]
    assert main(["score", *folders, *words]) == 0
    shown = capsys.readouterr().out
    assert "recordings: 2" in shown
    # One recording without detections, and one file of detections without ground truth.
    assert {"b", "c"} <= {line[-1] for line in shown.splitlines() if line[-3:-1] == ": "}
    kept = json.loads((files / "out" / "evaluation" / "evaluation.json").read_text())
    assert kept["num_truths"] == 20
    assert kept["num_detections"] == 10
    assert kept["curves"]["num_truths"] == 20


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["--detections", "boxes", "--boxes", "found"], "--detections"),
        (["--detections", "found", "--boxes", "nowhere"], "nowhere"),
        (["--detections", "found", "--boxes", "boxes/a_bbox.npy"], "a_bbox.npy"),
        ([*FOLDERS, "--delta-t", "-1"], "--delta-t"),
        ([*FOLDERS, "--sensor-size", "0x9"], "--sensor-size"),
        ([*FOLDERS, "--size", "9", "9"], "--sensor-size"),
        ([*FOLDERS, "--frame-period", "50000"], "--sensor-size"),
        ([*FOLDERS, "--label-map", "map.json"], "0 car"),
    ],
)
def test_files_that_cannot_be_scored_are_refused(capsys, monkeypatch, files, words, name):
    monkeypatch.chdir(files)
    (files / "map.json").write_text('{"0": "car"}')
    status, said = refused(capsys, words)
    assert status == 2
    assert name in said


@pytest.mark.parametrize(
    "words",
    [
        ["--detections", "found"],
        ["--boxes", "boxes"],
        [*FOLDERS, "--protocol", "rvt-1mp"],
        [*FOLDERS, "--tracker", "sort"],
    ],
)
def test_words_that_are_not_the_commands_end_with_status_2(words):
    with pytest.raises(SystemExit) as end:
        main(["score", *words])
    assert end.value.code == 2


def test_no_overlap_in_times_is_refused(capsys, files):
    path = files / "found" / "a_detections.npy"
    found = np.load(path)
    found["t"] += 10**9
    np.save(path, found)
    words = ["--detections", path, "--boxes", files / "boxes" / "a_bbox.npy"]
    status, said = refused(capsys, [*words, "--protocol", "perot2020-gen1"])
    assert status == 2
    assert all(number in said for number in ("200000", "2000000", "1000200000"))


# --- truth and results of other tools ---


def write_mot(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


@pytest.mark.parametrize("word", ["--track", "--tracks"])
def test_results_of_motchallenge_without_scores_are_scored(capsys, tmp_path, word):
    pytest.importorskip("trackers")
    frames = range(1, 21)
    truth = write_mot(tmp_path / "truth.txt", [f"{k},1,{k},21,40,40,1,1,1" for k in frames])
    found = write_mot(tmp_path / "found.txt", [f"{k},7,{k},21,40,40,-1,-1,-1,-1" for k in frames])
    (tmp_path / "label_map_dictionary.json").write_text('{"1": "car"}')
    words = ["--frame-period", "50000", "--delta-t", "50000", "--sensor-size", "320x240"]
    assert main(["score", "--detections", found, "--boxes", truth, *words, word]) == 0
    shown = capsys.readouterr().out
    assert "HOTA 1.000" in shown
    assert "all 20 detections have the confidence 1" in shown


def test_a_coco_pair_is_scored_by_its_own_ids_and_names(capsys, tmp_path):
    """As pycocotools: ids of any numbering, crowds, and no label map beside the files."""
    box, away = [10, 20, 30, 40], [200, 100, 40, 40]
    images = [{"id": i, "file_name": f"cam2_{i:04d}.png"} for i in (31, 33, 40)]
    names = [{"id": 90, "name": "car"}, {"id": 5, "name": "bus"}]
    annotations = [
        {"id": k, "image_id": image["id"], "category_id": 90, "bbox": box, "iscrowd": 0}
        for k, image in enumerate(images)
    ]
    crowd = {"id": 9, "image_id": 33, "category_id": 90, "bbox": [190, 90, 80, 80], "iscrowd": 1}
    truth = {"images": images, "categories": names, "annotations": [*annotations, crowd]}
    results = [
        {"image_id": one["id"], "category_id": 90, "bbox": box, "score": 0.5 + one["id"] / 100}
        for one in images
    ]
    results.append({"image_id": 33, "category_id": 90, "bbox": away, "score": 0.99})
    for name, content in (("truth", truth), ("found", results)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    files = ["--detections", str(tmp_path / "found.json"), "--boxes", str(tmp_path / "truth.json")]
    words = ["--frame-period", "50000", "--delta-t", "50000", "--sensor-size", "320x240"]
    assert main(["score", *files, *words, "--json", str(tmp_path / "scores.json")]) == 0
    assert "1 crowd region is not counted" in capsys.readouterr().out
    assert json.loads((tmp_path / "scores.json").read_text())["mAP"] == pytest.approx(1)
    results[0]["image_id"] = 1
    (tmp_path / "found.json").write_text(json.dumps(results))
    status, said = refused(capsys, [*files, *words])
    assert status == 2
    assert "`image_id` is 1" in said


def test_folders_of_coco_files_and_of_frames_need_no_label_map(capsys, tmp_path):
    categories = [{"id": 3, "name": "car"}]
    image = {"id": 5, "file_name": "frame_000000.png"}
    box = {"image_id": 5, "category_id": 3, "bbox": [80, 40, 40, 20]}
    truth = {"images": [image], "annotations": [{"id": 1, **box}], "categories": categories}
    for folder in ("truth", "found", "yolo"):
        (tmp_path / folder).mkdir()
    (tmp_path / "truth" / "a.json").write_text(json.dumps(truth))
    (tmp_path / "found" / "a_detections.json").write_text(json.dumps([{**box, "score": 0.5}]))
    (tmp_path / "yolo" / "frame_0.txt").write_text("0 0.5 0.5 0.2 0.2 0.5\n")
    size = ("--sensor-size", "200x100", "--frame-period", "50000")
    for found, boxes in (("found", "truth"), ("yolo", "truth/a.json"), ("yolo", "yolo")):
        names = [] if boxes != "yolo" else ["--label-map", str(tmp_path / "map.json")]
        (tmp_path / "map.json").write_text('{"0": "car"}')
        words = ["--detections", str(tmp_path / found), "--boxes", str(tmp_path / boxes)]
        assert main(["score", *words, *size, *names]) == 0
        shown = capsys.readouterr().out
        assert "mAP 1.000" in shown
        assert "recordings: 1\n" in shown


def test_of_two_folders_files_that_cannot_be_read_are_named_and_the_others_scored(capsys, files):
    folders = [str(files / word) if word in ("found", "boxes") else word for word in FOLDERS]
    (files / "found" / "a_detections.npy").write_bytes(b"no array")
    assert main(["score", *folders]) == 2
    out, err = capsys.readouterr()
    assert "recordings: 1\n1 of 2 recordings could not be read and are not scored" in out
    assert err.startswith("evdet: 1 of 2 files failed:\n  ")
    assert "a_detections.npy" in err
    (files / "found" / "b_detections.npy").write_bytes(b"no array")
    assert "no file could be read; the first" in refused(capsys, folders)[1]


def test_files_do_not_say_how_recordings_were_played(capsys, files):
    words = ["--detections", "found/a_detections.npy", "--boxes", "boxes/a_bbox.npy"]
    words = [str(files / word) if word.endswith("npy") else word for word in words]
    numbers = files / "numbers.json"
    protocol = ["--protocol", "s5-gen1", "--delta-t", "50000", "--json", str(numbers)]
    assert main(["score", *words, *protocol]) == 0
    shown = capsys.readouterr().out
    rules = json.loads(numbers.read_text())["rules"]
    assert (rules["start_before_label"], rules["reset_every"]) == (None, None)
    assert "memory" not in shown + " ".join(rules["deviations"])
    assert "start " not in shown
