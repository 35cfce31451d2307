import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from evdet.models.rvt.attention import AttentionBlock

F, H, W, D, HEAD = 2, 4, 6, 8, 4
WINDOW = (2, 3)


def group_of(y, x, dilated):
    """The number of the group that a cell belongs to, counted by hand."""
    down, across = H // WINDOW[0], W // WINDOW[1]
    return (y % down, x % across) if dilated else (y // WINDOW[0], x // WINDOW[1])


def slow_attention(block, cells):
    """Cell by cell and head by head."""
    seen = torch.zeros_like(cells)
    places = [(y, x) for y in range(H) for x in range(W)]
    qkv = functional.linear(block.norm1(cells), block.qkv.weight, block.qkv.bias)
    for frame in range(F):
        for y, x in places:
            mates = [
                p for p in places if group_of(*p, block.dilated) == group_of(y, x, block.dilated)
            ]
            for head in range(D // HEAD):
                rows = slice(3 * HEAD * head, 3 * HEAD * (head + 1))
                query = qkv[frame, y, x, rows][:HEAD]
                keys = torch.stack([qkv[frame, b, a, rows][HEAD : 2 * HEAD] for b, a in mates])
                values = torch.stack([qkv[frame, b, a, rows][2 * HEAD :] for b, a in mates])
                weights = (keys @ query / HEAD**0.5).softmax(dim=0)
                seen[frame, y, x, HEAD * head : HEAD * (head + 1)] = weights @ values
    return block.proj(seen)


@pytest.fixture(params=[False, True], ids=["window", "grid"])
def block(request):
    block = AttentionBlock(D, HEAD, dilated=request.param)
    torch.nn.init.normal_(block.scale1)
    torch.nn.init.normal_(block.scale2)
    return block


def test_it_equals_attention_cell_by_cell(block):
    cells = torch.randn(F, H, W, D)
    after = cells + block.scale1 * slow_attention(block, cells)
    expected = after + block.scale2 * block.mlp(block.norm2(after))
    assert_close(block(cells, WINDOW), expected, atol=1e-5, rtol=1e-5)


def test_no_frames_give_no_frames(block):
    assert block(torch.randn(0, H, W, D), WINDOW).shape == (0, H, W, D)


def test_only_cells_of_the_group_are_seen(block):
    cells = torch.randn(1, H, W, D)
    changed = cells.clone()
    changed[0, 1, 2] = torch.randn(D)
    moved = (block(changed, WINDOW) != block(cells, WINDOW)).any(dim=-1)[0]
    expected = torch.tensor(
        [
            [group_of(y, x, block.dilated) == group_of(1, 2, block.dilated) for x in range(W)]
            for y in range(H)
        ]
    )
    assert torch.equal(moved, expected)


def test_a_fresh_block_changes_next_to_nothing():
    cells = torch.randn(F, H, W, D)
    after = AttentionBlock(D, HEAD, dilated=False)(cells, WINDOW)
    assert 0 < (after - cells).abs().max() < 1e-3


def test_the_first_norm_can_be_left_out():
    names = dict(AttentionBlock(D, HEAD, dilated=False, norm_first=False).named_parameters())
    assert "norm1.weight" not in names
    assert "norm2.weight" in names


def test_heads_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(ValueError, match="8 channels cannot be split into attention heads of 3"):
        AttentionBlock(8, 3, dilated=False)
