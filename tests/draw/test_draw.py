import builtins
import contextlib
import io
import itertools
import subprocess
import sys

import av
import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image

from evdet import draw
from evdet.boxes import BOX_DTYPE

LABEL_MAP = ["background", "car", "pedestrian"]


def events_of(*rows):
    """Box events of (x, y, w, h, class_id, confidence)."""
    events = np.zeros(len(rows), BOX_DTYPE)
    for event, row in zip(events, rows, strict=True):
        x, y, w, h, class_id, confidence = row
        event["x"], event["y"], event["w"], event["h"] = x, y, w, h
        event["class_id"], event["class_confidence"] = class_id, confidence
    return events


def black(height=64, width=80):
    return np.zeros((height, width, 3), np.uint8)


def test_no_boxes_leave_the_picture_as_it_is():
    frame = np.random.default_rng(0).integers(0, 256, (16, 20, 3), np.uint8)

    drawn = draw.draw_box_events(frame, events_of(), LABEL_MAP)

    np.testing.assert_array_equal(drawn, frame)
    assert not np.shares_memory(drawn, frame)


def test_a_rectangle_lies_on_the_first_and_last_pixel_of_its_box():
    box = (20, 30, 10, 8, 1, 0.5)

    drawn = draw.draw_box_events(black(), events_of(box), LABEL_MAP, draw_score=False)

    edge = draw.class_color(1)
    for y, x in ((30, 20), (30, 29), (37, 20), (37, 29)):
        assert tuple(drawn[y, x]) == edge
    assert not drawn[38:].any()
    assert not drawn[31:37, 21:29].any()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_the_callers_frame_stays_and_its_type_is_kept(dtype):
    frame = np.full((64, 80, 3), 100.25).astype(dtype)
    before = frame.copy()

    drawn = draw.draw_box_events(frame, events_of((20, 30, 10, 8, 1, 0.5)), LABEL_MAP)

    np.testing.assert_array_equal(frame, before)
    assert drawn.dtype == dtype
    assert (drawn != frame).any()
    # Away from the drawing even a float's fraction survives.
    np.testing.assert_array_equal(drawn[-10:], frame[-10:])


def test_a_forced_color_is_the_only_one():
    frame = draw.draw_box_events(
        black(),
        events_of((20, 30, 10, 8, 1, 0.5), (40, 30, 10, 8, 2, 0.5)),
        LABEL_MAP,
        draw_score=False,
        force_color=[255, 255, 255],
    )
    assert (frame[..., 0] == frame[..., 1]).all()
    assert (frame[..., 0] == frame[..., 2]).all()


@contextlib.contextmanager
def plates_drawn():
    """The plates of the labels that are drawn meanwhile: x1, y1, x2, y2."""
    plates, real = [], cv2.rectangle

    def spy(image, first, last, color, thickness=1):
        if thickness == cv2.FILLED:
            plates.append((*first, *last))
        return real(image, first, last, color, thickness)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cv2, "rectangle", spy)
        yield plates


def overlap(a, b):
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]


coordinates = st.floats(-200, 200, width=32)


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(12, 90), st.integers(12, 90)),
    rows=st.lists(
        st.tuples(coordinates, coordinates, st.floats(0, 200, width=32), st.floats(0, 200)),
        max_size=12,
    ),
    force_color=st.sampled_from([None, (255, 255, 255)]),
)
def test_labels_stay_inside_the_frame_and_do_not_overlap(size, rows, force_color):
    events = events_of(*((x, y, w, h, 2, 0.5) for x, y, w, h in rows))
    with plates_drawn() as plates:
        draw.draw_box_events(black(*size), events, LABEL_MAP, force_color=force_color)

    for x1, y1, x2, y2 in plates:
        assert 0 <= x1 <= x2 < size[1]
        assert 0 <= y1 <= y2 < size[0]
    assert not any(overlap(a, b) for a, b in itertools.combinations(plates, 2))


def test_of_twenty_boxes_at_one_place_the_best_keeps_its_label():
    rows = [(60 + k % 5, 50 + k % 4, 30, 30, 1 + k % 2, 0.3 + 0.03 * k) for k in range(20)]
    best = (64, 53, 30, 30, 2, 0.99)
    alone = draw.draw_box_events(black(160, 160), events_of(best), LABEL_MAP)

    crowd = draw.draw_box_events(black(160, 160), events_of(*rows, best), LABEL_MAP)

    plate = alone[:53]  # above the box
    shown = plate.any(axis=2)
    assert shown.any()
    np.testing.assert_array_equal(crowd[:53][shown], plate[shown])


