import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from evdet.events.dtypes import RecordingError, SensorSize
from evdet.frame_spec import FrameSpec
from evdet.sources.frame_layout import fit_pictures
from evdet.sources.images import picture_to_frame, read_image
from evdet.sources.opening import FrameStream, open_frames

SPEC = FrameSpec(preprocess="none", delta_t=1000, height=6, width=8, in_channels=3)
RED = (200, 0, 0)


def save(path, pixels, **options):
    Image.fromarray(np.asarray(pixels)).save(path, **options)
    return path


def plain(*color, height=6, width=8):
    return np.full((height, width, len(color)), color, np.uint8)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "walk"
    path.mkdir()
    for number in range(12):
        save(path / f"frame{number}.png", plain(number, 0, 0))
    (path / "times.txt").write_text("not an image")
    (path / ".frame99.png").write_text("nor this, which some systems leave behind")
    return path


def test_a_folder_plays_in_natural_order(folder):
    stream = open_frames(folder, SPEC)
    assert isinstance(stream, FrameStream)
    frames = list(stream)
    assert [frame.picture[0, 0, 0] for frame in frames] == list(range(12))
    assert [frame.t for frame in frames] == list(range(0, 12_000, 1000))
    assert (stream.name, stream.num_frames, stream.delta_t) == ("walk", 12, 1000)
    assert (stream.size, stream.frame_size) == (SensorSize(6, 8), SensorSize(6, 8))
    assert frames[0].events is None


@pytest.mark.parametrize(
    ("start", "duration", "expected"),
    [(1000, None, range(1, 12)), (1001, 3000, range(2, 5)), (0, 1, range(1)), (11_000, 99, [11])],
)
def test_a_part_is_played(folder, start, duration, expected):
    stream = open_frames(folder, SPEC, start=start, duration=duration)
    assert [frame.t // 1000 for frame in stream] == list(expected)
    assert stream.num_frames == len(expected)


def test_a_start_beyond_the_end_is_named(folder):
    with pytest.raises(ValueError, match=r"no images from 0\.012 s on: .* has 12 images"):
        open_frames(folder, SPEC, start=12_000)


def test_one_image_is_a_stream_of_one_frame(folder):
    stream = open_frames(folder / "frame3.png", SPEC)
    assert (stream.name, len(list(stream))) == ("frame3", 1)


def test_frames_have_values_from_0_to_1_as_moving_mnist(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    frame = next(iter(open_frames(save(tmp_path / "a.png", pixels), SPEC)))
    assert frame.frame.dtype == np.float32
    np.testing.assert_array_equal(frame.frame, pixels.transpose(2, 0, 1) / np.float32(255))
    np.testing.assert_array_equal(frame.picture, pixels)


def test_large_pictures_are_averaged(tmp_path):
    pixels = plain(0, 0, 0, height=12, width=16)
    pixels[::2, ::2] = 255
    frame = next(iter(open_frames(save(tmp_path / "a.png", pixels), SPEC)))
    np.testing.assert_allclose(frame.frame, 0.25, atol=0.003)
    assert frame.picture.shape == (12, 16, 3)


def test_pictures_of_other_proportions_are_not_distorted(tmp_path, caplog):
    path = save(tmp_path / "a.png", plain(255, 255, 255, height=12, width=8))
    stream = open_frames(path, SPEC)
    frame = next(iter(stream)).frame
    assert stream.frame_size == SensorSize(6, 4)
    assert frame.shape == (3, 6, 8)
    assert (frame[:, :, :4] == 1).all()
    assert (frame[:, :, 4:] == 0).all()
    assert "stays black" in caplog.text


def test_a_detector_of_grey_frames_gets_grey(tmp_path):
    path = save(tmp_path / "a.png", plain(*RED))
    frame = next(iter(open_frames(path, dataclasses.replace(SPEC, in_channels=1))))
    assert frame.frame.shape == (1, 6, 8)
    np.testing.assert_allclose(frame.frame, 200 * 0.299 / 255, atol=0.003)
    assert frame.picture.shape == (6, 8, 3)


def test_grey_sixteen_bit_and_transparent_images_become_red_green_blue(tmp_path):
    grey = save(tmp_path / "grey.png", np.full((2, 3), 77, np.uint8))
    deep = save(tmp_path / "deep.png", np.full((2, 3), 77 * 256, np.uint16))
    clear = save(tmp_path / "clear.png", plain(*RED, 128, height=2, width=3))
    assert (read_image(grey) == 77).all()
    assert (read_image(deep) == 77).all()
    np.testing.assert_array_equal(read_image(clear)[0, 0], [100, 0, 0])
    for path in (grey, deep, clear):
        assert read_image(path).shape == (2, 3, 3)


@pytest.mark.parametrize("suffix", ["jpg", "bmp", "webp", "tiff", "ppm"])
def test_the_common_formats_are_read(tmp_path, suffix):
    picture = read_image(save(tmp_path / f"a.{suffix}", plain(*RED, height=16, width=16)))
    np.testing.assert_allclose(picture[8, 8], RED, atol=6)


def test_a_photograph_is_turned_upright(tmp_path):
    pixels = plain(0, 0, 0, height=16, width=32)
    pixels[:, :16] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held so that the left of the sensor was up
    picture = read_image(save(tmp_path / "a.jpg", pixels, exif=exif, quality=95))
    assert picture.shape == (32, 16, 3)
    assert picture[:12].mean() > 250
    assert picture[20:].mean() < 5


@pytest.mark.parametrize("content", [b"", b"no image", "cut"])
def test_an_image_that_cannot_be_decoded_is_named_after_those_before(folder, content, capfd):
    bad = folder / "frame7.png"
    bad.write_bytes(bad.read_bytes()[:-20] if content == "cut" else content)
    frames: list = []
    with pytest.raises(RecordingError, match=r"cannot decode .*frame7\.png"):
        frames.extend(open_frames(folder, SPEC))
    assert len(frames) == 7
    assert capfd.readouterr().err == ""  # the error says it all


def test_an_image_of_another_size_is_named(folder):
    save(folder / "frame5.png", plain(0, 0, 0, height=9))
    with pytest.raises(RecordingError, match=r"frame5\.png: image 6 of 12 is 8x9 .*before are 8x6"):
        list(open_frames(folder, SPEC))


def test_an_image_that_is_gone_is_named(folder):
    played = iter(open_frames(folder, SPEC))
    next(played)
    (folder / "frame1.png").unlink()
    with pytest.raises(RecordingError, match=r"frame1\.png: No such file"):
        next(played)


def test_picture_to_frame_leaves_the_picture_as_it_was():
    picture = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    before = picture.copy()
    picture_to_frame(picture, fit_pictures("a", SensorSize(9, 7), SensorSize(6, 8)), 3)
    np.testing.assert_array_equal(picture, before)


def test_palettes_are_resolved(tmp_path):
    file = io.BytesIO()
    Image.fromarray(plain(*RED)).convert("P").save(file, "PNG")
    (tmp_path / "a.png").write_bytes(file.getvalue())
    np.testing.assert_allclose(read_image(tmp_path / "a.png")[0, 0], RED, atol=4)
