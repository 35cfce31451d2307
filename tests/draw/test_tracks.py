import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evdet.boxes import BOX_DTYPE
from evdet.draw import class_color
from evdet.draw.rerun_file import RerunUnavailableError, RerunWriter, check_rerun_available
from evdet.draw.tracks import Trails, box_colors, box_texts, draw_tracks

LABEL_MAP = ["background", "car", "person"]
SECOND = 1_000_000


def boxes_at(*rows):
    """Rows of x, y, w, h, class, track."""
    return np.array([(0, x, y, w, h, c, track, 0.934) for x, y, w, h, c, track in rows], BOX_DTYPE)


def black(height=100, width=200):
    return np.zeros((height, width, 3), np.uint8)


def moved(trails, num=10, step=10):
    """A track 7 whose centre goes from (20, 50) to the right, ten times a second."""
    for number in range(num):
        trails.add(number * 100_000, boxes_at((10 + step * number, 40, 20, 20, 1, 7)))
    return trails


def test_without_boxes_the_picture_is_a_copy_of_itself():
    picture = black()
    drawn = draw_tracks(picture, boxes_at(), LABEL_MAP, Trails())
    np.testing.assert_array_equal(drawn, picture)
    assert drawn is not picture


def test_a_label_says_class_score_and_track():
    boxes = boxes_at((0, 0, 9, 9, 1, 12), (0, 0, 9, 9, 2, 0))
    assert box_texts(boxes, LABEL_MAP) == ["car 93% #12", "person 93%"]


def test_tracks_have_their_colours_and_boxes_without_one_are_grey():
    boxes = boxes_at((0, 0, 9, 9, 1, 12), (0, 0, 9, 9, 2, 0))
    assert box_colors(boxes, by_track=True) == [class_color(12), class_color(0)]
    assert box_colors(boxes, by_track=False) == [class_color(1), class_color(2)]


def test_the_box_is_drawn_in_scaled_pixels():
    drawn = draw_tracks(black(), boxes_at((10, 20, 30, 20, 1, 0)), LABEL_MAP, scale=2)
    assert tuple(drawn[60, 20]) == class_color(1)
    assert tuple(drawn[60, 79]) == class_color(1)
    assert not drawn[60, 40].any()


def test_a_box_without_a_track_is_thin_and_has_no_label():
    drawn = draw_tracks(black(), boxes_at((50, 40, 60, 40, 1, 0)), LABEL_MAP, Trails())
    assert tuple(drawn[40, 60]) == class_color(0)
    assert not drawn[41, 60].any()
    assert not drawn[:39].any()


def test_a_box_without_events_is_dashed():
    boxes = boxes_at((20, 40, 60, 40, 1, 7), (100, 40, 60, 40, 1, 8))
    is_still = np.array([True, False])
    drawn = draw_tracks(black(), boxes, LABEL_MAP, Trails(), is_still=is_still)
    edge = drawn[79].any(axis=1)
    assert 0.3 < edge[20:80].mean() < 0.8
    assert edge[100:160].all()


def test_a_trail_leads_to_where_the_track_is_and_fades_behind_it():
    trails = moved(Trails())
    drawn = draw_tracks(black(), boxes_at(), LABEL_MAP, trails, t=900_000)
    line = drawn[50].max(axis=1).astype(int)
    assert line[109] > 200  # the newest end, at x = 20 + 9 * 10
    assert 20 < line[25] < line[70] < line[109]
    assert not line[:18].any()
    assert not line[113:].any()
    assert drawn[50, 109].argmax() == np.argmax(class_color(7))


def test_a_trail_is_forgotten_after_a_while():
    trails = moved(Trails(SECOND), num=100, step=0)
    assert len(trails.points[7]) == 11
    trails.add(20 * SECOND, boxes_at())
    assert trails.points == {}


def test_boxes_without_a_track_leave_no_trail():
    trails = Trails()
    trails.add(0, boxes_at((0, 0, 9, 9, 1, 0)))
    assert trails.points == {}


def test_a_class_without_a_name_is_an_error():
    with pytest.raises(ValueError, match="class_id 3 has no name"):
        draw_tracks(black(), boxes_at((0, 0, 9, 9, 3, 1)), LABEL_MAP)


