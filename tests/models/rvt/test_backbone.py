import pytest
import torch
from torch.testing import assert_close

from evdet.models.rvt import backbone as backbone_module
from evdet.models.rvt.backbone import STRIDES, PointwiseLSTM, RecurrentTransformer

T, B, C, H, W = 3, 2, 3, 64, 96
CHANNELS = (4, 8, 12, 16)
WINDOW = (2, 3)


@pytest.fixture
def backbone():
    backbone = RecurrentTransformer(C, CHANNELS, head_channels=4)
    for name, weight in backbone.named_parameters():
        # A fresh scale is next to nothing: attention would not count.
        if "scale" in name:
            torch.nn.init.constant_(weight, 0.5)
    return backbone


def slow_lstm(lstm, frame, hidden, cell):
    """As the paper has it: one product with input and hidden state together."""
    gates = lstm.gates(torch.cat([frame, hidden], dim=1))
    forget, admit, expose, candidate = gates.chunk(4, dim=1)
    cell = forget.sigmoid() * cell + admit.sigmoid() * candidate.tanh()
    return expose.sigmoid() * cell.tanh(), cell


def frame_by_frame(backbone, clip, memory=None):
    """The original's order: every stage of one frame, then those of the next."""
    states = list(memory or [None] * 2 * len(CHANNELS))
    features = [[] for _ in CHANNELS]
    for frame in clip:
        maps = frame
        for number, stage in enumerate(backbone.stages):
            cells = stage.norm(stage.downsample(maps).permute(0, 2, 3, 1))
            cells = stage.grid(stage.window(cells, WINDOW), WINDOW).permute(0, 3, 1, 2)
            pair = states[2 * number : 2 * number + 2]
            hidden, cell = (torch.zeros_like(cells) if state is None else state for state in pair)
            maps, cell = slow_lstm(stage.lstm, cells, hidden, cell)
            states[2 * number : 2 * number + 2] = [maps, cell]
            features[number].append(maps)
    return [torch.cat(level) for level in features], tuple(states)


def test_the_lstm_equals_one_product_with_both():
    lstm, clip = PointwiseLSTM(4), torch.randn(T, B, 2, 3, 4)
    hidden, cell = torch.randn(2, B, 4, 2, 3)

    outputs, (last_hidden, last_cell) = lstm.step(clip, (hidden, cell))

    for frame, output in zip(clip, outputs, strict=True):
        hidden, cell = slow_lstm(lstm, frame.permute(0, 3, 1, 2), hidden, cell)
        assert_close(output.permute(0, 3, 1, 2), hidden)
    assert_close((last_hidden, last_cell), (hidden, cell))


def test_whole_clips_equal_the_frame_by_frame_loop(backbone):
    clip = torch.randn(T, B, C, H, W)
    _, memory = backbone.step(torch.randn(1, B, C, H, W), WINDOW)
    memory = tuple(state.detach() for state in memory)

    features, after = backbone.step(clip, WINDOW, memory)
    slow_features, slow_after = frame_by_frame(backbone, clip, memory)

    assert_close(features, slow_features, atol=1e-5, rtol=0)
    assert_close(after, slow_after, atol=1e-5, rtol=0)


def test_their_gradients_are_those_of_the_loop(backbone):
    clip, weight = torch.randn(T, B, C, H, W), torch.randn(T * B, CHANNELS[-1], 2, 3)

    def gradients(features):
        backbone.zero_grad()
        sum((level.square().sum() for level in features), (features[-1] * weight).sum()).backward()
        return {name: param.grad.clone() for name, param in backbone.named_parameters()}

    whole = gradients(backbone.step(clip, WINDOW)[0])
    slow = gradients(frame_by_frame(backbone, clip)[0])

    for name, grad in slow.items():
        assert grad.norm() > 0, name
        assert (whole[name] - grad).norm() <= 1e-4 * grad.norm(), name


@pytest.mark.parametrize("num_bins", [1, 2, 5])
def test_long_clips_go_in_pieces_on_a_cpu_and_nothing_changes(backbone, monkeypatch, num_bins):
    clip = torch.randn(5, B, C, H, W)
    pieces = []
    monkeypatch.setattr(
        backbone.stages[0],
        "step",
        lambda *args, step_scale: pieces.append(len(args[0])) or step(*args, step_scale=step_scale),
    )
    step = type(backbone.stages[0]).step.__get__(backbone.stages[0])
    whole, last = backbone.step(clip, WINDOW)
    assert pieces == [5 * B]

    # The largest tensor of a bin: four times the first stage's channels of every lane and cell.
    of_a_bin = 4 * (B * (H // 4) * (W // 4) * 4 * CHANNELS[0])
    monkeypatch.setattr(backbone_module, "_LARGEST_ON_CPU", num_bins * of_a_bin)
    features, memory = backbone.step(clip, WINDOW)
    assert max(pieces[1:]) == num_bins * B
    assert sum(pieces[1:]) == 5 * B
    assert_close(features, whole, atol=1e-5, rtol=0)
    assert_close(memory, last, atol=1e-5, rtol=0)


def test_maps_and_memory_have_the_stages_sizes_and_names(backbone):
    features, memory = backbone.step(torch.randn(T, B, C, H, W), WINDOW)
    shapes = [(d, H // stride, W // stride) for d, stride in zip(CHANNELS, STRIDES, strict=True)]
    assert [tuple(level.shape) for level in features] == [(T * B, *shape) for shape in shapes]
    assert [tuple(state.shape) for state in memory] == [
        (B, *shape) for shape in shapes for _ in range(2)
    ]
    assert backbone.memory_names[:3] == ("stage1.hidden", "stage1.cell", "stage2.hidden")
    assert len(backbone.memory_names) == len(memory)
    for hidden, level in zip(memory[::2], features, strict=True):
        assert torch.equal(hidden, level[-B:])


def test_two_half_clips_equal_one_clip(backbone):
    clip = torch.randn(T, B, C, H, W)
    first, memory = backbone.step(clip[:1], WINDOW)
    second, _ = backbone.step(clip[1:], WINDOW, memory)
    halves = [torch.cat(levels) for levels in zip(first, second, strict=True)]
    assert_close(halves, backbone.step(clip, WINDOW)[0])


def test_lanes_do_not_see_each_other(backbone):
    clip = torch.randn(T, B, C, H, W)
    other = clip.clone()
    other[:, 1] = 0
    for level, same in zip(
        backbone.step(clip, WINDOW)[0], backbone.step(other, WINDOW)[0], strict=True
    ):
        assert_close(level.unflatten(0, (T, B))[:, 0], same.unflatten(0, (T, B))[:, 0])


def test_a_call_leaves_no_memory_behind(backbone):
    clip = torch.randn(T, B, C, H, W)
    assert_close(backbone.step(clip, WINDOW), backbone.step(clip, WINDOW), rtol=0, atol=0)
