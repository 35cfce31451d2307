import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from evdet.boxes import BOX_DTYPE
from evdet.build import build_detector
from evdet.cli import main
from evdet.config import DetectionConfig
from evdet.draw import encode_png, write_video
from evdet.events.dat.reader import write_dat
from evdet.events.dtypes import EVENT_DTYPE, RecordingError, SensorSize
from evdet.events.recording import open_recording
from evdet.frame_spec import FrameSpec
from evdet.labels.files import read_boxes

DELTA_T = 50_000
FIRST_BIN = 20
SIZE = SensorSize(48, 64)
LABELS = {0: "car", 1: "person"}
BOX_FILES = ("x.npy", "x.csv", "x.json", "x.txt")


class StandIn:
    """Finds a car that moves to the right by a pixel a frame, and on odd frames a person."""

    def __init__(self, **spec):
        layout = {"preprocess": "histogram", "height": 48, "width": 64, "in_channels": 2}
        self.frame_spec = FrameSpec(
            delta_t=DELTA_T, class_names=("car", "person"), **{**layout, **spec}
        )
        self.thresholds = None
        self.scores = (0.9, 0.8)
        self.on_frame = lambda number: None

    def step(self, clip, memory=None, *, thresholds):
        self.thresholds = (thresholds.score_thresh, thresholds.nms_thresh)
        first = memory or 0
        found = []
        for number in range(first, first + len(clip)):
            self.on_frame(number)
            count = 1 + number % 2
            boxes = [[4.0 + number, 8, 24.0 + number, 28], [40, 30, 60, 44]][:count]
            found.append(
                [
                    {
                        "boxes": torch.tensor(boxes),
                        "labels": torch.tensor([1, 2][:count]),
                        "scores": torch.tensor(self.scores[:count]),
                    }
                ]
            )
        return found, first + len(clip)


@pytest.fixture
def detector(monkeypatch):
    """What every checkpoint is in these tests; its frames can be changed."""
    stand_in = StandIn()
    monkeypatch.setattr("evdet.cli.detect.command.open_detector", lambda path, **named: stand_in)
    return stand_in


def write_recording(path, num_bins=12):
    times = np.arange(FIRST_BIN * DELTA_T + 30_000, (FIRST_BIN + num_bins) * DELTA_T, 1000)
    events = np.zeros(len(times), EVENT_DTYPE)
    events["t"], events["x"], events["y"] = times, 60, 40
    write_dat(path, [events], SIZE)
    return path


@pytest.fixture
def recording(tmp_path, monkeypatch):
    """Twelve windows from window 20 on, in a folder that is the working directory."""
    monkeypatch.chdir(tmp_path)
    return write_recording(tmp_path / "drive_td.dat")


def said_by(capsys, *words):
    """Status and the lines on standard output and standard error, without the progress bar."""
    try:
        status = main(["detect", *map(str, words)])
    except SystemExit as end:
        status = end.code
    captured = capsys.readouterr()
    lines = captured.err.replace("\r", "\n").splitlines()
    return status, captured.out, [line for line in lines if line.startswith("evdet:")]


def read(path, recording):
    opened = open_recording(recording)
    return read_boxes(path, LABELS, recording=opened, frame_period=DELTA_T).boxes


def frames_of(path):
    with av.open(str(path)) as video:
        return [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]


def test_a_recording_without_events_leaves_files_without_boxes(capsys, detector, recording):
    write_dat(recording, [], SIZE)
    status, _, err = said_by(capsys, recording, "--output", *BOX_FILES, "x.mp4")
    assert status == 2
    assert f"{recording} has nothing to detect in" in err[0]
    assert len(np.load("x.npy")) == 0
    assert json.loads(Path("x.json").read_text()) == []
    assert not os.path.exists("x.mp4")  # a video has at least one frame


def test_every_output_has_every_box(capsys, detector, recording, tmp_path):
    status, out, _ = said_by(capsys, recording, "--output", *BOX_FILES, "x.mp4")
    assert status == 0
    assert "18 boxes on 12 time bins (car: 12, person: 6)" in out
    assert "written: x.npy, x.csv, x.json, x.txt, x.mp4" in out

    expected = read(tmp_path / "x.npy", recording)
    assert expected["t"][:3].tolist() == [21 * DELTA_T, 22 * DELTA_T, 22 * DELTA_T]
    assert expected["x"][:3].tolist() == [4, 5, 40]
    assert expected["class_id"][:3].tolist() == [1, 1, 2]
    for name in BOX_FILES:
        there = read(tmp_path / name, recording)
        for field in BOX_DTYPE.names:
            np.testing.assert_allclose(there[field], expected[field], rtol=1e-6)
    frames = frames_of("x.mp4")
    assert len(frames) == 12
    # The left edge of the car, enlarged tenfold.
    assert frames[0][180, 40].max() > 150 > 60 > frames[0][180, 20].max()
    assert frames[10][180, 140].max() > 150