def test_a_label_beside_a_small_box_leaves_its_content_visible():
    # At the upper edge there is no room above, and inside the plate would hide everything.
    frame = np.full((160, 160, 3), 90, np.uint8)

    drawn = draw.draw_box_events(frame, events_of((40, 0, 12, 10, 1, 0.9)), LABEL_MAP)

    assert (drawn[1:9, 41:51] == 90).all()
    assert (drawn != 90).any(axis=2).sum() > 2 * (12 + 10)


def test_a_box_outside_the_frame_or_without_numbers_is_not_drawn():
    events = events_of((-50, 0, 20, 20, 1, 1), (500, 5, 9, 9, 1, 1), (np.nan, 5, 9, 9, 1, 1))

    assert not draw.draw_box_events(black(), events, LABEL_MAP).any()


def test_a_class_without_a_name_is_an_error_that_says_so():
    with pytest.raises(ValueError, match="class_id 3 has no name: label_map has 3 entries"):
        draw.draw_box_events(black(), events_of((1, 1, 9, 9, 3, 1)), LABEL_MAP)


def test_a_frame_with_channels_first_is_an_error_that_says_so():
    with pytest.raises(ValueError, match=r"must be \(height, width, 3\), got \(3, 64, 80\)"):
        draw.draw_box_events(black().transpose(2, 0, 1), events_of(), LABEL_MAP)


def test_neighbouring_classes_have_different_colors():
    colors = [draw.class_color(class_id) for class_id in range(11)]

    assert len(set(colors)) == 11


def test_detections_and_truth_are_drawn_on_the_enlarged_frame():
    truth, none = events_of((20, 30, 10, 8, 1, 1)), events_of()

    drawn = draw.draw_detections_and_truth(black(), none, truth, LABEL_MAP, factor=2)

    assert drawn.shape == (128, 160, 3)
    assert tuple(drawn[60, 40]) == (255, 255, 255)


def test_labels_of_ground_truth_and_of_detections_do_not_overlap():
    # Alone, the label of the upper ground truth would lie on that of the detection.
    truth = events_of((20, 8, 24, 16, 1, 1), (20, 30, 24, 16, 2, 1))
    found = events_of((20, 29, 24, 16, 2, 0.9))
    with plates_drawn() as plates:
        draw.draw_detections_and_truth(black(80, 80), found, truth, LABEL_MAP)

    assert len(plates) == 3
    assert not any(overlap(a, b) for a, b in itertools.combinations(plates, 2))


def test_scaled_boxes_are_new_records():
    events = events_of((1, 2, 3, 4, 1, 0.5))

    scaled = draw.scale_box_events(events, 3)

    assert scaled[["x", "y", "w", "h"]].tolist() == [(3, 6, 9, 12)]
    assert events["x"] == 1


def test_a_grid_fills_its_rows_from_the_left():
    images = [np.full((2, 3, 3), value, np.uint8) for value in (10, 20, 30)]

    grid = draw.image_grid(images, 2, pad=1)

    assert grid.shape == (5, 7, 3)
    assert [grid[0, 0, 0], grid[0, 4, 0], grid[3, 0, 0]] == [10, 20, 30]


def test_a_grid_needs_pictures_of_one_shape():
    with pytest.raises(ValueError, match="got none"):
        draw.image_grid([], 2)
    with pytest.raises(ValueError, match="pictures of one shape"):
        draw.image_grid([black(2, 2), black(2, 3)], 2)


def test_upscaling_makes_squares_of_pixels():
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)

    np.testing.assert_array_equal(draw.upscale(image, 3)[::3, ::3], image)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        draw.upscale(image, 0)


def test_each_anchor_has_a_picture_with_its_box_and_centre():
    anchors = torch.tensor([[20.0, 20, 60, 40], [-1e9, 10, 1e9, 30]], requires_grad=True)

    pictures = draw.draw_anchors(anchors, (64, 80))

    assert pictures.shape == (2, 64, 80, 3)
    assert tuple(pictures[0, 20, 40]) == draw.class_color(1)
    assert tuple(pictures[0, 30, 40]) == (255, 255, 255)
    assert draw.draw_anchors(anchors[:0], (64, 80)).shape == (0, 64, 80, 3)


def test_an_anchor_is_red_and_its_prediction_blue():
    anchor = np.array([[10, 10, 30, 30]], np.float32)

    (picture,) = draw.draw_anchors_and_predictions(anchor, anchor + 20, (64, 80))

    assert tuple(picture[10, 20]) == (255, 0, 0)
    assert tuple(picture[30, 40]) == (0, 0, 255)


def test_a_png_keeps_every_pixel():
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)

    np.testing.assert_array_equal(Image.open(io.BytesIO(draw.encode_png(image))), image)


def test_a_gif_has_all_frames():
    frames = [np.full((8, 9, 3), value, np.uint8) for value in (0, 100, 200)]

    with Image.open(io.BytesIO(draw.encode_gif(frames, 10))) as gif:
        assert (gif.format, gif.n_frames, gif.size) == ("GIF", 3, (9, 8))
        assert gif.info["duration"] == 100
    with pytest.raises(ValueError, match="at least one frame, got none"):
        draw.encode_gif([], 10)


