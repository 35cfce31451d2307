import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from evdet.boxes import BOX_DTYPE
from evdet.build import build_detector
from evdet.config import DetectionConfig
from evdet.events.dat.reader import write_dat
from evdet.events.dtypes import EVENT_DTYPE, RecordingError, SensorSize
from evdet.events.recording import open_recording
from evdet.frame_spec import FrameSpec, SelectionThresholds
from evdet.pipeline import detect, frame_spec_of, frames_for
from evdet.sources import StreamedFrame, open_frames, open_live

DELTA_T = 50_000
SPEC = FrameSpec(
    preprocess="histogram",
    delta_t=DELTA_T,
    height=32,
    width=32,
    in_channels=2,
    class_names=("car", "person"),
    thresholds=SelectionThresholds(score_thresh=0.25, nms_thresh=0.5, max_boxes=77),
)
TINY = DetectionConfig(
    dataset_path="recordings",
    classes=("car", "person"),
    preprocess="histogram",
    height=32,
    width=32,
    in_channels=2,
    feature_base=2,
    feature_channels_out=4,
    num_levels=2,
    head_channels=4,
)


class StandIn:
    """Finds one car at the same place of every frame, and remembers how it was called."""

    frame_spec = SPEC

    def __init__(self, corners=(4, 8, 12, 20)):
        self.corners = corners
        self.clips = []
        self.thresholds = None

    def step(self, clip, memory=None, *, thresholds):
        self.clips.append(clip)
        self.thresholds = dataclasses.astuple(thresholds)
        found = {
            "boxes": torch.tensor([self.corners], dtype=torch.float32),
            "labels": torch.tensor([1]),
            "scores": torch.tensor([0.75]),
        }
        return [[found] for _ in clip], (memory or 0) + len(clip)


class Stream:
    """Frames of given times, and then perhaps damage."""

    name = "stream"
    size = frame_size = SensorSize(32, 32)
    delta_t = DELTA_T
    num_frames = None

    def __init__(self, num, *, is_live=False, is_damaged=False, dtype=np.float32):
        self.num, self.is_live, self.is_damaged, self.dtype = num, is_live, is_damaged, dtype

    def __iter__(self):
        for number in range(self.num):
            frame = np.full((2, 32, 32), number, self.dtype)
            arrived = 0.0 if self.is_live else None
            yield StreamedFrame((number + 1) * DELTA_T, DELTA_T, frame, None, None, arrived)
        if self.is_damaged:
            raise RecordingError("the rest is damaged")


def write_recording(path, *, size, num_bins=5):
    """Ten events in each bin, spread over the sensor."""
    rng = np.random.default_rng(0)
    events = np.zeros(num_bins * 10, EVENT_DTYPE)
    events["t"] = np.sort(rng.integers(0, num_bins * DELTA_T, len(events)))
    events["t"][[0, -1]] = 0, num_bins * DELTA_T - 1
    events["x"] = rng.integers(0, size.width, len(events))
    events["y"] = rng.integers(0, size.height, len(events))
    write_dat(path, [events], size)
    return path


def test_a_source_without_frames_has_no_boxes():
    assert list(detect(Stream(0), StandIn())) == []


def test_every_frame_comes_with_its_time_and_boxes_in_pixels_of_the_source(tmp_path):
    path = write_recording(tmp_path / "x.dat", size=SensorSize(64, 64))
    times = []
    for t, frame, boxes in detect(path, StandIn()):
        times.append(t)
        assert frame.t == t
        assert boxes.dtype == BOX_DTYPE
        assert boxes.tolist() == [(t, 8, 16, 16, 24, 1, 0, 0.75)]
    assert times == [DELTA_T * k for k in (1, 2, 3, 4, 5)]


def test_a_path_a_recording_and_a_stream_are_the_same(tmp_path):
    path = write_recording(tmp_path / "x.dat", size=SensorSize(64, 64))
    detector = StandIn()
    stream = open_frames(path, frames_for(detector))
    ways = [list(detect(source, detector)) for source in (path, open_recording(path), stream)]
    for way in ways[1:]:
        for (t, frame, boxes), first in zip(way, ways[0], strict=True):
            assert t == first.t
            np.testing.assert_array_equal(frame.frame, first.frame.frame)
            np.testing.assert_array_equal(boxes, first.boxes)


def test_what_lies_in_the_margin_of_a_frame_is_no_box(tmp_path, caplog):
    # The sensor takes up the left half of the frame.
    path = write_recording(tmp_path / "x.dat", size=SensorSize(32, 16), num_bins=1)
    (found,) = detect(path, StandIn((4, 8, 20, 20)))
    assert found.boxes[["x", "y", "w", "h"]].tolist() == [(4, 8, 12, 12)]
    (found,) = detect(path, StandIn((17, 8, 20, 20)))
    assert len(found.boxes) == 0
    assert "trained on frames of" in caplog.text


