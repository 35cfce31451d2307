"""No command replaces a file that it reads, and none starts before it can write its result."""

from pathlib import Path

import numpy as np
import pytest

from evdet import BOX_DTYPE
from evdet.cli import main
from evdet.cli.options import check_writable
from evdet.events import EVENT_DTYPE, SensorSize
from evdet.events.dat import write_dat


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    events = np.zeros(100, EVENT_DTYPE)
    events["t"] = np.arange(100) * 10_000
    write_dat(Path("drive_td.dat"), [events], SensorSize(height=32, width=32))
    boxes = np.zeros(5, BOX_DTYPE)
    boxes["t"], boxes["w"], boxes["h"] = np.arange(1, 6) * 150_000, 8, 8
    np.save("drive_bbox.npy", boxes)
    np.save("found.npy", boxes)
    Path("labels.json").write_text("[]")
    Path("weights.ckpt").write_bytes(b"weights")
    Path("folder").mkdir()
    Path("label_map_dictionary.json").write_text('{"0": "car"}')
    for name in ("link.mp4", "link.h5", "model.unchecked.onnx"):
        Path(name).symlink_to("weights.ckpt" if "onnx" in name else "drive_td.dat")
    for name in ("run/checkpoints", "o/evaluation"):
        Path(name).mkdir(parents=True)
    Path("run/checkpoints/best.ckpt").hardlink_to("weights.ckpt")
    Path("run/config.yaml").write_text("lr: 0.1\n")
    Path("run/training.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        "info drive_td.dat --png drive_td.dat",
        "info drive_td.dat --png look.gif",
        "info drive_td.dat --png folder",
        "info drive_td.dat drive_td.dat --png no/look.png",
        "view drive_td.dat --output folder",
        "view drive_td.dat --frames new --prelabels labels.json --boxes labels.json --force",
        "score --detections found.npy --boxes drive_bbox.npy --json drive_bbox.npy",
        "score --detections found.npy --boxes drive_bbox.npy --json found.npy",
        "score --detections found.npy --boxes drive_bbox.npy --json no/scores.json",
        "score --detections found.npy --boxes drive_bbox.npy --output-dir found.npy",
        "evaluate weights.ckpt --json weights.ckpt",
        "evaluate weights.ckpt --output-dir weights.ckpt",
        "evaluate weights.ckpt --json no/scores.json",
        "bench weights.ckpt --json weights.ckpt",
        "import weights.ckpt --output weights.ckpt --force",
        "import weights.ckpt --output folder --force",
        "report folder --output labels.json",
        "report folder --output folder",
        "info drive_td.dat ./drive_td.dat --png p.png",
        "view drive_td.dat --output link.mp4",
        "convert drive_td.dat link.h5 --force",
        "labels drive_bbox.npy label_map_dictionary.json --force",
        "score --detections found.npy --boxes drive_bbox.npy --json label_map_dictionary.json",
        "score --detections found.npy --boxes drive_bbox.npy --json o/evaluation/evaluation.json "
        "--output-dir o",
        "evaluate run --json run/config.yaml",
        "evaluate run --json run/evaluation/evaluation.json",
        "bench run --json run/speed.json",
        "bench run --json run/training.json",
        "export weights.ckpt model.onnx",
        "detect drive_td.dat --output drive_bbox.npy",
        "detect drive_td.dat --checkpoint run --output run/training.json",
        "detect drive_td.dat --output x.csv o/../x.csv",
        "train --config run/config.yaml --root-dir run",
    ],
)
def test_a_result_never_takes_the_place_of_what_is_read(folder, capsys, words):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main(words.split()) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("evdet: cannot write")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_file_in_a_folder_of_detections_is_not_replaced_by_their_scores(folder, capsys):
    for name in ("found", "truth"):
        Path(name).mkdir()
        np.save(Path(name, "drive.npy"), np.load("drive_bbox.npy"))
    words = ["score", "--detections", "found", "--boxes", "truth", "--json", "truth/drive.npy"]
    assert main(words) == 2
    assert "it is read" in capsys.readouterr().err


def test_a_link_to_what_is_read_is_recognised(folder):
    Path("look.png").symlink_to("drive_td.dat")
    with pytest.raises(ValueError, match=r"cannot write look\.png: it is read"):
        check_writable(Path("look.png"), suffixes=(".png",), read=[Path("drive_td.dat")])


def test_no_file_and_a_new_file_pass(folder):
    check_writable(None)
    check_writable(Path("new.PNG"), suffixes=(".png",), read=[None, Path("drive_td.dat")])


def test_pictures_larger_than_any_screen_are_refused(folder, capsys):
    assert main(["view", "drive_td.dat", "--output", "x.mp4", "--scale", "100000"]) == 2
    assert "3200000x3200000 pixels" in capsys.readouterr().err
    assert (
        main(["view", "drive_td.dat", "--output", "x.png", "--scale", "40", "--pictures", "1"]) == 0
    )


def test_too_little_memory_is_one_line(folder, capsys, monkeypatch):
    def full(*_):
        raise MemoryError("Unable to allocate 9 TiB")

    monkeypatch.setattr("evdet.cli._run", full)
    assert main(["info", "drive_td.dat"]) == 2
    assert capsys.readouterr().err == "evdet: not enough memory: Unable to allocate 9 TiB\n"


def test_numbered_pictures_of_streams_replace_no_recording(folder, capsys):
    Path("picture-0.png").hardlink_to("drive_td.dat")
    before = Path("drive_td.dat").read_bytes()
    assert main(["info", "drive_td.dat", "--png", "picture.png"]) == 2
    assert "cannot write picture-0.png: it is read" in capsys.readouterr().err
    assert Path("drive_td.dat").read_bytes() == before


def test_pictures_of_recordings_whose_names_count_are_written_again(folder):
    for name in ("bag", "bag-0"):
        Path(name).hardlink_to("drive_td.dat")
    words = ["info", "bag", "bag-0", "--png", "p.png"]
    assert [main(words), main(words)] == [0, 0]


def test_labels_that_cannot_be_read_leave_the_older_conversion(folder, capsys):
    words = ["--format", "voc", "--frame-period", "50000", "--sensor-size", "32x32", "--force"]
    assert main(["labels", "drive_bbox.npy", "out", *words]) == 0
    before = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    Path("broken.npy").write_bytes(b"no array")
    assert main(["labels", "broken.npy", "out", *words]) == 2
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == before

    boxes = np.load("drive_bbox.npy")[:2]
    np.save("fewer.npy", boxes)
    assert main(["labels", "fewer.npy", "out", *words]) == 0
    assert len(list(Path("out").glob("frame_*.xml"))) == 2


def test_a_result_in_the_folder_of_a_run_is_written_again(folder):
    words = ["score", "--detections", "found.npy", "--boxes", "drive_bbox.npy"]
    for _ in range(2):
        assert main([*words, "--json", "run/scores.json", "--output-dir", "run"]) == 0
