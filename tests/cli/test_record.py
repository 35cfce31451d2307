import os
import stat
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from camera_stand_in import UNPLUGGED, Lost, StandInCamera, connect, evt3_words, polarity
from evdet.cli import main
from evdet.cli.detect import command as detect_command
from evdet.events.dat.reader import write_dat
from evdet.events.dtypes import EVENT_DTYPE, SensorSize
from evdet.events.live import recorder
from evdet.events.raw.writer import write_evt3
from evdet.events.recording import open_recording
from evdet.frame_spec import FrameSpec
from picture_servers import over_http, serving

SIZE = SensorSize(48, 64)


@pytest.fixture(autouse=True)
def events(tmp_path, monkeypatch):
    """A fresh folder as the place to work, with a recording as a.raw."""
    monkeypatch.chdir(tmp_path)
    found = np.zeros(3000, EVENT_DTYPE)
    found["t"] = np.arange(3000) * 50
    found["x"], found["y"] = np.arange(3000) % 64, np.arange(3000) % 48
    write_evt3(tmp_path / "a.raw", [found], SIZE)
    return found


@pytest.fixture
def words(tmp_path):
    return evt3_words(tmp_path / "a.raw")


class Finds:
    """Finds a car in every frame."""

    knows_time = False

    def __init__(self, preprocess):
        channels = 3 if preprocess == "none" else 2
        self.frame_spec = FrameSpec(
            preprocess=preprocess, height=48, width=64, in_channels=channels, delta_t=10_000,
            class_names=("car",),
        )  # fmt: skip

    def step(self, clip, memory=None, *, thresholds=None):
        found = {
            "boxes": torch.tensor([[4.0, 8, 24, 28]]),
            "labels": torch.tensor([1]),
            "scores": torch.tensor([0.9]),
        }
        return [[found] for _ in clip], memory


@pytest.fixture
def detector(monkeypatch):
    """Let `evdet detect` have a detector of events, or of pictures."""

    def use(preprocess="histogram"):
        made = Finds(preprocess)
        monkeypatch.setattr(detect_command, "open_detector", lambda *_, **__: made)

    use()
    return use


def said(capsys, *arguments):
    """Status, standard output, and the message."""
    status = main([str(one) for one in arguments])
    output = capsys.readouterr()
    return status, output.out, output.err.replace("\r", "\n").strip().splitlines()[-1:] or [""]


def all_events(path):
    return np.concatenate([np.zeros(0, EVENT_DTYPE), *open_recording(path).blocks()])


def test_a_camera_is_recorded_until_it_ends(capsys, monkeypatch, words, events):
    packets = [words[:100], Lost(words[100:]), UNPLUGGED]
    connect(monkeypatch, StandInCamera("Prophesee EVK4", packets, serial="A1", size=SIZE))
    status, out, message = said(capsys, "record", "camera", "drive.raw")
    assert status == 2
    assert out.splitlines() == [
        "drive.raw: 3,000 events, 0.150 s, 64x48 (width x height)",
        f"  from Prophesee EVK4 (A1) (EVT3); {os.path.getsize('drive.raw'):,} bytes",
        "  events were lost 1 time: the driver's buffer was full",
    ]
    assert message == [
        "evdet: Prophesee EVK4 (A1) does not send any more: No such device (it may have been "
        "disconnected) (was it unplugged?). drive.raw is complete up to there"
    ]
    np.testing.assert_array_equal(all_events("drive.raw"), events)
    assert not [name for name in os.listdir() if name.startswith(".")]  # no lock is left


def test_a_recording_of_some_seconds_ends_well(capsys, monkeypatch, words):
    connect(monkeypatch, StandInCamera("Prophesee EVK4", [words], size=SIZE))
    status, out, _ = said(capsys, "record", "camera:evk4", "drive.raw", "--duration", "0.1")
    assert status == 0
    assert out.startswith("drive.raw: 3,000 events, 0.1")


def test_standard_input_is_recorded(capsys, monkeypatch, events, tmp_path):
    write_dat(tmp_path / "b.dat", [events], SIZE)
    with (tmp_path / "b.dat").open("rb") as file:
        saved = os.dup(0)
        os.dup2(file.fileno(), 0)
        try:
            monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False))
            status, out, _ = said(capsys, "record", "-", "drive.raw")
        finally:
            os.dup2(saved, 0)
            os.close(saved)
    assert status == 0
    assert "from standard input (DAT)" in out
    np.testing.assert_array_equal(all_events("drive.raw"), events)


def test_a_growing_file_is_recorded(capsys, events):
    words = ("record", "a.raw", "drive.raw", "--follow", "--idle-timeout", "0.2")
    assert said(capsys, *words)[0] == 0
    np.testing.assert_array_equal(all_events("drive.raw"), events)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_recorded(capsys, events, tmp_path):
    os.mkfifo("pipe")
    content = (tmp_path / "a.raw").read_bytes()
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,))
    writer.start()
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)
    assert said(capsys, "record", "pipe", "drive.raw")[0] == 0
    writer.join()
    np.testing.assert_array_equal(all_events("drive.raw"), events)


def test_a_silent_camera_leaves_no_file(capsys, monkeypatch):
    monkeypatch.setattr(recorder, "_LONGEST_START", 0.2)
    connect(monkeypatch, StandInCamera("iniVation DAVIS 346", [], size=SIZE))
    status, _, message = said(capsys, "record", "camera", "drive.raw", "--duration", "0.3")
    assert status == 2
    assert message[0].endswith("(00001) gave no events: drive.raw was not written")
    assert not os.path.exists("drive.raw")


