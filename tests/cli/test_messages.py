"""The wording of the command line, held in one place: `messages/` has a file for each command.

Each file holds the command's help and its answers to a table of silly inputs. Where words were
changed on purpose, `EVDET_REWRITE_MESSAGES=1 pytest tests/cli/test_messages.py` writes the files
anew; read the difference before you commit it.
"""

import os
import re
import struct
from pathlib import Path

import pytest

from evdet.cli import COMMANDS, main
from evdet.config import DetectionConfig, write_config

FOLDER = Path(__file__).with_name("messages")
HEADER = b"% Data file containing CD events.\n% Version 2\n% Width 64\n% Height 48\n\x0c\x08"
SILLY = {
    "evdet": ["", "trian", "zzz", "--version"],
    "info": [
        "", "nowhere.dat", "drive.dat --png no/x.png", "notes.raw", "notes.raw drive.dat", "folder",
        "drive.dat folder --png x.png", "drive.dat --output-dir out --save png --png x.png",
    ],
    "view": [
        "", "drive.dat", "drive.dat --output x.gif", "drive.dat --output no/x.png",
        "drive.dat --output x.mp4 --delta-t 1000", "drive.dat --output x.png --delta-t 0",
        "drive.dat --output x.png --start -1", "drive.dat --output x.png --start 99",
        "drive.dat --output x.png --duration 0", "nowhere.dat --output x.png",
        "drive.dat --output x.png --boxes nowhere.npy",
        "drive.dat --frames no/frames", "drive.dat --frames new --scale 2",
        "drive.dat --frames new --output x.mp4 --start 0.2",
        "drive.dat --frames new --output x.png", "drive.dat --frames new --prelabels x.xml",
        "drive.dat --output x.png --force", "drive.dat folder --output x.png",
        "drive.dat --output-dir out --save png --boxes x.npy",
    ],
    "convert": [
        "", "drive.dat", "drive.dat x.avi", "drive.dat drive.dat", "nowhere.dat x.raw",
        "drive.dat x.raw --sensor-size big", "drive.dat x.raw --duration 0",
        "drive.dat x.raw --start 99", "drive.dat x.raw --start nan",
        "drive.dat x.raw --background-filter -1", "drive.dat x.raw --size 64x48",
        "drive.dat x.raw --end 1", "drive.dat x.raw --remove-noise 5000",
        "drive.dat x.raw y.raw", "drive.dat --output-dir out", "folder --output-dir out --save h5",
        "drive.dat --output-dir out --save h5 --force",
    ],
    "record": [
        "", "camera", "camera x.mp4", "camera: x.raw", "tcp:// x.raw", "tcp://a:b x.raw",
        "nowhere x.raw", "drive.dat x.raw", "0 x.raw", "camera no/x.raw", "camera notes.raw",
        "camera x.raw --duration 0", "camera x.raw --follow", "camera x.raw --columns txyp",
    ],
    "labels": [
        "", "nowhere.npy x.json", "boxes.npy x.xls", "boxes.npy x", "boxes.npy boxes.npy",
        "boxes.npy x.txt", "boxes.npy x --format yolo", "boxes.npy x.json --sensor-size big",
        "boxes.npy no/x.json", "drive.dat x.json",
    ],
    "simulate": [
        "", "folder", "new --count 2", "new --kind letters", "new --sensor-size 44",
        "new --sensor-size 44x8", "new --height 44", "new --minutes 0", "new --threshold 0",
        "new --workers 0", "new --train -1", "new --digits nowhere",
        "new --kind nmnist --digits nowhere",
    ],
    "split": ["", "nowhere", "drive.dat", "folder", "folder --train 2", "folder --how moove"],
    "check": ["", "nowhere", "drive.dat", "folder"],
    "demo": ["--num-tbins 0", "--batch-size many", "--noise-window 5"],
    "train": [
        "--num-tbin 5", "--num-tbins many", "--num-tbins 0", "--config nowhere.yaml",
        "--feature-extractor Vanila", "--dataset-path nowhere", "--sensor-size big",
        "--resume --resume-from some.ckpt", "--resume", "--finetune nowhere.ckpt",
        "--finetune some.ckpt", "--noise-window 5000",
    ],
    "evaluate": [
        "", "nowhere.ckpt", "some.ckpt", "folder", "some.ckpt --protocol cooc",
        "some.ckpt --split train", "some.ckpt --frames 0", "some.ckpt --reset-every 0",
        "some.ckpt --reset-every often", "some.ckpt --score-thresh 2",
        "some.ckpt --tracker deep", "some.ckpt --tracks", "some.ckpt --output out",
        "--detections x.npy --boxes x.npy", "events-digits --classes dog --dataset-path folder",
        "events-digits --protocol rvt-gen1", "events-digits --dataset-path nowhere",
    ],
    "score": [
        "", "--detections x.npy", "--detections nowhere --boxes folder",
        "--detections x.npy --boxes folder", "--detections x.npy --boxes x.npy",
        "--detections x.npy --boxes x.npy --protocol rvt-1mp",
        "--detections x.npy --boxes x.npy --delta-t -1",
        "--detections x.npy --boxes x.npy --frame-period 50000",
        "--detections x.npy --boxes x.npy --size 64 48",
        "--detections x.npy --boxes x.npy --label-map nowhere.json",
    ],
    "report": ["", "nowhere", "folder", "run run", "run folder"],
    "detect": [
        "", "nowhere.dat", "drive.dat --output x.avi", "drive.dat --output folder/x",
        "drive.dat --output no/x.npy", "drive.dat --output x.npy x.npy",
        "drive.dat --output drive.dat", "notes.raw", "film.mp4", "film.mp4 --delta-t 9", "folder",
        "film.mp4 --follow", "drive.dat --score 0.5", "drive.dat --nms 0.5",
        "drive.dat --score-thresh 1.5", "drive.dat --delta-t 0", "drive.dat --duration 0",
        "drive.dat --reset-every 0",
        "drive.dat --start -1", "drive.dat --start 99", "drive.dat --follow --start 1",
        "drive.dat --tracker deep", "drive.dat --sensor-size big",
        "drive.dat --label-map nowhere.json", "drive.dat --max-backlog 9",
        "drive.dat --max-age 80ms", "- --max-age 80", "- --max-age 80min", "- --max-age 0ms",
        "- --max-age 80ms --follow", "drive.dat --follow --max-age 80ms --max-backlog 9",
        "folder film.mp4", "drive.dat nowhere.dat --output x.csv", "drive.dat - --jobs 2",
        "drive.dat nowhere.dat --follow", "drive.dat --output-dir out", "drive.dat --save csv",
        "drive.dat --output-dir out --save avi", "drive.dat --output-dir out --save csv csv",
        "drive.dat --output-dir x.npy --save csv", "drive.dat --overwrite",
        "drive.dat --jobs -1", "no*.dat --output-dir out --save csv",
        "drive.dat --idle-timeout 1", "- --follow", "drive.dat --checkpoint nowhere.ckpt",
        "drive.dat --checkpoint folder", "drive.dat --checkpoint some.ckpt",
        "camera:", "tcp://", "tcp://a:99999", "camera --follow", "camera --record x.mp4", "0",
        "rtsp://", "0 --max-delay 5", "drive.dat --record x.raw",
    ],
    "serve": [
        "--port 65536", "--port many", "--max-upload 0", "--max-seconds nan", "--keep -1",
        "--threads -1", "--checkpoint", "drive.dat", "--host", "--porrt 1",
    ],
    "export": [
        "", "some.ckpt x.pt", "some.ckpt no/x.onnx", "some.ckpt x.onnx --time-bins 0",
        "some.ckpt x.onnx --windows 3",
    ],
    "bench": [
        "", "nowhere.ckpt", "nowhere.yaml", "some.ckpt --threads -1", "some.ckpt --score-thresh 2",
        "some.ckpt --time-bins 0", "some.ckpt --track sort", "some.ckpt --tracker deep",
        "events-digits --source nowhere.dat", "events-digits --variants turbo --tracker none",
    ],
    "models": ["--sensor-size 0x9", "--classes 0", "--in-channels 0", "--height 9"],
    "completion": ["", "csh"],
    "import": [
        "some.ckpt", "some.ckpt --output drive.dat", "some.ckpt --output x.ckpt",
        "nowhere.ckpt --output x.ckpt", "some.ckpt --output x.ckpt --sensor-size 9",
    ],
}  # fmt: skip


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with something of everything, which is the working directory."""
    events = ((t * 1000, t % 60, t % 40, t % 2) for t in range(500))
    records = (struct.pack("<II", t, x | y << 14 | p << 28) for t, x, y, p in events)
    (tmp_path / "drive.dat").write_bytes(HEADER + b"".join(records))
    (tmp_path / "notes.raw").write_bytes(b"\x00\x01\x02")
    (tmp_path / "film.mp4").write_bytes(b"")
    (tmp_path / "some.ckpt").write_bytes(b"just some words")
    (tmp_path / "x.npy").write_bytes(b"not an array")
    for name in ("folder", "run"):
        (tmp_path / name).mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("notes\n")
    write_config(DetectionConfig(), tmp_path / "run" / "config.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


def answer(capsys, words):
    """Exit status, and what is printed but for progress bars."""
    try:
        status = main(words)
    except SystemExit as end:
        status = end.code
    captured = capsys.readouterr()
    lines = (captured.out + captured.err).split("\n")
    return status, "\n".join(line.rpartition("\r")[2] for line in lines)


def masked(text, place):
    """Without frames, blanks at ends, paths and versions."""
    text = text.replace(str(place), "PLACE").replace(str(Path.home()), "HOME")
    text = re.sub(r"\b\d+\.\d+\.\d+\b(\+\w+)?", "VERSION", text)
    lines = (re.sub(r"[│╭╮╰╯─]|---+", "", line).rstrip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)


@pytest.mark.parametrize("command", ["evdet", *COMMANDS])
def test_help_and_answers_are_worded_as_they_were(capsys, place, command):
    start = [] if command == "evdet" else [command]
    parts = []
    for line in ["--help", *SILLY[command]]:
        words = [*start, *line.split()]
        status, said = answer(capsys, words)
        assert "Traceback" not in said
        expected = 0 if line in ("--help", "--version") or not words else 2
        # A recording that cannot be read is described before it is named; a check finds problems.
        assert status == expected, (words, said)
        parts.append(f"$ {' '.join(['evdet', *words])}\n{masked(said, place)}\n")
    text = "\n".join(parts)
    file = FOLDER / f"{command}.txt"
    if os.environ.get("EVDET_REWRITE_MESSAGES"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()


def test_there_is_no_file_of_a_command_that_is_gone():
    assert {path.stem for path in FOLDER.iterdir()} == {"evdet", *COMMANDS} == SILLY.keys()
