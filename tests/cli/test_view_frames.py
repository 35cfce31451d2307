"""`evdet view --frames`: pictures for annotation tools, and the way back."""

import json

import av
import numpy as np
import pytest

from evdet.boxes import BOX_DTYPE
from evdet.cli.view import ViewOptions, view
from evdet.draw import decode_png
from evdet.events import RecordingError, events_to_picture, open_recording
from evdet.labels import read_boxes

# In the middle of a bin, and too large for floats of 32 bits.
START = 1_600_000_000_130_000
PERIOD = 50_000
NUM_BINS = 10
SIZE = (48, 64)
LABEL_MAP = {0: "car"}


def make_recording(path, size=SIZE):
    """Event k, 20 ms after the one before, is at the pixel k."""
    num_events = (NUM_BINS * PERIOD - START % PERIOD) // 20_000
    events = np.zeros(num_events, [("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
    events["t"] = START + 20_000 * np.arange(num_events)
    events["x"] = np.arange(num_events) % size[1]
    events["y"][0], events["x"][-1], events["y"][-1] = 0, size[1] - 1, size[0] - 1
    np.save(path, events)
    return path


@pytest.fixture
def recording(tmp_path):
    (tmp_path / "label_map_dictionary.json").write_text(json.dumps({"0": "car"}))
    return make_recording(tmp_path / "drive.npy")


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_picture_k_shows_the_kth_time_bin_in_the_sensors_pixels(tmp_path, capsys, recording):
    folder = tmp_path / "frames"
    view(ViewOptions(recordings=(recording,), frames=folder))
    assert names_in(folder) == [f"frame_{k:06d}.png" for k in range(NUM_BINS)]
    opened = open_recording(recording)
    for k, time_bin in enumerate(opened.slices(PERIOD)):
        picture = decode_png((folder / f"frame_{k:06d}.png").read_bytes())
        np.testing.assert_array_equal(picture, events_to_picture(time_bin.events, opened.size))
    out = capsys.readouterr().out
    assert "frame_000000.png to frame_000009.png, 64x48 pixels" in out
    assert "a frame lasts 50000 us: read the labels back with --frame-period 50000" in out


def test_pictures_of_a_part_keep_the_numbers_of_the_recording(tmp_path, capsys, recording):
    folder = tmp_path / "frames"
    view(ViewOptions(recordings=(recording,), frames=folder, start=0.2, duration=0.1))
    # From 330 ms to 430 ms, in bins that start at 100 ms.
    assert names_in(folder) == [f"frame_{k:06d}.png" for k in (4, 5, 6)]
    assert "the first picture is frame 4: export a format that names" in capsys.readouterr().out


def label_of(recording, path):
    return read_boxes(path, LABEL_MAP, recording=recording, frame_period=PERIOD)


@pytest.mark.parametrize("start", [0.0, 0.2])
@pytest.mark.parametrize("tool", ["cvat images", "yolo", "datumaro", "label studio"])
def test_labels_of_the_pictures_come_back_to_the_microsecond(tmp_path, recording, tool, start):
    """The box is drawn on one picture; its time is the end of the bin that the picture shows."""
    folder = tmp_path / "frames"
    view(ViewOptions(recordings=(recording,), frames=folder, start=start))
    picture = sorted(folder.iterdir())[2]
    opened = open_recording(recording)
    bins = list(opened.slices(PERIOD))
    shown = next(
        b
        for b in bins
        if np.array_equal(
            events_to_picture(b.events, opened.size), decode_png(picture.read_bytes())
        )
    )
    path = tmp_path / f"export.{ {'cvat images': 'xml'}.get(tool, 'json') }"
    size = {"width": 64, "height": 48}
    if tool == "cvat images":
        path.write_text(
            f'<annotations><image id="2" name="{picture.name}" width="64" height="48">'
            '<box label="car" occluded="0" xtl="1.00" ytl="2.00" xbr="4.00" ybr="6.00"/>'
            "</image></annotations>"
        )
    elif tool == "yolo":
        path = tmp_path / "labels"
        path.mkdir()
        (path / f"{picture.stem}.txt").write_text(f"0 {2.5 / 64} {4 / 48} {3 / 64} {4 / 48}\n")
    elif tool == "datumaro":
        box = {"type": "bbox", "label_id": 0, "bbox": [1, 2, 3, 4], "attributes": {}}
        item = {"id": picture.stem, "attr": {"frame": 2}, "annotations": [box]}
        label = {"labels": [{"name": "car"}]}
        path.write_text(json.dumps({"categories": {"label": label}, "items": [item]}))
    else:
        value = {"x": 100 / 64, "y": 200 / 48, "width": 300 / 64, "height": 400 / 48}
        value |= {"rotation": 0, "rectanglelabels": ["car"]}
        result = {"type": "rectanglelabels", "value": value} | {
            f"original_{name}": side for name, side in size.items()
        }
        data = {"image": f"/data/upload/1/0a1b2c3d-{picture.name}"}
        path.write_text(json.dumps([{"data": data, "annotations": [{"result": [result]}]}]))
    (box,) = label_of(opened, path).boxes
    assert int(box["t"]) == shown.start + PERIOD
    np.testing.assert_allclose([float(box[n]) for n in "xywh"], [1, 2, 3, 4], atol=1e-4)


def test_the_video_has_the_same_frames_and_a_label_on_it_comes_back(tmp_path, capsys, recording):
    clip = tmp_path / "clip.mp4"
    view(ViewOptions(recordings=(recording,), frames=tmp_path / "frames", output=clip))
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == 20
        assert (stream.height, stream.width) == SIZE
        assert sum(1 for _ in container.decode(video=0)) == NUM_BINS
    assert f"video: {clip}, 10 frames" in capsys.readouterr().out
    track = (
        '<annotations><track id="0" label="car">'
        '<box frame="3" outside="0" keyframe="1" xtl="1" ytl="2" xbr="4" ybr="6"/>'
        '<box frame="4" outside="1" keyframe="1" xtl="1" ytl="2" xbr="4" ybr="6"/>'
        "</track></annotations>"
    )
    (tmp_path / "export.xml").write_text(track)
    opened = open_recording(recording)
    (box,) = label_of(opened, tmp_path / "export.xml").boxes
    assert int(box["t"]) == (START // PERIOD + 4) * PERIOD


@pytest.mark.parametrize("ending", ["xml", "json"])
def test_prelabels_come_from_any_label_file(tmp_path, capsys, recording, ending):
    boxes = np.zeros(2, BOX_DTYPE)
    boxes["t"] = (START // PERIOD + np.array([2, 3])) * PERIOD
    boxes["w"] = boxes["h"] = 10
    np.save(tmp_path / "found.npy", boxes)
    target = tmp_path / f"prelabels.{ending}"
    view(
        ViewOptions(
            recordings=(recording,),
            frames=tmp_path / "frames",
            boxes=tmp_path / "found.npy",
            prelabels=target,
        )
    )
    assert f"pre-labels: {target}, 2 of 2 boxes of" in capsys.readouterr().out
    if ending == "xml":
        opened = open_recording(recording)
        assert label_of(opened, target).boxes["t"].tolist() == boxes["t"].tolist()
    else:
        (task,) = json.loads(target.read_text())
        assert task["data"] == {"video": "/data/local-files/?d=video.mp4"}
        assert task["predictions"][0]["result"][0]["value"]["sequence"][0]["frame"] == 2


def test_pictures_are_replaced_only_when_asked(tmp_path, recording):
    folder = tmp_path / "frames"
    view(ViewOptions(recordings=(recording,), frames=folder))
    with pytest.raises(ValueError, match=r"it has 10 already, such as frame_000000.*--force"):
        view(ViewOptions(recordings=(recording,), frames=folder))
    view(ViewOptions(recordings=(recording,), frames=folder, force=True))
    with pytest.raises(ValueError, match=r"pictures of other frames, such as frame_000005"):
        view(ViewOptions(recordings=(recording,), frames=folder, delta_t=100_000, force=True))


def test_a_damaged_recording_gives_the_pictures_before_the_damage(tmp_path):
    times = [*range(100_000, 400_000, 10_000), 10**11]
    path = tmp_path / "drive.csv"
    path.write_text("t,x,y,p\n" + "".join(f"{t},1,2,1\n" for t in times))
    folder = tmp_path / "frames"
    with pytest.raises(RecordingError, match="The pictures show the time bins before the damage"):
        view(ViewOptions(recordings=(path,), frames=folder, duration=0.9))
    assert names_in(folder)[0] == "frame_000000.png"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": 2}, "leave out --scale"),
        ({"speed": 0.5}, "leave out --speed"),
        ({"boxes": "a.npy"}, "leave out --boxes or give --prelabels FILE"),
        ({"output": "clip.png"}, r"with --frames the ending must be \.mp4"),
        ({"prelabels": "a.txt"}, r"the ending must be \.xml or \.json"),
        ({"output": "drive.mp4", "start": 0.2}, "begins with frame 4.*evdet convert .*--start 0.2"),
        ({"prelabels": "a.xml", "start": 0.2}, "would be placed 4 frames early"),
        ({"output": "drive.mp4", "delta_t": 1000}, "1000 frames/s, at most 240"),
        ({"prelabels": "a.xml"}, "no labels next to .*give --boxes FILE"),
        ({"output": "no/clip.mp4"}, "folder .*no does not exist"),
        ({"frames": "no/frames"}, "no does not exist"),
        ({"frames": "drive.npy"}, "it is not a folder"),
        ({"frames": None}, "nothing to write: give --output FILE or --frames DIR"),
        ({"frames": None, "output": "a.png", "force": True}, "--force belongs to --frames"),
        ({"frames": None, "output": "a.png", "prelabels": "b.xml"}, "--prelabels belongs to"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is(
    tmp_path, recording, changes, message
):
    paths = {"frames": "frames"} | changes
    for name in ("frames", "output", "prelabels", "boxes"):
        if paths.get(name) is not None:
            paths[name] = tmp_path / paths[name]
    with pytest.raises(ValueError, match=message):
        view(ViewOptions(recordings=(recording,), **paths))
    assert not (tmp_path / "frames").exists()


def test_a_video_of_odd_sides_is_refused(tmp_path):
    path = make_recording(tmp_path / "odd.npy", size=(47, 64))
    with pytest.raises(ValueError, match=r"the sides of a video are even.*64x47"):
        view(ViewOptions(recordings=(path,), frames=tmp_path / "frames", output=tmp_path / "a.mp4"))


def test_prelabels_say_which_boxes_are_left_out(tmp_path, capsys, recording):
    rows = f"{START + PERIOD},1,2,3,4,car,0\n{START + PERIOD},1,2,3,4,car,1\n"
    (tmp_path / "boxes.csv").write_text(f"t,x,y,w,h,class,iscrowd\n{rows}")
    options = {"boxes": tmp_path / "boxes.csv", "prelabels": tmp_path / "pre.xml"}
    view(ViewOptions(recordings=(recording,), frames=tmp_path / "frames", **options))
    assert "  1 crowd region is not counted, and left out\n" in capsys.readouterr().out
