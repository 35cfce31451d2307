import gc
import multiprocessing
import warnings
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from evdet.data.batch import Clip, ClipInfo
from evdet.data.stream_loader import StreamLoader
from evdet.events.pictures import frame_to_rgb

T = 2
COUNTS = (3, 1, 5, 2, 2, 4, 1)


@dataclass
class Numbered:
    """Videos whose frames are their own (epoch, number, frame): nothing is drawn."""

    counts: tuple = COUNTS
    promised: tuple | None = None
    fails_at: tuple = (-1, -1)  # video, clip
    error: Exception | None = None

    clip_shape = (T, 3, 1, 1)

    def clip_counts(self, epoch):
        return self.promised or self.counts

    def clips(self, epoch, index, first_clip):
        for clip in range(first_clip, self.counts[index]):
            if (index, clip) == self.fails_at:
                raise self.error
            frames = [[epoch, index, clip * T + t] for t in range(T)]
            yield Clip(
                inputs=torch.tensor(frames, dtype=torch.float32).reshape(self.clip_shape),
                labels=[np.full((index, 5), clip * T + t, np.float32) for t in range(T)],
                frame_is_labeled=np.ones(T, bool),
                info=ClipInfo(f"v{index}", index, clip * T, 1000),
            )


class StubbornError(Exception):
    """Cannot be rebuilt from its message, as a pickle would have it."""

    def __init__(self, file, *, at):
        super().__init__(f"{file} is damaged at byte {at}")


def same(first, second):
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    return first == second


def played(batches):
    """(video, first frame) of every clip, lane by lane."""
    return [
        (info.index, info.first_frame)
        for batch in batches
        for info in batch["video_infos"]
        if info.index >= 0
    ]


def test_an_epoch_without_videos_has_no_batches():
    loader = StreamLoader(Numbered(counts=()), batch_size=2)
    assert len(loader) == 0
    assert list(loader) == []
    assert loader.epoch == 1


def test_an_epoch_plays_every_clip_once_and_each_lane_in_order():
    batches = list(StreamLoader(Numbered(), batch_size=3))

    every_clip = {(index, T * k) for index, count in enumerate(COUNTS) for k in range(count)}
    assert len(played(batches)) == len(every_clip)
    assert set(played(batches)) == every_clip
    for lane in range(3):
        before = None
        for batch in batches:
            info, keep = batch["video_infos"][lane], batch["mask_keep_memory"][lane].item()
            if info.index == -1:
                break
            assert keep == (info.first_frame > 0)
            if keep:
                assert info[:2] == before[:2]
                assert info.first_frame == before.first_frame + T
            before = info


def test_a_lane_that_has_run_dry_stays_dry():
    batches = list(StreamLoader(Numbered(counts=(4, 1)), batch_size=3, shuffle=False))

    assert [[info.index for info in batch["video_infos"]] for batch in batches] == [
        [0, 1, -1],
        [0, -1, -1],
        [0, -1, -1],
        [0, -1, -1],
    ]
    assert not batches[1]["inputs"][:, 1:].any()
    assert batches[1]["frame_is_labeled"].tolist() == [[True, False, False]] * T


def test_iterating_again_plays_the_next_epoch():
    loader = StreamLoader(Numbered(), batch_size=3)
    first, second = list(loader), list(loader)

    assert first[0]["inputs"][0, 0, 0] == 0
    assert second[0]["inputs"][0, 0, 0] == 1
    assert sorted(played(first)) == sorted(played(second))
    assert played(first) != played(second)
    assert loader.epoch == 2


def test_an_abandoned_iteration_leaves_the_loader_where_it_was():
    loader = StreamLoader(Numbered(), batch_size=2)
    assert same(next(iter(loader)), next(iter(loader)))


@pytest.mark.parametrize("num_workers", [1, 2])
def test_workers_change_nothing(num_workers):
    alone = list(StreamLoader(Numbered(), batch_size=3))
    helped = list(StreamLoader(Numbered(), batch_size=3, num_workers=num_workers))
    assert same(alone, helped)


