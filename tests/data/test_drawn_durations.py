import math

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from evdet.data.augment.augmentation import AugmentRules
from evdet.data.drawn_durations import DurationRange
from evdet.data.random_clips import RandomClips
from evdet.data.sequential_clips import SequentialClips
from evdet.data.stream_loader import StreamLoader
from evdet.events.recording import open_recording
from evdet.events.representations.functions import histogram

T = 3
RANGE = DurationRange(300, 3000)
DURATIONS = st.integers(1, 10**9)


@pytest.fixture
def source(maker):
    maker.add("a", 0, 20_500, range(1000, 20_000, 1500))
    maker.add("b", 5_000_700, 5_007_500, [5_002_000, 5_004_100])
    maker.add("c", 3200, 15_999, [4000, 15_000])
    return maker.open_recordings(num_tbins=T, any_duration=True)


def play(streams, epoch=0):
    return [list(streams.clips(epoch, i, 0)) for i in range(len(streams.clip_counts(epoch)))]


@pytest.mark.parametrize("ends", [(0, 5), (-1, 5), (6, 5)])
def test_an_empty_range_is_refused(ends):
    with pytest.raises(ValueError, match=f"in microseconds, got {ends[0]} to {ends[1]}"):
        DurationRange(*ends)


@given(ends=st.tuples(DURATIONS, DURATIONS).map(sorted), epoch=st.integers(0, 9))
def test_draws_lie_in_the_range_and_are_a_function_of_seed_and_epoch(ends, epoch):
    drawn = DurationRange(*ends).draw(20, seed=1, epoch=epoch)
    assert all(ends[0] <= duration <= ends[1] for duration in drawn)
    assert drawn == DurationRange(*ends).draw(20, seed=1, epoch=epoch)


def test_each_factor_is_as_likely_as_any_other():
    drawn = DurationRange(10_000, 1_000_000).draw(10_000, seed=0, epoch=0)
    below = np.mean(np.array(drawn) < 100_000)
    assert math.isclose(below, 0.5, abs_tol=0.02)


def test_a_recording_plays_in_bins_of_its_drawn_duration(maker, source):
    streams = SequentialClips(source=source, durations=RANGE)
    counts = streams.clip_counts(0)
    for index, clips in enumerate(play(streams)):
        assert len(clips) == counts[index]
        (delta_t,) = {clip.info.delta_t for clip in clips}
        assert 300 <= delta_t <= 3000
        frames = torch.cat([clip.inputs for clip in clips])
        slices = list(open_recording(source.videos[index].path).slices(delta_t))
        num_bins = source.num_bins_at(index, delta_t)  # up to that of the last label
        for frame, (_, duration, events) in zip(frames[:num_bins], slices, strict=False):
            wanted = histogram(events, maker.size, count_scale=(maker.delta_t / duration) ** 0.5)
            np.testing.assert_array_equal(frame, wanted)
        # Every label that is the last of its bin is there.
        times = np.unique(source.videos[index].unbinned.labeled.boxes["t"])
        num_labeled = sum(int(clip.frame_is_labeled.sum()) for clip in clips)
        assert num_labeled == len(np.unique((times - 1) // delta_t))


def test_each_epoch_draws_anew_and_each_recording_for_itself(source):
    streams = SequentialClips(source=source, durations=RANGE)
    drawn = [[clips[0].info.delta_t for clips in play(streams, epoch)] for epoch in range(2)]
    assert len({*drawn[0], *drawn[1]}) == 6


def test_resuming_within_an_epoch_gives_the_same_clips(source):
    augment = AugmentRules(flip_prob=0.5, drop_prob=0.5)
    streams = SequentialClips(source=source, augment=augment, seed=3, durations=RANGE)
    for index, clips in enumerate(play(streams, 1)):
        for first, clip in enumerate(clips):
            again = next(streams.clips(1, index, first))
            assert torch.equal(again.inputs, clip.inputs)
            assert again.info == clip.info


def test_a_range_of_one_duration_is_that_duration(source):
    fixed = SequentialClips(source=source)
    drawn = SequentialClips(source=source, durations=DurationRange(1000, 1000))
    assert fixed.clip_counts(0) == drawn.clip_counts(0)
    for one, other in zip(play(fixed), play(drawn), strict=True):
        for a, b in zip(one, other, strict=True):
            assert torch.equal(a.inputs, b.inputs)
            assert [x.tolist() for x in a.labels] == [x.tolist() for x in b.labels]
            assert a.info == b.info


def test_random_clips_end_at_a_label_in_a_duration_of_their_own(source):
    clips = RandomClips(source=source, durations=RANGE, seed=2)
    count = len(clips.clip_counts(0))
    drawn = [next(clips.clips(0, index, 0)) for index in range(count)]
    assert all(clip.frame_is_labeled[-1] for clip in drawn)
    assert len({clip.info.delta_t for clip in drawn}) > count // 2


def test_a_batch_states_the_duration_of_each_frame_of_each_lane(source):
    streams = SequentialClips(source=source, durations=RANGE)
    for batch in StreamLoader(streams, batch_size=2, shuffle=False):
        stated = [info.delta_t for info in batch["video_infos"]]
        expected = [delta_t or max(stated) for delta_t in stated]
        assert batch["durations"].tolist() == [expected] * T


def test_recordings_that_were_opened_for_one_duration_say_so(maker):
    maker.add("a", 0, 20_500, [1000])
    streams = SequentialClips(source=maker.open_recordings(num_tbins=T), durations=RANGE)
    with pytest.raises(ValueError, match="any_duration keeps its labels"):
        streams.clip_counts(0)
