import itertools

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from evdet.events.dat.reader import write_dat
from evdet.events.dtypes import EVENT_DTYPE, SensorSize
from evdet.events.recording import open_recording
from evdet.events.representations.functions import REPRESENTATIONS, histogram
from evdet.events.representations.names import VARIANTS, get_representation
from evdet.frame_spec import FrameSpec
from evdet.sources.frame_layout import fit_events
from evdet.speed.time_bins import open_time_bins, picture_bins, scatter_clips
from evdet.synthetic import simulate_recording

SIZE = SensorSize(8, 8)
CPU = torch.device("cpu")
NAMES = sorted({*REPRESENTATIONS, *VARIANTS})


def spec_of(**fields):
    known = {
        "preprocess": "histogram", "delta_t": 1000, "height": 8, "width": 8, "in_channels": 2,
        "class_names": ("cat",),
    }  # fmt: skip
    return FrameSpec(**{**known, **fields})


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "three_bins.dat"
    events = np.array([(100, 1, 2, 1), (150, 1, 2, 1), (2500, 7, 0, 0)], EVENT_DTYPE)
    write_dat(path, [events], SIZE)
    return path


def test_a_recording_without_events_has_no_windows(tmp_path):
    path = tmp_path / "empty.dat"
    write_dat(path, [], SIZE)
    with pytest.raises(ValueError, match=r"the source has no time bins$"):
        next(open_time_bins(path, spec_of()).play())


def test_a_recording_is_played_over_and_over_bin_by_bin(recording):
    time_bins = open_time_bins(recording, spec_of())
    played = list(itertools.islice(time_bins.play(), 7))

    assert [window.start for window in played] == [0, 1000, 2000, 0, 1000, 2000, 0]
    assert [len(window.events) for window in played] == [2, 0, 1, 2, 0, 1, 2]
    assert time_bins.delta_t == 1000
    assert "three_bins.dat" in time_bins.name


def test_two_players_do_not_see_each_other(recording):
    time_bins = open_time_bins(recording, spec_of())
    first, second = time_bins.play(), time_bins.play()
    next(first)
    assert next(first).start == 1000
    assert next(second).start == 0


def test_a_clip_is_what_training_makes_of_the_events(recording):
    time_bins = open_time_bins(recording, spec_of())
    window = next(time_bins.play())
    clip = time_bins.represent(window)

    expected = histogram(window.events, SIZE, start=0, delta_t=1000)
    assert clip.shape == (1, 1, 2, 8, 8)
    assert clip.dtype == torch.float32
    np.testing.assert_array_equal(clip[0, 0].numpy(), expected)


def test_counts_become_numbers(recording):
    time_bins = open_time_bins(recording, spec_of(preprocess="stacked_histogram", in_channels=20))
    clip = time_bins.represent(next(time_bins.play()))
    assert clip.dtype == torch.float32
    assert clip.sum() == 2


@pytest.mark.parametrize("name", NAMES)
def test_an_accelerator_makes_the_same_frames(name, recording):
    channels = get_representation(name).num_channels
    time_bins = open_time_bins(recording, spec_of(preprocess=name, in_channels=channels))
    make = scatter_clips(name, fit_events("", SIZE, SIZE), CPU)
    for window in itertools.islice(time_bins.play(), 3):
        assert_close(make(window), time_bins.represent(window))


def test_another_duration_of_a_window_can_be_asked_for(recording):
    time_bins = open_time_bins(recording, spec_of(), delta_t=2000)
    assert [window.start for window in itertools.islice(time_bins.play(), 2)] == [0, 2000]


def test_pictures_are_refused_where_events_are_wanted(recording):
    with pytest.raises(ValueError, match="give a recording"):
        picture_bins(spec_of())
    with pytest.raises(ValueError, match="trained on pictures"):
        open_time_bins(recording, spec_of(preprocess="none", in_channels=3))


def test_moving_mnist_is_played_without_end():
    time_bins = picture_bins(spec_of(preprocess="none", in_channels=3, height=32, width=48))
    clips = [time_bins.represent(window) for window in itertools.islice(time_bins.play(), 61)]

    assert clips[0].shape == (1, 1, 3, 32, 48)
    assert 0 < clips[0].max() <= 1
    assert not torch.equal(clips[0], clips[1])
    assert torch.equal(clips[0], clips[60])


def test_a_simulated_recording_has_the_size_that_is_asked_for(tmp_path):
    path = simulate_recording(tmp_path, SensorSize(32, 48))
    recording = open_recording(path)

    assert recording.size == SensorSize(32, 48)
    assert len(recording) > 0
    assert recording.duration == pytest.approx(2_000_000, rel=0.2)
