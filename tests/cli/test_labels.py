import json
import re
from pathlib import Path

import numpy as np
import pytest

from evdet.boxes import BOX_DTYPE
from evdet.cli import main
from evdet.events import EVENT_DTYPE, SensorSize
from evdet.events.dat import write_dat

WORDS = ("--frame-period", "50000", "--sensor-size", "64x48")


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    boxes = np.zeros(3, BOX_DTYPE)
    boxes["t"], boxes["x"], boxes["w"], boxes["h"] = (50_000, 50_000, 150_000), (1, 5, 9), 10, 20
    boxes["class_id"], boxes["track_id"], boxes["class_confidence"] = (0, 1, 0), (1, 2, 1), 1
    np.save("drive_bbox.npy", boxes)


def run(capsys, *words):
    status = main(["labels", *map(str, words)])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return status, captured.out + captured.err


def test_labels_go_through_every_format_and_back(capsys, tmp_path):
    (tmp_path / "label_map_dictionary.json").write_text('{"0": "car", "1": "bus"}')
    path = "drive_bbox.npy"
    for output, words in (
        ("a.json", ()), ("a.csv", ()), ("a.txt", ()), ("v", ("--format", "voc")),
        ("y", ("--format", "yolo")), ("b.json", ()), ("back_bbox.npy", ()),
    ):  # fmt: skip
        status, said = run(capsys, path, output, *WORDS, *words)
        assert status == 0, said
        assert said.startswith(f"{output}: 3 boxes at 2 times\n")
        path = output
    before, after = np.load("drive_bbox.npy"), np.load("back_bbox.npy")
    for name in ("t", "x", "y", "w", "h", "class_id"):
        np.testing.assert_allclose(after[name], before[name], rtol=1e-6, atol=1e-6)


def test_what_is_lost_is_said_a_line_each(capsys):
    status, said = run(capsys, "drive_bbox.npy", "out", "--format", "voc", *WORDS)
    assert status == 0
    assert said.splitlines() == [
        "out: 3 boxes at 2 times",
        "  classes have their ids as names: give --label-map FILE with their names",
        "  VOC has no tracks: 2 left out",
    ]


def test_the_recording_gives_size_and_clock(capsys):
    events = np.zeros(2, EVENT_DTYPE)
    events["t"] = (1_020_000, 2_000_000)
    write_dat(Path("drive_td.dat"), [events], SensorSize(48, 64))
    Path("drive.txt").write_text("1,1,2,3,10,10,1,0,1\n")
    words = ("--recording", "drive_td.dat", "--frame-period", "50000")
    status, _ = run(capsys, "drive.txt", "drive.json", *words)
    assert status == 0
    [image] = json.loads(Path("drive.json").read_text())["images"]
    assert (image["t"], image["frame_id"], image["width"]) == (1_050_000, 0, 64)


def test_a_recording_that_leaves_stream_and_unit_open_is_read_as_the_user_says(capsys):
    times = 1_020_000 + 1000 * np.arange(400)
    columns = {"t": times * 1000, "x": np.arange(400) * 7 % 64, "y": np.arange(400) * 5 % 48}
    both = {f"{name}_{field}": c for name in ("left", "right") for field, c in columns.items()}
    np.savez("drive.npz", **both, left_p=columns["x"] % 2, right_p=columns["x"] % 2)
    Path("drive.txt").write_text("1,1,2,3,10,10,1,0,1\n")
    words = ["drive.txt", "drive.json", "--recording", "drive.npz", "--frame-period", "50000"]
    status, said = run(capsys, *words)
    assert (status, "--stream left" in said) == (2, True)
    status, said = run(capsys, *words, "--stream", "left")
    assert (status, "--time-unit us, ms, s or ns" in said) == (2, True)
    status, said = run(capsys, *words, "--stream", "left", "--time-unit", "ns")
    assert status == 0, said
    [image] = json.loads(Path("drive.json").read_text())["images"]
    assert (image["t"], image["width"]) == (1_050_000, 64)