def test_a_video_decodes_to_the_frames_that_went_in(tmp_path):
    values = range(20, 220, 20)

    # An odd height: it is padded by one black row.
    draw.write_video(tmp_path / "x.mp4", (np.full((31, 40, 3), v, np.uint8) for v in values), 12.5)

    with av.open(str(tmp_path / "x.mp4")) as video:
        stream = video.streams.video[0]
        decoded = [frame.to_ndarray(format="rgb24") for frame in video.decode(stream)]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert float(stream.average_rate) == 12.5
    assert len(decoded) == len(values)
    assert decoded[0].shape == (32, 40, 3)
    for frame, value in zip(decoded, values, strict=True):
        assert abs(frame[4:24].mean() - value) < 6
    # The index stands before the pictures, and nothing is left beside the file.
    data = (tmp_path / "x.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert [path.name for path in tmp_path.iterdir()] == ["x.mp4"]


def test_a_video_that_fails_leaves_the_older_one(tmp_path):
    path = tmp_path / "x.mp4"
    path.write_bytes(b"older")

    with pytest.raises(ValueError, match="frames differ in size"):
        draw.write_video(path, itertools.chain([black()], [black(10, 10)]), 10)
    with pytest.raises(ValueError, match="at least one frame"):
        draw.write_video(path, [], 10)

    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]


def test_without_pyav_there_is_one_line_that_says_so(tmp_path, monkeypatch):
    real = builtins.__import__

    def without_av(name, *args, **kwargs):
        if name == "av":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_av)
    with pytest.raises(draw.VideoUnavailableError) as caught:
        draw.write_video(tmp_path / "x.mp4", [black()], 10)

    assert str(caught.value) == "no video: PyAV is not installed (pip install av)"


def decoded_frames(path):
    """Time in seconds and mean brightness of every frame, up to one that is cut."""
    frames = []
    with av.open(str(path)) as video, contextlib.suppress(av.error.InvalidDataError):
        for frame in video.decode(video.streams.video[0]):
            frames.append((float(frame.time), frame.to_ndarray(format="rgb24")[4:24].mean()))
    return frames


def gray(value):
    return np.full((32, 40, 3), value, np.uint8)


def test_a_growing_video_is_an_ordinary_one_in_the_end(tmp_path):
    writer = draw.VideoWriter(tmp_path / "x.mp4", 20)
    for number, value in enumerate(range(20, 220, 20)):
        writer.write(gray(value), 7_000_000 + number * 50_000)
    writer.close()
    writer.close()

    frames = decoded_frames(tmp_path / "x.mp4")
    np.testing.assert_allclose([time for time, _ in frames], np.arange(10) / 20, atol=1e-3)
    np.testing.assert_allclose([mean for _, mean in frames], range(20, 220, 20), atol=6)
    # One index for all of it, no fragments: players can go to any place.
    assert b"moof" not in (tmp_path / "x.mp4").read_bytes()[:60]
    assert [path.name for path in tmp_path.iterdir()] == ["x.mp4"]


def test_a_growing_video_shows_a_frame_until_the_next_one_is_due(tmp_path):
    writer = draw.VideoWriter(tmp_path / "x.mp4", 10)
    for t, value in ((0, 50), (100_000, 100), (800_000, 200)):
        writer.write(gray(value), t)
    writer.close()

    times = [time for time, _ in decoded_frames(tmp_path / "x.mp4")]
    np.testing.assert_allclose(times, [0, 0.1, 0.8], atol=1e-3)


@settings(max_examples=10)
@given(
    steps=st.lists(st.integers(1, 3_000_000), max_size=12),
    first=st.integers(0, 10**15),
    fps=st.sampled_from([1e-9, 0.5, 25, 29.97, 60]),
)
def test_a_growing_video_keeps_the_times_of_its_frames(tmp_path_factory, steps, first, fps):
    path = tmp_path_factory.mktemp("times") / "x.mp4"
    times = first + np.cumsum([0, *steps])
    writer = draw.VideoWriter(path, fps)
    for t in times.tolist():
        writer.write(gray(50), t)
    writer.close()

    shown = [time for time, _ in decoded_frames(path)]
    np.testing.assert_allclose(shown, (times - first) / 1e6, atol=2e-6)


def test_the_last_frame_of_a_growing_video_is_shown_for_a_usual_time(tmp_path):
    writer = draw.VideoWriter(tmp_path / "x.mp4", 10)
    for t in (0, 33_000, 2_000_000):
        writer.write(gray(50), t)
    writer.close()

    with av.open(str(tmp_path / "x.mp4")) as video:
        assert video.duration == 2_100_000


