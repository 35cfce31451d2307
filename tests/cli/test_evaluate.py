import dataclasses
import json
import os
import re
import shutil

import numpy as np
import pytest
import torch

from evdet.boxes import BOX_DTYPE
from evdet.build import build_detector
from evdet.cli import main
from evdet.config import DetectionConfig
from evdet.evaluation import EvaluationProgress
from evdet.events import open_recording
from evdet.events.dat.reader import write_dat
from evdet.events.dtypes import EVENT_DTYPE, SensorSize

SENSOR = SensorSize(height=32, width=48)


def write_recording(folder, name, class_ids=(0, 1)):
    """Half a second of events on a small sensor, and boxes of each class at two times."""
    rng = np.random.default_rng(len(name))
    events = np.zeros(2000, EVENT_DTYPE)
    events["t"] = np.sort(rng.integers(0, 500_000, len(events)))
    events["x"] = rng.integers(0, SENSOR.width, len(events))
    events["y"] = rng.integers(0, SENSOR.height, len(events))
    folder.mkdir(parents=True, exist_ok=True)
    write_dat(folder / f"{name}_td.dat", [events], SENSOR)
    boxes = np.zeros(2 * len(class_ids), BOX_DTYPE)
    boxes["t"] = np.repeat([200_000, 450_000], len(class_ids))
    boxes["x"], boxes["w"], boxes["h"] = 4, 20, 20
    boxes["class_id"] = np.tile(class_ids, 2)
    boxes["class_confidence"] = 1
    boxes["track_id"] = np.tile(np.arange(1, len(class_ids) + 1), 2)
    np.save(folder / f"{name}_bbox.npy", boxes)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    for name in ("one", "three"):
        write_recording(folder / "test", name)
    (folder / "label_map_dictionary.json").write_text(json.dumps({0: "person", 1: "vehicle"}))
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, dataset):
    """Of a detector of cars and pedestrians that finds something everywhere."""
    config = DetectionConfig(
        dataset_path=str(dataset), classes=("vehicle=car", "person=pedestrian"),
        preprocess="histogram", in_channels=2, height=32, width=48, feature_base=2,
        feature_channels_out=4, num_levels=2, head_channels=4, num_tbins=3, batch_size=2,
        num_workers=0,
    )  # fmt: skip
    detector = build_detector(config)
    torch.nn.init.zeros_(detector.head.cls_head[-1].bias)
    content = {
        "hyper_parameters": {**dataclasses.asdict(config), "classes": list(config.classes)},
        "state_dict": {f"detector.{name}": w for name, w in detector.state_dict().items()},
    }
    path = tmp_path_factory.mktemp("run") / "fresh.ckpt"
    torch.save(content, path)
    return path


def refused(capsys, words):
    status = main(["evaluate", *map(str, words)])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert captured.err.count("\n") == 1
    return status, captured.err