def test_names_in_the_labels_themselves_are_used(capsys, tmp_path):
    (tmp_path / "a.csv").write_text("t,x,y,w,h,class\n50000,1,2,3,4,tram\n50000,1,2,3,4,bus\n")
    (tmp_path / "gt").mkdir()
    (tmp_path / "gt" / "gt.txt").write_text("1,1,2,3,10,10,1,2,1\n")
    (tmp_path / "gt" / "labels.txt").write_text("tram\nbus\n")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "data.yaml").write_text("names: [tram, bus]\n")
    (tmp_path / "set" / "drive").mkdir()
    (tmp_path / "set" / "drive" / "0.txt").write_text("1 0.5 0.5 0.1 0.1\n")
    for source, names in (
        ("a.csv", "0 bus, 1 tram"),
        ("gt/gt.txt", "0 tram, 1 bus"),
        ("set/drive", "0 tram, 1 bus"),
    ):
        status, said = run(capsys, source, "x.json", *WORDS, "--force")
        assert status == 0, said
        assert f"classes as IN names them: {names}" in said
    categories = json.loads(Path("x.json").read_text())["categories"]
    assert [one["name"] for one in categories] == ["tram", "bus"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.npy", "x.json"], "nowhere.npy does not exist"),
        (["drive_bbox.npy", "x.xls"], "'.xls' is of no format"),
        (["drive_bbox.npy", "x"], "--format yolo or --format voc"),
        (["drive_bbox.npy", "drive_bbox.npy", "--force"], "it is read; name another file"),
        (["drive_bbox.npy", "no/x.json"], "the folder no does not exist"),
        (["drive_bbox.npy", "old.json"], "old.json exists: name another file, or .* --force"),
        (["drive_bbox.npy", "full", "--format", "yolo", *WORDS], "full exists: .* --force"),
        (["drive_bbox.npy", "full", "--format", "yolo", *WORDS, "--force"], "such as notes.txt"),
        (["drive_bbox.npy", "old.json", "--format", "voc", *WORDS], "format voc is a folder"),
        (["drive_bbox.npy", "x.txt"], "MOT numbers frames: .* --frame-period"),
        (["drive_bbox.npy", "x", "--format", "yolo", "--frame-period", "50000"], "--sensor-size"),
        (["drive_bbox.npy", "x.json", "--frame-period", "0"], "--frame-period"),
        (["drive_bbox.npy", "x.json", "--sensor-size", "big"], "--sensor-size"),
        (["drive.txt", "x.json", "--sensor-size", "64x48"], "--frame-period"),
    ],
)
def test_what_cannot_be_converted_is_refused(capsys, tmp_path, words, message):
    (tmp_path / "old.json").write_text("older")
    (tmp_path / "drive.txt").write_text("1,1,2,3,10,10,1,0,1\n")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    status, said = run(capsys, *words)
    assert status == 2
    assert said.count("\n") == 1
    assert re.search(message, said), said
    assert (tmp_path / "old.json").read_text() == "older"
    assert (tmp_path / "full" / "notes.txt").read_text() == "mine"


def test_a_folder_of_an_earlier_conversion_is_replaced_whole(capsys, tmp_path):
    words = ("--format", "yolo", *WORDS)
    assert run(capsys, "drive_bbox.npy", "out", *words)[0] == 0
    np.save("short_bbox.npy", np.load("drive_bbox.npy")[:1])
    assert run(capsys, "short_bbox.npy", "out", *words, "--force")[0] == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "classes.txt", "frame_000000.txt",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "frame,xmin,ymin,xmax,ymax,class,name\n0,1,2,4,6,7,van\n1,1,2,4,6,2,car\n"),
        ("a.csv", "sep=;\nt [us];x;y;w;h;class\n50000;1;2;3;4;van\n90000;1;2;3;4;car\n"),
        (
            "a.csv",
            "x_min,y_min,x_max,y_max,class_id,confidence,tracker_id,class_name,frame_index\n"
            "1,2,4,6,1,0.9,,van,0\n1,2,4,6,0,0.9,,car,1\n",
        ),
    ],
)
def test_names_of_classes_are_found_in_tables_of_other_programs(capsys, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    period = ("--frame-period", "50000", "--sensor-size", "64x48")
    assert main(["labels", str(tmp_path / name), str(tmp_path / "b.json"), *period]) == 0
    assert "classes as IN names them: 0 car, 1 van" in capsys.readouterr().out
