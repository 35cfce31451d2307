"""Images of 10, 12 and 14 bits in files of 16 are as bright as they were taken, all of a source."""

import io
import logging
import struct
import zlib

import av
import cv2
import numpy as np
import pytest

from evdet.events.dtypes import RecordingError
from evdet.frame_spec import FrameSpec
from evdet.sources.bit_depth import to_bytes, white_of_depth
from evdet.sources.images import read_image
from evdet.sources.opening import open_frames

SPEC = FrameSpec(preprocess="none", delta_t=1000, height=6, width=8, in_channels=3)


def ramp(highest):
    """Grey values from 0 to the highest, in an image of 8x6."""
    return np.linspace(0, highest, 48).round().astype(np.uint16).reshape(6, 8)


def write_png(path, values, *, significant=None):
    """A 16-bit PNG, with the chunk sBIT where its bits are given."""
    data = cv2.imencode(".png", values)[1].tobytes()
    if significant is not None:
        body = b"sBIT" + bytes([significant])
        chunk = struct.pack(">I", 1) + body + struct.pack(">I", zlib.crc32(body))
        data = data[:33] + chunk + data[33:]
    path.write_bytes(data)
    return path


def write_tiff(path, values, *, bits=16, data=None, extra=(), order="<"):
    data = values.astype(f"{order}u2").tobytes() if data is None else data
    height, width = values.shape
    entries = [
        (256, 3, width), (257, 3, height), (258, 3, bits), (259, 3, 1), (262, 3, 1), (273, 4, 0),
        (277, 3, 1), (278, 3, height), (279, 4, len(data)),
    ]  # fmt: skip
    entries += [(tag, 3, value) for tag, value in extra]
    entries.sort()
    begin = 8 + 2 + 12 * len(entries) + 4
    file = io.BytesIO()
    file.write(b"II*\0" if order == "<" else b"MM\0*")
    file.write(struct.pack(f"{order}IH", 8, len(entries)))
    for tag, kind, value in entries:
        value = begin if tag == 273 else value
        packed = (
            struct.pack(f"{order}HH", value, 0) if kind == 3 else struct.pack(f"{order}I", value)
        )
        file.write(struct.pack(f"{order}HHI", tag, kind, 1) + packed)
    file.write(struct.pack(f"{order}I", 0) + data)
    path.write_bytes(file.getvalue())
    return path


def write_pgm(path, values, white, *, comment=b""):
    pixels = values.astype(">u2" if white > 255 else "u1").tobytes()
    height, width = values.shape
    path.write_bytes(b"P5\n%b%d %d\n%d\n" % (comment, width, height, white) + pixels)
    return path


def brightest(path, **options):
    return [int(frame.picture.max()) for frame in open_frames(path, SPEC, **options)]


@pytest.mark.parametrize("white", [255, 1000, 1023, 4095, 16383, 65535])
def test_black_stays_black_and_white_becomes_white(white):
    values = np.array([[[0]], [[white]], [[65535]]], np.uint16)
    assert to_bytes(values, white).ravel().tolist() == [0, 255, 255]


def test_bytes_of_an_ordinary_image_stay():
    values = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    assert to_bytes(values, 255) is values


@pytest.mark.parametrize("depth", [7, 17])
def test_a_depth_that_no_file_has_is_refused(depth):
    with pytest.raises(ValueError, match=f"from 8 to 16, got {depth}"):
        white_of_depth(depth)


@pytest.mark.parametrize(("highest", "depth"), [(900, 10), (4095, 12), (4000, 12), (16000, 14)])
def test_a_png_of_fewer_bits_is_scaled_with_a_warning(tmp_path, caplog, highest, depth):
    path = write_png(tmp_path / "a.png", ramp(highest))
    assert brightest(path) == [highest * 256 >> depth]
    (line,) = [record.getMessage() for record in caplog.records if "bits" in record.getMessage()]
    assert f"values up to {highest}, so they are taken for {depth} bits" in line
    assert "--bit-depth" in line


@pytest.mark.parametrize("highest", [0, 65535, 40_000])
def test_an_image_that_needs_all_bits_or_is_black_says_nothing(tmp_path, caplog, highest):
    assert brightest(write_png(tmp_path / "a.png", ramp(highest))) == [highest >> 8]
    assert "bits" not in caplog.text


def test_the_whole_folder_has_one_depth(tmp_path, caplog):
    for number, highest in enumerate([500, 300, 4000, 100, 50]):
        write_png(tmp_path / f"{number}.png", ramp(highest))
    expected = [highest >> 4 for highest in (500, 300, 4000, 100, 50)]
    assert brightest(tmp_path) == expected
    # An interval without the bright image is as dark.
    assert brightest(tmp_path, start=3000) == expected[3:]
    assert brightest(tmp_path, duration=2000) == expected[:2]
    assert len([line for line in caplog.messages if "taken for 12 bits" in line]) == 3


def test_a_brighter_image_than_those_that_were_judged_is_clipped_with_a_warning(tmp_path, caplog):
    for number in range(100):
        write_png(tmp_path / f"{number}.png", ramp(60_000 if number in (50, 51) else 900))
    assert brightest(tmp_path) == [255 if number in (50, 51) else 225 for number in range(100)]
    assert len([line for line in caplog.messages if "brighter values become white" in line]) == 1