@given(
    num=st.integers(0, 30), num_tbins=st.integers(1, 10), every=st.integers(1, 12),
    is_live=st.booleans(),
)  # fmt: skip
def test_memory_is_emptied_every_n_frames_however_they_are_cut(num, num_tbins, every, is_live):
    class Held(StandIn):
        held = ()

        def step(self, clip, memory=None, *, thresholds):
            self.held += tuple(range((memory or 0) + 1, (memory or 0) + len(clip) + 1))
            return super().step(clip, memory, thresholds=thresholds)

    carried, emptied = Held(), Held()
    stream = Stream(num, is_live=is_live)
    list(detect(stream, carried, num_tbins=num_tbins))
    list(detect(stream, emptied, num_tbins=num_tbins, reset_every=every))
    assert carried.held == tuple(k + 1 for k in range(num))
    assert emptied.held == tuple(k % every + 1 for k in range(num))


def test_memory_that_is_emptied_less_than_once_a_frame_is_refused():
    with pytest.raises(ValueError, match="reset_every must be at least 1, got 0"):
        detect(Stream(3), StandIn(), reset_every=0)


@settings(max_examples=10)
@given(num=st.integers(0, 9), num_tbins=st.integers(1, 10))
def test_frames_go_through_the_network_in_clips_without_a_gap(num, num_tbins):
    detector = StandIn()
    assert len(list(detect(Stream(num), detector, num_tbins=num_tbins))) == num
    lengths = [len(clip) for clip in detector.clips]
    assert sum(lengths) == num
    assert all(length == num_tbins for length in lengths[:-1])
    values = [float(frame.mean()) for clip in detector.clips for frame in clip]
    assert values == list(range(num))


@pytest.mark.parametrize("extractor", ["Vanilla", "VanillaGRU", "VanillaS5"])
def test_the_length_of_a_clip_does_not_change_the_boxes(tmp_path, extractor):
    path = write_recording(tmp_path / "x.dat", size=SensorSize(32, 32), num_bins=7)
    detector = build_detector(dataclasses.replace(TINY, feature_extractor=extractor))
    detector.eval()
    one, many = (
        list(detect(path, detector, score_thresh=0, max_boxes=20, num_tbins=length))
        for length in (1, 5)
    )
    for a, b in zip(one, many, strict=True):
        assert len(a.boxes) == len(b.boxes) > 0
        np.testing.assert_allclose(a.boxes["x"], b.boxes["x"], atol=1e-3)
        np.testing.assert_allclose(
            a.boxes["class_confidence"], b.boxes["class_confidence"], atol=1e-5
        )


def test_frames_of_a_live_source_wait_for_no_others():
    detector = StandIn()
    for number, _ in enumerate(detect(Stream(4, is_live=True), detector), start=1):
        assert [len(clip) for clip in detector.clips] == [1] * number


