import dataclasses

import numpy as np
import pytest
from hypothesis import given, strategies as st

from bag_maker import EVENTS, array, write_ros1, write_ros2
from evdet.data.augment.augmentation import Augmentation
from evdet.data.recording_frames import open_recordings
from evdet.events.dat.reader import write_dat
from evdet.events.dtypes import EVENT_DTYPE, RecordingError, SensorSize
from evdet.events.noise import filter_background_activity
from evdet.events.recording import open_recording
from evdet.frame_spec import FrameSpec
from evdet.sources import FrameStream, RecordingSource, open_frames

SIZE = SensorSize(24, 32)
SPEC = FrameSpec(preprocess="histogram", delta_t=1000, height=24, width=32, in_channels=2)


def events_at(*times, x=0, y=0):
    events = np.zeros(len(times), EVENT_DTYPE)
    events["t"], events["x"], events["y"] = times, x, y
    return events


def recorded(path, *times, size=SIZE):
    write_dat(path, [events_at(*times)], size)
    return path


def starts(stream):
    return [(frame.t, len(frame.events)) for frame in stream]


def test_a_recording_without_events_has_no_frames(tmp_path):
    stream = open_frames(recorded(tmp_path / "a.dat"), SPEC)
    assert isinstance(stream, FrameStream)
    assert stream.num_frames == 0
    assert list(stream) == []
    assert stream.size == SIZE


def test_a_table_without_events_or_size_has_no_frames(tmp_path):
    (tmp_path / "a.csv").write_text("t,x,y,p\n")
    stream = open_frames(tmp_path / "a.csv", SPEC)
    assert list(stream) == []
    assert stream.num_frames == 0


def test_every_bin_is_a_frame_stamped_with_its_end(tmp_path):
    stream = open_frames(recorded(tmp_path / "a.dat", 1500, 4999, 5000), SPEC)
    assert starts(stream) == [(2000, 1), (3000, 0), (4000, 0), (5000, 1), (6000, 1)]
    assert stream.num_frames == 5
    assert (stream.name, stream.delta_t) == ("a", 1000)
    frame = next(iter(stream))
    assert frame.delta_t == 1000
    assert frame.picture is None
    assert frame.arrived is None
    assert starts(stream) == starts(stream)  # plays anew


@pytest.mark.parametrize(
    ("preprocess", "channels"), [("histogram", 2), ("event_cube_5", 10), ("stacked_histogram", 20)]
)
@pytest.mark.parametrize("size", [(24, 32), (12, 16)])
def test_frames_are_those_of_training(maker, preprocess, channels, size):
    path = maker.add("a", 3_000, 12_000, range(4000, 13_000, 1000))
    height, width = size
    spec = FrameSpec(
        preprocess=preprocess, delta_t=1000, height=height, width=width, in_channels=channels
    )
    source = open_recordings(
        maker.open(),
        "train",
        spec,
    )
    expected = [
        item.frame
        for item in source.frames(0, 0, source.videos[0].num_bins, augmentation=Augmentation())
    ]
    stream = open_frames(path, spec)
    found = [frame.frame for frame in stream]
    assert (len(found), len(expected)) == (10, 9)  # training stops at the last label
    for mine, theirs in zip(found, expected, strict=False):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)


@given(
    st.lists(st.integers(0, 30_000), min_size=1, max_size=30).map(sorted),
    st.integers(0, 35_000),
    st.none() | st.integers(1, 35_000),
    st.sampled_from([700, 1000, 5000]),
)
def test_a_part_is_the_frames_of_its_bins(tmp_path_factory, times, start, duration, delta_t):
    path = recorded(tmp_path_factory.mktemp("part") / "a.dat", *times)
    spec = SPEC.at(delta_t)
    if start > times[-1] - times[0]:
        with pytest.raises(ValueError, match="no events from"):
            open_frames(path, spec, start=start, duration=duration)
        return
    part = open_frames(path, spec, start=start, duration=duration)
    first = times[0] + start
    last = times[-1] if duration is None else min(times[-1], first + duration - 1)
    expected = [
        (t, count)
        for t, count in starts(open_frames(path, spec))
        if first // delta_t <= t // delta_t - 1 <= last // delta_t
    ]
    assert starts(part) == expected
    assert part.num_frames == len(expected)


