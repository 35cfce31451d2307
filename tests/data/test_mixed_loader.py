import dataclasses

import pytest
import torch

from evdet.data.augment.augmentation import AugmentRules
from evdet.data.mixed_loader import MixedLoader
from evdet.data.random_clips import RandomClips
from evdet.data.sequential_clips import SequentialClips
from evdet.data.stream_loader import StreamLoader

T = 2
RULES = AugmentRules(flip_prob=0.5, drop_prob=0.5)


@pytest.fixture
def source(maker):
    maker.add("a", 0, 13_999, range(1000, 14_001, 2000))
    maker.add("b", 2000, 9999, [4000, 9000])
    maker.add("c", 0, 5999, [3000])
    return maker.open_recordings(num_tbins=T)


def mixed(source, *, num_streamed=2, num_drawn=1, **options):
    return MixedLoader(
        StreamLoader(
            SequentialClips(source=source, augment=RULES, seed=1),
            batch_size=num_streamed,
            seed=1,
            **options,
        ),
        StreamLoader(
            RandomClips(source=source, augment=RULES, seed=1),
            batch_size=num_drawn,
            seed=1,
            **options,
        ),
    )


def same(first, second):
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    return first == second


def test_the_first_lanes_are_those_of_the_streams(source):
    batches = list(mixed(source))
    streamed = list(
        StreamLoader(SequentialClips(source=source, augment=RULES, seed=1), batch_size=2, seed=1)
    )
    assert len(batches) == len(streamed) == len(mixed(source))
    for batch, wanted in zip(batches, streamed, strict=True):
        assert batch["inputs"].shape[1] == 3
        assert torch.equal(batch["inputs"][:, :2], wanted["inputs"])
        assert batch["video_infos"][:2] == wanted["video_infos"]
        assert torch.equal(batch["mask_keep_memory"][:2], wanted["mask_keep_memory"])
        assert [lanes[:2] for lanes in batch["frame_is_labeled"].tolist()] == (
            wanted["frame_is_labeled"].tolist()
        )


def test_the_other_lanes_never_run_dry_and_never_keep_memory(source):
    for batch in mixed(source, num_drawn=2):
        for lane in (2, 3):
            assert batch["video_infos"][lane].index >= 0
            assert batch["frame_is_labeled"][-1, lane]
            assert batch["mask_keep_memory"][lane] == 0


def test_without_a_label_the_other_lanes_are_dry(maker):
    maker.add("a", 0, 3999, [1000, 3999])
    source = maker.open_recordings(num_tbins=T)
    streams = StreamLoader(SequentialClips(source=source), batch_size=1)
    nothing = RandomClips(source=type(source)(videos=[], spec=source.spec, num_tbins=T))
    batches = list(MixedLoader(streams, StreamLoader(nothing, batch_size=1)))
    assert [batch["video_infos"][1].index for batch in batches] == [-1, -1]


@pytest.mark.parametrize("world_size", [1, 2])
def test_workers_and_positions_change_no_batch(source, world_size):
    for rank in range(world_size):
        share = {"rank": rank, "world_size": world_size}
        loader = mixed(source, **share)
        first, second = list(loader), list(loader)
        assert loader.epoch == 2
        assert not same(first, second)
        for epoch, whole in enumerate((first, second)):
            for batch in range(len(whole) + 1):
                loader.set_position(epoch, batch)
                assert same(list(loader), whole[batch:])
        helped = mixed(source, num_workers=1, **share)
        helped.set_position(1, 2)
        assert same(list(helped), second[2:])


def test_an_abandoned_iteration_leaves_the_loader_where_it_was(source):
    loader = mixed(source)
    loader.set_position(0, 1)
    first = next(iter(loader))
    assert loader.position == (0, 1)
    assert same(next(iter(loader)), first)


def test_a_mixed_loader_looks_like_a_stream_loader(source):
    loader = mixed(source, num_workers=1)
    public = {name for name in dir(StreamLoader) if not name.startswith("_")}
    public -= {"play", "with_streams"}  # of the streams alone
    assert public <= set(dir(loader))
    assert loader.batch_size == 3
    assert loader.num_workers == 2
    assert loader.rank == 0
    assert loader.world_size == 1
    assert loader.streams is loader._streamed.streams
    assert loader.get_vis_func() is loader._streamed.get_vis_func()


def test_what_broke_on_either_side_is_told(maker, source):
    maker.damage(maker.path / "train" / "a_td.dat", 1200)
    loader = mixed(source)
    assert loader.broken == {}
    list(loader)
    assert list(loader.broken) == ["a"]


def test_loaders_that_do_not_fit_are_refused(source):
    streams = StreamLoader(SequentialClips(source=source), batch_size=1)
    drawn = StreamLoader(RandomClips(source=source), batch_size=1)
    with pytest.raises(ValueError, match="must play RandomClips, got SequentialClips"):
        MixedLoader(streams, streams)
    with pytest.raises(ValueError, match="of the same process, got rank 0 of 1 and 0 of 2"):
        MixedLoader(streams, StreamLoader(drawn.streams, batch_size=1, world_size=2))
    spec = dataclasses.replace(source.spec, height=8, width=8)
    small = type(source)(videos=source.videos, spec=spec, num_tbins=T)
    with pytest.raises(ValueError, match=r"clips of shape \(.*\) .*random clips of shape \("):
        MixedLoader(streams, StreamLoader(RandomClips(source=small), batch_size=1))