def test_frames_before_the_damage_are_delivered():
    delivered = []
    found = detect(Stream(5, is_damaged=True), StandIn(), num_tbins=3)
    with pytest.raises(RecordingError, match="the rest is damaged"):
        delivered.extend(frame.t // DELTA_T for frame in found)
    assert delivered == [1, 2, 3, 4, 5]


def test_counts_that_travel_as_bytes_reach_the_network_as_numbers():
    detector = StandIn()
    list(detect(Stream(3, dtype=np.uint8), detector))
    assert detector.clips[0].dtype == torch.float32
    assert detector.clips[0].flatten(1).mean(dim=1).tolist() == [0, 1, 2]


def test_a_tracker_sees_every_frame_in_order():
    class Tracker:
        def __init__(self):
            self.times = []

        def update(self, t, boxes):
            self.times.append(t)
            boxes["track_id"] = len(self.times)
            return boxes

    tracker = Tracker()
    found = list(detect(Stream(5), StandIn(), tracker=tracker, num_tbins=2))
    assert tracker.times == [frame.t for frame in found]
    assert [frame.boxes["track_id"].tolist() for frame in found] == [[1], [2], [3], [4], [5]]


def test_thresholds_are_the_detectors_own_or_those_asked_for():
    detector = StandIn()
    list(detect(Stream(1), detector))
    assert detector.thresholds == (0.25, 0.5, 77, True)
    list(detect(Stream(1), detector, score_thresh=0, nms_thresh=1, max_boxes=5, agnostic=False))
    assert detector.thresholds == (0, 1, 5, False)


def test_the_caller_may_use_gradients_between_two_frames():
    for _ in detect(Stream(2), build_detector(TINY).eval()):
        assert torch.is_grad_enabled()


class KeepsDurations(StandIn):
    """Keeps the duration of every frame."""

    knows_time = True

    def __init__(self):
        super().__init__()
        self.durations = []

    def step(self, clip, memory=None, *, durations, thresholds):
        self.durations += durations[:, 0].tolist()
        return super().step(clip, memory, thresholds=thresholds)


def test_a_detector_that_knows_time_is_told_and_nothing_is_warned_of(tmp_path, caplog):
    path = write_recording(tmp_path / "a.dat", size=SensorSize(32, 32), num_bins=6)
    for delta_t, count in ((10_000, 30), (DELTA_T, 6), (75_000, 4)):
        detector = KeepsDurations()
        stream = open_frames(path, frames_for(detector, delta_t=delta_t))
        frames = list(detect(stream, detector, num_tbins=4))
        assert detector.durations == [float(delta_t)] * count
        assert [found.t for found in frames] == [delta_t * k for k in range(1, count + 1)]
    assert caplog.text == ""


def test_another_window_than_in_training_is_warned_of(caplog):
    assert frames_for(StandIn()).delta_t == DELTA_T
    assert caplog.text == ""
    assert frames_for(StandIn(), delta_t=10_000).delta_t == 10_000
    assert "on time bins of 50000 us, and these have 10000 us: they hold fewer" in caplog.text


def test_frames_are_cleaned_as_in_training(tmp_path):
    events = np.zeros(2000, EVENT_DTYPE)
    events["t"] = np.arange(2000) * 100
    events["x"][::2] = np.arange(1000) % 32
    events["y"][::2] = np.arange(1000) // 32
    events["x"][1::2], events["y"][1::2] = 7, 9
    write_dat(tmp_path / "a.dat", [events], SensorSize(32, 32))

    detector = StandIn()
    detector.frame_spec = dataclasses.replace(SPEC, remove_hot_pixels=True)
    frames = [frame for _, frame, _ in detect(tmp_path / "a.dat", detector)]
    assert sum(len(frame.events) for frame in frames) < 1010

    detector.frame_spec = dataclasses.replace(SPEC, background_filter=150)
    frames = [frame for _, frame, _ in detect(tmp_path / "a.dat", detector)]
    assert sum(len(frame.events) for frame in frames) < 2000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score_thresh": 1.5}, "score_thresh must be from 0 to 1, got 1.5"),
        ({"nms_thresh": -1}, "nms_thresh must be from 0 to 1, got -1"),
        ({"num_tbins": 0}, "num_tbins must be at least 1, got 0"),
    ],
)
def test_values_out_of_range_are_refused_before_the_first_frame(options, message):
    with pytest.raises(ValueError, match=message):
        detect(Stream(1), StandIn(), **options)


def test_a_detector_that_cannot_be_fed_is_refused():
    with pytest.raises(ValueError, match="training mode: call its eval"):
        detect(Stream(1), build_detector(TINY))
    detector = build_detector(TINY).eval()
    detector.frame_spec = None
    with pytest.raises(ValueError, match="frame_spec"):
        frame_spec_of(detector)


class KnowsTime(StandIn):
    """Finds one car in every frame, and remembers how long frames lasted."""

    knows_time = True

    def __init__(self):
        super().__init__()
        self.durations = []

    def step(self, clip, memory=None, *, durations=None, thresholds=None):
        self.durations += durations.flatten().tolist()
        return super().step(clip, memory, thresholds=thresholds)


def test_merged_time_bins_reach_the_memory_with_their_true_duration(tmp_path):
    write_recording(tmp_path / "a.dat", size=SensorSize(32, 32), num_bins=40)
    detector = KnowsTime()
    stream = open_live(tmp_path / "a.dat", frames_for(detector), max_age=10**6, max_delay=None)
    frames = [(found.t, found.frame.delta_t) for found in detect(stream, detector)]
    assert detector.durations == [delta_t for _, delta_t in frames]
    assert sum(detector.durations) == 40 * DELTA_T
    assert max(detector.durations) > DELTA_T
    assert frames[-1][0] == 40 * DELTA_T


def test_a_detector_that_does_not_know_time_is_not_given_merged_time_bins(tmp_path):
    write_recording(tmp_path / "a.dat", size=SensorSize(32, 32))
    detector = StandIn()
    with pytest.raises(ValueError, match=r'does not know how long .*waiting="skip"'):
        detect(open_live(tmp_path / "a.dat", SPEC, max_age=10**6), detector)
    stream = open_live(tmp_path / "a.dat", SPEC, max_age=10**6, waiting="skip", max_delay=None)
    assert all(found.frame.delta_t == DELTA_T for found in detect(stream, detector))
