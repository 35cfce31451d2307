import struct

import numpy as np
import pytest

from bag_maker import EVENTS, array, write_ros1, write_ros2
from evdet.cli.info import InfoOptions, draw_rate, info
from evdet.cli.many import FailedFilesError
from evdet.cli.options import ReadingOptions
from evdet.draw import decode_png
from evdet.events import RecordingError, StreamChoiceError, open_recording
from evdet.events.summary import RateOverTime

HEADER = b"% Data file containing CD events.\n% Version 2\n% Width 64\n% Height 48\n\x0c\x08"


def dat(*events):
    records = (struct.pack("<II", t, x | y << 14 | p << 28) for t, x, y, p in events)
    return HEADER + b"".join(records)


MOVING = [(t * 500, t % 60, (t // 60) % 40, t % 2) for t in range(3000)]
HOT = sorted([*MOVING, *((t * 100, 5, 7, 1) for t in range(15_000))])


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "drive_td.dat"
    path.write_bytes(dat(*HOT))
    return path


def shown(capsys, *paths, **options):
    info(InfoOptions(files=paths, **options))
    return capsys.readouterr().out


def test_everything_is_said_of_a_recording(capsys, recording):
    text = shown(capsys, recording)
    assert text.startswith(f"{recording}\n")
    lines = {line[2:15].strip(): line[15:] for line in text.splitlines()[1:]}
    assert lines["format"].startswith("DAT")
    assert "64x48 (width x height), as stated in the file" in lines["sensor"]
    assert lines["duration"] == "1.499900 s"
    assert lines["events"].startswith("18,000, 8.0 bytes each")
    assert "12k events/s on average" in lines["rate"]
    assert lines["polarity"] == "91.7% ON, 8.3% OFF"
    assert lines["hot pixels"].startswith("1, with 83% of the events; at (x, y) (5, 7)")
    assert lines["time order"] == "sorted by time"
    assert lines["gaps"].startswith("none over 0.1 s")
    assert lines["dropped"] == "none"
    assert "█" in text


def test_a_recording_without_events_is_described(capsys, tmp_path):
    path = tmp_path / "empty.dat"
    path.write_bytes(HEADER)
    text = shown(capsys, path, png=tmp_path / "out.png")
    assert "events       none" in text
    assert "64x48" in text
    assert not (tmp_path / "out.png").exists()


def test_steps_back_and_gaps_are_told(capsys, tmp_path):
    path = tmp_path / "odd.dat"
    path.write_bytes(dat((1000, 1, 1, 1), (900, 1, 1, 1), (500_900, 1, 1, 0)))
    text = shown(capsys, path)
    assert "1 step back, the largest by 100 us" in text
    assert "1 over 0.1 s, together 0.5 s; the longest of 0.5 s at 0.000 s" in text


def test_the_date_is_told_where_time_counts_from_1970(capsys, tmp_path):
    path = tmp_path / "dated.csv"
    path.write_text("t,x,y,p\n1605537493718345,1,1,1\n1605537493718350,1,2,0\n")
    assert "2020-11-16 14:38:13 UTC" in shown(capsys, path)


def test_a_damaged_file_says_what_could_be_read_and_the_next_is_described(
    capsys, tmp_path, recording
):
    cut = tmp_path / "cut.dat"
    cut.write_bytes(recording.read_bytes()[:-8] + struct.pack("<II", 9, 0))
    text = tmp_path / "notes.raw"
    text.write_bytes(b"\x00\x01\x02")
    with pytest.raises(FailedFilesError, match="2 of 4") as error:
        info(InfoOptions(files=(cut, recording, text, recording)))
    out = capsys.readouterr().out
    assert str(cut) in str(error.value)
    assert "17,999" in out
    assert out.count("problem") == 2
    assert out.count("18,000, 8.0 bytes each") == 2


def test_a_missing_file_is_a_problem_like_any_other(capsys, tmp_path, recording):
    with pytest.raises(FailedFilesError, match=r"1 of 2 files failed:\n  .*missing\.dat"):
        info(InfoOptions(files=(tmp_path / "missing.dat", recording)))
    assert "18,000" in capsys.readouterr().out


def test_no_file_is_refused():
    with pytest.raises(ValueError, match="evdet info"):
        info(InfoOptions(files=()))


def test_the_picture_shows_events_and_circles_hot_pixels(capsys, tmp_path, recording):
    path = tmp_path / "out.png"
    shown(capsys, recording, png=path)
    picture = decode_png(path.read_bytes()).astype(int)
    assert picture.shape[0] > 400
    assert picture.shape[1] > 800
    # Green circles, and neither rate nor events are green.
    green = (picture[..., 1] > picture[..., 0] + 60) & (picture[..., 1] > picture[..., 2] + 20)
    assert green.sum() > 20


def test_several_pictures_bear_the_names_of_their_recordings(capsys, tmp_path, recording):
    other = tmp_path / "other.dat"
    other.write_bytes(dat(*MOVING))
    shown(capsys, recording, other, png=tmp_path / "out.png")
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [
        "out-drive_td.dat.png", "out-other.dat.png",
    ]  # fmt: skip


def test_the_folder_of_the_picture_must_exist(tmp_path, recording):
    with pytest.raises(ValueError, match="nowhere"):
        info(InfoOptions(files=(recording,), png=tmp_path / "nowhere" / "out.png"))


def rate_of(*counts):
    edges = np.arange(len(counts) + 1, dtype=np.int64) * 10
    return RateOverTime(edges, np.array([counts, [0] * len(counts)], np.int64))


def test_columns_are_as_high_as_their_rate():
    assert draw_rate(rate_of(8, 4, 0, 2), columns=4, rows=1) == ["█▄ ▂"]
    assert draw_rate(rate_of(16, 4, 12), columns=3, rows=2) == ["█ ▄", "█▄█"]


def test_a_single_event_is_seen_beside_many():
    assert draw_rate(rate_of(10_000, 1), columns=2, rows=1) == ["█▁"]


def test_without_events_nothing_is_drawn():
    assert draw_rate(rate_of(0, 0), columns=2) == []


def test_a_short_recording_has_fewer_columns_than_the_terminal():
    rate = RateOverTime(np.array([5, 7], np.int64), np.array([[1], [1]], np.int64))
    assert len(draw_rate(rate, columns=80, rows=1)[0]) <= 2


def test_the_topics_of_a_bag_are_listed_and_one_is_chosen(capsys, tmp_path):
    topics = {"/left/events": [array(EVENTS[:9])], "/right/events": [array(EVENTS)]}
    path = write_ros1(tmp_path / "drive.bag", topics)
    both = shown(capsys, path)
    assert "/left/events (1 of 2)" in both
    assert "/right/events (2 of 2)" in both
    reading = ReadingOptions(stream="/right/events")
    assert "/right/events, dvs_msgs/EventArray" in shown(capsys, path, reading=reading)


def test_a_bag_that_is_a_folder_is_described(capsys, tmp_path):
    folder = write_ros2(tmp_path / "drive", {"/events": [array(EVENTS)]})
    text = shown(capsys, folder)
    assert "format       ROS 2 bag, /events" in text
    assert "events       100," in text


class TwoStreams:
    """Stands for `open_recording` on a file of two streams, of which the second is damaged."""

    def __init__(self, path):
        self.path = path

    def __call__(self, path, *, size, options):
        if options.stream is None:
            raise StreamChoiceError(f"{path} has 2 streams", ("left", "right"))
        if options.stream == "right":
            raise RecordingError(f"{path} is damaged")
        return open_recording(path, size=size)


def test_every_stream_of_a_file_is_described(capsys, recording, monkeypatch):
    monkeypatch.setattr("evdet.cli.info.description.open_recording", TwoStreams(recording))
    with pytest.raises(RecordingError, match="is damaged"):
        shown(capsys, recording)
    text = capsys.readouterr().out
    assert "stream       left (1 of 2)" in text
    assert text.index("left (1 of 2)") < text.index("18,000") < text.index("right (2 of 2)")
    assert f"problem      {recording} is damaged" in text
    assert "--stream left or --stream right" in text


def test_a_chosen_stream_is_described_alone(capsys, recording, monkeypatch):
    monkeypatch.setattr("evdet.cli.info.description.open_recording", TwoStreams(recording))
    text = shown(capsys, recording, reading=ReadingOptions(stream="left"))
    assert "18,000" in text
    assert "--stream" not in text


def test_words_without_a_header_are_described_with_format_and_size(capsys, tmp_path):
    path = tmp_path / "payload.bin"
    words = np.array([0x8001, 0x6002, 3, *[0x2007, 0x2806] * 40, 0xA601, 0xA600], "<u2")
    path.write_bytes(words.tobytes())
    reading = ReadingOptions(format="evt3")
    text = shown(capsys, path, reading=reading, sensor_size="1280x720")
    assert "1280x720 (width x height), as asked" in text
    assert "events       80" in text
    assert "triggers     channel 6: 1 rising, 1 falling" in text
    with pytest.raises(RecordingError):
        shown(capsys, path)
    assert "--format evt3 --sensor-size WxH" in capsys.readouterr().out