def test_a_stated_depth_stands_above_the_values(tmp_path, caplog):
    path = write_png(tmp_path / "a.png", ramp(900))
    with caplog.at_level(logging.WARNING):
        assert brightest(path, bit_depth=12) == [900 >> 4]
        assert brightest(path, bit_depth=16) == [900 >> 8]
    assert "bits" not in caplog.text


def test_a_depth_for_what_is_no_image_of_16_bits_is_refused(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(cv2.imencode(".png", ramp(200).astype(np.uint8))[1].tobytes())
    with pytest.raises(ValueError, match="has 8 bits, not 12: omit --bit-depth"):
        open_frames(path, SPEC, bit_depth=12)
    for name in ("a.mp4", "a_td.dat"):
        with pytest.raises(ValueError, match="is for images"):
            open_frames(tmp_path / name, SPEC, bit_depth=12)


@pytest.mark.parametrize("white", [15, 100, 255, 1000, 1023, 4095, 65535])
@pytest.mark.parametrize("comment", [b"", b"# made by 3 people\n"])
def test_a_pgm_states_its_white(tmp_path, caplog, white, comment):
    path = write_pgm(tmp_path / "a.pgm", ramp(white), white, comment=comment)
    assert brightest(path) == [255]
    assert "bits" not in caplog.text


def test_a_pgm_that_states_all_16_bits_is_judged_as_libraries_write_it(tmp_path, caplog):
    # OpenCV and Pillow state 65535 for the 12 bits of a camera, too.
    assert brightest(write_pgm(tmp_path / "a.pgm", ramp(4000), 65535)) == [250]
    assert "taken for 12 bits" in caplog.text


def test_a_dark_pgm_stays_dark(tmp_path, caplog):
    assert brightest(write_pgm(tmp_path / "a.pgm", ramp(900), 4095)) == [56]
    assert "bits" not in caplog.text


def test_files_that_state_different_whites_share_the_highest(tmp_path, caplog):
    for number, white in enumerate([1000, 4095, 2000]):
        write_pgm(tmp_path / f"{number}.pgm", ramp(white), white)
    assert brightest(tmp_path) == [62, 255, 125]
    assert "state different values of white" in caplog.text


def test_significant_bits_of_a_png_that_is_not_scaled_up(tmp_path, caplog):
    assert brightest(write_png(tmp_path / "a.png", ramp(900), significant=12)) == [56]
    assert "bits" not in caplog.text


@pytest.mark.parametrize("highest", [4095, 200])
def test_significant_bits_of_a_png_by_the_standard(tmp_path, caplog, highest):
    values = ramp(highest)
    for scaled in (values << 4, values << 4 | values >> 8):
        path = write_png(tmp_path / "a.png", scaled, significant=12)
        assert brightest(path) == [highest >> 4]
    assert "bits" not in caplog.text


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("tag", [281, 341])
def test_a_tiff_may_state_its_white(tmp_path, caplog, order, tag):
    path = write_tiff(tmp_path / "a.tif", ramp(900), extra=[(tag, 4095)], order=order)
    assert brightest(path) == [56]
    assert "bits" not in caplog.text


def test_the_brightest_pixel_that_a_tiff_states_is_not_its_white(tmp_path, caplog):
    path = write_tiff(tmp_path / "a.tif", ramp(900), extra=[(281, 900)])
    assert brightest(path) == [225]
    assert "taken for 10 bits" in caplog.text


def test_a_packed_tiff_of_12_bits_is_as_bright(tmp_path, caplog):
    flat = ramp(4095).ravel().astype(np.uint32)
    packed = np.zeros(len(flat) * 3 // 2, np.uint8)
    packed[0::3] = flat[0::2] >> 4
    packed[1::3] = (flat[0::2] & 15) << 4 | flat[1::2] >> 8
    packed[2::3] = flat[1::2] & 255
    path = write_tiff(tmp_path / "a.tif", ramp(4095), bits=12, data=packed.tobytes())
    assert brightest(path) == [255]
    assert "bits" not in caplog.text


def test_pixels_that_are_fractions_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(cv2.imencode(".tif", ramp(1).astype(np.float32))[1].tobytes())
    with pytest.raises(RecordingError, match="its pixels are float32"):
        read_image(path)


def test_opacity_may_use_all_bits(tmp_path):
    image = np.stack([ramp(4095)] * 3 + [np.full((6, 8), 65535, np.uint16)], axis=-1)
    assert brightest(write_png(tmp_path / "a.png", image)) == [255]
    image[..., 3] = 4095
    assert brightest(write_png(tmp_path / "a.png", image)) == [255]


def test_a_folder_that_begins_with_8_bits_is_judged_later(tmp_path, caplog):
    (tmp_path / "0.png").write_bytes(cv2.imencode(".png", ramp(200).astype(np.uint8))[1].tobytes())
    write_png(tmp_path / "1.png", ramp(4000))
    write_png(tmp_path / "2.png", ramp(500))
    assert brightest(tmp_path) == [200, 250, 31]
    assert "taken for 12 bits" in caplog.text


@pytest.mark.parametrize(("layout", "white"), [("gray10le", 1023), ("gray12le", 4095)])
def test_a_video_of_more_bits_is_scaled_by_its_layout(tmp_path, layout, white):
    path = tmp_path / "a.mkv"
    frame = av.VideoFrame(8, 6, layout)
    rows = np.zeros((6, frame.planes[0].line_size // 2), "<u2")
    rows[:, :8] = ramp(white)
    frame.planes[0].update(rows.tobytes())
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 8, 6, layout
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert brightest(path) == [255]
