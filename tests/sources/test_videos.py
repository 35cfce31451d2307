import dataclasses
import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from evdet.events.dtypes import RecordingError, SensorSize
from evdet.frame_spec import FrameSpec
from evdet.sources import videos
from evdet.sources.opening import FrameStream, open_frames

SPEC = FrameSpec(preprocess="none", delta_t=40000, height=32, width=48, in_channels=3)


def write(path, times, *, height=32, width=48, codec="libx264", options=None, container=None):
    """Frames whose red says their number, at times in milliseconds."""
    with av.open(str(path), "w", options=container or {}) as file:
        track = file.add_stream(codec, rate=25)
        track.height, track.width = height, width
        track.pix_fmt = "yuv420p"
        track.time_base = track.codec_context.time_base = Fraction(1, 1000)
        track.options = options or {"crf": "10", "g": "5"}
        for number, time in enumerate(times):
            pixels = np.zeros((height, width, 3), np.uint8)
            pixels[..., 0] = 10 * number
            pixels[: height // 2, : width // 2, 1] = 250
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            picture.pts, picture.time_base = time, Fraction(1, 1000)
            file.mux(track.encode(picture))
        file.mux(track.encode())
    return path


def numbers(frames):
    return [round(float(np.median(frame.picture[16:, :, 0])) / 10) for frame in frames]


def test_a_video_plays_at_its_own_times(tmp_path):
    times = [0, 40, 80, 95, 100, 300, 340]  # as a telephone films in the dark
    stream = open_frames(write(tmp_path / "walk.mp4", times), SPEC)
    assert isinstance(stream, FrameStream)
    frames = list(stream)
    assert [frame.t for frame in frames] == [1000 * time for time in times]
    assert [frame.delta_t for frame in frames[1:]] == (1000 * np.diff(times)).tolist()
    assert numbers(frames) == list(range(7))
    assert (stream.name, stream.size) == ("walk", SensorSize(32, 48))
    assert stream.num_frames == 7
    assert [frame.t for frame in stream] == [frame.t for frame in frames]  # plays anew


def test_frames_are_rgb_from_0_to_1(tmp_path):
    stream = open_frames(write(tmp_path / "a.mp4", [0, 40]), SPEC)
    frame = list(stream)[1]
    assert frame.frame.shape == (3, 32, 48)
    assert frame.frame.dtype == np.float32
    np.testing.assert_array_equal(frame.frame, frame.picture.transpose(2, 0, 1) / np.float32(255))
    assert frame.frame[1, 4, 4] > 0.9
    assert frame.frame[1, 28, 44] < 0.1
    assert frame.events is None


@pytest.mark.parametrize("name", ["a.avi", "a.mkv", "a.mov", "a.webm"])
def test_the_common_files_are_read(tmp_path, name):
    codec = {"a.avi": "mpeg4", "a.webm": "libvpx-vp9"}.get(name, "libx264")
    times = list(range(0, 480, 40))
    options = {"b": "2000000"} if name == "a.avi" else None
    frames = list(open_frames(write(tmp_path / name, times, codec=codec, options=options), SPEC))
    assert [round(frame.t / 1000) for frame in frames] == times
    assert numbers(frames) == list(range(12))


@pytest.mark.parametrize(
    ("start", "duration"), [(1, None), (40, None), (219, 100), (220, 41), (0, 81), (800, 400)]
)
def test_a_part_is_played_wherever_it_begins(tmp_path, start, duration):
    times = list(range(0, 1000, 40))
    path = write(tmp_path / "a.mp4", times, options={"bf": "2", "g": "10"})
    end = 10_000 if duration is None else start + duration
    expected = [time for time in times if start <= time < end]
    stream = open_frames(path, SPEC, start=1000 * start, duration=duration and 1000 * duration)
    frames = list(stream)
    assert [frame.t // 1000 for frame in frames] == expected
    assert numbers(frames) == [time // 40 for time in expected]
    assert abs(stream.num_frames - len(frames)) <= 1


def test_times_count_from_the_first_frame(tmp_path):
    path = write(tmp_path / "a.mkv", [5000, 5040, 5080])
    assert [frame.t for frame in open_frames(path, SPEC)] == [0, 40_000, 80_000]
    frames = open_frames(path, SPEC, start=40_000)
    assert [frame.t for frame in frames] == [40_000, 80_000]


def test_a_start_beyond_the_end_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no frames from 5 s on: .* has 0\.0?[48]* s"):
        open_frames(write(tmp_path / "a.mp4", [0, 40]), SPEC, start=5_000_000)


def test_a_large_video_is_scaled_and_its_picture_is_not(tmp_path, caplog):
    stream = open_frames(write(tmp_path / "a.mp4", [0], height=64, width=64), SPEC)
    frame = next(iter(stream))
    assert (stream.size, stream.frame_size) == (SensorSize(64, 64), SensorSize(32, 32))
    assert frame.frame.shape == (3, 32, 48)
    assert not frame.frame[:, :, 32:].any()
    assert frame.picture.shape == (64, 64, 3)
    assert "a.mp4 is 64x64 (width x height)" in caplog.text


def test_a_film_of_a_camera_held_upright_is_turned(tmp_path):
    path = write(tmp_path / "a.mp4", [0, 40])
    content = path.read_bytes()
    straight = bytes.fromhex(
        "00010000 00000000 00000000 00000000 00010000 00000000".replace(" ", "")
    )
    # As telephones write it: to be turned clockwise by 90 degrees.
    turned = np.array([0, 65536, 0, -65536, 0, 0], ">i4").tobytes()
    track = content.index(b"tkhd")
    place = content.index(straight, track)
    path.write_bytes(content[:place] + turned + content[place + len(turned) :])
    stream = open_frames(path, dataclasses.replace(SPEC, height=48, width=32))
    picture = next(iter(stream)).picture
    assert stream.size == SensorSize(48, 32)
    # The bright corner, top left on the sensor, is top right now.
    assert picture[:20, 20:, 1].mean() > 200
    assert picture[:20, :12, 1].mean() < 50


def test_a_video_that_breaks_off_says_where_after_its_last_frame(tmp_path):
    times = list(range(0, 1000, 40))
    path = write(tmp_path / "a.mp4", times, container={"movflags": "faststart"})
    content = path.read_bytes()
    path.write_bytes(
        content[: content.index(b"mdat") + (len(content) - content.index(b"mdat")) // 2]
    )
    frames: list = []
    with pytest.raises(RecordingError, match=r"a\.mp4: the frame after 0\.\d+ s cannot be decoded"):
        frames.extend(open_frames(path, SPEC))
    assert 3 < len(frames) < 22
    assert numbers(frames) == list(range(len(frames)))


def test_a_damaged_video_says_where_after_its_last_sound_frame(tmp_path):
    times = list(range(0, 1000, 40))
    path = write(tmp_path / "a.mp4", times, options={"g": "1", "crf": "20"})
    content = bytearray(path.read_bytes())
    begin = content.index(b"mdat")
    middle = (begin + content.index(b"moov")) // 2
    content[middle : middle + 60] = bytes(60)
    path.write_bytes(content)
    frames: list = []
    with pytest.raises(RecordingError, match=r"a\.mp4: the frame after 0\.\d+ s cannot be decoded"):
        frames.extend(open_frames(path, SPEC))
    assert numbers(frames) == list(range(len(frames)))
    assert len(frames) >= 8


@pytest.mark.parametrize("content", [b"", b"not a video at all", "cut"])
def test_what_is_no_video_is_named(tmp_path, content):
    path = write(tmp_path / "a.mp4", [0, 40])
    path.write_bytes(path.read_bytes()[:100] if content == "cut" else content)
    with pytest.raises(RecordingError, match=r"a\.mp4 as a video: invalid data"):
        open_frames(path, SPEC)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RecordingError, match=r"a\.mp4 as a video: no such file"):
        open_frames(tmp_path / "a.mp4", SPEC)


def test_a_film_without_pictures_is_named(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as file:
        track = file.add_stream("aac", rate=8000)
        track.layout = "mono"
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        sound.rate = 8000
        file.mux(track.encode(sound))
        file.mux(track.encode())
    with pytest.raises(RecordingError, match="has no video stream"):
        open_frames(path, SPEC)


def test_a_real_video_plays_whole(event_data):
    stream = open_frames(event_data / "video" / "carphone_pristine.mp4", SPEC)
    frames = list(stream)
    assert len(frames) == stream.num_frames == 120
    assert frames[1].delta_t in (33366, 33367)


def test_pictures_larger_than_the_header_says_are_refused_before_they_are_made(tmp_path):
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as file:
        track = file.add_stream("png", rate=25)
        track.height, track.width, track.pix_fmt = 32, 48, "rgb24"
        pixels = np.zeros((32, 48, 3), np.uint8)
        file.mux(track.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(track.encode())
    assert len(list(open_frames(path, SPEC))) == 1
    content = path.read_bytes()
    size = b"IHDR" + struct.pack(">II", 48, 32)
    assert size in content
    for width, height in ((60_000, 60_000), (16_000, 16_000), (8_500, 8_500)):
        path.write_bytes(content.replace(size, b"IHDR" + struct.pack(">II", width, height)))
        with pytest.raises(RecordingError, match=r"a\.avi: its first frame cannot be decoded"):
            open_frames(path, SPEC)


def test_a_header_with_large_pictures_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "a.mp4", [0, 40])
    monkeypatch.setattr(videos, "_MAX_PIXELS", 32 * 48 - 1)
    with pytest.raises(RecordingError, match=r"pictures are 48x32 \(width x height\), more than"):
        open_frames(path, SPEC)