def test_an_open_recording_is_played_too(tmp_path):
    recording = open_recording(recorded(tmp_path / "a.dat", 1500))
    assert starts(open_frames(recording, SPEC)) == [(2000, 1)]
    with pytest.raises(ValueError, match="give the size 9x9"):
        open_frames(recording, SPEC, size=SensorSize(9, 9))


def test_what_lies_before_the_damage_comes_first(maker):
    path = maker.add("a", 0, 20_000)
    maker.damage(path, 10_000)
    frames: list = []
    with pytest.raises(RecordingError, match="outside the sensor"):
        frames.extend(open_frames(path, SPEC))
    assert len(frames) >= 10


def test_a_size_can_be_stated(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("t,x,y,p\n5,3,1,1\n")
    stream = open_frames(path, SPEC, size=SIZE)
    assert stream.size == SIZE
    assert next(iter(stream)).frame[1, 1, 3] > 0
    with pytest.raises(RecordingError, match="outside the sensor 3x9"):
        list(open_frames(path, SPEC, size=SensorSize(9, 3)))


def test_another_sensor_is_scaled_into_the_frame_and_boxes_can_be_scaled_back(tmp_path, caplog):
    size = SensorSize(48, 96)
    path = tmp_path / "a.dat"
    write_dat(path, [events_at(5, x=93, y=45)], size)
    stream = open_frames(path, SPEC)
    frame = next(iter(stream))
    assert stream.frame_size == SensorSize(16, 32)
    assert frame.frame.shape == (2, 24, 32)
    _, row, column = np.argwhere(frame.frame)[0]
    assert column * size.width / stream.frame_size.width <= 93
    assert (row, column) == (15, 31)
    assert (frame.events["x"][0], frame.events["y"][0]) == (93, 45)
    assert caplog.text.count("with its proportions") == 1


def test_a_recording_for_a_detector_of_pictures_is_refused(tmp_path):
    path = recorded(tmp_path / "a.dat", 5)
    with pytest.raises(ValueError, match=r"a\.dat is an event recording, and the .* on pictures"):
        open_frames(path, dataclasses.replace(SPEC, preprocess="none", in_channels=3))
    with pytest.raises(ValueError, match="ready_made"):
        open_frames(path, dataclasses.replace(SPEC, preprocess="ready_made"))


@pytest.mark.parametrize("name", ["a.mp4", "a.PNG", "images"])
def test_pictures_for_a_detector_of_events_are_refused(tmp_path, name):
    path = tmp_path / name
    if name == "images":
        path.mkdir()
        (path / "0.png").touch()
    with pytest.raises(ValueError, match=r"trained on events \(preprocess histogram\)"):
        open_frames(path, SPEC)
    with pytest.raises(ValueError, match="ready_made"):
        open_frames(path, dataclasses.replace(SPEC, preprocess="ready_made"))
    with pytest.raises(ValueError, match=r"sensor size .*not an event recording"):
        open_frames(path, SPEC, size=SIZE)
    with pytest.raises(ValueError, match="takes frames of 20 channels: pictures have 3"):
        open_frames(path, dataclasses.replace(SPEC, preprocess="none", in_channels=20))


def test_silly_values_are_named(tmp_path):
    path = recorded(tmp_path / "a.dat", 5)
    for name, value in (("start", -1), ("duration", 0)):
        with pytest.raises(ValueError, match=f"{name} must be .*got {value}"):
            open_frames(path, SPEC, **{name: value})
    with pytest.raises(ValueError, match="makes frames of 2 channels, and the detector takes 3"):
        open_frames(path, dataclasses.replace(SPEC, in_channels=3))
    with pytest.raises(ValueError, match="preprocess must be one of"):
        open_frames(path, dataclasses.replace(SPEC, preprocess="histogramm"))
    with pytest.raises(RecordingError, match=r"b\.dat"):
        open_frames(tmp_path / "b.dat", SPEC)
    with pytest.raises(ValueError, match="has no images"):
        open_frames(tmp_path, SPEC)


def test_memory_does_not_grow_with_the_recording(maker):
    """Whoever keeps no frame keeps no events."""
    import gc
    import weakref

    path = maker.add("a", 0, 50_000)
    alive = []
    for frame in RecordingSource(open_recording(path), SPEC):
        alive.append(weakref.ref(frame.frame))
    del frame
    gc.collect()
    assert len(alive) == 51
    assert sum(ref() is not None for ref in alive) == 0


@pytest.mark.parametrize(
    "name", ["dat/sparklers_openeb_cd.dat", "text/slider_depth_events_chunk.txt"]
)
def test_real_recordings_play_from_the_first_event_to_the_last(event_data, name):
    recording = open_recording(event_data / name)
    height, width = recording.size
    spec = dataclasses.replace(SPEC, delta_t=50_000, height=height, width=width)
    stream = open_frames(recording, spec)
    counts = [len(frame.events) for frame in stream]
    assert sum(counts) == len(recording)
    assert len(counts) == stream.num_frames


def noisy(path, seed=0):
    """20 ms of events here and there, and a pixel that fires by itself."""
    rng = np.random.default_rng(seed)
    events = np.zeros(2000, EVENT_DTYPE)
    events["t"] = 7_000 + rng.integers(0, 20_000, 2000)
    events["x"], events["y"] = rng.integers(0, 32, 2000), rng.integers(0, 24, 2000)
    events["x"][800:], events["y"][800:] = 7, 9
    events = events[np.argsort(events["t"], kind="stable")]
    write_dat(path, [events], SIZE)
    return path, events


def test_noise_stays_in_unless_training_left_it_out(tmp_path):
    path, events = noisy(tmp_path / "a.dat")
    shown = np.concatenate([frame.events for frame in open_frames(path, SPEC)])
    np.testing.assert_array_equal(shown, events)


@pytest.mark.parametrize("noise", [{"remove_hot_pixels": True}, {"background_filter": 100}])
def test_without_events_there_is_no_noise(tmp_path, noise):
    (tmp_path / "a.csv").write_text("t,x,y,p\n")
    for path in (tmp_path / "a.csv", recorded(tmp_path / "a.dat")):
        assert list(open_frames(path, dataclasses.replace(SPEC, **noise))) == []


def test_hot_pixels_that_training_left_out_are_left_out(tmp_path):
    path, events = noisy(tmp_path / "a.dat")
    stream = open_frames(path, dataclasses.replace(SPEC, remove_hot_pixels=True))
    frames = list(stream)
    assert not any(frame.frame[:, 9, 7].any() for frame in frames)
    is_hot = (events["x"] == 7) & (events["y"] == 9)
    shown = np.concatenate([frame.events for frame in frames])
    np.testing.assert_array_equal(shown, events[~is_hot])
    assert len(frames) == stream.num_frames


@pytest.mark.parametrize("start", [0, 1, 1000, 6500, 13_999])
@pytest.mark.parametrize("window", [300, 1000, 2500])
def test_background_activity_is_left_out_wherever_playing_starts(tmp_path, window, start):
    path, events = noisy(tmp_path / "a.dat")
    kept, _ = filter_background_activity(events, SIZE, window_us=window)
    assert 0 < len(kept) < len(events)

    frames = list(
        open_frames(path, dataclasses.replace(SPEC, background_filter=window), start=start)
    )
    first = (events["t"][0] + start) // 1000 * 1000
    assert frames[0].t == first + 1000
    shown = np.concatenate([frame.events for frame in frames])
    np.testing.assert_array_equal(shown, kept[kept["t"] >= first])


def test_a_bag_is_a_recording_also_where_it_is_a_folder(tmp_path):
    topics = {"/events": [array(EVENTS)]}
    paths = write_ros1(tmp_path / "a.bag", topics), write_ros2(tmp_path / "b", topics)
    for path in paths:
        assert starts(open_frames(path, SPEC)) == starts(open_frames(paths[0], SPEC)) != []
