import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from evdet.events.dtypes import EVENT_DTYPE, SensorSize, TimeBin
from evdet.events.representations import (
    functions as representations,
    torch_twins as representations_torch,
)
from evdet.events.representations.event_tensors import events_to_tensors
from evdet.events.representations.functions import REPRESENTATIONS
from evdet.events.representations.torch_twins import TORCH_REPRESENTATIONS, scatter_frames

SIZE = SensorSize(height=4, width=6)
OUT_SIZE = st.none() | st.tuples(st.integers(1, SIZE.height), st.integers(1, SIZE.width))

every = pytest.mark.parametrize("name", sorted(REPRESENTATIONS))


@st.composite
def time_bins(draw):
    """A slice of its own start and duration, its events in any order."""
    start = draw(st.integers(-(10**9), 10**15))
    delta_t = draw(st.integers(1, 2_000) | st.integers(1, 2**31 - 1))
    event = st.tuples(
        st.integers(start, start + delta_t - 1),
        st.integers(0, SIZE.width - 1),
        st.integers(0, SIZE.height - 1),
        st.integers(0, 1),
    )
    return TimeBin(start, delta_t, np.array(draw(st.lists(event, max_size=20)), EVENT_DTYPE))


BINS = st.lists(time_bins(), max_size=4)


def dense(name, bins, out_size=None, **options):
    """The frames of the compiled functions, one by one."""
    make = getattr(representations, name)
    return [
        make(b.events, SIZE, start=b.start, delta_t=b.delta_t, out_size=out_size, **options)
        for b in bins
    ]


def assert_equal_frames(frames, expected):
    assert len(frames) == len(expected)
    for frame, other in zip(frames.numpy(), expected, strict=True):
        assert (frame.shape, frame.dtype) == (other.shape, other.dtype)
        if frame.dtype == np.uint8:
            np.testing.assert_array_equal(frame, other)
        np.testing.assert_allclose(frame, other, rtol=1e-6, atol=1e-6)


def test_there_is_a_twin_of_every_representation():
    assert list(TORCH_REPRESENTATIONS) == list(REPRESENTATIONS)


@every
def test_no_slices_and_no_events(name):
    num_channels = REPRESENTATIONS[name].num_channels
    none = scatter_frames(name, events_to_tensors([], SIZE), SIZE)
    assert none.shape == (0, num_channels, *SIZE)
    empty = events_to_tensors([TimeBin(5, 10, np.empty(0, EVENT_DTYPE))] * 2, SIZE)
    frames = scatter_frames(name, empty, SIZE)
    assert frames.shape == (2, num_channels, *SIZE)
    assert not frames.any()


OPTIONS = {
    "histogram": {"max_count": st.integers(1, 300)},
    "diff": {"max_count": st.integers(1, 300)},
    "time_surface": {},
    "multi_channel_time_surface": {"num_micro_bins": st.integers(1, 9)},
    "event_cube": {"num_micro_bins": st.integers(1, 9), "max_count": st.integers(1, 300)},
    "voxel_grid": {"num_micro_bins": st.integers(1, 9)},
    "stacked_histogram": {"num_micro_bins": st.integers(1, 200), "max_count": st.integers(1, 255)},
}


@every
@given(bins=BINS, out_size=OUT_SIZE, data=st.data())
def test_frames_equal_the_compiled_ones(name, bins, out_size, data):
    options = {key: data.draw(values) for key, values in OPTIONS[name].items()}
    tensors = events_to_tensors(bins, SIZE)
    frames = TORCH_REPRESENTATIONS[name](tensors, SIZE, out_size=out_size, **options)
    assert_equal_frames(frames, dense(name, bins, out_size, **options))


@every
def test_the_defaults_are_the_same(name):
    rows = [(k * 37 % 1000, k % 6, k % 4, k % 2) for k in range(400)]
    bins = [TimeBin(0, 1000, np.array(rows, EVENT_DTYPE))]
    frames = scatter_frames(name, events_to_tensors(bins, SIZE), SIZE)
    assert_equal_frames(frames, dense(name, bins))