def test_a_pause_of_hours_in_a_growing_video_lasts_as_long(tmp_path):
    writer = draw.VideoWriter(tmp_path / "x.mp4", 10)
    for t, value in ((0, 50), (7_200_000_000, 200)):
        writer.write(gray(value), t)
    writer.close()

    frames = decoded_frames(tmp_path / "x.mp4")
    assert frames[-1][0] == 7200
    assert [mean > 100 for _, mean in frames] == [*[False] * (len(frames) - 1), True]


def test_a_growing_video_without_frames_is_no_file(tmp_path):
    path = tmp_path / "x.mp4"
    path.write_bytes(b"older")
    draw.VideoWriter(path, 20).close()
    assert path.read_bytes() == b"older"


def test_a_growing_video_takes_frames_of_one_size(tmp_path):
    writer = draw.VideoWriter(tmp_path / "x.mp4", 20)
    writer.write(gray(10), 0)
    with pytest.raises(ValueError, match="frames differ in size"):
        writer.write(black(), 1)
    writer.close()
    assert len(decoded_frames(tmp_path / "x.mp4")) == 1


NOISE = """
import resource, signal, sys
import numpy as np
from evdet.draw import VideoWriter

path, limit, closes = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "close"
if limit:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
rng = np.random.default_rng(0)
writer = VideoWriter(path, 20)
for number in range(150):
    writer.write(rng.integers(0, 100, (64, 80, 3), np.uint8) + np.uint8(number), number * 50_000)
if closes:
    writer.close()
else:
    import os
    os.kill(os.getpid(), signal.SIGKILL)
"""


def write_noise(path, *, limit=0, end="close"):
    """Write 150 frames that hardly compress, in a process of its own."""
    command = [sys.executable, "-c", NOISE, str(path), str(limit), end]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize("missing", [1, 1000, 3000, 100_000, 250_000])
def test_a_video_that_fills_the_disk_plays_what_was_written(tmp_path, missing):
    assert write_noise(tmp_path / "whole.mp4").returncode == 0
    size = (tmp_path / "whole.mp4").stat().st_size

    failed = write_noise(tmp_path / "x.mp4", limit=size - missing)

    assert failed.returncode == 1
    assert f"cannot write {tmp_path / 'x.mp4'}: File too large" in failed.stderr
    whole, found = decoded_frames(tmp_path / "whole.mp4"), decoded_frames(tmp_path / "x.mp4")
    with av.open(str(tmp_path / "x.mp4")) as video:  # nothing in it is cut
        assert len(list(video.decode(video.streams.video[0]))) == len(found)
    assert found == whole[: len(found)]
    assert 150 * (size - missing) / size - 5 < len(found) <= 150


@pytest.mark.slow
def test_a_video_without_a_frame_on_a_full_disk_is_no_file(tmp_path):
    assert write_noise(tmp_path / "x.mp4", limit=1500).returncode == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_video_whose_process_is_killed_plays_what_was_written(tmp_path):
    assert write_noise(tmp_path / "x.mp4", end="kill").returncode == -9
    # The encoder looks ahead some frames.
    assert 150 - 60 < len(decoded_frames(tmp_path / "x.mp4")) < 150


def test_the_brightest_of_each_square_stays_in_a_reduced_picture():
    picture = np.zeros((5, 4, 3), np.uint8)
    picture[1, 1], picture[4, 3] = (9, 0, 0), (0, 0, 7)
    reduced = draw.reduce_by_maximum(picture, 2)
    assert reduced.shape == (3, 2, 3)
    assert reduced[0, 0].tolist() == [9, 0, 0]
    assert reduced[2, 1].tolist() == [0, 0, 7]
    with pytest.raises(ValueError, match="factor must be at least 1"):
        draw.reduce_by_maximum(picture, 0)


def test_a_video_replaces_an_older_one_when_it_has_a_frame_to_play(tmp_path):
    path = tmp_path / "x.mp4"
    path.write_bytes(b"older")
    writer = draw.VideoWriter(path, 20)
    writer.write(gray(10), 0)
    assert path.read_bytes() == b"older"  # the encoder looks ahead
    for number in range(1, 100):
        writer.write(gray(10 + number), number * 50_000)
    assert len(decoded_frames(path)) > 20
    writer.close()
    assert len(decoded_frames(path)) == 100
    assert [one.name for one in tmp_path.iterdir()] == ["x.mp4"]


def test_a_disk_that_is_full_before_the_first_frame_leaves_an_older_video(tmp_path):
    path = tmp_path / "x.mp4"
    path.write_bytes(b"older")
    failed = write_noise(path, limit=700)
    assert failed.returncode == 1
    assert f"cannot write {path}: File too large" in failed.stderr
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("x.mp4", b"older")]
