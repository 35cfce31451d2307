"""Labels in another unit or on another clock are noticed; short and sparse labels are not."""

import logging

import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.data.folder import open_folder
from evdet.data.label_clock import judge_clock
from evdet.data.recording_frames import open_recordings
from evdet.events import SensorSize
from evdet.frame_spec import FrameSpec
from evdet.labels import RecordingSpan
from folder_maker import FolderMaker

SECOND = 1_000_000
DELTA_T = 50_000
EVERY_BIN = np.arange(DELTA_T, 10 * SECOND, DELTA_T)
SINCE_1970 = 1_700_000_000 * SECOND


def judge(times, *, start=0, end=None):
    end = start + 10 * SECOND if end is None else end
    span = RecordingSpan(SensorSize(60, 80), start, end)
    return judge_clock(np.array(times, np.int64), span, DELTA_T)


def test_without_labels_or_events_there_is_nothing_to_judge():
    assert judge([]) is None
    assert judge_clock(EVERY_BIN, RecordingSpan(SensorSize(60, 80), None, None), DELTA_T) is None
    assert judge([5], start=7, end=7) is None


@pytest.mark.parametrize(
    "times",
    [
        EVERY_BIN,
        EVERY_BIN[:100],  # the first half
        EVERY_BIN[:3],  # the first 1/60
        EVERY_BIN[-5:],
        [100_000, 5 * SECOND, 9 * SECOND],
        [5 * SECOND],
        np.arange(10_000, 10 * SECOND, 10_000),  # 100 Hz
    ],
)
@pytest.mark.parametrize("start", [0, 3 * SECOND, SINCE_1970])
def test_labels_of_a_part_and_sparse_labels_are_in_order(times, start):
    assert judge(np.array(times) + start, start=start) is None


@pytest.mark.parametrize(
    ("unit", "times"),
    [
        ("milliseconds", EVERY_BIN // 1000),
        ("milliseconds", EVERY_BIN[:100] // 1000),
        ("seconds", np.arange(1, 10)),
        ("nanoseconds", EVERY_BIN * 1000),
        ("indices of frames, one every 50,251 us", np.arange(200)),
        ("milliseconds", [2000, 5000, 9000]),
    ],
)
def test_the_unit_that_would_fit_is_named(unit, times):
    finding = judge(times)
    assert finding.is_problem
    assert f"They would fit if they were {unit}" in finding.text


@pytest.mark.parametrize(
    "times", [np.arange(1, 200), np.arange(2, 200), np.arange(0, 200, 5), np.arange(20, 200, 2)]
)
def test_counts_of_frames_are_known_from_any_first_frame_and_with_frames_left_out(times):
    found = judge(times, start=3_000)
    assert found.is_problem
    assert "indices of frames" in found.text
    assert "Shorter time bins" not in found.text


def test_whole_seconds_of_a_short_recording_are_known_by_two_times():
    found = judge([0, 1], end=SECOND)
    assert found.is_problem
    assert "They would fit if they were seconds" in found.text
    # Two labels of a camera's frames may share a time bin.
    assert judge([5_000_000, 5_016_667]) is None


def test_labels_that_end_before_the_first_event_are_a_problem_where_no_unit_fits():
    found = judge(np.arange(12) ** 2 * 140, start=20_000)
    assert found.is_problem
    assert "Shorter time bins" not in found.text


def test_labels_that_cover_a_thousandth_say_so():
    text = judge(EVERY_BIN // 1000).text
    assert "199 label times, 50 to 9,950 us, cover 0.10% of the recording" in text
    assert "99% of them are lost" in text


@pytest.mark.parametrize(
    ("times", "start", "remedy"),
    [
        (EVERY_BIN, 70 * SECOND, "counted from the recording's first event: add its time, 70,000"),
        (EVERY_BIN[:20], 70 * SECOND, "counted from the recording's first event"),
        (EVERY_BIN, SINCE_1970, "counted from the recording's first event"),
        (EVERY_BIN // 1000, SINCE_1970, "milliseconds from the recording's first event"),
        ((EVERY_BIN + SINCE_1970) // 1000, SINCE_1970, "if they were milliseconds: write"),
        (EVERY_BIN + SINCE_1970, 0, "1,700,000,000.050 s before the recording's (they count from"),
        ((EVERY_BIN + SINCE_1970) * 1000, 0, "if they were nanoseconds and on a clock"),
        ((EVERY_BIN + SINCE_1970) // 1000, 0, "if they were milliseconds and on a clock"),
        (EVERY_BIN + 60 * SECOND, 0, "on a clock that starts about 60.050 s before"),
        (EVERY_BIN - 20 * SECOND, 0, "on a clock that starts about 19.950 s after"),
        ([99 * SECOND], 0, "another start or another unit?"),
    ],
)
def test_another_clock_is_named(times, start, remedy):
    finding = judge(times, start=start)
    assert finding.is_problem
    assert remedy in finding.text


def test_labels_before_the_first_event_and_after_the_last_are_told_apart():
    assert "end before the first event of the recording" in judge([5], start=9 * SECOND).text
    assert "begin after the last event of the recording" in judge([99 * SECOND]).text


def test_a_start_that_loses_most_labels_is_a_remark():
    finding = judge(EVERY_BIN, start=7 * SECOND)
    assert not finding.is_problem
    assert "add its time, 7,000,000 us" in finding.text


def test_labels_at_a_thousand_hertz_are_a_remark():
    finding = judge(np.arange(1000, 10 * SECOND, 1000))
    assert not finding.is_problem
    assert "98% of them are lost" in finding.text
    assert "Shorter time bins" in finding.text


@given(
    times=st.lists(st.integers(-(2**62), 2**62), max_size=30),
    start=st.integers(0, 2**51),
    duration=st.integers(0, 2**40),
)
def test_any_times_can_be_judged(times, start, duration):
    finding = judge(times, start=start, end=start + duration)
    assert finding is None or finding.text


@given(
    step=st.integers(DELTA_T, SECOND),
    count=st.integers(1, 100),
    start=st.integers(0, 100 * SECOND),
    rest=st.integers(0, 10**12),
)
def test_labels_inside_the_recording_with_a_bin_each_are_in_order(step, count, start, rest):
    times = start + step * np.arange(1, count + 1)
    assert judge(times, start=start, end=int(times[-1]) + rest) is None


@pytest.fixture
def folder(tmp_path):
    return FolderMaker(tmp_path / "set")


def test_a_training_warns_of_another_clock_once(folder, caplog):
    for name in "abc":
        folder.add(name, 0, 60_000, list(range(2, 60)))  # in ms
    folder.add("d", 0, 60_000, list(range(2000, 60_000, 1000)))
    spec = FrameSpec(
        delta_t=1000,
        preprocess="histogram",
        height=24,
        width=32,
        in_channels=2,
        class_names=("car",),
    )
    with caplog.at_level(logging.WARNING):
        open_recordings(open_folder(folder.path), "train", spec)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "train: the labels of a: " in line
    assert "if they were milliseconds" in line
    assert "(3 such recordings" in line
