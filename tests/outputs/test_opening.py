import contextlib
import io
import json
import os
import re
import signal

import av
import numpy as np
import pytest

from evdet.boxes import BOX_DTYPE
from evdet.events import EVENT_DTYPE, SensorSize
from evdet.outputs import OutputError, check_outputs, open_outputs
from evdet.pipeline import DetectedFrame
from evdet.sources import StreamedFrame

DELTA_T = 50_000
BOX_FILES = ("x.npy", "x.csv", "x.json", "x.txt")


class Stream:
    """A stream as far as outputs ask it."""

    name = "drive"
    size = frame_size = SensorSize(48, 64)
    delta_t = DELTA_T
    num_frames = None

    def __iter__(self):
        return iter(())


def found_in(number, count=1):
    """The frame of a bin, with a car, a person and so on."""
    t = (number + 1) * DELTA_T
    boxes = np.zeros(count, BOX_DTYPE)
    boxes["t"], boxes["x"], boxes["y"], boxes["w"], boxes["h"] = t, 4 + number, 8, 20, 20
    boxes["class_id"], boxes["class_confidence"] = np.arange(count) + 1, 0.75
    frame = StreamedFrame(t, DELTA_T, np.zeros((2, 48, 64), np.uint8), np.zeros(0, EVENT_DTYPE))
    return DetectedFrame(t, frame, boxes)


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_no_outputs_write_nothing(tmp_path):
    with open_outputs([], Stream(), ["car"]) as outputs:
        outputs.write(found_in(0))
    assert list(tmp_path.iterdir()) == []


def test_a_source_without_frames_leaves_files_without_boxes(tmp_path):
    (tmp_path / "x.npy").write_bytes(b"older")
    with open_outputs(BOX_FILES, Stream(), ["car"]):
        pass
    assert len(np.load("x.npy")) == 0
    assert json.loads((tmp_path / "x.json").read_text()) == []


def test_an_error_before_the_first_frame_replaces_nothing(tmp_path):
    (tmp_path / "x.npy").write_bytes(b"older")
    with pytest.raises(ZeroDivisionError), open_outputs(["x.npy"], Stream(), ["car"]):
        _ = 1 / 0
    assert (tmp_path / "x.npy").read_bytes() == b"older"


def test_box_files_are_complete_after_every_frame(tmp_path):
    with open_outputs(BOX_FILES, Stream(), ["car", "person"]) as outputs:
        for number in range(3):
            outputs.write(found_in(number, count=number))
            num_boxes = number * (number + 1) // 2
            assert len(np.load("x.npy")) == num_boxes
            assert len(json.loads((tmp_path / "x.json").read_text())) == num_boxes
    lines = (tmp_path / "x.csv").read_text().splitlines()
    assert len(lines) == 1 + 3
    assert ",person,1," in lines[-1]


def test_a_mapping_gives_the_ids_on_disk():
    with open_outputs(["x.npy"], Stream(), {9: "car", 3: "person"}) as outputs:
        outputs.write(found_in(0, count=2))
    assert np.load("x.npy")["class_id"].tolist() == [9, 3]


def test_frames_are_counted_from_the_recordings_first_bin(tmp_path):
    for first_bin, numbers in ((None, ["1", "2"]), (20, ["3", "4"])):
        with open_outputs(["x.txt"], Stream(), ["car"], first_bin=first_bin) as outputs:
            for number in (22, 23):
                outputs.write(found_in(number))
        lines = (tmp_path / "x.txt").read_text().splitlines()
        assert [line.split(",")[0] for line in lines] == numbers


def test_a_live_source_whose_first_frame_has_several_time_bins_begins_with_the_first_of_them(
    tmp_path,
):
    with open_outputs(["x.txt"], Stream(), ["car"]) as outputs:
        for number, count in ((24, 5), (25, 1), (28, 3)):
            found = found_in(number)
            frame = found.frame._replace(delta_t=count * DELTA_T)
            outputs.write(found._replace(frame=frame))
    lines = (tmp_path / "x.txt").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["5", "6", "9"]


def test_mot_text_of_tracks_leaves_out_boxes_without_a_track_and_counts_them():
    found = found_in(0, count=3)
    found.boxes["track_id"] = (0, 4, 0)
    with open_outputs(["x.txt", "x.csv"], Stream(), ["a", "b", "c"], is_tracked=True) as outputs:
        outputs.write(found)
    assert outputs.num_untracked == 2
    with open("x.txt") as file:
        assert [line.split(",")[1] for line in file] == ["4"]
    with open("x.csv") as file:
        assert len(file.readlines()) == 1 + 3
    # Without tracking, boxes without a track are all there are.
    with open_outputs(["x.txt"], Stream(), ["a", "b", "c"]) as outputs:
        outputs.write(found)
    with open("x.txt") as file:
        assert len(file.readlines()) == 3
    assert outputs.num_untracked == 0


