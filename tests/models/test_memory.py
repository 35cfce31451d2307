import pytest
import torch
from hypothesis import given, strategies as st

from evdet.models import cut_at_resets, keep_memory


def test_no_memory_stays_none():
    assert keep_memory(None, torch.ones(2, 1, 1, 1)) is None


def test_a_lane_that_begins_a_recording_starts_empty():
    hidden, cell = torch.rand(2, 3, 4, 5), torch.rand(2, 3, 2, 2)

    kept = keep_memory((hidden, cell), torch.tensor([0.0, 1.0]).view(2, 1, 1, 1))

    assert [part[0].any().item() for part in kept] == [False, False]
    assert torch.equal(kept[0][1], hidden[1])
    assert torch.equal(kept[1][1], cell[1])


def test_memory_that_is_carried_cuts_nothing():
    [(part, mask)] = cut_at_resets([0, 5], 4, None)
    assert part == slice(0, 4)
    assert mask.flatten().tolist() == [1, 1]


def test_an_exhausted_lane_cuts_nothing():
    [(part, mask)] = cut_at_resets([-1], 4, 1)
    assert part == slice(0, 4)
    assert mask.flatten().tolist() == [1]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=4), st.integers(1, 12), st.integers(1, 15))
def test_a_lane_is_emptied_before_multiples_and_at_no_other_frame(firsts, num_frames, every):
    parts = list(cut_at_resets(firsts, num_frames, every))
    frames = [t for part, _ in parts for t in range(part.start, part.stop)]
    assert frames == list(range(num_frames))
    emptied = {(part.start, lane) for part, mask in parts for lane in (mask == 0).nonzero()[:, 0]}
    wanted = {
        (t, lane)
        for t in range(num_frames)
        for lane, first in enumerate(firsts)
        if (first + t) % every == 0
    }
    assert {(t, int(lane)) for t, lane in emptied} == wanted


@pytest.mark.parametrize("every", [0, -1])
def test_memory_cannot_be_emptied_more_often_than_every_frame(every):
    with pytest.raises(ValueError, match=f"reset_every must be at least 1, got {every}$"):
        next(cut_at_resets([0], 4, every))
