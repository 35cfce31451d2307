import torch

from evdet.models import keep_memory


def test_no_memory_stays_none():
    assert keep_memory(None, torch.ones(2, 1, 1, 1)) is None


def test_a_lane_that_begins_a_recording_starts_empty():
    hidden, cell = torch.rand(2, 3, 4, 5), torch.rand(2, 3, 2, 2)

    kept = keep_memory((hidden, cell), torch.tensor([0.0, 1.0]).view(2, 1, 1, 1))

    assert [part[0].any().item() for part in kept] == [False, False]
    assert torch.equal(kept[0][1], hidden[1])
    assert torch.equal(kept[1][1], cell[1])