def test_trackeval_reads_the_tracks_of_mot_text(tmp_path):
    trackeval = pytest.importorskip("trackeval")
    (tmp_path / "ours" / "data").mkdir(parents=True)
    (tmp_path / "gt" / "drive" / "gt").mkdir(parents=True)
    path = tmp_path / "ours" / "data" / "drive.txt"
    with open_outputs([path], Stream(), ["car", "person"], is_tracked=True) as outputs:
        for number in (0, 1, 3):
            found = found_in(number, count=2)
            found.boxes["track_id"] = (1, 2 * (number > 0))
            outputs.write(found)
    truth = "".join(f"{k},1,{4 + k},9,20,20,1,1,1\n" for k in (1, 2, 3, 4))
    (tmp_path / "gt" / "drive" / "gt" / "gt.txt").write_text(truth)
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = trackeval.datasets.MotChallenge2DBox(
            {
                "GT_FOLDER": str(tmp_path / "gt"), "TRACKERS_FOLDER": str(tmp_path),
                "TRACKERS_TO_EVAL": ["ours"], "SEQ_INFO": {"drive": 4}, "SKIP_SPLIT_FOL": True,
                "PRINT_CONFIG": False,
            }
        )  # fmt: skip
        raw = dataset.get_raw_seq_data("ours", "drive")
        data = dataset.get_preprocessed_seq_data(raw, "pedestrian")
    assert [ids.tolist() for ids in raw["tracker_ids"]] == [[1], [1, 2], [], [1, 2]]
    assert data["num_tracker_dets"] == 5


def test_a_video_shows_every_frame():
    av = pytest.importorskip("av")
    with open_outputs(["x.mp4"], Stream(), ["car"], is_tracked=True) as outputs:
        for number in range(5):
            outputs.write(found_in(number))
    with av.open("x.mp4") as video:
        assert len(list(video.decode(video=0))) == 5


def test_a_video_of_pictures_keeps_all_where_the_stated_rate_is_far_from_the_true_one():
    # An AVI file counts in milliseconds, so its rate is 1000/s; its pictures are 40 ms apart.
    av = pytest.importorskip("av")

    class Pictures(Stream):
        delta_t = 1000

    with open_outputs(["x.mp4"], Pictures(), ["car"]) as outputs:
        for number in range(6):
            t = number * 40_000
            picture = np.full((48, 64, 3), 40 * number, np.uint8)
            frame = StreamedFrame(t, DELTA_T, np.zeros((3, 48, 64), np.uint8), picture=picture)
            outputs.write(DetectedFrame(t, frame, np.zeros(0, BOX_DTYPE)))
    with av.open("x.mp4") as video:
        times = [
            round(float(frame.pts * frame.time_base) * 1000) for frame in video.decode(video=0)
        ]
    assert times == [0, 40, 80, 120, 160, 200]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["x.avi"], "'.avi' (supported: .mp4, .npy, .csv, .json, .txt, .rrd"),
        (["nowhere/x.npy"], "nowhere/x.npy: the folder nowhere does not exist"),
        (["x.npy", "./x.npy"], "named twice"),
    ],
)
def test_what_cannot_be_written_is_refused_at_once(paths, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        open_outputs(paths, Stream(), ["car"])


def test_a_file_that_is_read_is_never_written(tmp_path):
    source = tmp_path / "drive.npy"
    source.touch()
    with pytest.raises(ValueError, match=r"cannot write .*drive\.npy: it is read"):
        check_outputs([source], [source])


def test_a_disk_error_names_the_output(monkeypatch):
    from evdet.labels.growing_file import GrowingFile

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with open_outputs(["x.npy"], Stream(), ["car"]) as outputs:
        outputs.write(found_in(0))
        monkeypatch.setattr(GrowingFile, "append", full)
        with pytest.raises(OutputError, match=r"x\.npy: No space left on device"):
            outputs.write(found_in(1))
    assert len(np.load("x.npy")) == 1


def test_ctrl_c_comes_after_the_frame(monkeypatch):
    from evdet.labels.writers import BoxWriter

    write = BoxWriter.write

    def interrupted(self, boxes, *, frame, age):
        os.kill(os.getpid(), signal.SIGINT)
        write(self, boxes, frame=frame, age=age)

    monkeypatch.setattr(BoxWriter, "write", interrupted)
    before = signal.getsignal(signal.SIGINT)
    with (
        pytest.raises(KeyboardInterrupt),
        open_outputs(["x.npy", "x.csv"], Stream(), ["car"]) as outputs,
    ):
        outputs.write(found_in(0))
    assert signal.getsignal(signal.SIGINT) is before
    assert len(np.load("x.npy")) == 1


def test_boxes_are_written_before_pictures_and_no_picture_is_left_out(tmp_path):
    def write_until_ctrl_c():
        with open_outputs(["x.mp4", "x.csv"], Stream(), ["car"], has_ages=True) as outputs:
            outputs.write_boxes(found_in(0), age=40)
            assert (tmp_path / "x.csv").read_text().splitlines()[1].endswith(",40")
            assert not (tmp_path / "x.mp4").exists()
            outputs.write_pictures()
            outputs.write_pictures()  # there is no other
            outputs.write_boxes(found_in(1), age=50)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_until_ctrl_c()
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 3
    with av.open("x.mp4") as video:
        assert len(list(video.decode(video=0))) == 2


def test_a_video_of_short_time_bins_shows_frames_of_several(tmp_path):
    class Short(Stream):
        delta_t = 1000

    def found_at(t, delta_t):
        found = found_in(0)
        boxes = found.boxes.copy()
        boxes["t"] = t
        return DetectedFrame(t, found.frame._replace(t=t, delta_t=delta_t), boxes)

    with open_outputs(["x.mp4"], Short(), ["car"]) as outputs:
        # Every 17th time bin would be drawn, and few of these are one.
        for t in range(18, 217, 18):
            outputs.write(found_at(1000 * t, 18_000))
    with av.open("x.mp4") as video:
        assert len(list(video.decode(video=0))) == 12