def test_start_and_duration_choose_windows_and_keep_their_numbers(
    capsys, detector, recording, tmp_path
):
    words = ("--start", "0.1", "--duration", "0.1", "--output", *BOX_FILES)
    assert said_by(capsys, recording, *words)[0] == 0
    # The recording starts at 1.03 s: from 1.13 s to 1.23 s lie in windows 22 to 24.
    for name in BOX_FILES:
        times = np.unique(read(tmp_path / name, recording)["t"])
        assert times.tolist() == [23 * DELTA_T, 24 * DELTA_T, 25 * DELTA_T]


def test_tracks_are_numbered_and_written(capsys, detector, recording, tmp_path):
    pytest.importorskip("trackers")
    words = ("--track", "--output", *BOX_FILES, "x.mp4")
    status, out, _ = said_by(capsys, recording, *words)
    assert status == 0
    assert "tracks: 1" in out  # the person comes and goes
    for name in BOX_FILES:
        boxes = read(tmp_path / name, recording)
        assert set(boxes["track_id"][boxes["class_id"] == 1][-8:]) == {1}
    assert "tracks: 1" in said_by(capsys, recording, "--tracker", "sort")[1]
    assert "tracks" not in said_by(capsys, recording, "--tracker", "none")[1]


@pytest.mark.parametrize("tracker", ["bytetrack", "ocsort", "sort"])
def test_boxes_that_start_no_track_are_explained(capsys, detector, recording, tracker):
    pytest.importorskip("trackers")
    detector.scores = (0.45, 0.4)
    status, out, _ = said_by(capsys, recording, "--tracker", tracker)
    assert status == 0
    assert "no tracks: the best box has score 0.45, and tracks start from score 0.6 on" in out
    assert "lower --track-thresh" in out


@pytest.mark.parametrize("words", [("--score-thresh", "0.2"), ("--track-thresh", "0.4")])
@pytest.mark.parametrize("tracker", ["bytetrack", "ocsort", "sort"])
def test_boxes_that_were_asked_for_start_tracks(capsys, detector, recording, tracker, words):
    pytest.importorskip("trackers")
    detector.scores = (0.45, 0.4)
    out = said_by(capsys, recording, "--tracker", tracker, *words)[1]
    assert re.search(r"; tracks: [12]\n", out)
    assert f"{tracker}: a track starts from score {words[1]} on, goes on from score" in out
    assert "no tracks" not in out


def test_a_track_thresh_stands_above_a_low_score_thresh(capsys, detector, recording):
    pytest.importorskip("trackers")
    detector.scores = (0.45, 0.4)
    words = ("--track", "--score-thresh", "0.1", "--track-thresh", "0.5")
    assert "tracks start from score 0.5 on" in said_by(capsys, recording, *words)[1]


def test_objects_that_are_seen_once_are_the_reason(capsys, detector, recording):
    pytest.importorskip("trackers")
    out = said_by(capsys, recording, "--track", "--duration", "0.01")[1]
    assert "no tracks: no object has boxes in 2 time bins in a row" in out
    assert "--track-thresh" not in out


def test_a_track_thresh_without_a_tracker_is_refused(capsys, detector, recording):
    status, _, err = said_by(capsys, recording, "--track-thresh", "0.4")
    assert status == 2
    assert "--track-thresh needs --track or --tracker" in err[0]


def test_without_an_output_the_first_boxes_are_shown(capsys, detector, recording):
    status, out, _ = said_by(capsys, recording)
    assert status == 0
    assert "1.050 s      4.0     8.0    20.0    20.0  car 90%" in out
    assert "person 80%" in out
    assert "--output" in out
    assert len(out.splitlines()) < 20


def test_the_thresholds_reach_the_detector(capsys, detector, recording):
    said_by(capsys, recording, "--score-thresh", "0.5", "--nms-thresh", "0.4")
    assert detector.thresholds == (0.5, 0.4)
    said_by(capsys, recording)
    assert detector.thresholds == (0.3, detector.frame_spec.thresholds.nms_thresh)


