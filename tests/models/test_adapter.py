import pytest
import torch
from torch.testing import assert_close

from evdet.build import build_detector
from evdet.config import DetectionConfig
from evdet.models.adapter import MemoryAdapter
from evdet.models.recurrent import PeepholeLSTM

CELLS = ["lstm", "gru", "s5"]
T, B, SIZES = 4, 2, [(6, 4, 6), (8, 2, 3)]


def maps_of(seed=0, num=T * B):
    drawn = torch.manual_seed(seed)
    return [torch.randn(num, *size, generator=drawn) for size in SIZES]


def adapter_of(cell, *, is_new=False):
    torch.manual_seed(0)
    adapter = MemoryAdapter([size[0] for size in SIZES], cell).eval()
    if not is_new:
        for layer in adapter.projections:
            torch.nn.init.normal_(layer.weight)
    return adapter


@pytest.mark.parametrize("cell", CELLS)
def test_a_new_adapter_adds_nothing(cell):
    maps = maps_of()
    out, memory = adapter_of(cell, is_new=True).step(maps, B)
    assert all(map(torch.equal, out, maps))
    assert any(part.any() for part in memory)


@pytest.mark.parametrize("cell", CELLS)
def test_a_stream_cut_anywhere_equals_the_whole(cell):
    adapter, maps = adapter_of(cell), maps_of()
    whole, expected = adapter.step(maps, B)
    assert not any(map(torch.equal, whole, maps))
    for cut in range(1, T):
        first, memory = adapter.step([level[: cut * B] for level in maps], B)
        second, memory = adapter.step([level[cut * B :] for level in maps], B, memory)
        assert_close([torch.cat(parts) for parts in zip(first, second, strict=True)], whole)
        assert_close(memory, expected)


@pytest.mark.parametrize("cell", CELLS)
def test_the_memory_has_one_tensor_a_name_and_one_row_a_lane(cell):
    adapter = adapter_of(cell)
    _, memory = adapter.step(maps_of(), B)
    assert len(memory) == len(adapter.memory_names) == len(set(adapter.memory_names))
    assert all(len(part) == B for part in memory)
    assert adapter.knows_time == (cell == "s5")


@pytest.mark.parametrize("cell", CELLS)
def test_a_lane_with_emptied_memory_is_a_new_one(cell):
    adapter, maps = adapter_of(cell), maps_of()
    _, memory = adapter.step(maps_of(1), B)
    keep = torch.tensor([0.0, 1.0]).view(B, 1, 1, 1)
    masked, fresh, kept = (
        adapter.step(maps, B, state)[0] for state in (tuple(keep * m for m in memory), None, memory)
    )
    for one, new, old in zip(masked, fresh, kept, strict=True):
        assert_close(one[0::B], new[0::B])
        assert_close(one[1::B], old[1::B])
        assert not torch.allclose(new, old)


def test_the_gates_of_a_peephole_lstm_see_the_cell_and_the_output_gate_the_new_one():
    cell = PeepholeLSTM(1, 1).eval()
    for weight in cell.parameters():
        torch.nn.init.zeros_(weight)
    with torch.no_grad():
        cell.cell_to_gates.copy_(torch.tensor([0.5, 1.0, 2.0]).view(3, 1, 1, 1))
        cell.input_to_gates.bias[3] = 1.0
    before = torch.full((1, 1, 1, 1), 0.25)
    (out,), (hidden, after) = cell.step(torch.zeros(1, 1, 1, 1, 1), (before, before))
    into, forget = torch.sigmoid(0.5 * before), torch.sigmoid(before)
    assert_close(after, forget * before + into * torch.tensor(1.0).tanh())
    assert_close(hidden, torch.sigmoid(2 * after) * after.tanh())
    assert torch.equal(out, hidden)


def test_with_a_new_adapter_the_detector_is_that_of_single_frames_bit_for_bit():
    shared = {"classes": ("car",), "in_channels": 2, "height": 40, "width": 64}
    alone, with_memory = (
        build_detector(DetectionConfig(detector=name, **shared)).eval()
        for name in ("RT-DETR-Nano", "EvRT-DETR-Nano")
    )
    clip = torch.rand(T, B, 2, 40, 64)
    with torch.no_grad():
        boxes, scores, nothing = alone.predict(clip)
        same_boxes, same_scores, memory = with_memory.predict(clip)
    assert nothing == ()
    assert len(memory) == 6
    assert torch.equal(boxes, same_boxes)
    assert torch.equal(scores, same_scores)
