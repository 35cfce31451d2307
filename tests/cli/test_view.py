import json
import struct
import sys

import av
import numpy as np
import pytest

from evdet.boxes import BOX_DTYPE
from evdet.cli.view import ViewOptions, view
from evdet.draw import VideoUnavailableError, decode_png
from evdet.events import RecordingError

HEADER = b"% Data file containing CD events.\n% Version 2\n% Width 64\n% Height 48\n\x0c\x08"
DELTA_T = 50_000
FIRST = 1_030_000  # in the middle of bin 20
NUM_BINS = 12


@pytest.fixture
def recording(tmp_path):
    """An event every millisecond, in bins 20 to 31."""
    path = tmp_path / "drive_td.dat"
    times = range(FIRST, (20 + NUM_BINS) * DELTA_T, 1000)
    events = ((t, 60, 3 + t // 1000 % 5, t // 1000 % 2) for t in times)
    records = (struct.pack("<II", t, x | y << 14 | p << 28) for t, x, y, p in events)
    path.write_bytes(HEADER + b"".join(records))
    return path


def line_of(picture, scale):
    """The colour of the box's left edge, halfway down."""
    return picture[16 * scale, 10 * scale].astype(int)


def frames_of(path):
    with av.open(str(path)) as container:
        return container.streams.video[0].average_rate, [
            frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)
        ]


def test_boxes_and_names_are_found_beside_the_recording(capsys, tmp_path, recording):
    boxes = np.array([(22 * DELTA_T, 10, 8, 20, 16, 0, 1, 1.0)], BOX_DTYPE)
    np.save(tmp_path / "drive_bbox.npy", boxes)
    (tmp_path / "label_map_dictionary.json").write_text(json.dumps({"0": "car"}))
    target = tmp_path / "out.png"
    view(ViewOptions(recordings=(recording,), output=target, scale=3))
    assert "drive_bbox.npy, 1" in capsys.readouterr().out
    picture = decode_png(target.read_bytes())
    assert picture.shape == (48 * 3, 64 * 3, 3)
    assert line_of(picture, 3).max() > 200


def test_a_video_plays_in_real_time_unless_asked(tmp_path, recording):
    target = tmp_path / "out.mp4"
    view(ViewOptions(recordings=(recording,), output=target))
    rate, frames = frames_of(target)
    assert rate == 20
    assert len(frames) == NUM_BINS
    assert frames[0].shape == (480, 640, 3)

    view(ViewOptions(recordings=(recording,), output=target, speed=0.5, duration=0.1, scale=1))
    rate, frames = frames_of(target)
    assert rate == 10
    assert len(frames) == 3


def test_labels_that_cannot_be_read_do_not_hide_the_events(capsys, tmp_path, recording):
    (tmp_path / "drive.txt").write_text("this is no label file\n")
    view(ViewOptions(recordings=(recording,), output=tmp_path / "out.png", pictures=1))
    assert "drive.txt" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"drive\.txt"):
        view(
            ViewOptions(
                recordings=(recording,), output=tmp_path / "out.png", boxes=tmp_path / "drive.txt"
            )
        )


def test_a_video_of_a_damaged_recording_ends_at_the_damage(tmp_path, recording):
    recording.write_bytes(recording.read_bytes()[:-4] + b"\xff\xff\xff\x0f")
    target = tmp_path / "out.mp4"
    with pytest.raises(RecordingError, match=r"drive_td\.dat"):
        view(ViewOptions(recordings=(recording,), output=target))
    assert len(frames_of(target)[1]) == NUM_BINS


def test_without_pyav_pictures_are_made_and_videos_refused(tmp_path, monkeypatch, recording):
    monkeypatch.setitem(sys.modules, "av", None)
    view(ViewOptions(recordings=(recording,), output=tmp_path / "out.png"))
    assert (tmp_path / "out.png").exists()
    with pytest.raises(VideoUnavailableError, match="PyAV"):
        view(ViewOptions(recordings=(recording,), output=tmp_path / "out.mp4"))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"output": "out.gif"}, "'.gif'"),
        ({"delta_t": 0}, "--delta-t"),
        ({"speed": 0.0}, "--speed"),
        ({"duration": -1.0}, "--duration"),
        ({"pictures": 0}, "--pictures"),
        ({"scale": -1}, "--scale"),
        ({"start": -0.1}, "--start"),
        ({"delta_t": 1000}, "--speed"),
        ({"output": "nowhere/out.png"}, "nowhere"),
    ],
)
def test_what_cannot_be_shown_is_refused(tmp_path, recording, changes, name):
    output = tmp_path / changes.pop("output", "out.mp4")
    with pytest.raises(ValueError, match=name):
        view(ViewOptions(recordings=(recording,), output=output, **changes))


@pytest.mark.parametrize("kind", ["txt", "xml"])
def test_real_people_stand_in_their_boxes(event_data, tmp_path, kind):
    source = event_data / "labelled" / "pedro" / "train" / "frame0013230.npy"
    names = tmp_path / "names.json"
    names.write_text('{"0": "person"}')
    target = tmp_path / "out.png"
    view(
        ViewOptions(
            recordings=(source,),
            output=target,
            boxes=source.with_suffix(f".{kind}"),
            label_map=names,
        )
    )
    picture = decode_png(target.read_bytes()).astype(int)
    assert picture.shape == (520, 692, 3)
    color = np.array([77, 157, 255])
    # Two boxes in the colour of the first class.
    assert (abs(picture - color).max(axis=2) < 3).sum() > 2000