def test_the_sample_comes_with_evdet_and_a_file_of_that_name_goes_before_it(
    capsys, detector, recording, tmp_path
):
    detector.frame_spec = StandIn(height=128, width=128).frame_spec
    assert "200 time bins" in said_by(capsys, "sample", "--label-map", "none")[1]
    recording.rename(tmp_path / "sample")
    assert "12 time bins" in said_by(capsys, "sample")[1]


# --- ids on disk ---------------------------------------------------------------------------------


def ids_in(path):
    return sorted(set(np.load(path)["class_id"].tolist()))


def test_ids_on_disk_are_those_of_the_data_set(capsys, detector, recording, tmp_path):
    label_map = tmp_path / "label_map_dictionary.json"
    label_map.write_text(json.dumps({"3": "person", "5": "bus", "9": "car"}))
    assert said_by(capsys, recording, "--output", "x.npy", "x.csv", "x.json")[0] == 0
    assert ids_in("x.npy") == [3, 9]
    with open("x.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["class"], row["class_id"]) for row in rows} == {("car", "9"), ("person", "3")}
    categories = {result["category_id"] for result in json.loads(Path("x.json").read_text())}
    assert categories == {4, 10}

    assert said_by(capsys, recording, "--label-map", "none", "--output", "x.npy")[0] == 0
    assert ids_in("x.npy") == [0, 1]
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"7": "car", "2": "person"}))
    assert said_by(capsys, recording, "--label-map", other, "--output", "x.npy")[0] == 0
    assert ids_in("x.npy") == [2, 7]


def test_a_detector_of_other_classes_than_the_data_set_has_is_refused(
    capsys, detector, recording, tmp_path
):
    label_map = tmp_path / "label_map_dictionary.json"
    for content, what in (({"0": "cat"}, "cat"), ({"0": "car"}, "person")):
        label_map.write_text(json.dumps(content))
        status, _, (message,) = said_by(capsys, recording, "--output", "x.npy")
        assert status == 2
        assert "car, person" in message
        assert what in message
        assert "--checkpoint" in message
        assert "--label-map none" in message
    assert not os.path.exists("x.npy")


# --- pictures ------------------------------------------------------------------------------------


def test_a_video_is_detected_in_and_drawn_on(capsys, detector, recording):
    detector.frame_spec = StandIn(preprocess="none", in_channels=3).frame_spec
    write_video("film.mp4", (np.full((96, 128, 3), 90, np.uint8) for _ in range(8)), 25)
    words = ("film.mp4", "--start", "0.08", "--output", "x.mp4", "x.txt", "x.json", "x.npy")
    status, out, _ = said_by(capsys, *words)
    assert status == 0
    assert "6 pictures" in out
    frames = frames_of("x.mp4")
    assert frames[0].shape == (480, 640, 3)
    assert abs(int(frames[0][400, 300].mean()) - 90) < 10
    # Frames keep their numbers: what is left out at the start counts.
    with open("x.txt") as file:
        assert [line.split(",")[0] for line in file][:3] == ["3", "4", "4"]
    assert json.loads(Path("x.json").read_text())[0]["image_id"] == 2
    # Boxes are in pixels of the video, which has twice the size of the frames.
    assert np.load("x.npy")[0].tolist() == pytest.approx((80_000, 8, 16, 40, 40, 0, 0, 0.9))


def times_of(path):
    """Times of the frames of a video in seconds, from its first on."""
    with av.open(str(path)) as video:
        times = [float(frame.time) for frame in video.decode(video.streams.video[0])]
    return [time - times[0] for time in times]


