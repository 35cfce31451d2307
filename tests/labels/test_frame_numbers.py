from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from evdet.events.dtypes import SensorSize
from evdet.labels.frame_numbers import frame_numbers, note_first_frame
from evdet.labels.source import LabelError, LabelSource, RecordingSpan

SOURCE = LabelSource(Path("drive"), {})


def numbers(*names):
    return frame_numbers(SOURCE, names)


def test_no_names_have_no_numbers():
    assert numbers() == []


@pytest.mark.parametrize(
    "names",
    [
        ["3.txt", "4.txt"],
        ["frame_000003.png", "frame_000004.png"],
        ["clip_3.txt", "clip_4.txt"],
        # Roboflow: the ending of the picture and a hash follow the name.
        ["frame_000003_jpg.rf.9b1c44e0d2a87.txt", "frame_000004_jpg.rf.77aa01bc5512.txt"],
        ["drive_mp4-3_jpg.rf.0f2.xml", "drive_mp4-4_jpg.rf.1e55.xml"],
        ["000003_png.rf.ABCDEF0123456789.txt", "000004_png.rf.12.txt"],
        # Label Studio: an identifier stands before the name.
        ["0f3a91bc-frame_03.png", "9d1e0a22-frame_04.png"],
        # CVAT: the picture's own ending, folders.
        ["images/train/frame_000003.PNG", "images/train/frame_000004.PNG"],
        ["C:\\clip 7\\frame3.jpg", "C:\\clip 7\\frame4.jpg"],
        ["frame_3.png.txt", "frame_4.png.txt"],
        # Several numbers, of which one differs.
        ["cam2_frame_000003.txt", "cam2_frame_000004.txt"],
        ["2024-05-01_frame3.png", "2024-05-01_frame4.png"],
        ["video_1080p_0003", "video_1080p_0004"],
        ["3_of_100", "4_of_100"],
        ["frame3_v2", "frame4_v2"],
        # Several that differ: the one after a word for it, or the same twice.
        ["frame_000003_1699999999", "frame_000004_1700000012"],
        ["2024-05-01_12-30-01_img3", "2024-05-02_07-31-55_img4"],
        ["3/000003_frame_0003.png", "4/000004_frame_0004.png"],
        ["0003-3", "0004-4"],
        # Names of different patterns, each with its own evidence.
        ["frame_03_9b1c", "frame_04_77a"],
        ["a3", "b4"],
    ],
)
def test_the_number_of_the_frame_is_found(names):
    assert numbers(*names) == [3, 4]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("clip_0.txt", 0),
        ("frame_000012_jpg.rf.9b1c44e0d2a87.txt", 12),
        ("cam2_frame_000012.txt", 12),
        ("video_1080p_0012.txt", 12),
        ("frame12_cam2.txt", 12),
        ("2024-05-01_frame12.png", 12),
    ],
)
def test_a_name_alone_is_read_by_what_stands_before_its_numbers(name, number):
    assert numbers(name) == [number]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["first.txt"], "the file first.txt has no frame number"),
        (["a1.txt", "b1.txt"], "a1.txt and b1.txt both are frame 1"),
        (["frame_1", "frame_01"], "both are frame 1"),
        (["2024-05-01.txt"], "3 numbers, and it is not clear which"),
        (["2024-05-01_12-30-45.txt"], "it is not clear which"),
        (["12.30.45.txt"], "it is not clear which"),
        (["cam1_v2.txt"], "it is not clear which"),
        (["1_5", "2_7"], "2 numbers differ between the names .* 1_5 and 2_7"),
        (["a1b2", "c3d4"], "it is not clear which"),
        (["x" + "9" * 30], "seems to be a time"),
        (["1581956422.216331", "1581956422.266331"], "seems to be a time"),
        (["2024-05-01_12-30-45", "2024-05-01_12-30-46"], "differ in a date or a time of day"),
        (["v_2024.05.01 12.30.45", "v_2024.05.01 12.31.45"], "differ in a date or a time of day"),
        (["2024-05-01.png", "2024-05-02.png"], "differ in a date or a time of day"),
        (["²"], "has no frame number"),
    ],
)
def test_names_that_could_be_read_in_two_ways_are_refused(names, message):
    with pytest.raises(LabelError, match=message) as caught:
        numbers(*names)
    assert "drive" in str(caught.value)


@given(st.sets(st.integers(0, 10**9), min_size=2, max_size=6), st.text("ab-_ v", max_size=5))
def test_what_stands_around_a_number_changes_nothing(frames, around):
    ordered = sorted(frames)
    assert numbers(*(f"{around}{frame:04d}{around}.txt" for frame in ordered)) == ordered
    assert numbers(*(f"cam2{around}_{frame}.png" for frame in ordered)) == ordered


@given(st.lists(st.text(max_size=12), max_size=4))
def test_any_names_have_numbers_or_are_refused(names):
    try:
        found = numbers(*names)
    except LabelError:
        return
    assert len(set(found)) == len(names)


def test_numbers_that_run_from_one_are_noted():
    assert note_first_frame([]) == note_first_frame([0, 1]) == note_first_frame([1, 5]) == ()
    [note] = note_first_frame([2, 1, 3])
    assert "run from 1" in note


def test_numbers_that_are_all_far_beyond_the_recording_are_refused():
    span = RecordingSpan(SensorSize(10, 10), 0, 999_999)
    source = LabelSource(Path("drive"), {}, recording=span, frame_period=50_000)
    with pytest.raises(LabelError, match="far beyond the recording, which has 20 frames of 50000"):
        frame_numbers(source, ["0000050000.txt", "0000100000.txt"])
    # Frames after the end of a recording that was cut are dropped and counted later.
    assert frame_numbers(source, ["3.txt", "5000.txt"]) == [3, 5000]