def test_workers_leave_the_random_state_alone():
    before = torch.get_rng_state()
    next(iter(StreamLoader(Numbered(), batch_size=1, num_workers=1)))
    assert torch.equal(before, torch.get_rng_state())


def test_an_abandoned_iteration_leaves_no_worker_behind():
    batches = iter(StreamLoader(Numbered(), batch_size=2, num_workers=2))
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    del batches
    gc.collect()
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_processes_share_the_videos_and_count_the_same_batches(world_size):
    loaders = [
        StreamLoader(Numbered(), batch_size=2, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    epochs = [list(loader) for loader in loaders]

    clips = [clip for batches in epochs for clip in played(batches)]
    assert len(clips) == len(set(clips)) == sum(COUNTS)
    assert {len(batches) for batches in epochs} == {len(loaders[0])}


def test_a_process_without_a_single_video_keeps_step():
    loader = StreamLoader(Numbered(counts=(3,)), batch_size=2, rank=1, world_size=2, num_workers=2)
    assert [batch["inputs"].shape for batch in loader] == [(T, 2, 3, 1, 1)] * 3


@given(
    st.lists(st.integers(0, 6), max_size=8).map(tuple),
    st.integers(1, 4),
    st.integers(0, 3),
    st.data(),
)
@settings(max_examples=30)
def test_resuming_anywhere_plays_the_rest(counts, batch_size, epoch, data):
    loader = StreamLoader(Numbered(counts=counts), batch_size=batch_size, seed=5)
    loader.set_position(epoch)
    whole = list(loader)
    position = data.draw(st.integers(0, len(whole)))

    loader.set_position(epoch, position)

    assert same(list(loader), whole[position:])
    assert loader.epoch == epoch + 1


def test_resuming_with_workers_plays_the_rest():
    whole = list(StreamLoader(Numbered(), batch_size=3))
    loader = StreamLoader(Numbered(), batch_size=3, num_workers=2)
    loader.set_position(0, 4)
    assert same(list(loader), whole[4:])


def test_a_position_after_the_end_is_refused():
    loader = StreamLoader(Numbered(), batch_size=3)
    with pytest.raises(ValueError, match=r"epoch 0 has 6 batches.* 7$"):
        loader.set_position(0, 7)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_error_reaches_the_user_as_its_message(num_workers):
    videos = Numbered(fails_at=(2, 1), error=ValueError("drive.dat is damaged at byte 12"))
    loader = StreamLoader(videos, batch_size=2, num_workers=num_workers)
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - `match` would read the notes too
        list(loader)
    assert str(raised.value) == "drive.dat is damaged at byte 12"


def test_an_error_that_cannot_travel_reaches_the_user_as_its_words():
    videos = Numbered(fails_at=(0, 0), error=StubbornError("drive.dat", at=12))
    loader = StreamLoader(videos, batch_size=1, num_workers=1)
    with pytest.raises(RuntimeError) as raised:
        list(loader)
    assert str(raised.value) == "StubbornError: drive.dat is damaged at byte 12"


@pytest.mark.parametrize("promised", [2, 4])
def test_a_video_that_breaks_its_promise_is_named(promised):
    videos = Numbered(counts=(3, 3), promised=(promised, promised))
    loader = StreamLoader(videos, batch_size=1, shuffle=False)
    with pytest.raises(ValueError, match=f"video 0 of epoch 0 .* announced {promised}"):
        list(loader)


def test_a_clip_of_another_shape_is_named():
    videos = Numbered()
    clips = videos.clips
    videos.clips = lambda *where: (
        clip._replace(inputs=clip.inputs.repeat(1, 1, 2, 1)) for clip in clips(*where)
    )
    with pytest.raises(ValueError, match=r"clip of video v\d has shape \(2, 3, 2, 1\)"):
        list(StreamLoader(videos, batch_size=1))


def test_bytes_and_floats_are_not_mixed_up_on_their_way_from_a_worker():
    videos = Numbered()
    clips = videos.clips
    videos.clips = lambda epoch, index, first_clip: (
        clip._replace(inputs=clip.inputs.byte()) if index % 2 else clip
        for clip in clips(epoch, index, first_clip)
    )
    with pytest.raises(ValueError, match="some clips are bytes and some are floats"):
        list(StreamLoader(videos, batch_size=4, num_workers=1))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"num_workers": -1}, "num_workers must be 0 or more, got -1"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"rank": 2, "world_size": 2}, r"rank must be in 0\.\.1 \(world_size - 1\), got 2"),
    ],
)
def test_a_number_out_of_range_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        StreamLoader(Numbered(), **{"batch_size": 1, **wrong})