def write_uneven(path, times, *, codec="libx264"):
    """A video whose frames have these times in milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, t in enumerate(times):
            picture = np.full((48, 64, 3), 20 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = t, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.mov"])
@pytest.mark.parametrize("first", [0, 4000])
def test_a_video_of_uneven_times_keeps_them(capsys, detector, recording, name, first):
    detector.frame_spec = StandIn(preprocess="none", in_channels=3).frame_spec
    times = [0, 33, 66, 100, 600, 633, 667, 1700, 1733]
    write_uneven(name, [first + t for t in times])
    assert said_by(capsys, name, "--output", "x.mp4", "x.npy")[0] == 0
    assert times_of("x.mp4") == pytest.approx([t / 1000 for t in times], abs=0.002)
    assert np.unique(np.load("x.npy")["t"]) / 1000 == pytest.approx(times, abs=1)


def test_an_interval_of_a_video_of_uneven_times_keeps_them(capsys, detector, recording):
    detector.frame_spec = StandIn(preprocess="none", in_channels=3).frame_spec
    write_uneven("film.mp4", [0, 33, 66, 100, 600, 633, 667, 1700, 1733])
    assert said_by(capsys, "film.mp4", "--start", "0.5", "--output", "x.mp4")[0] == 0
    times = [0, 0.033, 0.067, 1.1, 1.133]
    assert times_of("x.mp4") == pytest.approx(times, abs=0.002)


def test_a_gif_of_uneven_times_keeps_them(capsys, detector, recording):
    detector.frame_spec = StandIn(preprocess="none", in_channels=3).frame_spec
    first, *others = [Image.new("RGB", (64, 48), (40 * number, 9, 9)) for number in range(4)]
    durations = [100, 500, 50, 100]
    first.save("film.gif", save_all=True, append_images=others, duration=durations)
    assert said_by(capsys, "film.gif", "--output", "x.mp4")[0] == 0
    assert times_of("x.mp4") == pytest.approx([0, 0.1, 0.6, 0.65], abs=0.002)


@pytest.mark.parametrize("delta_t", [33_333, 100_000, 7_000])
def test_a_video_of_a_recording_has_the_times_of_its_bins(capsys, detector, recording, delta_t):
    assert said_by(capsys, recording, "--delta-t", delta_t, "--output", "x.mp4")[0] == 0
    times = times_of("x.mp4")
    # Of very short bins every n-th is drawn.
    every = -(-1_000_000 // 60 // delta_t)
    np.testing.assert_allclose(times, np.arange(len(times)) * every * delta_t / 1e6, atol=1e-5)
    assert len(times) > 5


def test_a_folder_of_images_is_detected_in(capsys, detector, recording, tmp_path):
    detector.frame_spec = StandIn(preprocess="none", in_channels=3).frame_spec
    (tmp_path / "images").mkdir()
    for number in range(3):
        picture = np.full((48, 64, 3), number, np.uint8)
        (tmp_path / "images" / f"{number}.png").write_bytes(encode_png(picture))
    assert said_by(capsys, "images", "--delta-t", "100000", "--output", "x.npy", "x.mp4")[0] == 0
    assert np.load("x.npy")["t"].tolist() == [0, 100_000, 100_000, 200_000]
    assert times_of("x.mp4") == pytest.approx([0, 0.1, 0.2])


# --- what ends early -----------------------------------------------------------------------------


def check_complete(tmp_path, recording, num_windows):
    """Every output holds the boxes of the first windows."""
    end = (FIRST_BIN + num_windows) * DELTA_T
    for name in BOX_FILES:
        assert np.unique(read(tmp_path / name, recording)["t"])[-1] == end
    assert len(frames_of("x.mp4")) == num_windows


def test_of_a_damaged_recording_everything_before_the_damage_counts(
    capsys, detector, recording, tmp_path
):
    recording.write_bytes(recording.read_bytes()[:-4] + b"\xff\xff\xff\x0f")
    status, out, (message,) = said_by(capsys, recording, "--output", *BOX_FILES, "x.mp4")
    assert status == 2
    assert "12 time bins" in out
    assert "drive_td.dat" in message
    assert "1.600 s" in message
    check_complete(tmp_path, recording, 12)


def test_ctrl_c_leaves_complete_files(capsys, detector, recording, tmp_path):
    def interrupt(number):
        if number == 8:  # in the second clip
            os.kill(os.getpid(), signal.SIGINT)

    detector.on_frame = interrupt
    status, out, (message,) = said_by(capsys, recording, "--output", *BOX_FILES, "x.mp4")
    assert status == 130
    assert "8 time bins" in out
    assert "interrupted" in message
    assert "1.400 s" in message
    check_complete(tmp_path, recording, 8)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_waits_until_a_frame_is_written(capsys, detector, recording, tmp_path, monkeypatch):
    from evdet.draw.video import VideoWriter

    write = VideoWriter.write

    def interrupted_write(self, picture, t):
        if t == (FIRST_BIN + 6) * DELTA_T:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
        write(self, picture, t)

    monkeypatch.setattr(VideoWriter, "write", interrupted_write)
    status, _, (message,) = said_by(capsys, recording, "--output", "x.mp4", *BOX_FILES)
    assert status == 130
    assert "1.300 s" in message
    check_complete(tmp_path, recording, 6)


def test_an_output_that_cannot_be_written_on_ends_it_in_one_line(
    capsys, detector, recording, tmp_path, monkeypatch
):
    from evdet.labels.growing_file import GrowingFile

    append = GrowingFile.append

    def full(self, content, *, head=None):
        if self.path.name == "x.csv" and len(self.path.read_bytes()) > 300:
            raise OSError(28, "No space left on device", str(self.path))
        append(self, content, head=head)

    monkeypatch.setattr(GrowingFile, "append", full)
    status, _, (message,) = said_by(capsys, recording, "--output", "x.mp4", "x.csv", "x.npy")
    assert status == 2
    assert message.startswith("evdet: cannot write x.csv: No space left on device.")
    num_windows = len(frames_of("x.mp4"))
    assert 0 < num_windows < 12
    assert len(np.unique(np.load("x.npy")["t"])) >= num_windows - 1


def test_a_source_that_is_damaged_from_the_start_replaces_nothing(
    capsys, detector, recording, tmp_path, monkeypatch
):
    (tmp_path / "x.npy").write_bytes(b"older")

    def broken(number):
        raise RecordingError("the file is damaged. Copy it again.")

    detector.on_frame = broken
    status, _, (message,) = said_by(capsys, recording, "--output", "x.npy")
    assert (status, message) == (2, "evdet: the file is damaged. Copy it again.")
    assert (tmp_path / "x.npy").read_bytes() == b"older"


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["nowhere.dat"], "nowhere.dat"),
        (["drive_td.dat", "--output", "x.avi"], ".mp4, .npy, .csv, .json, .txt, .rrd"),
        (["drive_td.dat", "--output", "x"], ".mp4, .npy"),
        (["drive_td.dat", "--output", "there.npy"], "there.npy"),
        (["drive_td.dat", "--output", "no/x.npy"], "x.npy"),
        (["drive_td.dat", "--output", "x.npy", "x.npy"], "x.npy"),
        (["events.csv", "--output", "events.csv"], "events.csv"),
        (["drive_td.dat", "--score-thresh", "1.5"], "--score-thresh must be from 0 to 1, got 1.5"),
        (["drive_td.dat", "--nms-thresh", "-1"], "--nms-thresh must be from 0 to 1, got -1"),
        (["drive_td.dat", "--delta-t", "0"], "--delta-t must be at least 1, got 0"),
        (["drive_td.dat", "--duration", "0"], "--duration must be more than 0, got 0"),
        (["drive_td.dat", "--start", "-1"], "--start must be at least 0, got -1"),
        (["drive_td.dat", "--start", "99"], "99 s"),
        (["-", "--max-backlog", "-1"], "--max-backlog must be at least 0, got -1"),
        (["-", "--max-delay", "-1"], "--max-delay must be at least 0, got -1"),
        (["-", "--max-disorder", "-1"], "--max-disorder must be at least 0, got -1"),
        (["drive_td.dat", "--max-backlog", "9"], "--max-backlog"),
        (["drive_td.dat", "--max-delay", "9"], "--max-delay"),
        (["drive_td.dat", "--max-disorder", "9"], "--max-disorder"),
        (["drive_td.dat", "--idle-timeout", "9"], "--follow"),
        (["drive_td.dat", "--follow", "--idle-timeout", "0"], "--idle-timeout"),
        (["drive_td.dat", "--sensor-size", "big"], "--sensor-size"),
        (["drive_td.dat", "--label-map", "no.json"], "no.json"),
        (["film.mp4", "--follow"], "--follow"),
        (["there.npy", "--follow"], "--follow"),
        (["film.mp4", "--delta-t", "9"], "--delta-t"),
        (["film.mp4"], "film.mp4"),
        (["there.npy"], "there.npy"),
        (["-", "--follow"], "--follow"),
        (["drive_td.dat", "--follow", "--start", "1"], "--start"),
        (["drive_td.dat", "--tracker", "deep"], "deep"),
    ],
)
def test_what_a_user_can_mend_is_said_in_one_line(
    capsys, detector, recording, tmp_path, words, name
):
    (tmp_path / "there.npy").mkdir()
    (tmp_path / "events.csv").write_text("t,x,y,p\n")
    (tmp_path / "film.mp4").write_bytes(b"")
    try:
        status = main(["detect", *words])
    except SystemExit as end:
        status = end.code
    captured = capsys.readouterr()
    assert status == 2
    assert name in " ".join((captured.err + captured.out).split())
    assert "Traceback" not in captured.err
    assert not (tmp_path / "x.npy").exists()


def test_a_detector_of_pictures_is_not_shown_events(capsys, detector, recording):
    detector.frame_spec = StandIn(preprocess="none", in_channels=3).frame_spec
    status, _, (message,) = said_by(capsys, recording)
    assert status == 2
    assert "drive_td.dat" in message


def test_a_sensor_of_another_size_is_warned_of(capsys, detector, recording, caplog):
    detector.frame_spec = StandIn(height=96, width=96).frame_spec
    assert said_by(capsys, recording)[0] == 0
    assert "64x48" in caplog.text
    assert "96x96" in caplog.text


def test_a_checkpoint_or_device_that_is_not_there_is_said_in_one_line(capsys, recording):
    for words, what in (
        (("--checkpoint", "nowhere.ckpt"), "nowhere.ckpt"),
        (("--checkpoint", "."), "*.ckpt"),
        (("--checkpoint", "nowhere.onnx"), "nowhere.onnx"),
        (("--device", "banana"), "banana"),
    ):
        status, _, (message,) = said_by(capsys, recording, "--output", "x.npy", *words)
        assert status == 2
        assert what in message
    assert not os.path.exists("x.npy")


@pytest.mark.parametrize(
    ("words", "module", "message"),
    [
        (["--track"], "trackers", "pip install 'evdet[tracking]'"),
        (["--output", "x.rrd"], "rerun", "pip install 'evdet[rerun]'"),
        (["--output", "x.mp4"], "av", "PyAV"),
    ],
)
def test_a_missing_library_is_named_before_any_work(
    capsys, detector, recording, monkeypatch, words, module, message
):
    monkeypatch.setitem(sys.modules, module, None)
    detector.on_frame = lambda number: pytest.fail("it worked")
    status, _, (said,) = said_by(capsys, recording, *words)
    assert status == 2
    assert message in said


def test_a_recording_of_a_camera_is_detected_in(capsys, detector, event_data, tmp_path):
    # A copy: its index is written beside it.
    path = Path(shutil.copy(event_data / "raw" / "vga_triggers_evt3.raw", tmp_path))
    words = ("--start", "0.5", "--duration", "0.5", "--output", tmp_path / "x.npy")
    assert said_by(capsys, path, *words, tmp_path / "x.mp4")[0] == 0
    boxes = np.load(tmp_path / "x.npy")
    start = open_recording(path).start + 500_000
    assert start < boxes["t"][0] <= start + DELTA_T
    assert np.unique(np.diff(np.unique(boxes["t"]))).tolist() == [DELTA_T]
    # In pixels of the sensor, which has ten times the size of the frames.
    assert boxes[["x", "y", "w", "h"]][0].tolist() == (40, 80, 200, 200)
    assert frames_of(tmp_path / "x.mp4")[0].shape == (480, 640, 3)


# --- processes -----------------------------------------------------------------------------------

TINY = DetectionConfig(
    dataset_path="recordings",
    classes=("car", "person"),
    preprocess="histogram",
    height=48,
    width=64,
    in_channels=2,
    feature_base=2,
    feature_channels_out=4,
    num_levels=2,
    head_channels=4,
)


@pytest.fixture
def checkpoint(tmp_path):
    """A detector with random weights: with --score-thresh 0 it finds plenty."""
    path = tmp_path / "tiny.ckpt"
    weights = {f"detector.{name}": w for name, w in build_detector(TINY).state_dict().items()}
    torch.save({"hyper_parameters": vars(TINY), "state_dict": weights}, path)
    return path


def start(*words, stdin=None, limit=None, says_peak=False):
    script = "import sys; from evdet.cli import main; sys.exit(main(sys.argv[1:]))"
    if says_peak:
        script = (
            "import resource, sys; from evdet.cli import main; status = main(sys.argv[1:]); "
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(status)"
        )
    if limit is not None:
        script = (
            "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
            f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); {script}"
        )
    return subprocess.Popen(
        [sys.executable, "-c", script, "detect", *map(str, words)],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.slow
def test_a_checkpoint_a_run_and_its_export_find_the_same(capsys, recording, checkpoint, tmp_path):
    pytest.importorskip("onnxruntime")
    words = (recording, "--score-thresh", "0", "--output")
    assert said_by(capsys, *words, "a.npy", "--checkpoint", checkpoint)[0] == 0
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "best.ckpt").write_bytes(checkpoint.read_bytes())
    assert said_by(capsys, *words, "b.npy", "--checkpoint", "run")[0] == 0
    assert main(["export", str(checkpoint), "tiny.onnx"]) == 0
    assert said_by(capsys, *words, "c.npy", "--checkpoint", "tiny.onnx")[0] == 0

    first, second = np.load("a.npy"), np.load("b.npy")
    assert len(first) > 100
    np.testing.assert_array_equal(first, second)

    def in_order(boxes):
        # Random weights give many boxes nearly the same score.
        return boxes[np.lexsort([boxes[name].round(2) for name in ("y", "x", "class_id", "t")])]

    first, third = in_order(first), in_order(np.load("c.npy"))
    assert len(first) == len(third)
    for field in ("t", "x", "y", "w", "h", "class_confidence"):
        np.testing.assert_allclose(first[field], third[field], atol=1e-3)
    status, _, (message,) = said_by(
        capsys, recording, "--checkpoint", "tiny.onnx", "--device", "cuda"
    )
    assert status == 2
    assert "tiny.onnx" in message


@pytest.mark.slow
def test_memory_does_not_grow_with_the_recording(recording, checkpoint):
    peaks = []
    for num_bins in (200, 4000):
        write_recording(recording, num_bins)
        words = (
            recording,
            "--checkpoint",
            checkpoint,
            "--score-thresh",
            "0.004",
            "--output",
            *BOX_FILES,
        )
        process = start(*words, "--output", *BOX_FILES, says_peak=True)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        peaks.append(int(out.split()[-1]))
    assert peaks[1] - peaks[0] < 40_000  # kilobytes; the boxes alone are some 20,000


@pytest.mark.slow
def test_a_process_that_is_interrupted_leaves_complete_files(recording, checkpoint, tmp_path):
    write_recording(recording, num_bins=20_000)
    words = (recording, "--checkpoint", checkpoint, "--score-thresh", "0.004", "--output")
    process = start(*words, *BOX_FILES, "x.mp4")
    while not (tmp_path / "x.csv").exists() or (tmp_path / "x.csv").stat().st_size < 20_000:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 130, err
    assert b"interrupted" in err
    assert b"Traceback" not in err
    expected = read(tmp_path / "x.npy", recording)
    for name in BOX_FILES[1:]:
        np.testing.assert_allclose(read(tmp_path / name, recording)["x"], expected["x"], rtol=1e-5)
    num_windows = int(out.split()[0].replace(b",", b""))
    assert len(frames_of("x.mp4")) == num_windows < 20_000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["x.mp4", "x.npy", "x.json"])
def test_a_full_disk_leaves_what_was_written(recording, checkpoint, tmp_path, name):
    write_recording(recording, num_bins=2000)
    words = (recording, "--checkpoint", checkpoint, "--score-thresh", "0.004")
    process = start(*words, "--output", name, limit=300_000 if name == "x.mp4" else 30_000)
    _, err = process.communicate(timeout=120)

    assert process.returncode == 2, err
    assert f"evdet: cannot write {name}: File too large".encode() in err
    if name == "x.mp4":
        assert len(frames_of(name)) > 5
    else:
        assert len(read(tmp_path / name, recording)) > 100


@pytest.mark.slow
def test_boxes_of_a_pipe_come_out_as_windows_close(recording, checkpoint, tmp_path):
    content = recording.read_bytes()
    header = content.index(b"\x0c\x08") + 2 if b"\x0c\x08" in content else content.rindex(b"%")
    process = start(
        "-",
        "--checkpoint",
        checkpoint,
        "--score-thresh",
        "0",
        "--output",
        "x.csv",
        stdin=subprocess.PIPE,
    )
    # The first event of the third window closes the second.
    middle = header + 8 * (20 + 50 + 1)
    process.stdin.write(content[:middle])
    process.stdin.flush()
    lines = [process.stdout.readline().decode() for _ in range(2)]
    assert [line.partition(",")[0] for line in lines] == ["1.050 s", "1.100 s"]
    assert all(" s, latency " in line for line in lines)
    times = {row.split(",")[0] for row in (tmp_path / "x.csv").read_text().splitlines()[1:]}
    assert times == {"1050000", "1100000"}
    out, err = process.communicate(content[middle:], timeout=60)
    assert process.returncode == 0, err
    assert b"latency: median " in out


@pytest.mark.slow
def test_a_growing_file_is_followed_until_ctrl_c(recording, checkpoint, tmp_path):
    content = recording.read_bytes()
    recording.write_bytes(content[:-8])
    words = (recording, "--follow", "--checkpoint", checkpoint, "--max-backlog", "0")
    process = start(*words, "--output", "x.npy", "x.mp4")
    for _ in range(11):
        assert b" s, latency " in process.stdout.readline()
    with recording.open("ab") as file:
        file.write(content[-8:])
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    # Ctrl-C is how a live source is ended.
    assert process.returncode == 0, err
    assert b"written: x.npy, x.mp4" in out
    assert len(frames_of("x.mp4")) >= 11


def answer(capsys, *words):
    status = main(["detect", *map(str, words)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err.rpartition("\r")[2].strip()


@pytest.fixture
def many(monkeypatch):
    """The same for many files."""
    stand_in = StandIn()
    for module in ("command", "many_sources"):
        monkeypatch.setattr(f"evdet.cli.detect.{module}.open_detector", lambda _, **named: stand_in)
    return stand_in


def test_many_recordings_are_detected_in_and_each_as_if_it_were_alone(
    capsys, many, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for name in ("drives/a_td.dat", "drives/night/b.dat"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        write_recording(Path(name))
    Path("drives/bad.raw").write_bytes(b"\x00\x01")
    words = ["drives", "--output-dir", "found", "--save", "csv", "mp4"]
    status, out, said = answer(capsys, *words)
    assert status == 2
    assert "drives/a_td.dat: 12 time bins, 0.6 s, in" in out
    assert "found: 2 of 3 files done" in out
    assert said.startswith("evdet: 1 of 3 files failed:\n  drives/bad.raw is not a supported")
    answer(capsys, "drives/a_td.dat", "--output", "alone.csv")
    assert Path("found/a_td.csv").read_bytes() == Path("alone.csv").read_bytes()
    assert Path("found/night/b.mp4").stat().st_size
    Path("drives/bad.raw").unlink()
    assert "2 files finished before, nothing to do" in answer(capsys, *words)[1]
    status, _, said = answer(capsys, *words, "--score-thresh", "0.5")
    assert status == 2
    assert "--score-thresh left out, now 0.5" in said
    # Other threads and devices change no result.
    assert answer(capsys, *words, "--threads", "1", "--device", "cpu")[0] == 0


def test_without_a_folder_for_results_many_are_summed_up(capsys, many, tmp_path):
    for name in "ab":
        write_recording(tmp_path / f"{name}.dat")
    status, out, _ = answer(capsys, tmp_path)
    assert status == 0
    assert out.count("dat: 12 time bins") == 2
    assert "use --output-dir found --save mp4 csv to write files" in out


def test_a_folder_with_images_is_a_source_for_a_detector_of_pictures(
    capsys, monkeypatch, many, tmp_path
):
    many.frame_spec = StandIn(preprocess="none", in_channels=3).frame_spec
    for name in ("walk", "more/run"):
        (tmp_path / name).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (64, 48)).save(tmp_path / name / f"{number}.png")
    write_recording(tmp_path / "a.dat")  # no picture
    found = tmp_path / "found"
    words = [tmp_path, "--output-dir", found, "--save", "csv"]
    status, out, _ = answer(capsys, *words)
    assert status == 0
    assert out.count(": 3 pictures") == 2
    assert sorted(path.name for path in found.rglob("*.csv")) == ["run.csv", "walk.csv"]
    assert "2 files finished before" in answer(capsys, *words)[1]


def test_what_is_going_to_be_done_is_printed_and_not_done(capsys, many, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_recording(Path("a.dat"))
    words = ["--score-thresh", "0.5", "--delta-t", "20000", "--print-config"]
    assert answer(capsys, "a.dat", *words, "--output", "x.csv")[0] == 0
    status, out, _ = answer(capsys, "a.dat", *words, "--output-dir", "found", "--save", "csv")
    plan = yaml.safe_load(out)
    assert status == 0
    assert plan["sources"] == [{"source": "a.dat", "outputs": ["found/a.csv"]}]
    assert (plan["frames"]["delta_t"], plan["selection"]["score_thresh"]) == (20_000, 0.5)
    assert plan["tracker"] is None
    assert [path.name for path in Path().iterdir()] == ["a.dat"]