def test_a_checkpoint_is_scored_and_its_numbers_kept_with_their_protocol(
    capsys, tmp_path, checkpoint
):
    words = ["evaluate", str(checkpoint), "--output-dir", str(tmp_path), "--score-thresh", "0.3"]
    assert main([*words, "--json", str(tmp_path / "numbers.json"), "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    assert "protocol coco: mAP 0." in shown
    assert "time bin of 50 ms" in shown
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert list(numbers)[:5] == ["protocol", "rules", "mAP", "mAP50", "mAP75"]
    assert numbers["per_class"]["car"]["num_truths"] == 4
    kept = json.loads((tmp_path / "evaluation" / "evaluation.json").read_text())
    assert kept["mAP"] == numbers["mAP"]
    assert kept["test_frames"] == kept["num_frames"] == 4
    assert (kept["split"], kept["tracks"]) == ("test", None)
    events = kept["curves"]["by_num_events"]["points"]
    assert sum(point["num_truths"] for point in events) == 8
    assert (tmp_path / "evaluation" / "strip-00.png").exists()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", kept["evaluated"])
    assert 0 <= kept["num_confident"] <= kept["num_detections"]
    assert kept["data"]["splits"]["test"]["objects"] == {"car": 4, "pedestrian": 4}
    shown = [entry for kind in kept["pictures"].values() for entry in kind]
    assert all((tmp_path / "evaluation" / entry["file"]).exists() for entry in shown)
    assert all(entry["heading"] for entry in shown)


def test_an_evaluation_of_some_classes_has_a_report(capsys, tmp_path, checkpoint):
    words = ["evaluate", str(checkpoint), "--output-dir", str(tmp_path), "--no-count-events"]
    assert main([*words, "--classes", "car"]) == 0
    assert main(["report", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "1 class, scored on 4 frames of the test recordings" in page


def test_other_frame_rates_are_scored_by_the_same_protocol_and_reported(
    capsys, tmp_path, checkpoint
):
    words = ["evaluate", str(checkpoint), "--output-dir", str(tmp_path), "--no-count-events"]
    numbers = tmp_path / "numbers.json"
    assert main([*words, "--rates", "100", "20", "2", "20", "--json", str(numbers)]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"\n2 Hz +500 ms .+\n20 Hz +50 ms .+\n100 Hz +10 ms ", shown)
    assert "trained at 20 Hz; its memory does not know how long a frame lasts" in shown
    rates = json.loads(numbers.read_text())["rates"]
    assert [(one["rate"], one["delta_t"]) for one in rates] == [
        (2.0, 500_000), (20.0, 50_000), (100.0, 10_000),
    ]  # fmt: skip
    # At 2 Hz both label times of a recording lie in one time bin.
    assert [one["num_frames"] for one in rates] == [2, 4, 4]
    kept = json.loads((tmp_path / "evaluation" / "evaluation.json").read_text())
    assert kept["rates"] == rates
    assert rates[1]["mAP"] == kept["mAP"]
    assert main(["report", str(tmp_path)]) == 0
    assert "mAP by frame rate" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf", "1e9"])
def test_what_is_no_frame_rate_is_refused(capsys, tmp_path, checkpoint, rate):
    status, answer = refused(capsys, [checkpoint, "--output-dir", tmp_path, "--rates", "20", rate])
    assert status == 2
    assert "--rates must be from 0.01 to 100000 frames per second, got" in answer
    assert not (tmp_path / "evaluation").exists()


def test_a_protocol_chooses_among_the_classes_of_a_checkpoint(capsys, tmp_path, checkpoint):
    words = ["evaluate", str(checkpoint), "--output-dir", str(tmp_path), "--no-count-events"]
    assert main([*words, "--protocol", "rvt-gen1"]) == 2
    # All are smaller than what this protocol scores.
    assert "test has 0 boxes in 2 recordings" in capsys.readouterr().err
    assert not (tmp_path / "evaluation").exists()


@pytest.fixture
def with_large_boxes(tmp_path):
    """Two seconds with a label at the end of bins 31 and 35, and a recording with small boxes."""
    folder, sensor = tmp_path / "set", SensorSize(height=64, width=96)
    (folder / "test").mkdir(parents=True)
    for name, side in (("large", 30), ("small", 5)):
        events = np.zeros(4000, EVENT_DTYPE)
        events["t"] = np.arange(4000) * 500
        events["x"], events["y"] = np.arange(4000) % 96, np.arange(4000) % 64
        write_dat(folder / "test" / f"{name}_td.dat", [events], sensor)
        boxes = np.zeros(2, BOX_DTYPE)
        boxes["t"], boxes["x"], boxes["w"], boxes["h"] = [1_600_000, 1_800_000], 4, side, side
        boxes["class_confidence"] = 1
        np.save(folder / "test" / f"{name}_bbox.npy", boxes)
    (folder / "label_map_dictionary.json").write_text(json.dumps({0: "car", 1: "pedestrian"}))
    return folder


@pytest.mark.parametrize(
    ("words", "start", "reset", "deviations", "shown"),
    [
        (
            ["--protocol", "rvt-gen1"], 21, None, [],
            ["start      21 frames before the end of the first frame with objects"],
        ),
        (
            ["--protocol", "rvt-gen1", "--from-first-event"], None, None,
            ["recordings played from their first event"],
            ["deviation: recordings played from their first event"],
        ),
        (
            ["--protocol", "s5-gen1", "--reset-every", "21"], 21, 21, [],
            ["memory     emptied every 21 frames"],
        ),
    ],
)  # fmt: skip
def test_how_recordings_were_played_is_said_and_kept(
    capsys, tmp_path, checkpoint, with_large_boxes, words, start, reset, deviations, shown
):
    words = ["evaluate", str(checkpoint), "--dataset-path", str(with_large_boxes), *words]
    assert main([*words, "--output-dir", str(tmp_path), "--no-count-events"]) == 0
    said = capsys.readouterr().out
    kept = json.loads((tmp_path / "evaluation" / "evaluation.json").read_text())
    assert kept["rules"]["start_before_label"] == start
    assert kept["rules"]["reset_every"] == reset
    ours = [text for text in kept["rules"]["deviations"] if "ranked by" not in text]
    assert ours == deviations
    assert all(f"  {line}\n" in said for line in shown)
    note = "not played, without a label that rvt-gen1 counts: 1 recording (small)"
    assert (note in kept["notes"]) == (note in said) == (start == 21 and "rvt-gen1" in words)
    assert main(["report", str(tmp_path)]) == 0


def test_moving_mnist_is_played_from_its_first_frame_whatever_the_protocol(capsys, tmp_path):
    config = DetectionConfig(
        feature_base=2, feature_channels_out=4, num_levels=2, head_channels=4, height=96, width=96,
        num_tbins=3, batch_size=1, num_workers=0, max_frames_per_video=24, test_frames=48,
        classes=tuple("0123456789"),
    )  # fmt: skip
    detector = build_detector(config)
    path = tmp_path / "toy.ckpt"
    content = {
        "hyper_parameters": {**dataclasses.asdict(config), "classes": list(config.classes)},
        "state_dict": {f"detector.{name}": w for name, w in detector.state_dict().items()},
    }
    torch.save(content, path)
    words = ["evaluate", str(path), "--output-dir", str(tmp_path), "--protocol", "rvt-gen1"]
    status = main([*words, "--classes", *config.classes])
    printed = capsys.readouterr()
    assert (status, "Traceback" in printed.err) == (0, False), printed.err
    assert "deviation: recordings played from their first event" in printed.out


def test_another_folder_may_call_the_classes_by_other_names(capsys, tmp_path, checkpoint, dataset):
    words = [
        "evaluate",
        str(checkpoint),
        "--output-dir",
        str(tmp_path),
        "--dataset-path",
        str(dataset),
    ]
    assert main([*words, "--classes", "person=pedestrian"]) == 0
    kept = json.loads((tmp_path / "evaluation" / "evaluation.json").read_text())
    assert list(kept["per_class"]) == ["pedestrian"]
    assert kept["num_truths"] == 4
    assert kept["per_class"]["pedestrian"]["num_detections"] == kept["num_detections"]


def test_recordings_that_leave_something_open_are_evaluated_as_the_user_says(
    caplog, tmp_path, checkpoint, dataset
):
    shutil.copytree(dataset, tmp_path / "set")
    for path in (tmp_path / "set/test").glob("*_td.dat"):
        events = np.concatenate(list(open_recording(path).blocks()))
        rows = np.stack([events[name].astype(np.int64) for name in "txyp"], axis=1)
        rows[:, 0] *= 1000
        np.save(path.with_suffix(".npy"), rows)
        path.unlink()
    words = ["evaluate", str(checkpoint), "--dataset-path", str(tmp_path / "set")]
    words += ["--classes", "person=pedestrian", "--output-dir", str(tmp_path), "--no-count-events"]
    assert main(words) != 0
    assert "--time-unit us, ms, s or ns" in caplog.text
    assert main([*words, "--time-unit", "ns", "--sensor-size", "48x32"]) == 0
    kept = json.loads((tmp_path / "evaluation" / "evaluation.json").read_text())
    assert kept["num_truths"] == 4


def test_tracks_are_scored_where_they_are_asked_for(capsys, tmp_path, checkpoint):
    pytest.importorskip("trackers")
    words = ["evaluate", str(checkpoint), "--output-dir", str(tmp_path), "--track"]
    assert main([*words, "--tracker", "sort"]) == 0
    kept = json.loads((tmp_path / "evaluation" / "evaluation.json").read_text())
    assert (kept["tracks"] is None) == any("no track scores" in note for note in kept["notes"])
    assert ("HOTA" in capsys.readouterr().out) == (kept["tracks"] is not None)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--protocol", "perot2020-1mpx"], ["pedestrian, two wheeler, car", "car, pedestrian"]),
        (["--classes", "dog"], ["--classes", "dog", "car, pedestrian"]),
        (["--split", "val"], ["val/"]),
        (["--dataset-path", "nowhere"], ["nowhere"]),
        (["--boxes", "b.npy"], ["--boxes", "evdet score"]),
        (["--detections", "d.npy"], ["--detections", "evdet score"]),
    ],
)
def test_an_evaluation_of_a_checkpoint_that_cannot_be_is_refused(capsys, checkpoint, words, names):
    status, said = refused(capsys, [checkpoint, *words])
    assert status == 2
    assert all(name in said for name in names)


@pytest.mark.parametrize("words", [["--protocol", "cooc"], ["--split", "train"], ["--track", "9"]])
def test_a_choice_that_does_not_exist_ends_with_status_2(checkpoint, words):
    with pytest.raises(SystemExit) as end:
        main(["evaluate", str(checkpoint), *words])
    assert end.value.code == 2


@pytest.mark.slow
def test_an_exported_detector_scores_as_its_checkpoint(
    capsys, tmp_path, monkeypatch, checkpoint, dataset
):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from evdet.detectors.checkpoints import load_network
    from evdet.export import export_onnx

    monkeypatch.chdir(tmp_path)
    export_onnx(load_network(checkpoint), tmp_path / "exported.onnx")
    status, said = refused(capsys, ["exported.onnx"])
    assert status == 2
    assert "exported.onnx" in said
    assert "--dataset-path" in said

    # The exported model calls the classes as the detector does, and the folder otherwise.
    words = ["--dataset-path", str(dataset), "--classes", "vehicle=car", "person=pedestrian"]
    numbers = []
    for path in (checkpoint, "exported.onnx"):
        written = tmp_path / "numbers.json"
        output = ["--json", str(written), "--output-dir", str(tmp_path / "out")]
        assert main(["evaluate", str(path), *words, *output]) == 0
        numbers.append(json.loads(written.read_text()))
    assert numbers[0]["num_detections"] == numbers[1]["num_detections"] > 0
    assert numbers[1]["mAP50"] == pytest.approx(numbers[0]["mAP50"], abs=1e-3)


def evaluated(folder):
    numbers = json.loads((folder / "evaluation" / "evaluation.json").read_text())
    numbers.pop("evaluated")
    pictures = {path.name: path.read_bytes() for path in (folder / "evaluation").glob("*.png")}
    return numbers, pictures, sorted(path.name for path in (folder / "evaluation").iterdir())


def stop_at_batch(monkeypatch, number):
    """Keep what is found after each batch, and stop before a batch is taken note of."""
    import evdet.evaluation.loop as loop

    taken, rename = [], loop.rename_classes

    def stop(*arguments):
        taken.append(1)
        if len(taken) == number:
            raise KeyboardInterrupt
        return rename(*arguments)

    monkeypatch.setattr(loop, "rename_classes", stop)
    monkeypatch.setattr(EvaluationProgress, "is_due", property(lambda self: True))
    return taken


def test_an_evaluation_that_was_stopped_ends_with_the_numbers_of_one_that_was_not(
    tmp_path, checkpoint, monkeypatch, caplog
):
    words = ["evaluate", str(checkpoint), "--score-thresh", "0.01", "--output-dir"]
    assert main([*words, str(tmp_path / "whole")]) == 0
    taken = stop_at_batch(monkeypatch, 3)
    assert main([*words, str(tmp_path / "set")]) == 130
    assert (tmp_path / "set" / "evaluation" / "unfinished.pt").exists()
    monkeypatch.undo()
    assert main([*words, str(tmp_path / "set")]) == 0
    assert f"stopped after {len(taken) - 1} of" in caplog.text
    assert evaluated(tmp_path / "set") == evaluated(tmp_path / "whole")


@pytest.mark.parametrize("other", ["settings", "recording", "damage"])
def test_what_was_found_otherwise_is_not_continued(
    tmp_path, checkpoint, dataset, monkeypatch, caplog, other
):
    words = ["evaluate", str(checkpoint), "--output-dir", str(tmp_path / "set")]
    stop_at_batch(monkeypatch, 2)
    assert main(words) == 130
    monkeypatch.undo()
    file = tmp_path / "set" / "evaluation" / "unfinished.pt"
    if other == "damage":
        file.write_bytes(file.read_bytes()[:-200])
    elif other == "recording":
        os.utime(next((dataset / "test").iterdir()))
    else:
        words += ["--nms-thresh", "0.2"]
    assert main(words) == 0
    assert "continuing" not in caplog.text
    assert ("begins anew" if other == "damage" else "other settings") in caplog.text
    assert not file.exists()