def test_starting_workers_beside_threads_warns_of_nothing():
    """Python 3.12 and later warn of a fork in a process that has threads."""
    torch.set_num_threads(2)
    torch.ones(100_000).exp()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(islice(StreamLoader(Numbered(), batch_size=1, num_workers=1), 1))


def test_frames_show_as_they_are():
    frame = torch.tensor([0.0, 0.5, 2.0]).reshape(3, 1, 1)
    assert frame_to_rgb(frame).tolist() == [[[0, 128, 255]]]
    assert frame_to_rgb(np.full((1, 1, 1), 0.2, np.float32)).tolist() == [[[51, 51, 51]]]
    with pytest.raises(ValueError, match=r"2 channels.*vis_func"):
        frame_to_rgb(torch.zeros(2, 1, 1))


def test_the_loader_hands_out_the_vis_func_that_it_was_given():
    def negative(frame):
        return 255 - frame_to_rgb(frame)

    assert StreamLoader(Numbered(), batch_size=1).get_vis_func() is frame_to_rgb
    assert StreamLoader(Numbered(), batch_size=1, vis_func=negative).get_vis_func() is negative


@pytest.mark.parametrize("num_workers", [0, 2])
def test_what_was_left_out_is_added_up_for_each_epoch(num_workers):
    videos = Numbered()
    clips = videos.clips
    videos.clips = lambda *where: (clip._replace(counts={"noise": 2}) for clip in clips(*where))
    loader = StreamLoader(videos, batch_size=2, num_workers=num_workers)
    assert loader.counts == {}
    for _ in range(2):
        list(loader)
        assert loader.counts == {"noise": 2 * sum(COUNTS)}


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_video_that_breaks_is_told_once_and_listed(num_workers, caplog):
    videos = Numbered()
    videos.broken = {"v9": "cannot be opened"}
    clips = videos.clips
    videos.clips = lambda epoch, index, first_clip: (
        clip._replace(info=clip.info._replace(error="is damaged")) if index == 2 else clip
        for clip in clips(epoch, index, first_clip)
    )
    loader = StreamLoader(videos, batch_size=2, num_workers=num_workers)
    assert loader.broken == {"v9": "cannot be opened"}
    for _ in range(2):
        list(loader)
        assert loader.broken == {"v9": "cannot be opened", "v2": "is damaged"}
    assert caplog.text.count("v2 is damaged") == 1


def test_an_epoch_can_be_played_without_batches():
    loader = StreamLoader(Numbered(), batch_size=3)
    loader.set_position(1, 2)
    assert loader.position == (1, 2)
    clips = list(loader.play(0, 4))
    assert loader.position == (1, 2)
    loader.set_position(0, 4)
    for lanes, batch in zip(clips, loader, strict=True):
        infos = [info for info in batch["video_infos"] if info.index >= 0]
        assert [clip.info for clip in lanes if clip] == infos


def test_a_loader_of_other_videos_starts_at_its_beginning_and_leaves_the_first_as_it_is():
    first = StreamLoader(Numbered(), batch_size=2, seed=3)
    first.set_position(1, 2)
    other = first.with_streams(Numbered(counts=(2, 1)))
    assert other.position == (0, 0)
    assert (len(other), other.batch_size, other.seed) == (2, 2, 3)
    list(other)
    assert first.position == (1, 2)
    assert first.streams.counts == COUNTS
