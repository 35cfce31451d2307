import torch
from torch.testing import assert_close

from evdet.models.rvt.head import PRIOR, DecoupledHead

F, C = 2, 3


def make():
    return DecoupledHead((4, 6), (8, 16), num_classes=C, hidden_channels=5).eval()


def maps(num_frames=F):
    return [torch.randn(num_frames, 4, 2, 3), torch.randn(num_frames, 6, 1, 2)]


def test_no_frames_give_no_candidates():
    outputs = make()(maps(0))
    assert outputs.boxes_cxcywh.shape == (0, 8, 4)
    assert outputs.class_logits.shape == (0, 8, C)


def test_candidates_go_by_level_row_and_column():
    outputs = make()(maps())
    assert outputs.strides.tolist() == [8] * 6 + [16] * 2
    assert outputs.centres.tolist() == [
        [4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12], [8, 8], [24, 8],
    ]  # fmt: skip


def test_a_delta_is_counted_in_strides_from_the_cells_corner():
    head = make()
    for level in head.levels:
        torch.nn.init.zeros_(level.corrections.weight)
        level.corrections.bias.data = torch.tensor([0.25, 0.5, 0.0, torch.tensor(3.0).log()])
    boxes = head(maps()).boxes_cxcywh
    # The second cell of the second row of the first level, and the last of the second.
    assert_close(boxes[:, 4], torch.tensor([[8 + 2.0, 8 + 4.0, 8.0, 24.0]] * F))
    assert_close(boxes[:, 7], torch.tensor([[16 + 4.0, 0 + 8.0, 16.0, 48.0]] * F))


def test_a_wild_delta_stays_finite():
    head = make()
    for level in head.levels:
        level.corrections.bias.data.fill_(1e4)
    assert head(maps()).boxes_cxcywh.isfinite().all()


def test_a_fresh_head_expects_nothing():
    head = make()
    for level in head.levels:
        torch.nn.init.zeros_(level.objectness.weight)
        torch.nn.init.zeros_(level.class_logits.weight)
    outputs = head(maps())
    assert_close(outputs.objectness.sigmoid(), torch.full((F, 8), PRIOR))
    assert_close(outputs.class_logits.sigmoid(), torch.full((F, 8, C), PRIOR))


def test_mixed_precision_leaves_the_outputs_in_32_bits():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = make()(maps())
    assert {part.dtype for part in outputs} == {torch.float32}
