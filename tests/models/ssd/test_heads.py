import math

import pytest
import torch
from torch.testing import assert_close

from evdet.models import BoxHead


def test_the_tutorial_head_prints_as_it_does():
    head = BoxHead(256, 6, 11, 0)
    assert [tuple(p.shape) for p in head.box_head.parameters()] == [
        (256, 256, 3, 3), (256,), (24, 256, 3, 3), (24,),
    ]  # fmt: skip


def test_layers_add_convolutions():
    def convs(head):
        return sum(isinstance(layer, torch.nn.Conv2d) for layer in head.cls_head.modules())

    assert convs(BoxHead(4, 2, 3, 2, hidden_channels=8)) == convs(BoxHead(4, 2, 3)) + 2


def test_a_fresh_head_says_background():
    _, logits = BoxHead(4, 2, 11)([torch.randn(3, 4, 5, 5)])
    background = logits.softmax(-1)[..., 0]
    assert_close(background, torch.full_like(background, 0.99), atol=0.01, rtol=0)


def test_a_fresh_head_without_background_gives_each_class_one_percent():
    _, logits = BoxHead(4, 2, 10, background=False)([torch.randn(3, 4, 5, 5)])
    assert_close(logits.sigmoid(), torch.full_like(logits, 0.01), atol=0.005, rtol=0)


@pytest.mark.parametrize("cell", [(0, 0), (1, 2), (2, 3)])
def test_anchors_come_in_the_order_level_row_column_anchor(cell):
    head = BoxHead(4, 2, 3, hidden_channels=8)
    torch.nn.init.normal_(head.box_head[-1].weight)
    maps = [torch.randn(1, 4, 3, 4), torch.randn(1, 4, 2, 2)]
    y, x = cell

    deltas, _ = head(maps)

    expected = head.box_head(maps[0])[0, :, y, x].view(2, 4)
    first = (y * 4 + x) * 2
    assert_close(deltas[0, first : first + 2], expected)
    assert deltas.shape == (1, 3 * 4 * 2 + 2 * 2 * 2, 4)


def test_scores_leave_background_out():
    values = torch.tensor([[[math.log(2), 0.0, 0.0]]])
    softmax, sigmoid = BoxHead(4, 1, 3), BoxHead(4, 1, 3, background=False)
    assert_close(softmax.scores(values), torch.tensor([[[0.25, 0.25]]]))
    assert_close(sigmoid.scores(values), torch.tensor([[[2 / 3, 0.5, 0.5]]]))