def test_without_rerun_there_is_one_line_that_says_so(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(RerunUnavailableError, match=r"pip install 'evdet\[rerun\]'"):
        check_rerun_available()
    with pytest.raises(RerunUnavailableError, match=r"pip install 'evdet\[rerun\]'"):
        RerunWriter(tmp_path / "x.rrd", LABEL_MAP)


def write_rrd(path, num_frames, *, is_photo=False):
    pytest.importorskip("rerun")
    trails = Trails()
    writer = RerunWriter(path, LABEL_MAP)
    for number in range(num_frames):
        boxes = boxes_at((number, 2, 9, 9, 1, 3))
        trails.add(number * 50_000, boxes)
        writer.write(number * 50_000, black(), boxes, trails, is_photo=is_photo)
    writer.close()
    writer.close()


def test_an_rrd_without_frames_is_no_file(tmp_path):
    write_rrd(tmp_path / "x.rrd", 0)
    assert list(tmp_path.iterdir()) == []


class StandIn:
    """Of rerun what evdet calls: a stream that writes a line per entry, up to a full disk."""

    def __init__(self, max_lines):
        self.max_lines = max_lines
        self.EncodedImage = self.Boxes2D = self.LineStrips2D = lambda *_, **__: "an entry"
        self.streams = []

    def RecordingStream(self, name):  # noqa: N802
        self.streams.append(stream := StandInStream(self.max_lines))
        return stream


class StandInStream:
    def __init__(self, max_lines):
        self.max_lines, self.lines, self.file = max_lines, 0, None

    def save(self, path):
        self.file = open(path, "w")  # noqa: SIM115

    def set_time(self, name, *, duration):
        pass

    def log(self, name, entry):
        self.lines += 1
        if self.lines <= self.max_lines:
            self.file.write(f"{name}\n")

    def flush(self):
        self.file.flush()
        if self.lines > self.max_lines:
            raise RuntimeError("failed to flush")

    def disconnect(self):
        self.file.close()


@pytest.fixture
def disk_of(monkeypatch):
    def make(max_lines):
        monkeypatch.setitem(sys.modules, "rerun", StandIn(max_lines))

    return make


def test_an_rrd_gets_its_name_with_the_first_frame_and_grows(tmp_path, disk_of):
    disk_of(1000)
    path = tmp_path / "x.rrd"
    path.write_text("older")
    writer = RerunWriter(path, LABEL_MAP)
    assert path.read_text() == "older"
    writer.write(0, black(), boxes_at((0, 2, 9, 9, 1, 3)), is_photo=True)
    assert path.read_text() == "source\nsource/boxes\n"
    writer.write(50_000, black(), boxes_at((0, 2, 9, 9, 1, 3)), is_photo=True)
    writer.close()
    writer.close()
    assert path.read_text() == "source\nsource/boxes\n" * 2
    assert list(tmp_path.iterdir()) == [path]


def test_on_a_full_disk_the_older_rrd_stays_until_a_frame_is_in_the_new_one(tmp_path, disk_of):
    disk_of(0)
    path = tmp_path / "x.rrd"
    path.write_text("older")
    writer = RerunWriter(path, LABEL_MAP)
    with pytest.raises(OSError, match="Is the disk full"):
        writer.write(0, black(), boxes_at((0, 2, 9, 9, 1, 3)), is_photo=True)
    writer.close()
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]


def test_on_a_disk_that_becomes_full_an_rrd_keeps_its_frames(tmp_path, disk_of):
    disk_of(3)
    path = tmp_path / "x.rrd"
    writer = RerunWriter(path, LABEL_MAP)
    for t in range(3):
        writer.write(t, black(), boxes_at((0, 2, 9, 9, 1, 3)), is_photo=True)
    with pytest.raises(OSError, match="Is the disk full"):
        writer.close()
    assert path.read_text().startswith("source\nsource/boxes\n")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
@pytest.mark.parametrize("is_photo", [True, False])
def test_rerun_reads_what_was_logged(tmp_path, is_photo):
    path = tmp_path / "x.rrd"
    path.write_bytes(b"older")
    write_rrd(path, 30, is_photo=is_photo)

    rerun = Path(sys.executable).with_name("rerun")
    verified = subprocess.run([rerun, "rrd", "verify", path], capture_output=True, text=True)
    assert verified.returncode == 0, verified.stderr
    shown = subprocess.run([rerun, "rrd", "print", path], capture_output=True, text=True).stdout
    assert all(name in shown for name in ("/source/boxes", "/source/trails", "EncodedImage:blob"))