@pytest.mark.parametrize(
    ("arguments", "said_of_it"),
    [
        (["camera", "x.mp4"], "cannot record to x.mp4: unsupported format '.mp4'"),
        (["camera", "a.raw"], "cannot write a.raw: it exists"),
        (["camera", "x.raw", "--follow"], "--follow cannot be used with camera: it is for files"),
        (["camera", "x.raw", "--time-unit", "ms"], "--time-unit cannot be used with a camera"),
        (["camera", "x.raw", "--duration", "0"], "--duration must be more than 0"),
        (["camera:", "x.raw"], "camera: names no camera"),
        (["tcp://", "x.raw"], "tcp:// must be tcp://, a host and a port"),
        (["a.raw", "x.raw"], "a.raw is a file: evdet convert a.raw x.raw converts it"),
        (["a.raw", "a.raw", "--follow", "--force"], "cannot write a.raw: it is"),
        (["a.raw", "x.raw", "--idle-timeout", "3"], "--idle-timeout needs --follow"),
        ([".", "x.raw"], "cannot record .: it is a folder"),
        (["nowhere", "x.raw"], "nowhere does not exist (supported: camera"),
        (["0", "x.raw"], "cannot record webcam 0: it is a camera of pictures"),
        (["rtsp://me:secret@a/x", "x.raw"], "cannot record rtsp://a/x: it is a camera of pictures"),
    ],
)
def test_what_cannot_be_recorded_is_one_line(capsys, arguments, said_of_it):
    before = Path("a.raw").read_bytes()
    status, out, message = said(capsys, "record", *arguments)
    assert (status, out) == (2, "")
    assert message[0].startswith(f"evdet: {said_of_it}")
    assert Path("a.raw").read_bytes() == before
    assert not os.path.exists("x.raw")


@pytest.mark.usefixtures("detector")
@pytest.mark.parametrize("kind", ["Prophesee EVK4", "iniVation DAVIS 346"])
def test_objects_are_detected_in_a_camera_and_recorded_meanwhile(
    capsys, monkeypatch, words, events, kind
):
    packets = [words] if kind == "Prophesee EVK4" else [polarity(events)]
    connect(monkeypatch, StandInCamera(kind, [*packets, UNPLUGGED], size=SIZE))
    options = ("--record", "drive.raw", "--output", "boxes.npy", "--max-backlog", "0")
    status, out, message = said(capsys, "detect", "camera", *options)
    assert status == 2
    assert "does not send any more" in message[0]
    lines = out.splitlines()
    assert sum("latency" in line and "car" in line for line in lines) == 15
    assert "recorded: drive.raw" in lines
    assert len(np.load("boxes.npy")) == 15
    np.testing.assert_array_equal(all_events("drive.raw"), events)


@pytest.mark.usefixtures("detector")
def test_skipped_time_bins_are_recorded_too(capsys, monkeypatch, words, events):
    parts = [words[at : at + 500] for at in range(0, len(words), 500)]
    connect(monkeypatch, StandInCamera("Prophesee EVK4", [*parts, UNPLUGGED], size=SIZE))
    _, out, _ = said(capsys, "detect", "camera", "--record", "d.raw", "--max-backlog", "1")
    assert " 0 skipped" not in out
    np.testing.assert_array_equal(all_events("d.raw"), events)


@pytest.mark.usefixtures("detector")
@pytest.mark.parametrize(
    ("arguments", "said_of_it"),
    [
        (["camera", "--follow"], "--follow cannot be used with a camera"),
        (["camera", "--start", "1"], "--start cannot be used with a live source"),
        (["camera", "--stream", "x"], "--stream cannot be used with a camera"),
        (["camera", "--record", "x.mp4"], "cannot record to x.mp4: unsupported format"),
        (["camera", "--record", "a.raw"], "cannot write a.raw: it exists"),
        (["camera", "--bit-depth", "9"], "--bit-depth is for images of 16 bits"),
        (["a.raw", "--record", "x.raw"], "--record is for live sources"),
        (["0", "--record", "x.raw"], "--record is for live sources of events, not of pictures"),
        (["0", "--max-backlog", "3"], "--max-backlog is for live sources of events"),
        (["0", "--delta-t", "9"], "--delta-t cannot be used with webcam 0"),
        (["0", "--sensor-size", "9x9"], "--sensor-size cannot be used with a camera"),
        (["0"], "webcam 0 is a camera of pictures, and the detector was trained on events"),
        (["rtsp://me:secret@a/x"], "rtsp://a/x is a camera of pictures, and the detector was"),
        (["camera:"], "camera: names no camera"),
        (["tcp://a"], "tcp://a must be tcp://, a host and a port"),
    ],
)
def test_options_that_do_not_fit_a_camera_are_refused(
    capsys, monkeypatch, words, arguments, said_of_it
):
    connect(monkeypatch, StandInCamera("Prophesee EVK4", [words], size=SIZE))
    status, _, message = said(capsys, "detect", *arguments)
    assert status == 2
    assert message[0].startswith(f"evdet: {said_of_it}")


def test_objects_are_detected_in_a_network_camera(capsys, detector):
    detector("none")
    with serving(over_http(range(1, 15), period=0.05)) as port:
        address = f"http://127.0.0.1:{port}/video"
        status, out, _ = said(
            capsys, "detect", address, "--output", "b.csv", "b.mp4", "--max-age", "9s"
        )
    assert status == 0
    assert "age of boxes: median" in out
    assert "car" in out
    assert "written: b.csv, b.mp4" in out


def test_a_detector_of_pictures_does_not_take_events(capsys, monkeypatch, detector, words):
    detector("none")
    connect(monkeypatch, StandInCamera("Prophesee EVK4", [words], size=SIZE))
    status, _, message = said(capsys, "detect", "camera")
    assert status == 2
    assert message[0].startswith("evdet: camera is a live source of events, and the detector")