@given(BINS, st.sampled_from([None, (4, 6), (2, 3)]), st.booleans(), st.integers(1, 12))
def test_rvts_variant_is_the_same(bins, out_size, replay, k):
    options = {"variant": "rvt", "replay": replay, "num_micro_bins": k, "out_size": out_size}
    tensors = events_to_tensors(bins, SIZE)
    frames = representations_torch.stacked_histogram(tensors, SIZE, **options)
    assert_equal_frames(frames, dense("stacked_histogram", bins, **options))


@pytest.mark.parametrize("count", [255, 256, 260])
def test_replay_wraps(count):
    bins = [TimeBin(0, 10, np.zeros(count, EVENT_DTYPE))]
    options = {"variant": "rvt", "replay": True}
    tensors = events_to_tensors(bins, SIZE)
    frames = representations_torch.stacked_histogram(tensors, SIZE, **options)
    assert_equal_frames(frames, dense("stacked_histogram", bins, **options))


@every
def test_many_events_on_one_pixel(name):
    events = np.zeros(70_000, EVENT_DTYPE)
    events["t"], events["p"] = np.arange(70_000), 1
    bins = [TimeBin(0, 70_000, events)]
    frames = scatter_frames(name, events_to_tensors(bins, SIZE), SIZE)
    assert_equal_frames(frames, dense(name, bins))


class Operations(TorchDispatchMode):
    """Notes what torch does."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.name())
        return func(*args, **(kwargs or {}))


@every
def test_nothing_is_read_back(name):
    events = events_to_tensors([TimeBin(0, 10, np.zeros(3, EVENT_DTYPE))], SIZE)
    with Operations() as operations:
        assert events.t[0].item() == 0
    assert "aten::_local_scalar_dense" in operations.names, "this is what reading looks like"
    with Operations() as operations:
        scatter_frames(name, events, SIZE)
    waits = {"aten::_local_scalar_dense", "aten::nonzero", "aten::bincount", "aten::masked_select"}
    assert operations.names
    assert not operations.names & waits


def test_an_unknown_name_is_answered_with_the_list():
    with pytest.raises(ValueError, match=r"one of diff, event_cube, .*got 'histo'"):
        scatter_frames("histo", events_to_tensors([], SIZE), SIZE)


def test_arguments_are_checked_as_in_the_compiled_ones():
    tensors = events_to_tensors([], SIZE)
    with pytest.raises(ValueError, match="out_size must be between"):
        scatter_frames("histogram", tensors, SIZE, out_size=(5, 6))
    with pytest.raises(ValueError, match="max_count must be at most 255, got 256"):
        representations_torch.stacked_histogram(tensors, SIZE, max_count=256)
    with pytest.raises(ValueError, match="num_micro_bins must be at least 1, got 0"):
        representations_torch.voxel_grid(tensors, SIZE, num_micro_bins=0)


def test_real_slices_give_the_same_frames(event_data, tmp_path):
    from evdet.events.recording import open_recording

    # A copy: the index of a RAW file is kept beside it.
    path = Path(shutil.copy(event_data / "raw/vga_triggers_evt3.raw", tmp_path))
    recording = open_recording(path)
    bins = [one for one, _ in zip(recording.slices(50_000), range(4), strict=False)]
    tensors = events_to_tensors(bins, recording.size)
    for name, representation in REPRESENTATIONS.items():
        frames = scatter_frames(name, tensors, recording.size, out_size=(120, 160))
        expected = [
            representation.make(
                b.events, recording.size, start=b.start, delta_t=b.delta_t, out_size=(120, 160)
            )
            for b in bins
        ]
        assert_equal_frames(frames, expected)
        assert torch.count_nonzero(frames) > 1000
